// sim/invariants/one_answer.cc -- an operation is answered once, and a start that is said to be done is.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string one_answer(const World& world, const Step& step) {
    for (const out::Reply& fx : effects_of<out::Reply>(step)) {
        if (world.replies().contains(fx.operation))
            return "operation " + std::to_string(fx.operation.value) + " was answered twice";
        const Operation* op = step.after.operation(fx.operation);
        if (op == nullptr || op->outcome == Outcome::pending) return "an operation was answered before it ended";
        if (op->verb != Verb::start || op->outcome != Outcome::done) continue;
        for (const TargetResult& target : op->targets) {
            const Service* s = step.after.find(target.name);
            if (s == nullptr) return "a start of nothing is done";
            const bool up = (!s->runs.empty() && s->runs.back().was_ready) || s->state == State::completed ||
                            s->last_run > target.run;
            if (!up) return s->name + " is said to be started";
        }
    }
    return {};
}

}  // namespace abide::sim
