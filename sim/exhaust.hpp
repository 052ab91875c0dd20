// sim/exhaust.hpp -- every sequence of inputs up to a depth, on a small world, with every invariant after every step.
#pragma once

#include <string>

namespace abide::sim {

// Empty when nothing was violated; else the sequence and what broke.
std::string exhaust(int depth);

}  // namespace abide::sim
