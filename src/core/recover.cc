// core/recover.cc -- a manager came (back).  The journal gave the state, the kernel gave the facts; what was decided
// but may not have been done is asked for again, each effect by its own rule: TERM at most once, KILL at least once, a
// command never a second time unless it certainly never ran.
#include <algorithm>

#include "core/machine.hpp"

namespace abide::core {

using namespace model;

void Machine::on(const in::Recovered& in) {
    announce(in);
    if (e_.instance_.ended) {
        fx_.push_back(out::EndInstance{e_.instance_.exit_status});  // decided, but perhaps not done
        return;
    }
    if (in.first) return begin_instance();
    for (const in::Recovered::Found& found : in.processes) take_found(found);
    signal_again(in);
    for (Slot slot = 0; slot < e_.nodes_.size(); ++slot) {
        if (!node(slot).live) continue;
        queue(slot);
        if (run_of(node(slot)) != nullptr) resume(slot);
    }
}

void Machine::begin_instance() {
    const bool chosen =
        std::any_of(e_.nodes_.begin(), e_.nodes_.end(), [](const Node& n) { return n.service.want == Want::up; });
    for (Slot slot = 0; slot < e_.nodes_.size(); ++slot) {
        const Service& s = node(slot).service;
        if (!node(slot).live || spec(e_, node(slot)).is_template) continue;
        const bool starts = chosen ? s.want == Want::up : s.enabled && !s.held;
        if (starts) set_up(slot, Reason::autostart, "the start of the instance");
    }
}

void Machine::take_found(const in::Recovered::Found& found) {
    const Slot* const of = e_.spawns_.find(found.spawn);
    if (of == nullptr) return;
    const Slot slot = *of;
    Run& run = *run_of(node(slot));
    for (Process& process : run.processes) {
        if (process.spawn != found.spawn) continue;
        if (!run.cgroup && found.pid > 0 && remember_session(run, {found.pid, found.start_ticks})) touch(slot);
        if (found.never_ran && !still_needed(node(slot).service, run, process.role)) {
            on(in::SpawnFailed{found.spawn, "wanted", 0, "not needed any more"});
            return;  // the list may have changed
        }
        if (found.never_ran) {
            if (process.pid != 0) touch(slot);
            process.pid = 0;
            process.start_ticks = 0;
            const std::string& name = node(slot).service.name;
            const bool hold = process.role == Role::main && run.hold;
            fx_.push_back(out::Spawn{name, run.number, process.spawn, process.role, process.step, hold});
        } else if (process.role == Role::main && run.hold && process.state != ProcessState::alive) {
            return recover_held(slot, process, found);  // the list may have changed
        } else if (found.alive) {
            // As a rule nothing is news, and then nothing goes to the journal.
            if (process.pid != found.pid || process.start_ticks != found.start_ticks) touch(slot);
            process.pid = found.pid;
            process.start_ticks = found.start_ticks;
            if (process.state == ProcessState::asked) on(in::Executed{found.spawn});
            return;  // the list may have changed
        }
    }
}

// Signals that were decided on and certainly not given.  Those of which a part was given keep their number, and come
// first: numbers are noted in order.
void Machine::signal_again(const in::Recovered& in) {
    Instance& instance = e_.instance_;
    if (in.signalled.value != UINT64_MAX) instance.last_signal = std::max(instance.last_signal, in.signalled);
    std::vector<Slot> not_given;
    for (Slot slot = 0; slot < e_.nodes_.size(); ++slot) {
        const Run* run = node(slot).live ? run_of(node(slot)) : nullptr;
        if (run == nullptr || !run->signal || run->killed) continue;
        const auto& [id, signal, scope, by, at] = *run->signal;
        if (id > in.signalled) {
            not_given.push_back(slot);
        } else if (scope == StopScope::all && id > in.signalled_others) {
            fx_.push_back(out::Signal{node(slot).service.name, run->number, signal, scope, id, true});
            let_it_hear(slot, scope);
        }
    }
    for (const Slot slot : not_given) {
        const DecidedSignal decided = *run_of(node(slot))->signal;
        give_signal(slot, decided.signal, decided.scope, decided.by);
    }
}

// What the last manager had asked of this run, and nobody may have answered or done.
void Machine::resume(Slot slot) {
    Run& run = *run_of(node(slot));
    const std::string& name = node(slot).service.name;
    // A probe's answer died with the manager: ask again.
    if (run.probe != 0) {
        run.probe = 0;
        run.probe_deadline.reset();
        if (run.stage == Stage::ready_wait)
            run.ready_probe_at = now_.mono;
        else if (run.ready)
            run.health_probe_at = now_.mono;
        touch(slot);
    }
    recover_container(slot);
    // Pings that came in the gap may be lost: the period starts anew.
    if (run.watchdog_at) arm_watchdog(slot);
    // A thaw that died with the manager must not leave it standing for ever.
    if (run.paused || run.frozen) fx_.push_back(out::Freeze{name, run.number, run.paused});
    if (run.state != State::stopping) return;
    const bool main_lives =
        std::any_of(run.processes.begin(), run.processes.end(), [](const Process& p) { return p.role == Role::main; });
    if (!main_lives) fx_.push_back(out::WatchEmpty{name, run.number});
    reach_newborn(slot);
}

}  // namespace abide::core
