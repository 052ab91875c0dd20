// sim/invariants/backoff_bounds.cc -- a drawn delay lies between its minimum and its maximum with jitter, and grows.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string backoff_bounds(const World& world, const Step& step) {
    (void)world;
    for (const Service* s : step.after.services()) {
        if (s->state != State::backoff) continue;
        const Service* old = step.before.find(s->name);
        if (old != nullptr && old->state == State::backoff) continue;
        const RestartSpec& rule = step.after.spec_of(*s).restart_delay.or_default();
        const std::int64_t most = rule.max.ns + rule.max.ns / 1000 * rule.jitter_milli;
        if (s->backoff_delay.ns < rule.min.ns || s->backoff_delay.ns > most)
            return s->name + " drew a delay out of bounds";
        std::int64_t least = rule.min.ns;
        for (std::uint32_t i = 2; i < s->backoff_step && least < rule.max.ns; ++i)
            least = least / 1000 * rule.factor_milli;
        if (s->backoff_delay.ns < std::min(least, rule.max.ns)) return s->name + "'s delay did not grow";
    }
    return {};
}

}  // namespace abide::sim
