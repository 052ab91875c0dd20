// core/graph.hpp -- is a configuration coherent?  Asked by `abide check`, and by the engine before anything changes.
#pragma once

#include <string>
#include <vector>

#include "model/spec.hpp"

namespace abide::core {

struct Problem {
    std::string service;
    std::string text;  // one line, without position
    model::SourcePosition where;
    std::string advice;
    bool cycle = false;
};

// Every cycle (each edge named with its file:line), missing name, self-dependency, contradiction and duplicate
// provider. Linear in services and edges; no recursion.
std::vector<Problem> validate(const model::Configuration& configuration);

}  // namespace abide::core
