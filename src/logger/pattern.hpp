// logger/pattern.hpp -- the patterns of base/pattern.hpp by the names that the logger uses.
#pragma once

#include "base/pattern.hpp"

namespace abide::logger {

using abide::Matcher;
using abide::Pattern;

}  // namespace abide::logger
