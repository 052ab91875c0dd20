// sim/matrix.hpp -- every situation of a service × how its manager goes × what happens meanwhile × who waits for an
// answer.
#pragma once

#include <string>

namespace abide::sim {

struct MatrixResult {
    std::string page;      // markdown: what was run, what is pending
    std::string failures;  // a line each; empty: every cell passed
    std::size_t cells = 0;
};

// `only`: prints the two stories of the one cell that has this name.
MatrixResult run_matrix(const std::string& only = {});

}  // namespace abide::sim
