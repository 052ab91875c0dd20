// sim/crowd.hpp -- more clients at once than operations are remembered: each of them is answered, once.
#pragma once

#include <string>

namespace abide::sim {

// Empty when nothing was violated; else what was.
std::string crowd();

}  // namespace abide::sim
