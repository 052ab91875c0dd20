// core/publish.cc -- events, and which event led to each.
//
// Within a run the cause of an event is the event of that service before it.  A start is caused by the last thing that
// had to become true for it; a stop by what its reason speaks of: another service, or the end of the instance.  What a
// person asked for has no event as its cause, its reason says `requested`.
#include <algorithm>

#include "core/machine.hpp"
#include "model/text.hpp"

namespace abide::core {

using namespace model;

namespace {

// What it is to become has an event already.  A service that is to stop waits for those that lean on it, which stop
// because of it first; one that is to start may wait for one that makes room.
bool has_begun_to_change(const Service& s) {
    if (s.want == Want::down) return s.runs.empty() || s.runs.back().state == State::stopping;
    return !s.runs.empty() || s.state == State::failed || s.state == State::backoff || s.state == State::completed;
}

// Of an end by an operation's signal the journal says that the process exited.
Reason told(Reason reason, const Run* run) {
    return reason == Reason::exited && run != nullptr && !run->ended_by.empty() ? Reason::signalled : reason;
}

constexpr int kWishes = 64;  // pulled up by one that was pulled up by one that ...

// The event by which `target` is what an edge waits for.
EventId event_awaited(const Service& target, Await await) {
    const Run* run = target.runs.empty() ? nullptr : &target.runs.back();
    if (run != nullptr && await == Await::started && run->started_event) return run->started_event;
    if (run != nullptr && await == Await::ready && run->ready_event) return run->ready_event;
    return target.last_event;
}

}  // namespace

EventId Machine::cause_of_wish(Reason reason, const std::string& cause, const Service& service) {
    const Service* at = &service;
    std::string by = cause;
    for (int i = 0; i < kWishes; ++i) {
        switch (reason) {
            case Reason::none:
            case Reason::restart_policy:
            case Reason::exited:
            case Reason::signalled:
            case Reason::spawn_failed:
            case Reason::start_timeout:
            case Reason::stop_timeout:
            case Reason::watchdog:
            case Reason::unhealthy:
            case Reason::hook_failed:
            case Reason::restart_limit: return at->last_event;
            case Reason::requested:
            case Reason::config_changed:
            case Reason::removed:
            case Reason::force_destroyed:
            case Reason::cancelled:
            case Reason::refused: return {};
            case Reason::autostart: return e_.instance_.begun_event;
            case Reason::shutdown:
            case Reason::essential_ended: return e_.instance_.stopping_event;
            case Reason::dependency:
            case Reason::dependency_failed:
            case Reason::dependency_lost:
            case Reason::conflict: break;
        }
        const Node* other = find(by);
        if (other == nullptr) return at->last_event;
        const bool begun = reason == Reason::dependency ? other->service.last_event > other->service.wish_event
                                                        : has_begun_to_change(other->service);
        if (begun) return other->service.last_event;
        // It has not begun yet: why it is to be so is why this one is.
        at = &other->service;
        reason = at->want_reason;
        by = at->want_cause;
    }
    return {};
}

// What became true last of all that it waited for since it was wanted.
EventId Machine::cause_of_start(Slot slot) {
    const Service& s = node(slot).service;
    EventId latest = cause_of_wish(s.want_reason, s.want_cause, s);
    const auto consider = [&](EventId event) {
        if (event > s.wish_event) latest = std::max(latest, event);
    };
    consider(s.last_event);
    for (const Edge& edge : node(slot).needs) {
        if (edge.relation != Relation::conflicts) consider(event_awaited(node(edge.other).service, edge.await));
    }
    return latest;
}

EventId Machine::cause_of(Slot slot, EventType type, const Run* run) {
    const Service& s = node(slot).service;
    if (type == EventType::service_starting) return cause_of_start(slot);
    if (type == EventType::service_stopping && run != nullptr) return cause_of_wish(run->stop_reason, run->cause, s);
    if (type == EventType::service_failed && run == nullptr) return cause_of_wish(s.last_reason, s.last_cause, s);
    return s.last_event;
}

void Machine::publish(Slot slot, EventType type, const Run* run) {
    Event event;
    event.type = type;
    const Service& s = node(slot).service;
    event.subject = s.name;
    if (run != nullptr) {
        event.run = run->number;
        for (const Process& process : run->processes) {
            if (process.role == Role::main) event.pid = process.pid;
        }
    }
    const bool ending = type == EventType::service_stopped || type == EventType::service_failed ||
                        type == EventType::service_completed || type == EventType::service_backoff;
    if (ending) {
        event.reason = told(s.last_reason, run);
        event.detail = run != nullptr ? with_failures(s.last_cause, s.last_failures.value()) : s.last_cause.value();
        event.exit = run != nullptr ? run->main_exit : s.last_exit;
    } else if (type == EventType::service_stopping && run != nullptr) {
        event.reason = told(run->stop_reason, run);
        event.detail = run->cause;
    } else if (type == EventType::service_starting && run != nullptr) {
        event.reason = run->start_reason;
    } else if (type == EventType::service_reloaded && run != nullptr) {
        event.detail = run->reload.or_default().failure;
        event.outcome = event.detail.empty() ? Outcome::done : Outcome::failed;
    } else if ((type == EventType::service_unhealthy || type == EventType::service_unready) && run != nullptr) {
        event.detail = run->probe_failure;
    }
    if (type == EventType::service_backoff) event.delay = s.backoff_delay;
    event.cause = cause_of(slot, type, run);
    Service& service = node(slot).service;
    service.last_event = publish(std::move(event));
    Run* current = run_of(node(slot));
    if (current != nullptr && type == EventType::service_started) current->started_event = service.last_event;
    if (current != nullptr && type == EventType::service_ready) current->ready_event = service.last_event;
    touch(slot);
}

EventId Machine::publish(Event event) {
    e_.instance_.last_event.value += 1;
    e_.instance_changed_ = true;
    event.id = e_.instance_.last_event;
    event.time = now_.wall;
    fx_.push_back(out::Publish{std::move(event)});
    return e_.instance_.last_event;
}

// The first event of a manager.  No id that the log has is given again, whatever the journal lost.
void Machine::announce(const in::Recovered& in) {
    e_.instance_.last_event = std::max(e_.instance_.last_event, in.last_event);
    Event event;
    event.type = EventType::supervisor_rescue;
    if (in.rescue) event.cause = publish(event);
    for (const RescueUpgrade& upgrade : in.upgrades) take_over(upgrade);
    event.type = in.first ? EventType::supervisor_started : EventType::supervisor_recovered;
    const EventId begun = publish(std::move(event));
    if (in.first) e_.instance_.begun_event = begun;
}

void Machine::on(const in::Emitted& in) {
    Operation& op = new_operation(Verb::emit, in.requester, {});
    op.ticket = in.ticket;
    if (in.requester.permission < Permission::administer) {
        return end_operation(op, Outcome::not_permitted, "this needs another role; see [control] in the configuration");
    }
    Event event;
    event.type = EventType::user;
    event.name = in.name;
    event.fields = in.fields;
    end_operation(op, Outcome::done, std::to_string(publish(std::move(event)).value));
}

}  // namespace abide::core
