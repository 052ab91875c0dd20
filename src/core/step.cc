// core/step.cc -- from an input to the service that it touches, and on until nothing is queued.
#include <algorithm>

#include "base/check.hpp"
#include "core/machine.hpp"
#include "model/signal.hpp"

namespace abide::core {

using namespace model;

namespace {

// Commands that are asked again and again.  What they leave behind is not looked for: their sessions would pile up.
bool is_passing(Role role) {
    switch (role) {
        case Role::reload:
        case Role::ready_probe:
        case Role::health_probe:
        case Role::action: return true;
        case Role::main:
        case Role::pre_start:
        case Role::post_start:
        case Role::pre_stop:
        case Role::stop_command:
        case Role::post_stop:
        case Role::container_create:
        case Role::container_start:
        case Role::container_delete: return false;
    }
    return false;
}

// The runtime's commands; why one of them could not be started has no place of its own.
bool is_container(Role role) {
    return role == Role::container_create || role == Role::container_start || role == Role::container_delete;
}

}  // namespace

std::vector<Effect> Machine::take(const Input& input) {
    std::visit([this](const auto& in) { on(in); }, input);
    settle();
    while (!reviews_.empty()) {
        std::vector<OperationId> due = std::exchange(reviews_, {});
        std::sort(due.begin(), due.end());
        due.erase(std::unique(due.begin(), due.end()), due.end());
        for (const OperationId id : due) review(id);
        settle();
    }
    check_end();
    forget_old_operations();
    return std::move(fx_);
}

void Machine::settle() {
    // Each stride either changes a state or queues nobody, and states only move along finite paths without new inputs;
    // the bound is an assertion about that.
    std::size_t strides = 0;
    const std::size_t bound = 1000 + 64 * (e_.nodes_.size() + 1);
    for (std::size_t i = 0; i < queue_.size(); ++i) {
        CHECK(++strides < bound * 4, "services keep queueing each other");
        const Slot slot = queue_[i];
        node(slot).queued = false;
        if (node(slot).live) advance(slot);
        if (i > 4096 && i * 2 > queue_.size()) {
            queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
            i = static_cast<std::size_t>(-1);
        }
    }
    queue_.clear();
}

// One stride towards the wish.
void Machine::advance(Slot slot) {
    Node& n = node(slot);
    Service& s = n.service;
    reviews_.insert(reviews_.end(), n.operations.begin(), n.operations.end());
    if (s.runs.empty()) {
        e_.parked_.erase(slot);
        const bool rests = s.state == State::inactive || s.state == State::failed || s.state == State::completed;
        if (rests || s.removed) drop_stored(slot);
        if (s.removed) {
            forget(slot);
            return;
        }
        if (s.want == Want::up && s.state == State::waiting && !e_.instance_.shutting_down) {
            const Gate gate = start_gate(e_, slot);
            if (gate.open) {
                begin(slot);
            } else if (gate.failed) {
                s.last_reason = Reason::dependency_failed;
                s.last_cause = gate.culprit;
                s.last_failures.clear();
                set_state(slot, State::failed);
                publish(slot, EventType::service_failed);
                queue_neighbours(slot);
            } else if (gate.parked) {
                e_.parked_.insert(slot);
            }
        }
        // A free place that this one did not take is the next one's.
        if (s.runs.empty() && !e_.parked_.contains(slot)) wake_parked();
        e_.index_deadline(slot);
        return;
    }
    Run& run = s.runs.back();
    if (run.state != State::stopping && (s.want == Want::down || run.restart_after) && stop_blocker(e_, slot) == slot) {
        const bool again = run.restart_after && s.want == Want::up;
        stop_run(slot, again ? run.stop_reason : s.want_reason, again ? run.cause.value() : s.want_cause);
    }
    e_.index_deadline(slot);
}

void Machine::queue(Slot slot) {
    if (std::exchange(node(slot).queued, true)) return;
    queue_.push_back(slot);
}

// One of those that wait for a place to start looks whether there is one.
void Machine::wake_parked() {
    if (e_.parked_.empty()) return;
    const Slot next = *e_.parked_.begin();
    e_.parked_.erase(e_.parked_.begin());
    queue(next);
}

void Machine::queue_neighbours(Slot slot) {
    for (const Edge& edge : node(slot).needed_by) queue(edge.other);
    for (const Edge& edge : node(slot).needs) queue(edge.other);
}

void Machine::touch(Slot slot) {
    if (!std::exchange(node(slot).changed, true)) e_.changed_.push_back(slot);
}

void Machine::stray() {
    e_.instance_.strays += 1;
    e_.instance_changed_ = true;
}

Machine::Node* Machine::find(std::string_view name, Slot* slot) {
    const std::optional<Slot> found = e_.slot_of(name);
    if (!found) return nullptr;
    if (slot != nullptr) *slot = *found;
    return &e_.nodes_[*found];
}

Run* Machine::run_named(std::string_view service, RunNumber number, Slot& slot) {
    Node* n = find(service, &slot);
    Run* run = n == nullptr ? nullptr : run_of(*n);
    if (run == nullptr || run->number != number) {
        stray();
        return nullptr;
    }
    return run;
}

void Machine::set_state(Slot slot, State state) {
    Service& s = node(slot).service;
    Run* run = run_of(node(slot));
    if (run != nullptr && run->state != state) {
        run->state = state;
        run->state_since = now_.wall;
    }
    const bool counted = run != nullptr && state == State::starting;
    if (counted != node(slot).counted) {
        node(slot).counted = counted;
        counted ? ++e_.starting_ : --e_.starting_;
        if (!counted) wake_parked();
    }
    if (s.state != state) {
        s.state = state;
        s.since = now_.wall;
        queue_neighbours(slot);
    }
    touch(slot);
    queue(slot);
}

// xorshift64*: the generator's state is part of the journal, so a drawn delay is never drawn again.
std::uint64_t Machine::random_below(std::uint64_t bound) {
    std::uint64_t x = e_.instance_.random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    e_.instance_.random = x;
    e_.instance_changed_ = true;
    return bound == 0 ? 0 : (x * 0x2545f4914f6cdd1dULL >> 16) % bound;
}

bool remember_session(Run& run, const Session& session) {
    if (std::find(run.sessions.begin(), run.sessions.end(), session) != run.sessions.end()) return false;
    run.sessions.push_back(session);
    return true;
}

void Machine::on(const in::Spawned& in) {
    const Slot* const found = e_.spawns_.find(in.spawn);
    if (found == nullptr) return stray();
    const Slot slot = *found;
    Run& run = *run_of(node(slot));
    run.cgroup = in.cgroup;
    if (!in.cgroup) remember_session(run, {in.pid, in.start_ticks});
    bool newborn = false;
    for (Process& process : run.processes) {
        if (process.spawn != in.spawn) continue;
        newborn = process.pid == 0;
        process.pid = in.pid;
        process.start_ticks = in.start_ticks;
        touch(slot);
    }
    if (newborn) reach_newborn(slot);
}

void Machine::on(const in::Executed& in) {
    const Slot* const found = e_.spawns_.find(in.spawn);
    if (found == nullptr) return stray();
    const Slot slot = *found;
    Run& run = *run_of(node(slot));
    for (Process& process : run.processes) {
        const bool before = process.state == ProcessState::asked || process.state == ProcessState::held;
        if (process.spawn != in.spawn || !before) continue;
        process.state = ProcessState::alive;
        touch(slot);
        if (process.role == Role::main && run.stage == Stage::main) {
            if (run.state == State::created) set_state(slot, State::starting);  // it did not wait for us
            became_started(slot);
            return;
        }
    }
}

// A process that is no more, out of its run; nothing when its spawn is over.
std::optional<Process> Machine::take_process(SpawnId spawn, Slot& slot) {
    const Slot* const found = e_.spawns_.find(spawn);
    if (found == nullptr) return std::nullopt;
    slot = *found;
    Run& run = *run_of(node(slot));
    const auto process =
        std::find_if(run.processes.begin(), run.processes.end(), [&](const Process& p) { return p.spawn == spawn; });
    if (process == run.processes.end()) return std::nullopt;
    const Process gone = *process;
    run.processes.erase(process);
    e_.spawns_.erase(spawn);
    if (is_passing(gone.role)) erase_if(run.sessions, [&](const Session& one) { return one.id == gone.pid; });
    touch(slot);
    return gone;
}

void Machine::on(const in::SpawnFailed& in) {
    Slot slot = 0;
    const std::optional<Process> found = take_process(in.spawn, slot);
    if (!found) return stray();
    const Process& gone = *found;
    Run& run = *run_of(node(slot));
    const std::string cause = in.what.empty() ? in.stage + ": errno " + std::to_string(in.err) : in.what;
    run.error_number = in.err;
    if (gone.role == Role::main) {
        main_gone(slot, Reason::spawn_failed, cause, true);
    } else {
        if (is_container(gone.role)) run.status_text = cause;
        // The runtime itself is not there: nobody else can say why there is no container.
        if (gone.role == Role::container_create && run.state == State::starting)
            fail_start(slot, Reason::spawn_failed, cause);
        else
            exited_hook(slot, gone, false, cause);
    }
    maybe_empty(slot);
}

void Machine::on(const in::Exited& in) {
    Slot slot = 0;
    if (const auto owner = e_.owner_of(in.spawn);
        owner.process != nullptr && owner.process->state == ProcessState::exited)
        return stray();
    const std::optional<Process> found = take_process(in.spawn, slot);
    if (!found) return stray();
    Process gone = *found;
    if (gone.pid == 0) gone.pid = in.pid;
    if (gone.role != Role::main) {
        const bool success = in.status.kind == ExitKind::code && in.status.value == 0;
        exited_hook(slot, gone, success, success ? std::string{} : describe(in.status));
        maybe_empty(slot);
        return;
    }
    if (keeps_exit(slot, gone, in.status)) return;
    main_ended(slot, gone, in.status);
    maybe_empty(slot);
}

void Machine::main_ended(Slot slot, const Process& gone, const ExitStatus& status) {
    // It lived and died before anybody told us that its exec was done: it was started all the same.
    const Run& run = *run_of(node(slot));
    if (gone.state == ProcessState::asked && run.stage == Stage::main && !run.hold) became_started(slot);
    Run& now_run = *run_of(node(slot));
    now_run.main_exit = status;
    node(slot).service.last_exit = status;
    Event event;
    event.type = EventType::process_exited;
    event.subject = node(slot).service.name;
    event.run = now_run.number;
    event.pid = gone.pid;
    event.exit = status;
    event.reason = now_run.stop_reason;
    if (now_run.stop_reason == Reason::none) now_run.ended_by = ended_by(now_run, status);
    if (!now_run.ended_by.empty()) {
        event.reason = Reason::signalled;
        event.detail = now_run.ended_by;
    }
    event.cause = node(slot).service.last_event;
    node(slot).service.last_event = publish(std::move(event));
    const ServiceSpec& s = run_spec(now_run);
    const bool success = is_success(s, now_run, status);
    const bool daemonizes = s.ready.or_default().probe.kind == ProbeKind::pidfile;
    if (daemonizes && success && now_run.stage == Stage::ready_wait && now_run.state == State::starting) {
        queue(slot);  // a forking daemon: its pid file tells the rest
        return;
    }
    const std::string sent = now_run.ended_by.empty() ? "" : ", after " + now_run.ended_by.value();
    main_gone(slot, Reason::exited, describe(status) + sent, !success);
}

void Machine::on(const in::Emptied& in) {
    Slot slot = 0;
    Run* run = run_named(in.service, in.run, slot);
    if (run == nullptr) return;
    if (!run->populated) return;
    run->populated = false;
    touch(slot);
    maybe_empty(slot);
}

void Machine::on(const in::Ticked&) {
    // A service has six kinds of deadlines, and one that is met may arm another for this very instant.
    std::size_t left = 16 * (e_.deadlines_.size() + 1);
    while (!e_.deadlines_.empty() && e_.deadlines_.begin()->first <= now_.mono) {
        CHECK(left-- > 0, "a deadline that passed stays armed");
        const Slot slot = e_.deadlines_.begin()->second;
        on_deadline(slot);
        e_.index_deadline(slot);
    }
    std::vector<OperationId> late;
    for (const auto& [deadline, id] : e_.operation_deadlines_) {
        if (deadline > now_.mono) break;
        late.push_back(id);
    }
    for (const OperationId id : late) {
        Operation& op = e_.operations_.at(id);
        for (TargetResult& target : op.targets) {
            if (target.outcome == Outcome::pending) target.outcome = Outcome::timed_out;
        }
        end_operation(op, Outcome::timed_out, "still under way; it goes on");
    }
    std::optional<Mono>& last = e_.instance_.shutdown_deadline;
    if (last && *last <= now_.mono) {
        last.reset();
        e_.instance_changed_ = true;
        std::string spared;
        for (Slot slot = 0; slot < e_.nodes_.size(); ++slot) {
            Run* run = node(slot).live ? run_of(node(slot)) : nullptr;
            if (run == nullptr) continue;
            if (run_spec(*run).stop.or_default().final_ == StopFinal::kill)
                destroy_one(slot, "the time to shut down is over");
            else
                spared += (spared.empty() ? "" : ", ") + node(slot).service.name;
        }
        if (!spared.empty()) stop_waiting_for(spared);
    }
}

// Whoever gave the instance so long to end is not kept waiting by what is never killed.
void Machine::stop_waiting_for(const std::string& spared) {
    for (auto& [id, op] : e_.operations_) {
        if (op.verb != Verb::shutdown || op.outcome != Outcome::pending) continue;
        end_operation(op, Outcome::timed_out,
                      "still there by stop.final = never: " + spared + "; `abide force-destroy` ends it");
    }
}

// TERM, INT, PWR: the instance ends; a second one shortens the stop.
void Machine::on(const in::Signalled& in) {
    constexpr int kInt = 2, kTerm = 15, kPwr = 30;
    if (in.signal != kInt && in.signal != kTerm && in.signal != kPwr) return;
    const std::string cause = "signal " + signal_name(in.signal);
    if (!e_.instance_.shutting_down) return shut_down(Reason::shutdown, cause, 0);
    e_.instance_.shutdown_deadline = now_.mono;
    e_.instance_changed_ = true;
}

}  // namespace abide::core
