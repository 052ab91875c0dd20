// core/gates.cc -- may it start, may it stop?  Questions about the state that change nothing, each with its reason in
// words.
#include "core/machine.hpp"

namespace abide::core {

using namespace model;

namespace {

std::string_view await_name(Await await) {
    switch (await) {
        case Await::ready: return "ready";
        case Await::none: return "asked for";
        case Await::started: return "started";
        case Await::healthy: return "healthy";
        case Await::completed: return "completed";
        case Await::succeeded: return "succeeded";
    }
    return "";
}

bool is_hard(Relation relation) {
    return relation == Relation::requires_ || relation == Relation::binds_to;
}

}  // namespace

bool Machine::is_task(const Engine& e, const Node& n) {
    return spec(e, n).kind == Kind::task;
}

bool Machine::reached(const Engine& e, const Node& target, Await await) {
    const Service& service = target.service;
    const Run* run = service.runs.empty() ? nullptr : &service.runs.back();
    if (await == Await::none) return true;
    if (await == Await::completed && run == nullptr && service.last_run &&
        (service.state == State::completed || service.state == State::failed)) {
        return true;
    }
    if (run == nullptr) return service.state == State::completed && (is_task(e, target) || await == Await::succeeded);
    // On its way down, or about to be restarted: nobody may begin to lean on it.
    if (service.want == Want::down || run->restart_after || run->state == State::stopping) return false;
    switch (await) {
        case Await::started: return run->stage == Stage::ready_wait || run->stage == Stage::post_start || run->ready;
        case Await::ready: return is_ready(*run) && !is_task(e, target);
        case Await::healthy: return run->ready && (run->healthy || !spec(e, target).health) && !run->unhealthy;
        case Await::none:
        case Await::completed:
        case Await::succeeded: return false;
    }
    return false;
}

// Nothing more will happen to it soon: order and soft dependencies wait no longer.
bool Machine::settled(const Engine& e, const Node& target) {
    const Service& service = target.service;
    if (service.want == Want::down) return true;
    if (service.runs.empty()) {
        return service.state == State::completed || service.state == State::failed || service.state == State::backoff ||
               service.state == State::inactive;
    }
    const Run& run = service.runs.back();
    if (run.state == State::created) return true;  // until somebody starts it
    return run.ready && !run.restart_after && run.state != State::stopping && !is_task(e, target);
}

// It can't get there any more without somebody asking again.
bool Machine::hopeless(const Engine& e, const Node& target, Await await) {
    const Service& service = target.service;
    if (!service.runs.empty()) return false;
    if (service.state == State::failed) return await != Await::completed || !service.last_run;
    if (service.state == State::completed) return !reached(e, target, await);
    return service.want == Want::down;
}

Machine::Gate Machine::start_gate(const Engine& e, Slot slot, std::vector<std::string>* all) {
    const Node& n = e.nodes_[slot];
    Gate gate;
    const auto close = [&](const Node& target, std::string text, bool failed) {
        if (all != nullptr) all->push_back(text);
        if (!gate.open && (gate.failed || !failed)) return;
        gate = {false, failed, false, std::move(text), target.service.name};
    };
    for (const Edge& edge : n.needs) {
        const Node& target = e.nodes_[edge.other];
        const std::string& name = target.service.name;
        if (is_hard(edge.relation)) {
            if (reached(e, target, edge.await)) continue;
            const bool failed = hopeless(e, target, edge.await);
            close(target, name + (failed ? " can't become " : " to be ") + std::string(await_name(edge.await)), failed);
        } else if (edge.relation == Relation::wants || edge.relation == Relation::after) {
            const bool ok = reached(e, target, edge.await) || settled(e, target);
            if (!ok) close(target, name + " to be " + std::string(await_name(edge.await)) + ", or to fail", false);
        } else if (edge.relation == Relation::conflicts && !target.service.runs.empty()) {
            close(target, name + " to stop, which conflicts", false);
        }
    }
    for (const Edge& edge : n.needed_by) {
        const Node& other = e.nodes_[edge.other];
        if (edge.relation == Relation::conflicts && !other.service.runs.empty()) {
            close(other, other.service.name + " to stop, which conflicts", false);
        }
    }
    const std::uint32_t limit = e.instance_.spec.parallel;
    if (gate.open && limit != 0 && e.starting_ >= limit && spec(e, n).kind != Kind::group) {
        gate = {false, false, true, "one of " + std::to_string(limit) + " places to start (project.parallel)", ""};
        if (all != nullptr) all->push_back(gate.text);
    }
    return gate;
}

// Whoever leans on it stops first: the reverse of the order of the start.
Machine::Slot Machine::stop_blocker(const Engine& e, Slot slot) {
    for (const Edge& edge : e.nodes_[slot].needed_by) {
        const bool unordered = edge.await == Await::none && edge.relation != Relation::after;
        if (edge.relation == Relation::conflicts || unordered) continue;
        const Service& other = e.nodes_[edge.other].service;
        if (other.runs.empty()) continue;
        const Run& run = other.runs.back();
        if (other.want == Want::down || run.restart_after || run.state == State::stopping) return edge.other;
    }
    return slot;
}

// Is the run still at the point at which this process is to be started?
bool Machine::still_needed(const Service& service, const Run& run, Role role) {
    const bool begins = run.state == State::starting && service.want == Want::up && !run.restart_after;
    switch (role) {
        case Role::main: return begins && run.stage == Stage::main;
        case Role::pre_start: return begins && run.stage == Stage::pre_start;
        case Role::post_start: return begins && run.stage == Stage::post_start;
        case Role::pre_stop: return run.stage == Stage::pre_stop;
        case Role::stop_command: return run.stage == Stage::stop_command;
        case Role::post_stop: return run.stage == Stage::post_stop;
        case Role::reload: return run.state == State::reloading;
        case Role::ready_probe: return run.stage == Stage::ready_wait && run.state == State::starting;
        case Role::health_probe: return run.ready && run.state != State::stopping;
        case Role::container_create:
        case Role::container_start: return begins && run.stage == Stage::main;
        case Role::container_delete: return run.stage == Stage::post_stop;
        case Role::action: return false;
    }
    return false;
}

}  // namespace abide::core
