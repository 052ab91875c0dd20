// sim/invariants/stops_in_reverse.cc -- nobody is told to stop while something that requires it still runs and is to
// stop as well.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string stops_in_reverse(const World& world, const Step& step) {
    (void)world;
    for (const out::Signal& fx : effects_of<out::Signal>(step)) {
        const Service* s = step.before.find(fx.service);
        if (s == nullptr || s->runs.empty() || s->runs.back().state == State::stopping) continue;
        if (s->runs.back().stage == Stage::pre_start) continue;  // never was what anybody could lean on
        const Service* then = step.after.find(fx.service);
        if (then == nullptr || then->runs.empty() || then->want == Want::up) continue;
        if (then->runs.back().state != State::stopping) continue;
        const Reason why = then->runs.back().stop_reason;
        const bool wished = why == Reason::requested || why == Reason::shutdown || why == Reason::removed ||
                            why == Reason::conflict || why == Reason::dependency_lost;
        if (!wished) continue;  // what ended by itself has nothing left to order
        for (const Service* other : step.after.services()) {
            if (other->runs.empty() || other->want == Want::up) continue;
            for (const Dependency& d : step.after.spec_of(*other).dependencies) {
                const bool leans = d.relation == Relation::requires_ || d.relation == Relation::binds_to;
                if (!leans || d.target != fx.service || d.await == Await::none) continue;
                if (other->runs.back().stop_reason == Reason::force_destroyed) continue;
                return fx.service + " is told to stop before " + other->name;
            }
        }
    }
    return {};
}

}  // namespace abide::sim
