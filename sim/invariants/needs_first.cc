// sim/invariants/needs_first.cc -- a run begins only when everything that its service requires has got there.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string needs_first(const World& world, const Step& step) {
    (void)world;
    for (const out::Publish& fx : effects_of<out::Publish>(step)) {
        if (fx.event.type != EventType::service_starting) continue;
        const Service* s = step.after.find(fx.event.subject);
        if (s == nullptr) continue;
        for (const Dependency& d : step.after.spec_of(*s).dependencies) {
            if (d.relation != Relation::requires_ && d.relation != Relation::binds_to) continue;
            if (d.await != Await::ready) continue;
            const Service* target = step.after.find(d.target);
            if (target == nullptr) continue;
            const bool task = step.after.spec_of(*target).kind == Kind::task;
            const bool ok = task ? target->state == State::completed || target->state == State::stopping
                                 : !target->runs.empty() && target->runs.back().was_ready;
            if (!ok) return s->name + " begins before " + d.target + " is ready";
        }
    }
    return {};
}

}  // namespace abide::sim
