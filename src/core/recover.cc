// core/recover.cc -- a manager came (back).  The journal gave the state, the kernel gave the facts; what was decided
// but may not have been done is asked for again, each effect by its own rule: TERM at most once, KILL at least once, a
// command never a second time unless it certainly never ran.
#include <algorithm>

#include "core/machine.hpp"

namespace abide::core {

using namespace model;

void Machine::recover_process(const in::Recovered::Found& found) {
    const auto it = e_.spawns_.find(found.spawn);
    if (it == e_.spawns_.end()) return;
    const Slot slot = it->second;
    Run& run = *run_of(node(slot));
    for (Process& process : run.processes) {
        if (process.spawn != found.spawn) continue;
        const bool starts = process.role == Role::main || process.role == Role::pre_start ||
                            process.role == Role::post_start || process.role == Role::container_create ||
                            process.role == Role::container_start;
        if (found.never_ran && starts && node(slot).service.want == Want::down) {
            on(in::SpawnFailed{found.spawn, "not needed any more", 0});
            break;  // the list may have changed
        }
        if (found.never_ran) {
            const std::string& name = node(slot).service.name;
            const bool hold = process.role == Role::main && run.hold;
            fx_.push_back(out::Spawn{name, run.number, process.spawn, process.role, process.step, hold});
        } else if (process.role == Role::main && run.hold && process.state != ProcessState::alive) {
            recover_held(slot, process, found);
            break;
        } else if (found.alive) {
            process.pid = found.pid;
            process.start_ticks = found.start_ticks;
            touch(slot);
            if (process.state == ProcessState::asked) on(in::Executed{found.spawn});
            break;  // the list may have changed
        }
    }
}

void Machine::publish_coming(const in::Recovered& in) {
    Event event;
    event.type = EventType::supervisor_rescue;
    if (in.rescue) publish(event);
    event.type = in.first ? EventType::supervisor_started : EventType::supervisor_recovered;
    publish(std::move(event));
}

void Machine::on(const in::Recovered& in) {
    publish_coming(in);
    if (e_.instance_.ended) {
        fx_.push_back(out::EndInstance{e_.instance_.exit_status});  // decided, but perhaps not done
        return;
    }
    if (in.first) {
        const bool chosen =
            std::any_of(e_.nodes_.begin(), e_.nodes_.end(), [](const Node& n) { return n.service.want == Want::up; });
        for (Slot slot = 0; slot < e_.nodes_.size(); ++slot) {
            const Service& s = node(slot).service;
            if (!node(slot).live || spec(e_, node(slot)).is_template) continue;
            const bool starts = chosen ? s.want == Want::up : s.enabled && !s.held;
            if (starts) set_up(slot, Reason::autostart, "the start of the instance");
        }
        return;
    }
    for (const in::Recovered::Found& found : in.processes) recover_process(found);
    for (Slot slot = 0; slot < e_.nodes_.size(); ++slot) {
        if (!node(slot).live) continue;
        queue(slot);
        Run* run = run_of(node(slot));
        if (run == nullptr) continue;
        const std::string& name = node(slot).service.name;
        // A probe's answer died with the manager: ask again.
        if (run->probe != 0) {
            run->probe = 0;
            run->probe_deadline.reset();
            if (run->stage == Stage::ready_wait)
                run->ready_probe_at = now_.mono;
            else if (run->ready)
                run->health_probe_at = now_.mono;
            touch(slot);
        }
        recover_container(slot);
        // Pings that came in the gap may be lost: the period starts anew.
        if (run->watchdog_at) arm_watchdog(slot);
        if (run->paused) fx_.push_back(out::Freeze{name, run->number, true});
        if (run->state != State::stopping) continue;
        if (run->stage == Stage::kill) send_kill(slot);
        const bool main_lives = std::any_of(run->processes.begin(), run->processes.end(),
                                            [](const Process& p) { return p.role == Role::main; });
        if (!main_lives) fx_.push_back(out::WatchEmpty{name, run->number});
    }
}

}  // namespace abide::core
