// config/instance.hpp -- templates: `%i` and `%%` in texts, and the specification of one instance.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace abide::config {

// `%i` becomes the instance and `%%` a %; a % before anything else stands for itself.  Without an instance, `%i` is an
// error.
Result<std::string> substitute_instance(std::string_view text, std::optional<std::string_view> instance);

// Writes % so that substitute_instance gives it back.
std::string escape_instance(std::string_view text);

}  // namespace abide::config
