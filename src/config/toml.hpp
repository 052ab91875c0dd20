// config/toml.hpp -- the syntax: TOML 1.0 text to values.  The only place that knows toml++.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/value.hpp"

namespace abide::config {

struct SyntaxError {
    Position position;
    std::string text, advice;
};

// Parses a whole file into `root`, a table.  Stops at the first error, as the rest can't be trusted then.
std::optional<SyntaxError> parse_toml(std::string_view text, std::uint32_t file, Value& root);

}  // namespace abide::config
