// core/operations.cc -- requests that take time.  Joining an operation under way is waiting for the same facts; the
// answer is decided here, from the state, never by who caused it.
#include <algorithm>

#include "base/limits.hpp"
#include "core/machine.hpp"
#include "model/text.hpp"

namespace abide::core {

using namespace model;

namespace {

constexpr int kTerminate = 15;  // SIGTERM

Permission needed(Verb verb) {
    switch (verb) {
        case Verb::create:
        case Verb::start:
        case Verb::stop:
        case Verb::restart:
        case Verb::reload:
        case Verb::kill:
        case Verb::force_destroy:
        case Verb::pause:
        case Verb::unpause:
        case Verb::cancel: return Permission::operate;
        case Verb::enable:
        case Verb::disable:
        case Verb::apply:
        case Verb::remove:
        case Verb::upgrade:
        case Verb::upgrade_anchor:
        case Verb::shutdown:
        case Verb::emit: return Permission::administer;
    }
    return Permission::administer;
}

// Stays pending until review() sees the facts.
bool waits(Verb verb) {
    return verb != Verb::kill && verb != Verb::enable && verb != Verb::disable;
}

// What asked for it, and who.
std::string in_words(const Operation& op) {
    return "operation " + std::to_string(op.id.value) + ", by uid " + std::to_string(op.requester.uid);
}

}  // namespace

Operation& Machine::new_operation(Verb verb, const Requester& requester, Duration timeout) {
    e_.instance_.last_operation.value += 1;
    e_.instance_changed_ = true;
    Operation op;
    op.id = e_.instance_.last_operation;
    op.verb = verb;
    op.requester = requester;
    op.asked_at = now_.wall;
    if (timeout.ns > 0) {
        op.deadline = now_.mono + timeout;
        e_.operation_deadlines_.emplace(*op.deadline, op.id);
    }
    e_.changed_operations_.insert(op.id);
    reviews_.push_back(op.id);
    return e_.operations_[op.id] = std::move(op);
}

void Machine::on(const in::Requested& in) {
    Operation& op = new_operation(in.verb, in.requester, in.verb == Verb::shutdown ? Duration{} : in.timeout);
    if (in.requester.permission < needed(in.verb)) {
        end_operation(op, Outcome::not_permitted, "this needs another role; see [control] in the configuration");
        return;
    }
    op.ticket = in.ticket;
    if (in.verb == Verb::cancel) return cancel(in, op);
    if (is_upgrade(in.verb)) return upgrade(in, op);
    if (in.verb == Verb::shutdown) {
        shut_down(Reason::requested, in_words(op), 0);
        if (in.timeout.ns > 0) {
            const Mono last = now_.mono + in.timeout;
            std::optional<Mono>& deadline = e_.instance_.shutdown_deadline;
            deadline = deadline ? std::min(*deadline, last) : last;
            e_.instance_changed_ = true;
        }
        return;
    }
    const bool goes_up = in.verb == Verb::start || in.verb == Verb::create || in.verb == Verb::restart;
    if (goes_up && e_.instance_.shutting_down) return end_operation(op, Outcome::refused, "the instance is stopping");
    std::vector<std::string> names = in.names;
    if (names.empty()) {
        for (const Service* s : e_.services()) {
            if (s->enabled || in.verb != Verb::start) names.push_back(s->name);
        }
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (std::string& name : names) {
        TargetResult target;
        target.name = std::move(name);
        op.targets.push_back(std::move(target));
    }
    for (TargetResult& target : op.targets) carry_out(op, target, in);
    await_destroyed(op);
}

// What fell with a service that was destroyed is waited for as well.
void Machine::await_destroyed(Operation& op) {
    for (const Slot slot : std::exchange(destroyed_, {})) {
        Node& n = node(slot);
        const auto same = [&](const TargetResult& target) { return target.name == n.service.name; };
        if (n.service.runs.empty() || std::any_of(op.targets.begin(), op.targets.end(), same)) continue;
        TargetResult target;
        target.name = n.service.name;
        target.run = n.service.last_run;
        n.operations.push_back(op.id);
        op.targets.push_back(std::move(target));
    }
}

// In words, who can't be defined without it and is not to be removed by the same operation; empty: nobody.
std::string Machine::needed_by(Slot slot, const Operation& op) {
    std::string who;
    for (const Edge& edge : node(slot).needed_by) {
        const bool soft = edge.relation == Relation::after || edge.relation == Relation::conflicts ||
                          edge.relation == Relation::wants;
        const Service& other = node(edge.other).service;
        const auto same = [&](const TargetResult& target) { return target.name == other.name; };
        if (soft || other.removed || std::ranges::any_of(op.targets, same)) continue;
        who += (who.empty() ? "" : ", ") + other.name + " " + to_text(edge.relation) + " it";
    }
    return who;
}

void Machine::carry_out(Operation& op, TargetResult& target, const in::Requested& in) {
    Slot slot = 0;
    Node* n = find(target.name, &slot);
    const auto end = [&](Outcome outcome, std::string detail) {
        target.outcome = outcome;
        target.detail = std::move(detail);
    };
    if (n == nullptr || n->service.removed) return end(Outcome::not_found, "no such service");
    const ServiceSpec& s = spec(e_, *n);
    if (s.is_template) return end(Outcome::refused, "is a template; name an instance: " + target.name + "NAME");
    Run* run = run_of(*n);
    target.run = n->service.last_run;
    if (waits(in.verb)) n->operations.push_back(op.id);
    const std::string cause = in_words(op);
    switch (in.verb) {
        case Verb::start: return set_up(slot, Reason::requested, cause);
        case Verb::stop: return set_down(slot, Reason::requested, cause, true);
        case Verb::create: return create(slot, target, cause);
        case Verb::restart:
            if (std::exchange(node(slot).service.create_only, false)) touch(slot);
            return restart(slot, Reason::requested, cause);
        case Verb::force_destroy: return force_destroy(slot, cause);
        case Verb::remove:
            if (std::string who = needed_by(slot, op); !who.empty()) return end(Outcome::refused, std::move(who));
            set_down(slot, Reason::removed, cause, false);
            node(slot).service.removed = true;
            return;
        case Verb::reload:
            if (!s.reload) return end(Outcome::refused, "has no `reload` in its configuration");
            if (run == nullptr || !run->ready) return end(Outcome::refused, "is not running");
            if (run->paused) return end(Outcome::refused, "is paused");
            if (run->state != State::running && run->state != State::reloading)
                return end(Outcome::refused, "is " + to_text(run->state));
            return reload(slot);
        case Verb::kill:
            if (run == nullptr || std::ranges::all_of(run->processes, [](const Process& p) { return p.pid == 0; }))
                return end(Outcome::refused, "has no process");
            give_signal(slot, in.signal == 0 ? kTerminate : in.signal, in.whole_tree ? StopScope::all : StopScope::main,
                        cause);
            return end(Outcome::done, "");
        case Verb::pause:
        case Verb::unpause: {
            const bool paused = in.verb == Verb::pause;
            if (run == nullptr || run->state == State::stopping) return end(Outcome::refused, "is not running");
            if (paused && run->state == State::paused) return end(Outcome::done, "was paused");
            if (!paused && !run->paused) return end(Outcome::done, "was not paused");
            if (paused && run->state != State::running) return end(Outcome::refused, "is " + to_text(run->state));
            return set_paused(slot, paused);
        }
        case Verb::enable:
        case Verb::disable:
            n->service.enabled = in.verb == Verb::enable;
            touch(slot);
            return end(Outcome::done, "");
        case Verb::apply:
        case Verb::shutdown:
        case Verb::upgrade:
        case Verb::upgrade_anchor:
        case Verb::emit:
        case Verb::cancel: return end(Outcome::refused, "");
    }
}

// Takes a start back as long as it is not done; of anything else only the waiting ends.
void Machine::cancel(const in::Requested& in, Operation& op) {
    const auto it = e_.operations_.find(in.operation);
    if (it == e_.operations_.end()) return end_operation(op, Outcome::not_found, "no such operation");
    Operation& victim = it->second;
    if (victim.outcome != Outcome::pending) return end_operation(op, Outcome::refused, "that operation has ended");
    if (victim.verb == Verb::shutdown) return end_operation(op, Outcome::refused, "a shutdown can't be taken back");
    if (is_upgrade(victim.verb)) return end_operation(op, Outcome::refused, "an upgrade can't be taken back");
    for (TargetResult& target : victim.targets) {
        if (target.outcome != Outcome::pending) continue;
        target.outcome = Outcome::cancelled;
        Slot slot = 0;
        if ((victim.verb == Verb::start || victim.verb == Verb::create) && find(target.name, &slot) != nullptr) {
            set_down(slot, Reason::cancelled, in_words(op), true);
        }
    }
    end_operation(victim, Outcome::cancelled, "by operation " + std::to_string(op.id.value));
    end_operation(op, Outcome::done);
}

void Machine::review(OperationId id) {
    const auto it = e_.operations_.find(id);
    if (it == e_.operations_.end() || it->second.outcome != Outcome::pending) return;
    Operation& op = it->second;
    if (op.verb == Verb::shutdown || is_upgrade(op.verb)) return;
    Outcome worst = Outcome::done;
    std::string detail;
    for (TargetResult& target : op.targets) {
        if (target.outcome == Outcome::pending) review_target(op, target);
        if (target.outcome == Outcome::pending) return;
        if (target.outcome == Outcome::done) continue;
        if (worst == Outcome::done) {
            worst = target.outcome;
            detail = target.name + ": " + target.detail;
        }
    }
    end_operation(op, worst, std::move(detail));
}

void Machine::review_target(Operation& op, TargetResult& target) {
    Slot slot = 0;
    Node* n = find(target.name, &slot);
    const auto end = [&](Outcome outcome, std::string detail = {}) {
        target.outcome = outcome;
        target.detail = std::move(detail);
        e_.changed_operations_.insert(op.id);
    };
    if (n == nullptr) {
        const bool gone_is_good = op.verb == Verb::remove || op.verb == Verb::stop || op.verb == Verb::force_destroy;
        return end(gone_is_good ? Outcome::done : Outcome::failed, "was removed");
    }
    const Service& s = n->service;
    const Run* run = run_of(*n);
    switch (op.verb) {
        case Verb::stop:
        case Verb::force_destroy:
        case Verb::remove:
            if (s.want == Want::up) return end(Outcome::cancelled, "was started again meanwhile");
            if (run == nullptr && !s.removed) end(Outcome::done);
            return;
        case Verb::start:
        case Verb::restart: {
            if (s.want == Want::down) return end(Outcome::cancelled, "was stopped meanwhile");
            const bool newer = op.verb == Verb::start || s.last_run > target.run;
            if (!newer) {
                if (s.state == State::failed)
                    end(Outcome::failed, describe(s.last_reason) + ", " + s.last_cause.value());
                return;
            }
            if (run != nullptr) {
                if (run->ready && !run->restart_after && run->state != State::stopping) end(Outcome::done);
                return;
            }
            const std::string why = describe(s.last_reason) + (s.last_cause.empty() ? "" : ": " + s.last_cause.value());
            if (s.state == State::completed) end(Outcome::done);
            if (s.state == State::failed) end(Outcome::failed, why);
            if (s.state == State::backoff) end(Outcome::failed, why + "; it will be tried again");
            return;
        }
        case Verb::create:
            review_create(slot, target);
            if (target.outcome != Outcome::pending) e_.changed_operations_.insert(op.id);
            return;
        case Verb::reload:
            if (run == nullptr || run->state == State::stopping || run->number != target.run)
                return end(Outcome::failed, "ended while reloading");
            if (run->state == State::reloading) return;
            if (run->reload.or_default().failure.empty()) return end(Outcome::done);
            return end(Outcome::failed, "its reload failed: " + run->reload->failure);
        case Verb::pause:
        case Verb::unpause:
            if (run == nullptr) return end(Outcome::failed, "ended");
            if (op.verb == Verb::pause ? run->state == State::paused : !run->paused) return end(Outcome::done);
            if (op.verb == Verb::pause && !run->paused) end(Outcome::cancelled, "goes on, or stops, meanwhile");
            return;
        case Verb::kill:
        case Verb::enable:
        case Verb::disable:
        case Verb::apply:
        case Verb::shutdown:
        case Verb::upgrade:
        case Verb::upgrade_anchor:
        case Verb::emit:
        case Verb::cancel: return end(Outcome::done);
    }
}

void Machine::end_operation(Operation& op, Outcome outcome, std::string detail) {
    if (op.outcome != Outcome::pending) return;
    op.outcome = outcome;
    op.detail = std::move(detail);
    op.ended_at = now_.wall;
    if (op.deadline) e_.operation_deadlines_.erase({*op.deadline, op.id});
    for (const TargetResult& target : op.targets) {
        if (Node* n = find(target.name); n != nullptr) erase(n->operations, op.id);
    }
    e_.changed_operations_.insert(op.id);
    e_.ended_operations_.push_back(op.id);
    fx_.push_back(out::Reply{op});
}

// Those that ended first.  However many are under way, each of them stays until it has ended.
void Machine::forget_old_operations() {
    std::deque<OperationId>& ended = e_.ended_operations_;
    for (; ended.size() > limits::kOperationsKept; ended.pop_front()) {
        e_.changed_operations_.erase(ended.front());
        e_.dropped_operations_.insert(ended.front());
        e_.operations_.erase(ended.front());
    }
}

}  // namespace abide::core
