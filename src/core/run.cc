// core/run.cc -- from the decision to start until the run is running: pre-start, main, ready-wait, post-start.
#include <algorithm>

#include "core/machine.hpp"

namespace abide::core {

using namespace model;

void Machine::begin(Slot slot) {
    Service& s = node(slot).service;
    e_.parked_.erase(slot);
    Run run;
    s.last_run.value += 1;
    run.number = s.last_run;
    run.spec = s.spec;
    run.started_at = run.state_since = now_.wall;
    run.started = now_.mono;
    run.start_reason = s.restarts != 0 ? Reason::restart_policy : s.want_reason;
    s.backoff_until.reset();
    s.runs.push_back(std::move(run));
    e_.active_ += 1;
    s.state = State::starting;
    s.since = now_.wall;
    set_state(slot, State::starting);
    // set_state saw no change of state: the neighbours hear of it here.
    queue_neighbours(slot);
    publish(slot, EventType::service_starting, run_of(node(slot)));
    if (spec(e_, node(slot)).kind == Kind::group) {
        enter_running(slot);
        return;
    }
    run_of(node(slot))->stage = Stage::pre_start;
    next_step(slot);
}

// The next command of the current list, or the next stage.
void Machine::next_step(Slot slot) {
    Run& run = *run_of(node(slot));
    const ServiceSpec& s = run_spec(run);
    const Hooks& hooks = s.hooks.or_default();
    const std::uint32_t step = run.step;
    // Wanted down meanwhile, though its turn to stop has not come: what was not started yet never is.
    const Service& mine = node(slot).service;
    if (mine.want == Want::down && run.stage == Stage::pre_start) {
        return stop_run(slot, mine.want_reason, mine.want_cause);
    }
    if (run.stage == Stage::pre_start) {
        if (step < hooks.pre_start.size()) {
            run.stage_deadline = now_.mono + hooks.timeout;
            spawn(slot, Role::pre_start, step);
            return;
        }
        run.step = 0;
        run.stage = Stage::main;
        run.stage_deadline.reset();
        run.container = static_cast<bool>(s.oci);
        run.hold = mine.create_only && !run.container;
        const bool waits = s.kind != Kind::task || s.ready;
        if (waits) run.stage_deadline = now_.mono + s.ready.or_default().timeout;
        spawn(slot, run.container ? Role::container_create : Role::main, 0);
        return;
    }
    if (run.stage == Stage::post_start) {
        if (step < hooks.post_start.size()) {
            run.stage_deadline = now_.mono + hooks.timeout;
            spawn(slot, Role::post_start, step);
            return;
        }
        run.step = 0;
        enter_running(slot);
    }
}

void Machine::spawn(Slot slot, Role role, std::uint32_t step) {
    Run& run = *run_of(node(slot));
    e_.instance_.last_spawn.value += 1;
    e_.instance_changed_ = true;
    Process process;
    process.spawn = e_.instance_.last_spawn;
    process.role = role;
    process.step = step;
    run.processes.push_back(process);
    run.populated = true;
    e_.spawns_.insert_or_assign(process.spawn, slot);
    touch(slot);
    queue(slot);
    fx_.push_back(
        out::Spawn{node(slot).service.name, run.number, process.spawn, role, step, role == Role::main && run.hold});
}

void Machine::became_started(Slot slot) {
    Run& run = *run_of(node(slot));
    run.stage = Stage::ready_wait;
    touch(slot);
    publish(slot, EventType::service_started, &run);
    queue_neighbours(slot);
    await_ready(slot);
}

void Machine::await_ready(Slot slot) {
    Run& run = *run_of(node(slot));
    const ServiceSpec& s = run_spec(run);
    if (s.kind == Kind::task) {
        queue(slot);  // its end is what others wait for
        return;
    }
    switch (s.ready.or_default().probe.kind) {
        case ProbeKind::exec_success: became_ready(slot); break;
        case ProbeKind::delay: run.ready_probe_at = now_.mono + s.ready->probe.delay; break;
        case ProbeKind::tcp:
        case ProbeKind::unix_:
        case ProbeKind::http:
        case ProbeKind::exec:
        case ProbeKind::pidfile: probe_ready(slot); break;
        case ProbeKind::notify:
        case ProbeKind::fd:
        case ProbeKind::log: break;
    }
    queue(slot);
}

void Machine::became_ready(Slot slot) {
    Run& run = *run_of(node(slot));
    if (run.state != State::starting || run.stage != Stage::ready_wait) return stray();
    run.ready_probe_at.reset();
    run.probe_deadline.reset();
    run.probe = 0;
    run.probe_failure.clear();
    run.stage = Stage::post_start;
    run.stage_deadline.reset();
    touch(slot);
    next_step(slot);
}

void Machine::enter_running(Slot slot) {
    Run& run = *run_of(node(slot));
    run.stage = Stage::none;
    run.stage_deadline.reset();
    run.ready = true;
    run.was_ready = true;
    run.ready_at = now_.wall;
    run.started = now_.mono;
    set_state(slot, State::running);
    publish(slot, EventType::service_ready, &run);
    const ServiceSpec& s = run_spec(run);
    if (s.health) run.health_probe_at = now_.mono + std::max(s.health->delay, Duration{0});
    arm_watchdog(slot);
    readiness_gained(slot, Await::ready);
    if (!s.health) readiness_gained(slot, Await::healthy);
    queue_neighbours(slot);
}

// A hook, probe or reload command ended.
void Machine::exited_hook(Slot slot, const Process& process, bool success, const std::string& why) {
    Run& run = *run_of(node(slot));
    queue(slot);
    switch (process.role) {
        case Role::pre_start:
        case Role::post_start: {
            const Stage stage = process.role == Role::pre_start ? Stage::pre_start : Stage::post_start;
            if (run.stage != stage || run.state != State::starting) return;
            if (!success) {
                const char* list = stage == Stage::pre_start ? "pre-start" : "post-start";
                fail_start(slot, Reason::hook_failed,
                           std::string(list) + " command " + std::to_string(process.step + 1) +
                               (why.empty() ? "" : ": " + why));
                return;
            }
            run.step = process.step + 1;
            next_step(slot);
            return;
        }
        case Role::pre_stop: {
            if (run.stage != Stage::pre_stop) return;
            if (!success) note_failure(slot, process, "failed: " + why);
            const Hooks& hooks = run_spec(run).hooks.or_default();
            if (process.step + 1 < hooks.pre_stop.size()) {
                run.stage_deadline = now_.mono + hooks.timeout;
                spawn(slot, Role::pre_stop, process.step + 1);
            } else {
                stop_stage(slot, Stage::stop_command);
            }
            return;
        }
        case Role::stop_command:
            if (run.stage != Stage::stop_command) return;
            if (!success) note_failure(slot, process, "failed: " + why);
            stop_stage(slot, Stage::signal);
            return;
        case Role::post_stop:
            if (run.stage != Stage::post_stop) return;
            if (!success) note_failure(slot, process, "failed: " + why);
            run.step = process.step + 1;
            post_stop(slot);
            return;
        case Role::reload: return reload_command_ended(slot, process, why);
        case Role::ready_probe:
            if (run.stage != Stage::ready_wait) return;
            run.probe_deadline.reset();
            if (success) return became_ready(slot);
            probe_failed(slot, why);
            run.ready_probe_at = now_.mono + run_spec(run).ready.or_default().every;
            return;
        case Role::health_probe:
            run.probe_deadline.reset();
            if (run.ready && run.state != State::stopping) health_result(slot, success, why);
            return;
        case Role::container_create:
        case Role::container_start:
        case Role::container_delete: return container_ended(slot, process, success);
        case Role::action:
        case Role::main: return;
    }
}

void Machine::fail_start(Slot slot, Reason reason, const std::string& cause) {
    Run& run = *run_of(node(slot));
    run.failed = true;
    stop_run(slot, reason, cause);
}

namespace {

// The health of a thing that lives on: those who wait for `healthy` lean on it, and those who wait for `ready`, except
// by binds-to, which speaks of its end.
bool leans_on_health(const Machine::Edge& edge) {
    return edge.await == Await::healthy || (edge.await == Await::ready && edge.relation != Relation::binds_to);
}

}  // namespace

// What a dependent declared for the time in which the thing it leans on is away.  `healthy`: it lives on.
void Machine::readiness_lost(Slot slot, Await level) {
    const std::string name = node(slot).service.name;
    const bool for_good = node(slot).service.want == Want::down;
    const std::vector<Edge> edges = node(slot).needed_by;
    for (const Edge& edge : edges) {
        const bool soft = edge.relation == Relation::wants;
        const bool hard = edge.relation == Relation::requires_ || edge.relation == Relation::binds_to;
        if ((!soft && !hard) || for_good) continue;
        if (edge.await != Await::ready && edge.await != Await::started && edge.await != Await::healthy) continue;
        if (level == Await::healthy && !leans_on_health(edge)) continue;
        Run* run = run_of(node(edge.other));
        if (run == nullptr || run->state == State::stopping || node(edge.other).service.want == Want::down) continue;
        const OnLoss rule = edge.relation == Relation::binds_to ? OnLoss::stop : edge.on_loss;
        switch (rule) {
            case OnLoss::ignore: break;
            case OnLoss::stop:
                // The wish stays: it starts again when the thing is back.
                run->restart_after = true;
                run->stop_reason = Reason::dependency_lost;
                run->cause = name;
                break;
            case OnLoss::restart:
            case OnLoss::reload: run->degraded = true; break;
            case OnLoss::pause:
                run->degraded = true;
                set_paused(edge.other, true);
                break;
        }
        touch(edge.other);
        queue(edge.other);
    }
}

void Machine::readiness_gained(Slot slot, Await level) {
    const std::string name = node(slot).service.name;
    const std::vector<Edge> edges = node(slot).needed_by;
    for (const Edge& edge : edges) {
        Run* run = run_of(node(edge.other));
        if (run == nullptr || !run->degraded || run->state == State::stopping) continue;
        const bool meant = level == Await::healthy ? leans_on_health(edge) : edge.await != Await::healthy;
        if (!meant) continue;
        run->degraded = false;
        touch(edge.other);
        if (edge.on_loss == OnLoss::restart) restart(edge.other, Reason::dependency_lost, name);
        if (edge.on_loss == OnLoss::reload) reload(edge.other);
        if (edge.on_loss == OnLoss::pause) set_paused(edge.other, false);
    }
}

}  // namespace abide::core
