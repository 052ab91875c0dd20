// core/upgrade.cc -- another program for the supervisor is an operation like any other: asked for, waited for, ended.
//
// Knows nothing of programs: whether one is good is found out elsewhere and comes as in::UpgradeEnded, perhaps to a
// manager that did not yet exist when it was asked for.  One at a time, so that its way back is always the program that
// runs now.
#include "core/machine.hpp"

namespace abide::core {

using namespace model;

namespace {

// The program stands in the detail until the operation ends.
bool is_same(const Operation& one, const Operation& other) {
    return one.verb == other.verb && one.detail == other.detail;
}

}  // namespace

void Machine::upgrade(const in::Requested& in, Operation& op) {
    if (e_.instance_.shutting_down) return end_operation(op, Outcome::refused, "the instance is stopping");
    op.detail = in.program;
    bool under_way = false;
    for (const auto& [id, other] : e_.operations_) {
        if (id == op.id || !is_upgrade(other.verb) || other.outcome != Outcome::pending) continue;
        if (!is_same(other, op)) {
            const std::string why = "operation " + std::to_string(id.value) + " is an upgrade under way";
            return end_operation(op, Outcome::refused, why);
        }
        under_way = true;  // joined: it ends with that one
    }
    if (under_way) return;
    fx_.push_back(out::Upgrade{op.id, in.program, in.probation, in.verb == Verb::upgrade_anchor});
}

// One that is still pending is told of later, as any other.
void Machine::take_over(const RescueUpgrade& upgrade) {
    const OperationId id = upgrade.operation.id;
    const auto [known, is_new] = e_.operations_.emplace(id, upgrade.operation);
    if (is_new) e_.changed_operations_.insert(id);
    if (upgrade.outcome != Outcome::pending && known->second.outcome == Outcome::pending)
        on(in::UpgradeEnded{id, upgrade.outcome, upgrade.detail});
}

void Machine::on(const in::UpgradeEnded& in) {
    const auto it = e_.operations_.find(in.operation);
    if (it == e_.operations_.end() || it->second.outcome != Outcome::pending || !is_upgrade(it->second.verb)) {
        return stray();
    }
    const Operation first = it->second;
    Event event;
    // The program that was there before serves, or serves again: the outcome says which.
    event.type = in.outcome == Outcome::done ? EventType::supervisor_upgraded : EventType::supervisor_rolled_back;
    event.program = first.detail;
    event.outcome = in.outcome;
    event.detail = in.detail;
    publish(std::move(event));
    e_.instance_.last_upgrade =
        UpgradeResult{first.verb == Verb::upgrade_anchor, first.detail, in.outcome, in.detail, now_.wall};
    e_.instance_changed_ = true;
    for (auto& [id, operation] : e_.operations_) {
        if (id != in.operation && operation.outcome == Outcome::pending && is_same(operation, first))
            end_operation(operation, in.outcome, in.detail);
    }
    end_operation(it->second, in.outcome, in.detail);
}

}  // namespace abide::core
