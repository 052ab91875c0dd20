// sim/invariants/deadlines.cc -- nothing that can hang waits without a deadline.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string deadlines(const World& world, const Step& step) {
    (void)world;
    for (const Service* s : step.after.services()) {
        if (s->runs.empty()) {
            if (s->state == State::backoff && !s->backoff_until) return s->name + " is in backoff without an end";
            continue;
        }
        const Run& run = s->runs.back();
        const ServiceSpec& spec = step.after.spec_of(run);
        if (run.state == State::starting && spec.kind == Kind::service && !run.stage_deadline) {
            return s->name + " starts without a deadline";
        }
        if (run.state == State::stopping && !run.stage_deadline && spec.stop.or_default().final_ == StopFinal::kill) {
            return s->name + " stops without a deadline";
        }
        if (run.state == State::reloading && !run.stage_deadline) return s->name + " reloads without a deadline";
    }
    const bool late = step.after.next_deadline() <= step.now.mono && std::holds_alternative<in::Ticked>(step.input) &&
                      step.after.next_deadline() == step.before.next_deadline();
    if (late) return "a tick left its deadline armed";
    return {};
}

}  // namespace abide::sim
