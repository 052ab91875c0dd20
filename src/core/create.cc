// core/create.cc -- prepared and held: a run goes on up to, and not including, the exec of its program, and waits in
// the state `created` until somebody starts it.
//
// The wish (Service::create_only) is a start that ends early; what the service needs comes up as for a start.  Whether
// a run is held is decided when its main process is asked for (Run::hold), and that it was let go is a fact of the run
// (Run::let_go), journaled before the effect, so that a later manager repeats it.
#include "core/machine.hpp"
#include "model/text.hpp"

namespace abide::core {

using namespace model;

void Machine::create(Slot slot, TargetResult& target, const std::string& cause) {
    Service& s = node(slot).service;
    const Run* run = run_of(node(slot));
    const auto refuse = [&](std::string detail) {
        target.outcome = Outcome::refused;
        target.detail = std::move(detail);
    };
    if (spec(e_, node(slot)).kind == Kind::group) return refuse("is a group: it has no process to prepare");
    if (s.want == Want::up && s.create_only) return;  // joined
    const bool under_way = run != nullptr || s.state == State::waiting || s.state == State::backoff;
    if (s.want == Want::up && under_way) return refuse("is " + to_text(s.state));
    if (run != nullptr) return refuse("is still " + to_text(s.state) + "; wait for its end");
    set_up(slot, Reason::requested, cause);
    node(slot).service.create_only = true;
    touch(slot);
}

// Somebody wants it up, not only created.
void Machine::start_beyond(Slot slot) {
    // A stop that waited for others may have taken the wish back, and not yet the run.
    if (std::exchange(node(slot).service.create_only, false)) touch(slot);
    let_go(slot);
}

void Machine::let_go(Slot slot) {
    Run* run = run_of(node(slot));
    if (run == nullptr || run->state != State::created) return;
    const ServiceSpec& s = run_spec(*run);
    run->let_go = true;
    if (s.kind != Kind::task || s.ready) run->stage_deadline = now_.mono + s.ready.or_default().timeout;
    set_state(slot, State::starting);
    if (run->container) return spawn(slot, Role::container_start, 0);
    for (const Process& process : run->processes) {
        if (process.role != Role::main) continue;
        fx_.push_back(out::LetGo{node(slot).service.name, run->number, process.spawn});
    }
}

void Machine::on(const in::Held& in) {
    const Slot* const found = e_.spawns_.find(in.spawn);
    if (found == nullptr) return stray();
    const Slot slot = *found;
    Run& run = *run_of(node(slot));
    if (!run.hold) return stray();
    for (Process& process : run.processes) {
        if (process.spawn == in.spawn && process.state == ProcessState::asked) return became_held(slot, process);
    }
}

void Machine::became_held(Slot slot, Process& process) {
    Run& run = *run_of(node(slot));
    process.state = ProcessState::held;
    touch(slot);
    if (run.state == State::stopping) {
        fx_.push_back(out::KillProcess{process.spawn});
        return;
    }
    if (run.state != State::starting || run.stage != Stage::main) return;
    run.stage_deadline.reset();
    set_state(slot, State::created);
    publish(slot, EventType::service_created, &run);
    queue_neighbours(slot);
    if (!node(slot).service.create_only) let_go(slot);  // started, or started meanwhile
}

// The process was asked for and has not executed, as far as the journal knows.  How far it is, the kernel tells by Held
// and Executed, as it would have told the one before.
void Machine::recover_held(Slot slot, Process& process, const in::Recovered::Found& found) {
    const Run& run = *run_of(node(slot));
    if (process.pid != found.pid || process.start_ticks != found.start_ticks) touch(slot);
    process.pid = found.pid;
    process.start_ticks = found.start_ticks;
    if (!found.alive) return;
    touch(slot);
    if (found.executed) return on(in::Executed{found.spawn});
    const std::string& name = node(slot).service.name;
    if (run.state == State::stopping)
        fx_.push_back(out::KillProcess{process.spawn});
    else if (run.let_go)
        fx_.push_back(out::LetGo{name, run.number, process.spawn});
}

void Machine::review_create(Slot slot, TargetResult& target) {
    const Service& s = node(slot).service;
    const Run* run = run_of(node(slot));
    const auto end = [&](Outcome outcome, std::string detail = {}) {
        target.outcome = outcome;
        target.detail = std::move(detail);
    };
    if (s.want == Want::down) return end(Outcome::cancelled, "was stopped meanwhile");
    if (run != nullptr) {
        const bool beyond = run->let_go || run->ready;
        if (run->state == State::created || (beyond && run->state != State::stopping)) end(Outcome::done);
        return;
    }
    const std::string why = describe(s.last_reason) + (s.last_cause.empty() ? "" : ": " + s.last_cause.value());
    if (s.state == State::completed) end(Outcome::done);
    if (s.state == State::failed) end(Outcome::failed, why);
    if (s.state == State::backoff) end(Outcome::failed, why + "; it will be tried again");
}

}  // namespace abide::core
