// core/container.cc -- a run whose program is a container: a runtime creates, starts and deletes it, each time as a
// short command of the run; its first process is the run's main process.
//
// Invariants: the first process is known and journaled before the runtime is told to start it, so that no end of it is
// lost; `started` comes before its end however short it lives; what was created is deleted before the run ends,
// whatever the way.
#include <algorithm>

#include "core/machine.hpp"

namespace abide::core {

using namespace model;

namespace {

constexpr std::uint32_t kDeletes = 2;  // a hook that hangs ends the first; the second does without it
constexpr Duration kKillAgain = seconds(5);

Process* find_role(Run& run, Role role) {
    const auto it =
        std::find_if(run.processes.begin(), run.processes.end(), [&](const Process& p) { return p.role == role; });
    return it == run.processes.end() ? nullptr : &*it;
}

}  // namespace

// A command of the runtime ended.
void Machine::container_ended(Slot slot, const Process& command, bool success) {
    Run& run = *run_of(node(slot));
    if (command.role == Role::container_delete) {
        if (run.stage == Stage::post_stop) container_deleted(slot, success);
        return;
    }
    if (command.role == Role::container_start) return container_started(slot, success);
    if (run.state != State::starting && !success) return;
    run.failed = run.failed || !success;
    touch(slot);
    fx_.push_back(out::FindMain{node(slot).service.name, run.number, !success});
}

void Machine::on(const in::FoundMain& in) {
    Slot slot = 0;
    Run* run = run_named(in.service, in.run, slot);
    if (run == nullptr) return;
    const bool over = run->stage == Stage::post_stop || run->main_exit || find_role(*run, Role::main) != nullptr;
    if (!run->container || over) return stray();
    queue(slot);
    if (in.pid <= 0) {
        if (run->state == State::starting) fail_start(slot, Reason::spawn_failed, in.detail);
        return;
    }
    adopt_main(slot, in.pid, in.start_ticks);
    became_held(slot, *find_role(*run_of(node(slot)), Role::main));
}

// The container's program may have ended before the runtime's command said that it was started.
bool Machine::keeps_exit(Slot slot, const Process& gone, const ExitStatus& status) {
    Run& run = *run_of(node(slot));
    const bool being_started = run.container && gone.state == ProcessState::held;
    if (!being_started || find_role(run, Role::container_start) == nullptr) return false;
    Process kept = gone;
    kept.state = ProcessState::exited;
    run.main_exit = node(slot).service.last_exit = status;
    run.processes.push_back(kept);
    touch(slot);
    return true;
}

void Machine::container_started(Slot slot, bool success) {
    Run* run = run_of(node(slot));
    Process* main = find_role(*run, Role::main);
    if (main == nullptr) return;
    const bool ended = main->state == ProcessState::exited;
    if (success && !ended) main->state = ProcessState::alive;
    if (run->state == State::starting && run->stage == Stage::main) {
        if (success)
            became_started(slot);
        else
            fail_start(slot, Reason::spawn_failed, "the runtime could not start its container; its log says why");
    }
    if (!ended) return;
    run = run_of(node(slot));
    const Process gone = *find_role(*run, Role::main);
    std::erase_if(run->processes, [&](const Process& p) { return p.spawn == gone.spawn; });
    e_.spawns_.erase(gone.spawn);
    main_ended(slot, gone, ExitStatus(*run->main_exit));
}

// Its hooks (config.json) run in the delete: what hangs there, and the runtime itself if it was killed, would stay in
// the control group for ever.  The service is over by then, so none of it is a process that was not to be killed.
void Machine::container_deleted(Slot slot, bool success) {
    Run& run = *run_of(node(slot));
    run.container = !success && run.deletion.or_default().times < kDeletes;
    if (!success)
        core::note_failure(run, run.container ? "its container could not be deleted at first"
                                              : "the runtime could not delete its container");
    run.deletion.ensure().clearing = run.populated = true;  // perhaps; an answer from before the delete says nothing
    run.stage_deadline = now_.mono + kKillAgain;
    touch(slot);
    fx_.push_back(out::KillAll{node(slot).service.name, run.number});
    fx_.push_back(out::WatchEmpty{node(slot).service.name, run.number});
}

// True while the runtime has yet to forget it.
bool Machine::deletes_container(Slot slot) {
    Run& run = *run_of(node(slot));
    if (!run.container) return false;
    run.deletion.ensure().times += 1;
    run.stage_deadline = now_.mono + run_spec(run).hooks.or_default().timeout;
    spawn(slot, Role::container_delete, 0);
    return true;
}

// The question which process is its first one died with the manager: it is asked again.
void Machine::recover_container(Slot slot) {
    Run& run = *run_of(node(slot));
    const bool asked = run.container && run.state == State::starting && run.stage == Stage::main && !run.let_go;
    if (!asked || find_role(run, Role::container_create) != nullptr || find_role(run, Role::main) != nullptr) return;
    fx_.push_back(out::FindMain{node(slot).service.name, run.number, run.failed});
}

}  // namespace abide::core
