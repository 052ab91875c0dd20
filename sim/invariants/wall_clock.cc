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
    for (const Service* service : twin.services()) {
        const Service* other_service = step.after.find(service->name);
        if (other_service == nullptr) continue;
        if (service->restart_times != other_service->restart_times ||
            service->backoff_until != other_service->backoff_until)
            return service->name + ": another date leads to other deadlines";
    }
    return {};
}

}  // namespace abide::sim
