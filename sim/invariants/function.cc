// sim/invariants/function.cc -- the same state and input give the same state and effects.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string function(const World& world, const Step& step) {
    (void)world;
    core::Engine twin = step.before;
    const std::vector<Effect> effects = twin.step(step.input, step.now);
    if (effects.size() != step.effects.size()) return "a second run had other effects";
    for (std::size_t i = 0; i < effects.size(); ++i) {
        if (effects[i].index() != step.effects[i].index()) return "a second run had effects of another kind";
    }
    const core::Snapshot a = twin.snapshot(), b = step.after.snapshot();
    if (!(a.services == b.services) || !(a.instance == b.instance)) return "a second run led to another state";
    return {};
}

}  // namespace abide::sim
