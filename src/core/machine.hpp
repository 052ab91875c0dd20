// core/machine.hpp -- one step of the engine.  Not for use outside core/.
//
// Theory.  People and dependencies set a wish (want); the kernel sets facts (runs, their stages and processes).  An
// input changes one fact or wish; the service that it touched is queued; settle() then takes each queued service one
// stride towards its wish (advance) and queues the neighbours whose gates may have moved, until nothing is queued.
// Nothing recurses through the dependency graph, so a chain of 10,000 is a loop.  A stride either begins a run, moves a
// run to its next stage, begins to stop it, or does nothing because a gate is closed; effects are only appended, never
// carried out.
//
// A run ends when no process of it is known to live and the kernel said that nobody of it is left (Emptied); both may
// come in either order.  What happens then is decided in one place: finish().
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/engine.hpp"

namespace abide::core {

class Machine {
  public:
    using Slot = Engine::Slot;
    using Node = Engine::Node;
    using Edge = Engine::Edge;

    Machine(Engine& engine, const Now& now) : e_(engine), now_(now) {}
    std::vector<model::Effect> take(const model::Input& input);

    // Gates (gates.cc): questions about the state, without a change.
    static bool is_task(const Engine& e, const Node& n);
    static bool reached(const Engine& e, const Node& target, model::Await await);
    static bool settled(const Engine& e, const Node& target);
    static bool hopeless(const Engine& e, const Node& target, model::Await await);
    struct Gate {
        bool open = true, failed = false, parked = false;
        std::string text;  // the first reason that keeps it closed
        std::string culprit;
    };
    static Gate start_gate(const Engine& e, Slot slot, std::vector<std::string>* all = nullptr);
    static Slot stop_blocker(const Engine& e, Slot slot);  // the slot itself: none
    static bool still_needed(const model::Service& service, const model::Run& run, model::Role role);
    static const model::ServiceSpec& spec(const Engine& e, const Node& n) { return e.spec_of(n.service); }

  private:
    // step.cc
    void on(const model::in::Requested& in);
    void on(const model::in::Configured& in);
    void on(const model::in::Spawned& in);
    void on(const model::in::Held& in);
    void on(const model::in::Executed& in);
    void on(const model::in::SpawnFailed& in);
    void on(const model::in::Exited& in);
    void on(const model::in::FoundMain& in);
    void on(const model::in::Emptied& in);
    void on(const model::in::Notified& in);
    void on(const model::in::StoredLost& in);
    void on(const model::in::Probed& in);
    void on(const model::in::BecameReady& in);
    void on(const model::in::Frozen& in);
    void on(const model::in::UpgradeEnded& in);
    void take_over(const model::RescueUpgrade& upgrade);
    void on(const model::in::Ticked& in);
    void on(const model::in::Signalled& in);
    void on(const model::in::Recovered& in);
    void on(const model::in::Emitted& in);
    void settle();
    void advance(Slot slot);
    void queue(Slot slot);
    void wake_parked();
    void queue_neighbours(Slot slot);
    void touch(Slot slot);  // its record changed
    void stray();
    std::optional<model::Process> take_process(SpawnId spawn, Slot& slot);
    Node& node(Slot slot) { return e_.nodes_[slot]; }
    Node* find(std::string_view name, Slot* slot = nullptr);
    model::Run* run_of(Node& n) { return n.service.runs.empty() ? nullptr : &n.service.runs.back(); }
    model::Run* run_named(std::string_view service, RunNumber run, Slot& slot);
    const model::ServiceSpec& run_spec(const model::Run& run) const { return e_.spec_of(run); }

    // publish.cc: events, and which event led to each
    void publish(Slot slot, model::EventType type, const model::Run* run = nullptr);
    EventId publish(model::Event event);
    void announce(const model::in::Recovered& in);
    EventId cause_of_wish(model::Reason reason, const std::string& cause, const model::Service& service);
    EventId cause_of_start(Slot slot);
    EventId cause_of(Slot slot, model::EventType type, const model::Run* run);
    void set_state(Slot slot, model::State state);
    std::uint64_t random_below(std::uint64_t bound);

    // recover.cc
    void begin_instance();
    void take_found(const model::in::Recovered::Found& found);
    void signal_again(const model::in::Recovered& in);
    void resume(Slot slot);

    // want.cc: wishes
    void set_up(Slot slot, model::Reason reason, const std::string& cause);
    bool wish_up(Slot slot, model::Reason reason, const std::string& cause);
    void set_down(Slot slot, model::Reason reason, const std::string& cause, bool held);
    void restart(Slot slot, model::Reason reason, const std::string& cause);
    void force_destroy(Slot slot, const std::string& cause);
    void destroy_one(Slot slot, const std::string& cause);
    void shut_down(model::Reason reason, const std::string& cause, std::int32_t exit_status);
    void check_end();

    // run.cc: from the decision to start until running
    void begin(Slot slot);
    void next_step(Slot slot);
    void spawn(Slot slot, model::Role role, std::uint32_t step);
    void became_started(Slot slot);
    void await_ready(Slot slot);
    void became_ready(Slot slot);
    void enter_running(Slot slot);
    void exited_hook(Slot slot, const model::Process& process, bool success, const std::string& why);
    void fail_start(Slot slot, model::Reason reason, const std::string& cause);
    void readiness_lost(Slot slot, model::Await level);
    void readiness_gained(Slot slot, model::Await level);

