// core/stop.cc -- from the decision to stop until nobody of the run is left: pre-stop, stop command, signal, kill,
// post-stop.
//
// Only the stages that apply are entered, always in this order.  The run is over when every process that we started has
// been seen to end and the kernel said that its cgroup (or session) is empty.
#include <algorithm>

#include "core/machine.hpp"
#include "model/text.hpp"

namespace abide::core {

using namespace model;

namespace {

constexpr Duration kKillAgain = seconds(5);
constexpr Duration kLeftBehind = milliseconds(100);  // for what the last command left behind to end by itself
constexpr int kContinue = 18;                        // SIGCONT

const Process* main_of(const Run& run) {
    for (const Process& process : run.processes) {
        if (process.role == Role::main) return &process;
    }
    return nullptr;
}

}  // namespace

// The run begins to end, whatever the way: its conditions, clocks and helpers are gone, everybody hears of it.
void Machine::leave(Slot slot, Reason reason, const std::string& cause) {
    Run& run = *run_of(node(slot));
    if (run.state == State::stopping) return;
    const bool was_ready = run.ready;
    if (run.paused) {
        run.paused = false;
        fx_.push_back(out::Freeze{node(slot).service.name, run.number, false});
    }
    run.stop_reason = reason;
    run.cause = cause;
    run.ready = run.healthy = false;
    run.ready_probe_at.reset();
    run.health_probe_at.reset();
    run.probe_deadline.reset();
    run.watchdog_at.reset();
    run.stage_deadline.reset();
    run.probe = 0;
    run.step = 0;
    for (const Process& process : run.processes) {
        // A container that is being started is, or is not: never something between.
        if (process.role != Role::main && process.role != Role::container_start)
            fx_.push_back(out::KillProcess{process.spawn});
    }
    publish(slot, EventType::service_stopping, &run);
    set_state(slot, State::stopping);
    if (was_ready) readiness_lost(slot, Await::ready);
    queue_neighbours(slot);
}

void Machine::stop_run(Slot slot, Reason reason, const std::string& cause) {
    Run& run = *run_of(node(slot));
    if (run.state == State::stopping) return;
    const bool was_ready = run.ready;
    leave(slot, reason, cause);
    if (run_spec(run).kind == Kind::group) {
        run.populated = false;
        run.stage = Stage::post_stop;
        finish(slot);
        return;
    }
    // Nothing of its program has run: what the runtime has made so far has no way of its own to end.
    if (run.container && !run.let_go) return stop_stage(slot, Stage::kill);
    // pre-stop and the stop command speak to a service that was up; one that never was gets the signal at once.
    stop_stage(slot, was_ready && main_of(run) != nullptr ? Stage::pre_stop : Stage::signal);
}

void Machine::stop_stage(Slot slot, Stage stage) {
    Run& run = *run_of(node(slot));
    const ServiceSpec& s = run_spec(run);
    const StopSpec& stop = s.stop.or_default();
    touch(slot);
    queue(slot);
    run.stage = stage;
    if (stage == Stage::pre_stop) {
        const Hooks& hooks = s.hooks.or_default();
        if (!hooks.pre_stop.empty()) {
            run.stage_deadline = now_.mono + hooks.timeout;
            spawn(slot, Role::pre_stop, 0);
            return;
        }
        run.stage = stage = Stage::stop_command;
    }
    if (stage == Stage::stop_command) {
        if (!stop.command.argv.empty() && main_of(run) != nullptr) {
            run.stage_deadline = now_.mono + stop.timeout;
            spawn(slot, Role::stop_command, 0);
            return;
        }
        run.stage = stage = Stage::signal;
    }
    if (stage == Stage::signal) {
        run.stage_deadline = now_.mono + stop.timeout;
        // What is still held has no way of its own to end.
        for (const Process& process : run.processes) {
            if (process.state == ProcessState::held && !run.let_go) fx_.push_back(out::KillProcess{process.spawn});
        }
        const std::string& name = node(slot).service.name;
        if (main_of(run) == nullptr) fx_.push_back(out::WatchEmpty{name, run.number});
        maybe_empty(slot);
        return;
    }
    if (stage == Stage::kill) send_kill(slot);
}

void note_failure(Run& run, const std::string& what) {
    if (run.stop_failures.value().find(what) != std::string::npos) return;
    run.stop_failures = bounded(with_failures(run.stop_failures, what));
}

// A command of the stop that went wrong keeps nothing from stopping, and would leave no trace.
void Machine::note_failure(Slot slot, const Process& command, const std::string& how) {
    Run& run = *run_of(node(slot));
    std::string what = to_text(command.role);
    if (command.role != Role::stop_command) what += " command " + std::to_string(command.step + 1);
    if (run.stop_failures.value().find(what + ' ') != std::string::npos) return;  // its kill says nothing new
    core::note_failure(run, what + ' ' + how);
    touch(slot);
}

void Machine::note_overdue(Slot slot) {
    const std::vector<Process> commands = run_of(node(slot))->processes;
    for (const Process& one : commands) {
        const bool of_the_stop =
            one.role == Role::pre_stop || one.role == Role::stop_command || one.role == Role::post_stop;
        if (of_the_stop) note_failure(slot, one, "did not end in time");
    }
}

// Not while one of them was only asked for: it could not be reached, and would run on.
void Machine::give_stop_signal(Slot slot) {
    Run& run = *run_of(node(slot));
    const bool asked_for = std::ranges::any_of(
        run.processes, [](const Process& process) { return process.state == ProcessState::asked && process.pid == 0; });
    if (asked_for || !run.populated || run.term_sent) return;
    run.term_sent = true;
    const StopSpec& stop = run_spec(run).stop.or_default();
    // A container is its first process, with which its namespace ends.
    const bool all = stop.scope == StopScope::all && !run.container;
    give_signal(slot, stop.signal, all ? StopScope::all : StopScope::main);
}

// Processes that have no pid yet hear of nothing: what was decided meanwhile comes when they have one.
void Machine::reach_newborn(Slot slot) {
    const Run& run = *run_of(node(slot));
    if (run.state != State::stopping) return;
    kill_past_helpers(slot);
    if (run.stage == Stage::kill) return send_kill(slot);
    maybe_empty(slot);
}

// Helpers of what is over were to be killed when the stop began; but a container is started, or is not.
void Machine::kill_past_helpers(Slot slot) {
    const Service& service = node(slot).service;
    const Run& run = *run_of(node(slot));
    for (const Process& process : run.processes) {
        const bool left_alone = process.role == Role::main || process.role == Role::container_start;
        if (!left_alone && !still_needed(service, run, process.role)) fx_.push_back(out::KillProcess{process.spawn});
    }
}

void Machine::give_signal(Slot slot, std::int32_t signal, StopScope scope, const std::string& by) {
    Run& run = *run_of(node(slot));
    e_.instance_.last_signal.value += 1;
    e_.instance_changed_ = true;
    run.signal = {e_.instance_.last_signal, signal, scope, by, by.empty() ? Mono{} : now_.mono};
    touch(slot);
    fx_.push_back(out::Signal{node(slot).service.name, run.number, signal, scope, run.signal->id});
    let_it_hear(slot, scope);
}

// One that is stopped could not hear that it is to end.
void Machine::let_it_hear(Slot slot, StopScope scope) {
    const Run& run = *run_of(node(slot));
    if (run.state == State::stopping) fx_.push_back(out::Signal{node(slot).service.name, run.number, kContinue, scope});
}

void Machine::send_kill(Slot slot) {
    Run& run = *run_of(node(slot));
    run.killed = true;
    run.stage_deadline = now_.mono + kKillAgain;
    touch(slot);
    queue(slot);  // whoever asked for it: the deadline is a new one
    fx_.push_back(out::KillAll{node(slot).service.name, run.number});
    fx_.push_back(out::WatchEmpty{node(slot).service.name, run.number});
}

// The main process is gone, or was never there.
void Machine::main_gone(Slot slot, Reason reason, const std::string& cause, bool failed) {
    Run& run = *run_of(node(slot));
    const std::string& name = node(slot).service.name;
    if (run.state == State::stopping) {
        // What was asked for happened; leftovers get what main got.
        fx_.push_back(out::WatchEmpty{name, run.number});
        if (run.stage == Stage::stop_command || run.stage == Stage::pre_stop) return;
        return;
    }
    run.failed = failed;
    run.term_sent = false;
    stop_run(slot, reason, cause);
}

// Called whenever a process was seen to end or has got its pid, or the kernel said that nobody is left.
void Machine::maybe_empty(Slot slot) {
    Run* run = run_of(node(slot));
    if (run == nullptr || run->state != State::stopping) return;
    queue(slot);
    if (run->stage == Stage::post_stop) {
        if (run->deletion.or_default().clearing) {
            if (run->processes.empty() && !run->populated) post_stop(slot);
            return;
        }
        // Its commands keep the cgroup busy; when the last has ended, so must what it left behind.
        const bool over = run->step >= run_spec(*run).hooks.or_default().post_stop.size();
        if (over && run->processes.empty() && !run->populated) finish(slot);
        return;
    }
    if (run->stage != Stage::signal && run->stage != Stage::kill) return;
    if (run->stage == Stage::signal) give_stop_signal(slot);
    if (main_of(*run) != nullptr) return;
    const bool leaves_rest = run_spec(*run).stop.or_default().scope == StopScope::main && !run->killed;
    if (run->populated && !leaves_rest) return;
    for (const Process& process : run->processes) {
        if (process.role != Role::main && !leaves_rest) return;  // its exit is still to be reported
    }
    run->step = 0;
    run->stage = Stage::post_stop;
    run->stage_deadline.reset();
    post_stop(slot);
}

void Machine::post_stop(Slot slot) {
    Run& run = *run_of(node(slot));
    const Hooks& hooks = run_spec(run).hooks.or_default();
    if (run.deletion) run.deletion->clearing = false;
    touch(slot);
    if (deletes_container(slot)) return;
    // Destroyed by force: nothing of it may run any more.
    if (run.step < hooks.post_stop.size() && run.stop_reason != Reason::force_destroyed) {
        run.stage_deadline = now_.mono + hooks.timeout;
        spawn(slot, Role::post_stop, run.step);
        return;
    }
    const StopSpec& stop = run_spec(run).stop.or_default();
    const bool may_stay = stop.scope == StopScope::main || stop.final_ == StopFinal::never;
    if (run.step == 0 || may_stay || run.stop_reason == Reason::force_destroyed) return finish(slot);
    run.stage_deadline = now_.mono + kLeftBehind;
    fx_.push_back(out::WatchEmpty{node(slot).service.name, run.number});
}

}  // namespace abide::core
