// core/want.cc -- wishes: who should be up, and what a wish about one service means for its neighbours.
#include <algorithm>

#include "core/machine.hpp"

namespace abide::core {

using namespace model;

// The service and everything it pulls up, without recursion: a chain of 10,000 is a loop.
void Machine::set_up(Slot first, Reason reason, const std::string& cause) {
    wish_up(first, reason, cause);
    std::vector<Slot> stack{first};
    std::set<Slot> seen{first};
    while (!stack.empty()) {
        const Slot slot = stack.back();
        stack.pop_back();
        const std::string name = node(slot).service.name;
        for (const Edge& edge : node(slot).needs) {
            const bool pulls = edge.relation == Relation::requires_ || edge.relation == Relation::wants ||
                               edge.relation == Relation::binds_to;
            if (!pulls || !seen.insert(edge.other).second) continue;
            const Service& target = node(edge.other).service;
            if (target.state == State::completed && is_task(e_, node(edge.other))) continue;  // done once is done
            // One that was up already has pulled up its own before.
            if (wish_up(edge.other, Reason::dependency, name)) stack.push_back(edge.other);
        }
    }
}

bool Machine::wish_up(Slot slot, Reason reason, const std::string& cause) {
    Node& n = node(slot);
    Service& s = n.service;
    const bool idle = s.runs.empty() && s.state != State::waiting && s.state != State::backoff;
    const bool fresh = s.want == Want::down || idle;
    if (fresh) {
        s.want = Want::up;
        s.want_reason = reason;
        s.want_cause = cause;
        s.wish_event = e_.instance_.last_event;
        s.restarts = 0;
        s.backoff_step = 0;
        s.restart_times.clear();
        // It is on its way down and can't turn round: the next run is the one that is asked for.
        if (Run* run = run_of(n); run != nullptr && run->state == State::stopping) run->restart_after = true;
        touch(slot);
    }
    start_beyond(slot);
    if (s.held || s.removed) touch(slot);
    s.held = false;
    s.removed = false;
    if (s.runs.empty() && s.state == State::backoff && reason == Reason::requested) {
        s.backoff_until.reset();  // asked by a person: try now
        s.backoff_step = 0;
        set_state(slot, State::waiting);
    }
    if (idle) set_state(slot, State::waiting);
    const auto displace = [&](const Edge& edge) {
        if (edge.relation != Relation::conflicts) return;
        if (node(edge.other).service.want == Want::up) set_down(edge.other, Reason::conflict, s.name, false);
    };
    for (const Edge edge : n.needs) displace(edge);
    for (const Edge edge : n.needed_by) displace(edge);
    queue(slot);
    return fresh;
}

// The service and everything that leans on it.
void Machine::set_down(Slot first, Reason reason, const std::string& cause, bool held) {
    std::vector<Slot> stack{first};
    std::set<Slot> seen{first};
    while (!stack.empty()) {
        const Slot slot = stack.back();
        stack.pop_back();
        Service& s = node(slot).service;
        const bool root = slot == first;
        if (!root && s.want == Want::down) continue;  // what leans on it was told when it was
        if (s.want == Want::up || (root && held != s.held)) {
            s.want = Want::down;
            s.want_reason = root ? reason : Reason::dependency_lost;
            s.want_cause = root ? cause : node(first).service.name;
            if (root) s.held = held;
            s.create_only = false;
            touch(slot);
        }
        if (s.runs.empty() && (s.state == State::waiting || s.state == State::backoff)) {
            s.backoff_until.reset();
            set_state(slot, State::inactive);
        }
        if (Run* run = run_of(node(slot)); run != nullptr && run->restart_after) {
            run->restart_after = false;
            touch(slot);
        }
        queue(slot);
        for (const Edge& edge : node(slot).needed_by) {
            const bool falls = edge.relation == Relation::requires_ || edge.relation == Relation::binds_to ||
                               edge.relation == Relation::part_of;
            // A dependent that only waited for a task to end does not lean on it any more.
            const bool leans =
                edge.await != Await::completed && edge.await != Await::succeeded && edge.await != Await::none;
            const Service& other = node(edge.other).service;
            if (!falls || !(leans || edge.relation == Relation::part_of)) continue;
            if (is_task(e_, node(slot)) && s.runs.empty()) continue;
            if (other.want == Want::down && other.runs.empty()) continue;
            if (seen.insert(edge.other).second) stack.push_back(edge.other);
        }
    }
}

// Stops and starts it and its parts; those that require it stay, and follow their own rule (on-loss).
void Machine::restart(Slot first, Reason reason, const std::string& cause) {
    std::vector<Slot> stack{first};
    std::set<Slot> seen{first};
    while (!stack.empty()) {
        const Slot slot = stack.back();
        stack.pop_back();
        Run* run = run_of(node(slot));
        if (run == nullptr || node(slot).service.want == Want::down) {
            if (slot == first) set_up(slot, reason, cause);
        } else {
            run->restart_after = true;
            run->stop_reason = reason;
            run->cause = cause;
            Service& s = node(slot).service;
            s.backoff_step = 0;
            s.restarts = 0;
            s.restart_times.clear();
            touch(slot);
            queue(slot);
        }
        for (const Edge& edge : node(slot).needed_by) {
            if (edge.relation != Relation::part_of || node(edge.other).service.runs.empty()) continue;
            if (seen.insert(edge.other).second) stack.push_back(edge.other);
        }
    }
}

void Machine::destroy_one(Slot slot, const std::string& cause) {
    Run* run = run_of(node(slot));
    if (run == nullptr) return;
    leave(slot, Reason::force_destroyed, cause);
    run->stop_reason = Reason::force_destroyed;
    queue(slot);
    if (run_spec(*run).kind == Kind::group) {
        run->populated = false;
        finish(slot);
        return;
    }
    run->stage = Stage::kill;
    send_kill(slot);
    maybe_empty(slot);
}

// Kill now, at any stage: no hooks, no ladder, no waiting for an order.
void Machine::force_destroy(Slot first, const std::string& cause) {
    set_down(first, Reason::force_destroyed, cause, true);
    std::vector<Slot> stack{first};
    std::set<Slot> seen{first};
    while (!stack.empty()) {
        const Slot slot = stack.back();
        stack.pop_back();
        destroy_one(slot, cause);
        if (slot != first) destroyed_.push_back(slot);
        for (const Edge& edge : node(slot).needed_by) {
            const Service& other = node(edge.other).service;
            if (edge.relation == Relation::conflicts || edge.relation == Relation::after ||
                edge.relation == Relation::wants || other.runs.empty() || other.want == Want::up) {
                continue;
            }
            if (seen.insert(edge.other).second) stack.push_back(edge.other);
        }
    }
}

void Machine::shut_down(Reason reason, const std::string& cause, std::int32_t exit_status) {
    if (e_.instance_.shutting_down) return;
    e_.instance_.shutting_down = true;
    e_.instance_.exit_status = exit_status;
    e_.instance_changed_ = true;
    Event event;
    event.type = EventType::supervisor_stopping;
    event.reason = reason;
    event.detail = cause;
    if (reason == Reason::essential_ended) event.cause = e_.instance_.last_event;  // of its end, just published
    e_.instance_.stopping_event = publish(std::move(event));
    for (Slot slot = 0; slot < e_.nodes_.size(); ++slot) {
        if (node(slot).live) set_down(slot, Reason::shutdown, cause, node(slot).service.held);
    }
    check_end();
}

void Machine::check_end() {
    if (!e_.instance_.shutting_down || e_.instance_.ended || e_.active_ != 0) return;
    e_.instance_.ended = true;
    e_.instance_changed_ = true;
    for (auto& [id, op] : e_.operations_) {
        if (op.outcome != Outcome::pending) continue;
        end_operation(op, op.verb == Verb::shutdown ? Outcome::done : Outcome::cancelled,
                      op.verb == Verb::shutdown ? "" : "the instance ended");
    }
    fx_.push_back(out::EndInstance{e_.instance_.exit_status});
}

}  // namespace abide::core
