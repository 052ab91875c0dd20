// core/engine.hpp -- policy: (state, input, now) -> (state, effects).
//
// Owns the model of one instance and the indexes derived from it (dependency edges, deadlines, what changed).  Knows no
// system call, clock, file or socket.  The shell gathers inputs, calls step() for each, writes take_changes() to the
// journal, and only then carries out the effects.  Total: any state with any input returns.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/flat_map.hpp"
#include "base/rare.hpp"
#include "base/result.hpp"
#include "model/effect.hpp"
#include "model/input.hpp"
#include "model/state.hpp"

namespace abide::core {

// Everything that the journal holds.  Lists are sorted by name or id.
struct Snapshot {
    model::Instance instance;
    std::map<std::uint64_t, model::ServiceSpec> specs;  // by model::spec_hash
    std::vector<model::Service> services;
    std::vector<model::Operation> operations;
};

// What was changed since the last take_changes(), as journal keys; each at most once.
struct Changes {
    bool instance = false;
    std::vector<std::uint64_t> specs;          // new ones
    std::vector<std::uint64_t> dropped_specs;  // used by nobody any more
    std::vector<std::string> services;
    std::vector<std::string> removed_services;
    std::vector<OperationId> operations;
    std::vector<OperationId> dropped_operations;
    bool empty() const {
        return !instance && specs.empty() && dropped_specs.empty() && services.empty() && removed_services.empty() &&
               operations.empty() && dropped_operations.empty();
    }
};

// One line of `plan`: what applying a configuration would do to a service, or to a table of the instance as a whole.
struct PlannedChange {
    std::string subject;  // "api", "[control]"
    enum class What { define, restart, adjust, forget } what = What::define;
    std::string detail;  // the keys that differ
};

class Engine {
  public:
    Engine() = default;
    explicit Engine(Snapshot snapshot);

    // Never fails: a refusal is an operation that ended, with its reason.  After in::Requested and in::Configured the
    // operation made for it is instance().last_operation.
    std::vector<model::Effect> step(const model::Input& input, const Now& now);

    // The instant at which in::Ticked must be given; kNever when nothing waits.
    Mono next_deadline() const;
    Changes take_changes();

    const model::Instance& instance() const { return instance_; }
    const std::map<std::uint64_t, model::ServiceSpec>& specs() const { return specs_; }
    // By name; templates are not among them.
    std::vector<const model::Service*> services() const;
    std::vector<const model::Service*> services_and_templates() const;
    const model::Service* find(std::string_view name) const;
    std::size_t size() const { return by_name_.size(); }  // services
    std::size_t slots() const { return nodes_.size(); }   // and places that removed ones have left
    const model::ServiceSpec& spec_of(const model::Service& service) const;
    const model::ServiceSpec& spec_of(const model::Run& run) const;
    const model::Operation* operation(OperationId id) const;
    const std::map<OperationId, model::Operation>& operations() const { return operations_; }
    // The run and process that a spawn belongs to; nullptr when it is over.
    struct Owner {
        const model::Service* service = nullptr;
        const model::Run* run = nullptr;
        const model::Process* process = nullptr;
    };
    Owner owner_of(SpawnId spawn) const;
    // What `status` calls waiting_for: one line a thing that is not true yet.
    std::vector<std::string> waiting_for(const model::Service& service) const;
    // The chain of causes, outermost last: why it does not run, why it was restarted, what it waits for.
    std::vector<std::string> why(const model::Service& service, const Now& now) const;
    // What in::Configured would change; the problems are those of core::validate.
    Result<std::vector<PlannedChange>> plan(const model::Configuration& configuration, bool dynamic) const;
    Snapshot snapshot() const;
    // What a burst has made large.
    void release_memory();

  private:
    friend class Machine;

    using Slot = std::uint32_t;  // position in nodes_, in memory only
    struct Edge {
        Slot other = 0;
        model::Relation relation = model::Relation::after;  // never `before`: that is an `after` the other way round
        model::Await await = model::Await::ready;
        model::OnLoss on_loss = model::OnLoss::ignore;
    };
    struct Node {
        model::Service service;
        Rare<std::vector<Edge>> needs, needed_by;   // derived from the specifications
        Rare<std::vector<OperationId>> operations;  // pending ones that wait for this service
        Mono deadline = kNever;                     // as entered in deadlines_
        bool queued = false, changed = false;
        bool counted = false;  // among starting_
        bool live = false;     // false: the slot of a forgotten service, which the next one takes
    };

    Slot add_node(model::Service service);
    void remove_node(Slot slot);
    std::vector<Slot>::const_iterator place_of(std::string_view name) const;  // in by_name_: where it is, or would be
    std::optional<Slot> slot_of(std::string_view name) const;
    void rebuild_edges();
    void index_deadline(Slot slot);
    void use_spec(std::uint64_t hash, const model::ServiceSpec& spec);
    void drop_unused_specs();

    model::Instance instance_;
    std::map<std::uint64_t, model::ServiceSpec> specs_;
    std::map<OperationId, model::Operation> operations_;
    std::deque<OperationId> ended_operations_;  // in the order in which they ended
    std::vector<Node> nodes_;
    std::vector<Slot> free_;     // those of nodes_ that are not live
    std::vector<Slot> by_name_;  // in the order of their names; forgotten ones are not among them
    std::set<std::pair<Mono, Slot>> deadlines_;
    std::set<std::pair<Mono, OperationId>> operation_deadlines_;
    FlatMap<SpawnId, Slot> spawns_;
    std::uint32_t starting_ = 0;  // services between the decision to start and ready or end
    std::set<Slot> parked_;       // wait only for the limit on parallel starts
    std::uint32_t active_ = 0;    // services with a run

    // Since the last take_changes().
    bool instance_changed_ = false;
    std::vector<Slot> changed_;
    std::vector<std::string> removed_;
    std::set<std::uint64_t> new_specs_, dropped_specs_;
    std::set<OperationId> changed_operations_, dropped_operations_;
};

}  // namespace abide::core
