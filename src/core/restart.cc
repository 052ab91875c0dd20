// core/restart.cc -- what comes after a run: rest, restart at once, back off, or give up.
//
// The first restart after a healthy period is immediate; from the second on the delay grows from `min` by `factor` to
// `max`, with jitter.  A healthy period (reset-after, counted from ready) forgets the past.
#include <algorithm>
#include <array>

#include "base/backoff.hpp"
#include "base/limits.hpp"
#include "core/machine.hpp"
#include "model/signal.hpp"

namespace abide::core {

using namespace model;

namespace {

bool matches(const std::vector<ExitMatch>& list, const ExitStatus& exit) {
    return std::any_of(list.begin(), list.end(), [&](const ExitMatch& match) {
        if (exit.kind == ExitKind::unknown) return false;
        return match.is_signal == (exit.kind == ExitKind::signal) && match.value == exit.value;
    });
}

}  // namespace

bool Machine::is_success(const ServiceSpec& spec, const Run& run, const ExitStatus& exit) {
    if (exit.kind == ExitKind::unknown) return false;
    if (exit.kind == ExitKind::code && exit.value == 0) return true;
    const bool our_signal = exit.kind == ExitKind::signal && exit.value == spec.stop.or_default().signal;
    if (our_signal && spec.kind == Kind::service && run.state == State::stopping) return true;
    return matches(spec.success_exit, exit);
}

// The signal of an operation that the main process ended of, or that it was asked to end by, not long ago.
std::string Machine::ended_by(const Run& run, const ExitStatus& exit) const {
    constexpr std::array kRequests = {2, 3, 9, 15};  // INT, QUIT, KILL, TERM
    if (!run.signal || run.signal->by.empty() || exit.oom) return {};
    const DecidedSignal& sent = *run.signal;
    const StopSpec& stop = run_spec(run).stop.or_default();
    const bool asks_to_end = sent.signal == stop.signal || std::ranges::count(kRequests, sent.signal) != 0;
    const bool obeyed = exit.kind != ExitKind::signal && asks_to_end && now_.mono <= sent.at + stop.timeout;
    const bool killed = exit.kind == ExitKind::signal && exit.value == sent.signal;
    return killed || obeyed ? signal_name(sent.signal) + " of " + sent.by.value() : std::string();
}

void Machine::finish(Slot slot) {
    Node& n = node(slot);
    Service& s = n.service;
    for (const Process& process : run_of(n)->processes) e_.spawns_.erase(process.spawn);
    Run run = std::move(s.runs.back());
    s.runs.pop_back();
    e_.active_ -= 1;
    if (std::exchange(n.counted, false)) {
        --e_.starting_;
        wake_parked();
    }
    // A failure that a stop was asked for is a stop.
    const bool asked = s.want == Want::down && run.stop_reason != Reason::unhealthy;
    s.last_exit = run.main_exit;
    s.last_reason = run.stop_reason;
    s.last_cause = run.cause;
    s.last_failures = run.stop_failures;
    s.past.push_back(
        {run.number, run.started_at, now_.wall, run.stop_reason, run.cause, run.main_exit, run.stop_failures});
    if (s.past.size() > limits::kHistoryPerService) s.past.erase(s.past.begin());
    fx_.push_back(out::Release{s.name, run.number});
    touch(slot);
    queue(slot);
    queue_neighbours(slot);
    if (run.was_ready && now_.mono - run.started >= spec(e_, n).restart_delay.or_default().reset_after) {
        s.backoff_step = 0;
        s.restart_times.clear();
    }
    if (asked) {
        set_state(slot, State::inactive);
        publish(slot, EventType::service_stopped, &run);
        return;
    }
    if (run.restart_after) {
        publish(slot, EventType::service_stopped, &run);
        set_state(slot, State::waiting);
        return;
    }
    if (wants_restart(slot, run)) return schedule_restart(slot, run);
    rest(slot, run);
}

bool Machine::wants_restart(Slot slot, const Run& run) const {
    const ServiceSpec& s = e_.spec_of(e_.nodes_[slot].service);
    if (e_.instance_.shutting_down || e_.nodes_[slot].service.want == Want::down) return false;
    if (run.main_exit && matches(s.restart_delay.or_default().force, *run.main_exit)) return true;
    if (run.main_exit && matches(s.restart_delay.or_default().prevent, *run.main_exit)) return false;
    // A task that did its work is done, whatever the policy says about ends.
    if (s.kind == Kind::task && !run.failed) return false;
    switch (s.restart) {
        case RestartPolicy::never: return false;
        case RestartPolicy::always: return true;
        case RestartPolicy::on_failure: return run.failed;
    }
    return false;
}

void Machine::schedule_restart(Slot slot, const Run& run) {
    Service& s = node(slot).service;
    const RestartSpec& rule = spec(e_, node(slot)).restart_delay.or_default();
    if (!restart_allowed(s.restart_times, now_.boot, rule.limit_within, rule.limit_count)) {
        s.last_reason = Reason::restart_limit;
        s.last_cause =
            std::to_string(rule.limit_count) + " restarts within the limit's window; last: " + run.cause.value();
        Run given_up = run;
        given_up.failed = true;
        rest(slot, given_up);
        return;
    }
    const BackoffRule backoff{rule.min, rule.max, rule.factor_milli, rule.jitter_milli};
    Duration delay = backoff_delay(backoff, s.backoff_step);
    // Nothing is drawn for an immediate restart.
    if (s.backoff_step > 0) delay.ns += static_cast<std::int64_t>(random_below(backoff_spread(backoff, delay) + 1));
    if (s.backoff_step < UINT32_MAX) s.backoff_step += 1;
    s.backoff_delay = delay;
    if (delay.ns == 0) {
        s.restarts += 1;
        publish(slot, run.failed ? EventType::service_failed : EventType::service_completed, &run);
        set_state(slot, State::waiting);
        return;
    }
    s.backoff_until = now_.mono + delay;
    set_state(slot, State::backoff);
    publish(slot, EventType::service_backoff, &run);
}

// It stays as it is until somebody asks.
void Machine::rest(Slot slot, const Run& run) {
    Service& s = node(slot).service;
    const ServiceSpec& mine = spec(e_, node(slot));
    set_state(slot, run.failed ? State::failed : State::completed);
    publish(slot, run.failed ? EventType::service_failed : EventType::service_completed, &run);
    if (mine.kind == Kind::task && !run.failed) {
        readiness_gained(slot, Await::ready);
    } else {
        // Those that can't do without it fall with it.
        const std::vector<Edge> edges = node(slot).needed_by;
        for (const Edge& edge : edges) {
            const bool hard = edge.relation == Relation::requires_ || edge.relation == Relation::binds_to;
            const bool leans =
                edge.await == Await::ready || edge.await == Await::healthy || edge.await == Await::started;
            const Service& other = node(edge.other).service;
            if (!hard || !leans || other.runs.empty() || other.want == Want::down) continue;
            if (mine.kind == Kind::task || other.runs.back().state == State::stopping) continue;
            run_of(node(edge.other))->failed = true;
            stop_run(edge.other, Reason::dependency_failed, s.name);
        }
    }
    if (mine.essential && !e_.instance_.shutting_down) {
        std::int32_t status = run.failed ? 1 : 0;
        if (run.main_exit && run.main_exit->kind == ExitKind::code) status = run.main_exit->value;
        if (run.main_exit && run.main_exit->kind == ExitKind::signal) status = 128 + run.main_exit->value;
        shut_down(Reason::essential_ended, s.name + " ended, which is essential", status);
    }
}

}  // namespace abide::core
