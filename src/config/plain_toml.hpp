// config/plain_toml.hpp -- the plain part of TOML, in one pass: bare keys, headers, strings without escapes, decimal
// integers, booleans, lists on one line, ASCII.
//
// A file of hundreds of services is as a rule of nothing else, and to read it is then a large part of a start.  Knows
// nothing of errors: of a text with anything else in it, or anything wrong, it says nothing, and the whole parser
// (toml.cc) reads it.  Invariant: what it does read is what the whole parser gives, position by position.
#pragma once

#include <cstdint>
#include <string_view>

#include "config/value.hpp"

namespace abide::config {

// False: not plain; `root` is then to be thrown away.
bool read_plain_toml(std::string_view text, std::uint32_t file, Value& root);

}  // namespace abide::config
