// core/upgrade.cc -- another program for the supervisor is an operation like any other: asked for, waited for, ended.
//
// Knows nothing of programs: whether one is good is found out elsewhere and comes as in::UpgradeEnded, perhaps to a
// manager that did not yet exist when it was asked for.  One at a time, so that its way back is always the program that
// runs now.
#include "core/machine.hpp"

namespace abide::core {

using namespace model;

void Machine::upgrade(const in::Requested& in, Operation& op) {
    if (e_.instance_.shutting_down) return end_operation(op, Outcome::refused, "the instance is stopping");
    for (const auto& [id, other] : e_.operations_) {
        if (id == op.id || !is_upgrade(other.verb) || other.outcome != Outcome::pending) continue;
        return end_operation(op, Outcome::refused,
                             "operation " + std::to_string(id.value) + " is an upgrade under way");
    }
    op.detail = in.program;
    fx_.push_back(out::Upgrade{op.id, in.program, in.probation, in.verb == Verb::upgrade_anchor});
}

void Machine::on(const in::UpgradeEnded& in) {
    const auto it = e_.operations_.find(in.operation);
    if (it == e_.operations_.end() || it->second.outcome != Outcome::pending || !is_upgrade(it->second.verb)) {
        return stray();
    }
    if (in.outcome == Outcome::done || in.outcome == Outcome::rolled_back) {
        Event event;
        event.type = in.outcome == Outcome::done ? EventType::supervisor_upgraded : EventType::supervisor_rolled_back;
        event.detail = in.detail;
        publish(std::move(event));
    }
    end_operation(it->second, in.outcome, in.detail);
}

}  // namespace abide::core
