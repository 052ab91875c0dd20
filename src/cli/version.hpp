// cli/version.hpp -- the version that is printed; CMakeLists.txt says the same.
#pragma once

#include <string_view>

namespace abide::cli {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace abide::cli
