// core/reload.cc -- a service reads its configuration again: by a command, by a signal, or because it says that it
// does.
//
// A reload is over when nothing of it is outstanding: its command has ended, and a RELOADING=1 was followed by its
// READY=1.  Nobody knows beforehand whether a service answers the signal so: it has a moment to begin, and one that
// says nothing in that moment is done.  Each reload is told by one pair of events, however it went.
#include <algorithm>

#include "core/machine.hpp"

namespace abide::core {

using namespace model;

namespace {

constexpr Duration kAnswer = milliseconds(500);  // from the signal to RELOADING=1; docs/reference.md

}  // namespace

void Machine::begin_reload(Slot slot) {
    Run& run = *run_of(node(slot));
    run.reload = Reload{};
    run.stage_deadline = now_.mono + run_spec(run).reload.or_default().timeout;
    set_state(slot, State::reloading);
    publish(slot, EventType::service_reloading, &run);
}

void Machine::reload(Slot slot) {
    Run& run = *run_of(node(slot));
    const ServiceSpec& s = run_spec(run);
    if (!s.reload || run.state != State::running || run.paused) return;
    begin_reload(slot);
    if (!s.reload->command.argv.empty()) return spawn(slot, Role::reload, 0);
    give_signal(slot, s.reload->signal, StopScope::main);
    if (s.ready.or_default().probe.kind != ProbeKind::notify) return reloaded(slot, {});
    run.reload.ensure().signalled = now_.mono;
    run.stage_deadline = now_.mono + std::min(kAnswer, s.reload->timeout);
}

// RELOADING=1.  What it says of a time before the signal is about a reload of its own, which does not answer it.
void Machine::said_reloading(Slot slot, std::int64_t monotonic_us) {
    Run& run = *run_of(node(slot));
    if (run.state == State::running && !run.paused) begin_reload(slot);
    if (run.state != State::reloading) return;
    Reload& reload = run.reload.ensure();
    if (reload.signalled) {
        if (monotonic_us >= 0 && monotonic_us < reload.signalled->ns / 1000) return;
        run.stage_deadline = *reload.signalled + run_spec(run).reload.or_default().timeout;
        reload.signalled.reset();
    }
    reload.said = true;
    touch(slot);
    queue(slot);
}

// READY=1 while it reloads.
void Machine::said_reloaded(Slot slot) {
    Run& run = *run_of(node(slot));
    if (!run.reload.or_default().said) return;
    run.reload->said = false;
    touch(slot);
    queue(slot);
    const bool commanded = std::ranges::any_of(run.processes, [](const Process& p) { return p.role == Role::reload; });
    if (!commanded) reloaded(slot, {});
}

// `why` it failed; empty: it did not.
void Machine::reload_command_ended(Slot slot, const Process& gone, const std::string& why) {
    Run& run = *run_of(node(slot));
    const bool outlived = std::ranges::any_of(
        run.processes, [&](const Process& p) { return p.role == Role::reload && p.spawn > gone.spawn; });
    if (outlived) return;  // it was given up, and another reload is under way
    if (why.empty() && run.reload.or_default().said) return;
    reloaded(slot, why);
}

void Machine::reloaded(Slot slot, const std::string& failure) {
    Run& run = *run_of(node(slot));
    if (run.state != State::reloading) return;
    run.stage_deadline.reset();
    run.reload.reset();
    if (!failure.empty()) run.reload = Reload{.failure = bounded(failure)};
    set_state(slot, State::running);
    publish(slot, EventType::service_reloaded, &run);
}

void Machine::reload_overdue(Slot slot) {
    const Run& run = *run_of(node(slot));
    if (run.state != State::reloading) return;
    if (run.reload.or_default().signalled) return reloaded(slot, {});  // not one that says anything
    bool commanded = false;
    for (const Process& process : run.processes) {
        if (process.role != Role::reload) continue;
        commanded = true;
        fx_.push_back(out::KillProcess{process.spawn});
    }
    reloaded(slot, commanded ? "its command did not end in time" : "no READY=1 in time after RELOADING=1");
}

}  // namespace abide::core