    // create.cc: prepared up to the exec, and let go
    void create(Slot slot, model::TargetResult& target, const std::string& cause);
    void review_create(Slot slot, model::TargetResult& target);
    void start_beyond(Slot slot);
    void let_go(Slot slot);
    void became_held(Slot slot, model::Process& process);
    void recover_held(Slot slot, model::Process& process, const model::in::Recovered::Found& found);

    // container.cc: what a runtime does for a run
    void container_ended(Slot slot, const model::Process& command, bool success);
    void container_started(Slot slot, bool success);
    bool keeps_exit(Slot slot, const model::Process& gone, const model::ExitStatus& status);
    void main_ended(Slot slot, const model::Process& gone, const model::ExitStatus& status);
    bool deletes_container(Slot slot);
    void container_deleted(Slot slot, bool success);
    void recover_container(Slot slot);

    // watch.cc: conditions of a running service
    void probe_ready(Slot slot);
    void probe_health(Slot slot);
    void probe_failed(Slot slot, const std::string& why);
    void health_result(Slot slot, bool healthy, const std::string& detail);
    void forget_health(Slot slot);
    void arm_watchdog(Slot slot);
    void watchdog_expired(Slot slot);
    void adopt_main(Slot slot, std::int32_t pid, std::uint64_t start_ticks);
    void set_paused(Slot slot, bool paused);
    void became_paused(Slot slot);
    void fail_pause(Slot slot, const std::string& error);
    void goes_on(Slot slot);
    void on_deadline(Slot slot);
    void stop_waiting_for(const std::string& spared);
    void on_stage_deadline(Slot slot);

    // reload.cc: a service reads its configuration again
    void begin_reload(Slot slot);
    void reload(Slot slot);
    void said_reloading(Slot slot, std::int64_t monotonic_us);
    void said_reloaded(Slot slot);
    void reload_command_ended(Slot slot, const model::Process& gone, const std::string& why);
    void reloaded(Slot slot, const std::string& failure);
    void reload_overdue(Slot slot);

    // stop.cc: from the decision to stop until nobody is left
    void stop_run(Slot slot, model::Reason reason, const std::string& cause);
    void leave(Slot slot, model::Reason reason, const std::string& cause);
    void stop_stage(Slot slot, model::Stage stage);
    void main_gone(Slot slot, model::Reason reason, const std::string& cause, bool failed);
    void send_kill(Slot slot);
    void give_stop_signal(Slot slot);
    void give_signal(Slot slot, std::int32_t signal, model::StopScope scope, const std::string& by = {});
    void note_failure(Slot slot, const model::Process& command, const std::string& how);
    void note_overdue(Slot slot);
    void reach_newborn(Slot slot);
    void kill_past_helpers(Slot slot);
    void let_it_hear(Slot slot, model::StopScope scope);
    void maybe_empty(Slot slot);
    void post_stop(Slot slot);

    // stored.cc: descriptors that a service gave away for its next run
    void store(Slot slot, const model::in::Notified& in);
    void drop_stored(Slot slot);

    // restart.cc: what comes after a run
    void finish(Slot slot);
    bool wants_restart(Slot slot, const model::Run& run) const;
    void schedule_restart(Slot slot, const model::Run& run);
    void rest(Slot slot, const model::Run& run);
    static bool is_success(const model::ServiceSpec& spec, const model::Run& run, const model::ExitStatus& exit);
    std::string ended_by(const model::Run& run, const model::ExitStatus& exit) const;

    // upgrade.cc
    static bool is_upgrade(model::Verb verb) {
        return verb == model::Verb::upgrade || verb == model::Verb::upgrade_anchor;
    }
    void upgrade(const model::in::Requested& in, model::Operation& op);

    // operations.cc
    model::Operation& new_operation(model::Verb verb, const model::Requester& requester, Duration timeout);
    void carry_out(model::Operation& op, model::TargetResult& target, const model::in::Requested& in);
    void cancel(const model::in::Requested& in, model::Operation& op);
    void review(OperationId id);
    void review_target(model::Operation& op, model::TargetResult& target);
    void end_operation(model::Operation& op, model::Outcome outcome, std::string detail = {});
    void forget_old_operations();

    std::string needed_by(Slot slot, const model::Operation& op);
    void await_destroyed(model::Operation& op);

    // configure.cc
    void apply(const model::in::Configured& in, model::Operation& op);
    void define(const model::ServiceSpec& spec, bool dynamic);
    void forget(Slot slot);

    Engine& e_;
    const Now& now_;
    std::vector<model::Effect> fx_;
    std::vector<Slot> queue_;
    std::vector<OperationId> reviews_;
    std::vector<Slot> destroyed_;  // by the force_destroy under way, besides those that were named
};

// What went wrong in its stop, each thing once.
void note_failure(model::Run& run, const std::string& what);

// Without a cgroup: where the run's processes are looked for.  False: it was known.
bool remember_session(model::Run& run, const model::Session& session);

// Adds the specification's own words for an exit: "exited with 3", "killed by SEGV (core dumped)".
std::string describe(const model::ExitStatus& exit);
std::string describe(model::Reason reason);
// As much of a text as is kept of why something failed.
std::string bounded(std::string text);

// Only what a running process can't take over needs a restart; see configure.cc.
bool needs_restart(const model::ServiceSpec& before, const model::ServiceSpec& after);
std::string differing_keys(const model::ServiceSpec& before, const model::ServiceSpec& after);

}  // namespace abide::core
