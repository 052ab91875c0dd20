// sim/invariants/wall_clock.cc -- the wall clock decides nothing.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string wall_clock(const World& world, const Step& step) {
    (void)world;
    core::Engine twin = step.before;
    Now other = step.now;
    other.wall.ns -= seconds(86400).ns * 400;
    const std::vector<Effect> effects = twin.step(step.input, other);
    if (effects.size() != step.effects.size()) return "another date leads to other effects";
    for (std::size_t i = 0; i < effects.size(); ++i) {
        if (effects[i].index() != step.effects[i].index()) return "another date leads to effects of another kind";
    }
    return {};
}

}  // namespace abide::sim
