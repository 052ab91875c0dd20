// sim/states.hpp -- the table of every state and every input, drawn from the real core.
#pragma once

#include <string>

namespace abide::sim {

// Markdown.  Equal for equal policy, so that a change of policy shows in the text.
std::string state_table();

}  // namespace abide::sim
