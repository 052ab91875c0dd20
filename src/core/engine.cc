// core/engine.cc -- the model's indexes: slots, edges, deadlines, and what the journal has yet to hear.
#include "core/engine.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "core/machine.hpp"
#include "model/codec.hpp"

namespace abide::core {

using namespace model;

Engine::Engine(Snapshot snapshot) : instance_(std::move(snapshot.instance)), specs_(std::move(snapshot.specs)) {
    nodes_.reserve(snapshot.services.size());
    for (Service& service : snapshot.services) {
        // A service whose specification is lost can still be seen and stopped, with the defaults of one.
        if (!specs_.contains(service.spec)) {
            ServiceSpec lost;
            lost.name = service.name;
            lost.autostart = false;
            specs_.emplace(service.spec, std::move(lost));
        }
        const Slot slot = add_node(std::move(service));
        Node& node = nodes_[slot];
        for (const Run& run : node.service.runs) {
            if (run.spec != node.service.spec && !specs_.contains(run.spec))
                specs_.emplace(run.spec, specs_.at(node.service.spec));
            for (const Process& process : run.processes) spawns_.insert_or_assign(process.spawn, slot);
        }
        if (!node.service.runs.empty()) {
            active_ += 1;
            node.counted = node.service.runs.back().state == State::starting;
            starting_ += node.counted ? 1 : 0;
        }
        index_deadline(slot);
    }
    rebuild_edges();
    for (Operation& operation : snapshot.operations) {
        const OperationId id = operation.id;
        if (operation.outcome == Outcome::pending) {
            for (const TargetResult& target : operation.targets) {
                if (const auto slot = slot_of(target.name)) nodes_[*slot].operations.push_back(id);
            }
            if (operation.deadline) operation_deadlines_.emplace(*operation.deadline, id);
        } else {
            ended_operations_.push_back(id);
        }
        operations_.emplace(id, std::move(operation));
    }
    std::ranges::stable_sort(ended_operations_, {}, [this](OperationId id) { return operations_.at(id).ended_at; });
}

std::vector<Effect> Engine::step(const Input& input, const Now& now) {
    return Machine(*this, now).take(input);
}

Mono Engine::next_deadline() const {
    Mono next = kNever;
    if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
    if (!operation_deadlines_.empty()) next = std::min(next, operation_deadlines_.begin()->first);
    if (instance_.shutdown_deadline && !instance_.ended) next = std::min(next, *instance_.shutdown_deadline);
    return next;
}

Changes Engine::take_changes() {
    Changes changes;
    drop_unused_specs();
    changes.instance = std::exchange(instance_changed_, false);
    changes.specs.assign(new_specs_.begin(), new_specs_.end());
    changes.dropped_specs.assign(dropped_specs_.begin(), dropped_specs_.end());
    for (const Slot slot : changed_) {
        Node& node = nodes_[slot];
        if (node.live && std::exchange(node.changed, false)) changes.services.push_back(node.service.name);
    }
    changes.removed_services = std::exchange(removed_, {});
    std::erase_if(changes.removed_services, [&](const std::string& name) { return slot_of(name).has_value(); });
    changes.operations.assign(changed_operations_.begin(), changed_operations_.end());
    changes.dropped_operations.assign(dropped_operations_.begin(), dropped_operations_.end());
    new_specs_.clear();
    dropped_specs_.clear();
    changed_.clear();
    changed_operations_.clear();
    dropped_operations_.clear();
    return changes;
}

std::vector<const Service*> Engine::services() const {
    std::vector<const Service*> all = services_and_templates();
    std::erase_if(all, [this](const Service* one) { return spec_of(*one).is_template; });
    return all;
}

std::vector<const Service*> Engine::services_and_templates() const {
    std::vector<const Service*> all;
    all.reserve(by_name_.size());
    for (const Slot slot : by_name_) all.push_back(&nodes_[slot].service);
    return all;
}

const Service* Engine::find(std::string_view name) const {
    const auto slot = slot_of(name);
    return slot ? &nodes_[*slot].service : nullptr;
}

const ServiceSpec& Engine::spec_of(const Service& service) const {
    const auto it = specs_.find(service.spec);
    CHECK(it != specs_.end(), "a service's specification is always kept");
    return it->second;
}

const ServiceSpec& Engine::spec_of(const Run& run) const {
    const auto it = specs_.find(run.spec);
    CHECK(it != specs_.end(), "a run's specification is kept as long as the run");
    return it->second;
}

const Operation* Engine::operation(OperationId id) const {
    const auto it = operations_.find(id);
    return it == operations_.end() ? nullptr : &it->second;
}

Engine::Owner Engine::owner_of(SpawnId spawn) const {
    const Slot* const slot = spawns_.find(spawn);
    if (slot == nullptr) return {};
    const Service& service = nodes_[*slot].service;
    for (const Run& run : service.runs) {
        for (const Process& process : run.processes) {
            if (process.spawn == spawn) return {&service, &run, &process};
        }
    }
    return {};
}

Snapshot Engine::snapshot() const {
    Snapshot out{instance_, specs_, {}, {}};
    for (const Service* service : services_and_templates()) out.services.push_back(*service);
    for (const auto& [id, operation] : operations_) out.operations.push_back(operation);
    return out;
}

Engine::Slot Engine::add_node(Service service) {
    Slot slot = static_cast<Slot>(nodes_.size());
    if (free_.empty()) {
        nodes_.emplace_back();
    } else {
        slot = free_.back();
        free_.pop_back();
    }
    by_name_.insert(place_of(service.name), slot);
    nodes_[slot].service = std::move(service);
    nodes_[slot].live = true;
    return slot;
}

// Of one without a run: no spawn speaks of its slot.  Where it still stands in a queue, or among what changed, it is
// passed over until another service has it, for which to be looked at once too often is no harm.
void Engine::remove_node(Slot slot) {
    Node& gone = nodes_[slot];
    const auto of_it = [slot](const Edge& edge) { return edge.other == slot; };
    for (const Edge& edge : gone.needs) erase_if(nodes_[edge.other].needed_by, of_it);
    for (const Edge& edge : gone.needed_by) erase_if(nodes_[edge.other].needs, of_it);
    by_name_.erase(place_of(gone.service.name));
    gone.live = false;
    index_deadline(slot);
    gone = Node{};
    free_.push_back(slot);
}

std::vector<Engine::Slot>::const_iterator Engine::place_of(std::string_view name) const {
    const auto name_of = [this](Slot slot) -> std::string_view { return nodes_[slot].service.name; };
    // A journal gives them by name.
    if (by_name_.empty() || name_of(by_name_.back()) < name) return by_name_.end();
    return std::ranges::lower_bound(by_name_, name, {}, name_of);
}

std::optional<Engine::Slot> Engine::slot_of(std::string_view name) const {
    const auto at = place_of(name);
    if (at == by_name_.end() || nodes_[*at].service.name != name) return std::nullopt;
    return *at;
}

void Engine::release_memory() {
    if (changed_.empty()) {
        while (!nodes_.empty() && !nodes_.back().live) nodes_.pop_back();
        std::erase_if(free_, [this](Slot slot) { return slot >= nodes_.size(); });
        free_.shrink_to_fit();
    }
    nodes_.shrink_to_fit();
    by_name_.shrink_to_fit();
    spawns_.shrink_to_fit();
    changed_.shrink_to_fit();
}

// A dependency on a name that is not (or no longer) defined has no edge; validate() refused it where it matters.
void Engine::rebuild_edges() {
    for (Node& node : nodes_) {
        node.needs.clear();
        node.needed_by.clear();
    }
    for (const Slot slot : by_name_) {
        for (const Dependency& dependency : spec_of(nodes_[slot].service).dependencies) {
            const auto target = slot_of(dependency.target);
            if (!target || *target == slot) continue;
            Slot from = slot;
            Slot to = *target;
            Relation relation = dependency.relation;
            if (relation == Relation::before) {
                std::swap(from, to);
                relation = Relation::after;
            }
            nodes_[from].needs.push_back({to, relation, dependency.await, dependency.on_loss});
            nodes_[to].needed_by.push_back({from, relation, dependency.await, dependency.on_loss});
        }
    }
    for (Node& node : nodes_) {
        node.needs.shrink_to_fit();
        node.needed_by.shrink_to_fit();
    }
}

void Engine::index_deadline(Slot slot) {
    Node& node = nodes_[slot];
    Mono next = kNever;
    const auto consider = [&](const std::optional<Mono>& deadline) {
        if (deadline) next = std::min(next, *deadline);
    };
    if (node.live) {
        consider(node.service.backoff_until);
        for (const Run& run : node.service.runs) {
            consider(run.stage_deadline);
            consider(run.ready_probe_at);
            consider(run.health_probe_at);
            consider(run.probe_deadline);
            consider(run.watchdog_at);
        }
    }
    if (next == node.deadline) return;
    if (node.deadline != kNever) deadlines_.erase({node.deadline, slot});
    if (next != kNever) deadlines_.emplace(next, slot);
    node.deadline = next;
}

void Engine::use_spec(std::uint64_t hash, const ServiceSpec& spec) {
    if (specs_.emplace(hash, spec).second) new_specs_.insert(hash);
}

// Only asked when specifications were added or runs of replaced ones may have ended; linear, and rare.
void Engine::drop_unused_specs() {
    if (specs_.size() <= by_name_.size()) return;
    std::set<std::uint64_t> used;
    for (const Slot slot : by_name_) {
        used.insert(nodes_[slot].service.spec);
        for (const Run& run : nodes_[slot].service.runs) used.insert(run.spec);
    }
    for (auto it = specs_.begin(); it != specs_.end();) {
        if (used.contains(it->first)) {
            ++it;
            continue;
        }
        if (new_specs_.erase(it->first) == 0) dropped_specs_.insert(it->first);
        it = specs_.erase(it);
    }
}

}  // namespace abide::core
