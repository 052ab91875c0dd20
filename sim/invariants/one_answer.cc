// sim/invariants/one_answer.cc -- an operation is answered once, however many are under way, and remembered until as
// many have ended after it as are kept; a start that is said to be done is.
#include <algorithm>

#include "base/limits.hpp"
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

namespace {

std::string name_of(OperationId id) {
    return "operation " + std::to_string(id.value);
}

std::string forgotten_too_early(const Step& step) {
    const auto& after = step.after.operations();
    const auto ended =
        std::ranges::count_if(after, [](const auto& one) { return one.second.outcome != Outcome::pending; });
    const auto kept = static_cast<std::size_t>(ended);
    if (kept > limits::kOperationsKept) return "more operations are remembered than are to be";
    for (const auto& [id, op] : step.before.operations()) {
        if (!after.contains(id) && kept < limits::kOperationsKept)
            return name_of(id) + " was forgotten before its time";
    }
    for (const out::Reply& fx : effects_of<out::Reply>(step)) {
        if (!after.contains(fx.operation.id) && kept < limits::kOperationsKept)
            return name_of(fx.operation.id) + " was forgotten as it ended";
    }
    return {};
}

}  // namespace

std::string one_answer(const World& world, const Step& step) {
    if (std::string forgotten = forgotten_too_early(step); !forgotten.empty()) return forgotten;
    for (const out::Reply& fx : effects_of<out::Reply>(step)) {
        const Operation& op = fx.operation;
        if (world.replies().contains(op.id)) return name_of(op.id) + " was answered twice";
        if (op.outcome == Outcome::pending) return name_of(op.id) + " was answered before it ended";
        if (const Operation* kept = step.after.operation(op.id); kept != nullptr && !(*kept == op))
            return name_of(op.id) + " was answered otherwise than it ended";
        if (op.verb != Verb::start || op.outcome != Outcome::done) continue;
        for (const TargetResult& target : op.targets) {
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
