// core/watch.cc -- conditions of a living run: readiness probes, health, watchdog, notify messages, pause, and every
// deadline that judges it.
#include <algorithm>
#include <utility>

#include "core/machine.hpp"
#include "model/signal.hpp"

namespace abide::core {

using namespace model;

namespace {

constexpr int kAbort = 6;                            // SIGABRT: a watchdog's victim leaves a core
constexpr Duration kProbeGrace = milliseconds(500);  // for the shell to answer a probe that timed out by itself
constexpr const char* kNoAnswer = "no answer in time";

}  // namespace

void Machine::probe_ready(Slot slot) {
    Run& run = *run_of(node(slot));
    const ReadySpec& ready = run_spec(run).ready.or_default();
    run.ready_probe_at.reset();
    if (ready.probe.kind == ProbeKind::exec) {
        run.probe_deadline = now_.mono + ready.timeout;
        spawn(slot, Role::ready_probe, 0);
        return;
    }
    run.probe = ++e_.instance_.last_probe;
    e_.instance_changed_ = true;
    const Duration timeout = std::min(ready.timeout, seconds(5));
    run.probe_deadline = now_.mono + timeout + kProbeGrace;
    touch(slot);
    fx_.push_back(out::Probe{node(slot).service.name, run.number, run.probe, false, timeout});
}

void Machine::probe_health(Slot slot) {
    Run& run = *run_of(node(slot));
    const HealthSpec& health = run_spec(run).health.or_default();
    run.health_probe_at.reset();
    touch(slot);
    if (health.probe.kind == ProbeKind::exec) {
        run.probe_deadline = now_.mono + health.timeout;
        spawn(slot, Role::health_probe, 0);
        return;
    }
    run.probe = ++e_.instance_.last_probe;
    e_.instance_changed_ = true;
    run.probe_deadline = now_.mono + health.timeout + kProbeGrace;
    fx_.push_back(out::Probe{node(slot).service.name, run.number, run.probe, true, health.timeout});
}

// The end of a command that we killed since its time was over says nothing new.
void Machine::probe_failed(Slot slot, const std::string& why) {
    Run& run = *run_of(node(slot));
    const bool ours =
        run.probe_failure == kNoAnswer && why == describe(ExitStatus{ExitKind::signal, kKill, false, {}, {}});
    if (!ours) run.probe_failure = bounded(why);
}

// A service that is unhealthy is not ready, for as long as it is.
void Machine::health_result(Slot slot, bool healthy, const std::string& detail) {
    Run& run = *run_of(node(slot));
    const ServiceSpec& s = run_spec(run);
    if (!s.health) return;
    run.probe = 0;
    run.probe_deadline.reset();
    run.health_probe_at = now_.mono + s.health->every;
    if (healthy)
        run.probe_failure.clear();
    else
        probe_failed(slot, detail);
    touch(slot);
    queue(slot);
    // The streak counts answers that speak against the present condition.
    const bool against = healthy ? !run.healthy : !run.unhealthy;
    if (!against) {
        run.health_streak = 0;
        return;
    }
    run.health_streak += 1;
    const std::uint32_t needed = healthy ? (run.unhealthy ? s.health->successes : 1) : s.health->failures;
    if (run.health_streak < needed) return;
    run.health_streak = 0;
    run.healthy = healthy;
    const bool was_unhealthy = std::exchange(run.unhealthy, !healthy);
    if (healthy) {
        publish(slot, EventType::service_healthy, &run);
        if (was_unhealthy) publish(slot, EventType::service_ready, &run);
        readiness_gained(slot, Await::healthy);
        queue_neighbours(slot);
        return;
    }
    publish(slot, EventType::service_unhealthy, &run);
    publish(slot, EventType::service_unready, &run);
    readiness_lost(slot, Await::healthy);
    queue_neighbours(slot);
    if (s.health->action == HealthAction::none) return;
    run.failed = true;
    const std::string cause = run.probe_failure.value();
    if (s.health->action == HealthAction::stop) {
        set_down(slot, Reason::unhealthy, cause, true);
    } else {
        stop_run(slot, Reason::unhealthy, cause);
    }
}

// Its configuration asks for no checks any more: nothing speaks against it.
void Machine::forget_health(Slot slot) {
    Run& run = *run_of(node(slot));
    run.health_probe_at.reset();
    run.health_streak = 0;
    if (!std::exchange(run.unhealthy, false)) return;
    run.probe_failure.clear();
    publish(slot, EventType::service_ready, &run);
    readiness_gained(slot, Await::healthy);
}

void Machine::arm_watchdog(Slot slot) {
    Run& run = *run_of(node(slot));
    const Duration period = run.watchdog.ns != 0 ? run.watchdog : run_spec(run).watchdog;
    if (period.ns > 0 && !run.paused) run.watchdog_at = now_.mono + period;
    e_.index_deadline(slot);
}

void Machine::watchdog_expired(Slot slot) {
    Run& run = *run_of(node(slot));
    run.watchdog_at.reset();
    if (run.state == State::stopping) return;
    run.failed = true;
    leave(slot, Reason::watchdog, "no WATCHDOG=1 in time");
    run.stage = Stage::signal;
    run.term_sent = true;
    run.stage_deadline = now_.mono + run_spec(run).stop.or_default().timeout;
    give_signal(slot, kAbort, StopScope::main);
}

// The main process is another one (MAINPID, pid file).  The old one's exit says nothing about the service any more.
void Machine::adopt_main(Slot slot, std::int32_t pid, std::uint64_t start_ticks) {
    Run& run = *run_of(node(slot));
    for (const Process& process : run.processes) {
        if (process.role == Role::main && process.pid == pid && process.start_ticks == start_ticks) return;
    }
    std::erase_if(run.processes, [&](const Process& process) {
        if (process.role != Role::main) return false;
        e_.spawns_.erase(process.spawn);
        return true;
    });
    e_.instance_.last_spawn.value += 1;
    e_.instance_changed_ = true;
    Process process;
    process.spawn = e_.instance_.last_spawn;
    process.state = ProcessState::alive;
    process.pid = pid;
    process.start_ticks = start_ticks;
    process.adopted = true;
    run.processes.push_back(process);
    run.populated = true;
    e_.spawns_.insert_or_assign(process.spawn, slot);
    touch(slot);
    fx_.push_back(out::Adopt{node(slot).service.name, run.number, process.spawn, pid, start_ticks});
}

// It is told, and whoever asked is answered, when the kernel says that all of it stands still.
void Machine::set_paused(Slot slot, bool paused) {
    Run& run = *run_of(node(slot));
    if (run.paused == paused || run.state == State::stopping) return;
    if (paused && run.state != State::running) return;  // a start that stands still could not be judged
    run.paused = paused;
    if (paused) {
        run.frozen = true;
        // What may be frozen can't be judged: its clocks stand still with it, from its first process on.
        run.watchdog_at.reset();
        run.health_probe_at.reset();
        run.probe_deadline.reset();
        run.probe = 0;
    } else {
        const bool was_told = run.state == State::paused;
        set_state(slot, State::running);
        if (was_told) publish(slot, EventType::service_unpaused, &run);
        goes_on(slot);
    }
    touch(slot);
    queue(slot);
    fx_.push_back(out::Freeze{node(slot).service.name, run.number, paused});
}

void Machine::goes_on(Slot slot) {
    Run& run = *run_of(node(slot));
    arm_watchdog(slot);
    if (const auto& health = run_spec(run).health) run.health_probe_at = now_.mono + health->every;
}

void Machine::became_paused(Slot slot) {
    set_state(slot, State::paused);
    publish(slot, EventType::service_paused, run_of(node(slot)));
}

// Some of it may be frozen: all of it is let go on.
void Machine::fail_pause(Slot slot, const std::string& error) {
    Run& run = *run_of(node(slot));
    if (run.state == State::paused) return;  // it stood still before; a later manager only asked again
    run.paused = false;
    run.status_text = "could not be paused: " + error;
    goes_on(slot);
    touch(slot);
    fx_.push_back(out::Freeze{node(slot).service.name, run.number, false});
    for (const OperationId id : node(slot).operations) {
        Operation& op = e_.operations_.at(id);
        for (TargetResult& target : op.targets) {
            const bool mine = op.verb == Verb::pause && target.name == node(slot).service.name;
            if (!mine || target.outcome != Outcome::pending) continue;
            target.outcome = Outcome::failed;
            target.detail = "could not be paused: " + error;
            e_.changed_operations_.insert(id);
        }
    }
}

void Machine::on(const in::Frozen& in) {
    Slot slot = 0;
    Run* run = run_named(in.service, in.run, slot);
    if (run == nullptr) return;
    queue(slot);
    if (in.frozen != run->paused) return;  // overtaken by another wish
    if (!in.frozen) {
        if (in.error.empty() && std::exchange(run->frozen, false)) touch(slot);
        return;
    }
    if (!in.error.empty()) return fail_pause(slot, in.error);
    if (run->state == State::running) became_paused(slot);
}

void Machine::on(const in::Probed& in) {
    Slot slot = 0;
    Run* run = run_named(in.service, in.run, slot);
    if (run == nullptr) return;
    if (run->probe != in.probe || in.probe == 0 || run->state == State::stopping) return stray();
    run->probe = 0;
    run->probe_deadline.reset();
    touch(slot);
    queue(slot);
    if (run->stage == Stage::ready_wait) {
        if (in.healthy) return became_ready(slot);
        probe_failed(slot, in.detail);
        run->ready_probe_at = now_.mono + run_spec(*run).ready.or_default().every;
    } else if (run->ready) {
        health_result(slot, in.healthy, in.detail);
    }
}

namespace {

// Without being asked: what it says may be heard before anything else of it.
bool answers_by_itself(ProbeKind kind) {
    return kind == ProbeKind::fd || kind == ProbeKind::log;
}

}  // namespace

void Machine::on(const in::BecameReady& in) {
    Slot slot = 0;
    Run* run = run_named(in.service, in.run, slot);
    if (run == nullptr) return;
    const bool early = run->stage == Stage::main && answers_by_itself(run_spec(*run).ready.or_default().probe.kind);
    if (run->state != State::starting || (run->stage != Stage::ready_wait && !early)) return stray();
    // A program that answers before its exec was reported: the exec is a fact then.
    if (early) became_started(slot);
    if (in.main_pid > 0) adopt_main(slot, in.main_pid, in.main_start_ticks);
    became_ready(slot);
}

void Machine::on(const in::Notified& in) {
    Slot slot = 0;
    Run* run = run_named(in.service, in.run, slot);
    if (run == nullptr) {
        for (const FdKey key : in.fds) fx_.push_back(out::DropStored{in.service, key});
        return;
    }
    if (in.watchdog) arm_watchdog(slot);  // not a change: pings are not journaled
    if (in.has_status) run->status_text = in.status;
    if (in.error_number >= 0) run->error_number = in.error_number;
    if (in.watchdog_us >= 0) {
        run->watchdog = Duration{std::min<std::int64_t>(in.watchdog_us, INT64_MAX / 1000) * 1000};
        if (run->ready) arm_watchdog(slot);
    }
    if (in.main_pid > 0) adopt_main(slot, in.main_pid, in.main_start_ticks);
    if (in.fd_store_remove || !in.fds.empty()) store(slot, in);
    if (in.extend_timeout_us > 0 && run->stage_deadline) {
        const Duration more{std::min<std::int64_t>(in.extend_timeout_us, seconds(24 * 3600).ns / 1000) * 1000};
        run->stage_deadline = std::max(*run->stage_deadline, now_.mono + more);
    }
    if (in.has_status || in.error_number >= 0 || in.watchdog_us >= 0 || in.extend_timeout_us > 0) touch(slot);
    if (in.stopping && !run->draining) {
        run->draining = true;
        touch(slot);
    }
    if (in.reloading) said_reloading(slot, in.monotonic_us);
    if (in.ready) {
        const bool asked = run_spec(*run).ready.or_default().probe.kind == ProbeKind::notify;
        if (run->state == State::reloading)
            said_reloaded(slot);
        else if (asked && run->state == State::starting && run->stage == Stage::ready_wait)
            became_ready(slot);
        // A program that answers before its exec was reported: the exec is a fact then.
        else if (asked && run->state == State::starting && run->stage == Stage::main) {
            became_started(slot);
            became_ready(slot);
        }
    }
    if (in.watchdog_trigger) watchdog_expired(slot);
    if (node(slot).changed)
        queue(slot);
    else
        e_.index_deadline(slot);
}

// Every deadline that has passed, one a call is enough: Ticked comes back while one is due.
void Machine::on_deadline(Slot slot) {
    Service& s = node(slot).service;
    touch(slot);
    queue(slot);
    if (s.backoff_until && *s.backoff_until <= now_.mono) {
        s.backoff_until.reset();
        if (s.state == State::backoff) {
            s.restarts += 1;
            set_state(slot, State::waiting);
        }
        return;
    }
    Run* run = run_of(node(slot));
    if (run == nullptr) return;
    const auto due = [&](std::optional<Mono>& deadline) {
        if (!deadline || *deadline > now_.mono) return false;
        deadline.reset();
        return true;
    };
    const ServiceSpec& spec = run_spec(*run);
    if (due(run->watchdog_at)) return watchdog_expired(slot);
    if (due(run->probe_deadline)) {
        for (const Process& process : run->processes) {
            if (process.role != Role::ready_probe && process.role != Role::health_probe) continue;
            fx_.push_back(out::KillProcess{process.spawn});
            probe_failed(slot, kNoAnswer);
            run->probe_deadline = now_.mono + seconds(1);  // until its exit is seen, which counts as a failure
            return;
        }
        if (run->stage == Stage::ready_wait) {
            probe_failed(slot, kNoAnswer);
            run->ready_probe_at = now_.mono + spec.ready.or_default().every;
        } else if (run->ready) {
            health_result(slot, false, kNoAnswer);
        }
        return;
    }
    if (due(run->ready_probe_at)) {
        if (run->stage != Stage::ready_wait) return;
        if (spec.ready.or_default().probe.kind == ProbeKind::delay)
            became_ready(slot);
        else
            probe_ready(slot);
        return;
    }
    if (due(run->health_probe_at)) {
        if (run->ready && run->state != State::stopping) probe_health(slot);
        return;
    }
    if (due(run->stage_deadline)) on_stage_deadline(slot);
}

namespace {

std::string not_ready_text(const Run& run) {
    const std::string text = "not ready in time";
    if (!run.probe_failure.empty()) return text + "; its last probe: " + run.probe_failure.value();
    const bool asks = std::ranges::any_of(run.processes, [](const Process& p) { return p.role == Role::ready_probe; });
    return asks ? text + "; its probe's command has not ended" : text;
}

}  // namespace

// The stage that the run is in took too long.
void Machine::on_stage_deadline(Slot slot) {
    Run* run = run_of(node(slot));
    const ServiceSpec& spec = run_spec(*run);
    switch (run->stage) {
        case Stage::pre_start:
        case Stage::post_start: return fail_start(slot, Reason::start_timeout, "a hook did not end in time");
        case Stage::main:
        case Stage::ready_wait: return fail_start(slot, Reason::start_timeout, not_ready_text(*run));
        case Stage::pre_stop: note_overdue(slot); return stop_stage(slot, Stage::stop_command);
        case Stage::stop_command: note_overdue(slot); return stop_stage(slot, Stage::signal);
        case Stage::signal:
            if (spec.stop.or_default().final_ == StopFinal::kill) return stop_stage(slot, Stage::kill);
            run->status_text = "does not stop; stop.final = \"never\" forbids to kill it";
            return;
        case Stage::kill: return stop_stage(slot, Stage::kill);  // uninterruptible: again, as long as it takes
        case Stage::post_stop:
            note_overdue(slot);
            for (const Process& process : run->processes) {
                if (process.role == Role::container_delete)
                    core::note_failure(*run, "deleting its container took longer than `hook-timeout`");
            }
            for (const Process& process : run->processes) fx_.push_back(out::KillProcess{process.spawn});
            run->stage_deadline = now_.mono + seconds(5);
            if (run->processes.empty()) fx_.push_back(out::KillAll{node(slot).service.name, run->number});
            return;
        case Stage::none: return reload_overdue(slot);
    }
}

}  // namespace abide::core
