// model/state.hpp -- what is: the whole truth about an instance, as plain data.
//
// What is asked (want) belongs to the service, what happens (stage) to its runs.  Everything here is journaled by the
// codec; indexes that can be recomputed live in core/, not here.  Invariant: a member is either a fact that happened or
// a decision already taken (a drawn delay, an absolute deadline) -- nothing that a new version could derive
// differently.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/box.hpp"
#include "base/ids.hpp"
#include "base/rare.hpp"
#include "base/time.hpp"
#include "model/spec.hpp"

namespace abide::model {

BOOST_DEFINE_ENUM_CLASS(Want, down, up)
BOOST_DEFINE_ENUM_CLASS(State, inactive, waiting, created, starting, running, reloading, stopping, backoff, completed,
                        failed, paused)
BOOST_DEFINE_ENUM_CLASS(Stage, none, pre_start, main, ready_wait, post_start, pre_stop, stop_command, signal, kill,
                        post_stop)
BOOST_DEFINE_ENUM_CLASS(Role, main, pre_start, post_start, pre_stop, stop_command, post_stop, reload, ready_probe,
                        health_probe, action, container_create, container_start, container_delete)
// asked: the intent is journaled, the child may or may not exist.  alive: exec succeeded.  held: set up, and waiting to
// be let go before its exec.
BOOST_DEFINE_ENUM_CLASS(ProcessState, asked, alive, exited, held)

struct ResourceUsage {
    std::int64_t user_us = 0, system_us = 0, max_rss_kib = 0;
    bool operator==(const ResourceUsage&) const = default;
};
BOOST_DESCRIBE_STRUCT(ResourceUsage, (), (user_us, system_us, max_rss_kib))

BOOST_DEFINE_ENUM_CLASS(ExitKind, code, signal, unknown)
// How a process ended.  unknown is a status of its own: it is never written as 0.
struct ExitStatus {
    ExitKind kind = ExitKind::unknown;
    std::int32_t value = 0;  // exit code or signal number
    bool core_dumped = false;
    Wall time{};
    ResourceUsage rusage;
    bool oom = false;  // killed by the kernel for lack of memory
    bool operator==(const ExitStatus&) const = default;
};
BOOST_DESCRIBE_STRUCT(ExitStatus, (), (kind, value, core_dumped, time, rusage, oom))

// Why a run began, ended or failed; printed by `why` and carried by every stop event.  `signalled` is for events only:
// what is journaled says `exited`, since a program that does not know the name could not read the record.
BOOST_DEFINE_ENUM_CLASS(Reason, none, requested, dependency, autostart, restart_policy, exited, spawn_failed,
                        start_timeout, stop_timeout, watchdog, unhealthy, hook_failed, restart_limit, dependency_failed,
                        dependency_lost, conflict, config_changed, removed, shutdown, force_destroyed, cancelled,
                        refused, essential_ended, signalled)

struct Process {
    SpawnId spawn;
    Role role = Role::main;
    ProcessState state = ProcessState::asked;
    std::int32_t pid = 0;  // for people and for re-opening a pidfd; checked with start_ticks, trusted by nobody
    std::uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat
    std::uint32_t step = 0;         // which command of a list of hooks
    bool adopted = false;           // not our child (MAINPID of a forking daemon): its exit is seen through its pidfd
    bool operator==(const Process&) const = default;
};
BOOST_DESCRIBE_STRUCT(Process, (), (spawn, role, state, pid, start_ticks, step, adopted))

// A session that a process of a run was started in.  The leader's start time tells it from a later session with the
// same number.
struct Session {
    std::int32_t id = 0;  // the leader's pid
    std::uint64_t start_ticks = 0;
    bool operator==(const Session&) const = default;
};
BOOST_DESCRIBE_STRUCT(Session, (), (id, start_ticks))

// A descriptor that a service gave away to be kept for its next run (FDSTORE=1, sd_notify(3)).
struct StoredDescriptor {
    FdKey key;         // at the anchor
    std::string name;  // FDNAME=
    bool operator==(const StoredDescriptor&) const = default;
};
BOOST_DESCRIBE_STRUCT(StoredDescriptor, (), (key, name))

// The newest signal that was decided on for a run.  Whether it was given is not for the journal to say (in::Recovered).
struct DecidedSignal {
    SignalId id;
    std::int32_t signal = 0;
    StopScope scope = StopScope::main;
    Rare<std::string> by;  // the operation that asked for it; empty: our own, of a stop or reload
    Mono at{};             // when it was asked for
    bool operator==(const DecidedSignal&) const = default;
};
BOOST_DESCRIBE_STRUCT(DecidedSignal, (), (id, signal, scope, by, at))

// How far the runtime's delete of a container is.
struct Deletion {
    std::uint32_t times = 0;  // that it was asked for
    bool clearing = false;    // it has ended: what it left behind is killed, and waited for
    bool operator==(const Deletion&) const = default;
};
BOOST_DESCRIBE_STRUCT(Deletion, (), (times, clearing))

// The reload that is under way, or what the last one failed of.
struct Reload {
    std::optional<Mono> signalled;  // its signal was given then, and no RELOADING=1 has answered it
    bool said = false;              // RELOADING=1, and no READY=1 since
    std::string failure;
    bool operator==(const Reload&) const = default;
};
BOOST_DESCRIBE_STRUCT(Reload, (), (signalled, said, failure))

// One life of a service: from the decision to start until nobody of it is left.
struct Run {
    RunNumber number;
    State state = State::starting;  // starting, running, reloading, stopping or paused
    Stage stage = Stage::none;
    std::uint64_t spec = 0;          // hash of the specification that this run was started with
    std::vector<Process> processes;  // the living ones, and asked ones
    Box<ExitStatus> main_exit;
    bool populated = false;                                  // somebody of it may still live (cgroup, or session)
    bool ready = false, healthy = false, unhealthy = false;  // conditions
    bool was_ready = false;                                  // at least once in this run
    bool degraded = false, draining = false;
    bool cgroup = false;  // tracked by a cgroup of its own, not only by session
    bool failed = false;  // ends in failed, not in inactive
    bool killed = false;  // SIGKILL was sent to all
    bool term_sent = false;
    bool restart_after = false;  // a restart was asked: start again when this run has ended
    bool paused = false;         // is to stand still; it does in the state `paused`
    bool frozen = false;         // perhaps: a freeze was asked for, and no thaw has been confirmed since
    bool hold = false;           // its main process is held before its exec (`create`)
    bool let_go = false;         // and was let go; the effect may be repeated
    bool container = false;      // the runtime may know a container of it: deleted before the run ends
    Box<Deletion> deletion;      // of the container
    Reason start_reason = Reason::none, stop_reason = Reason::none;
    Rare<std::string> cause;  // the service, operation or process behind the reason
    Wall started_at{}, state_since{}, ready_at{};
    Mono started{};  // for the healthy period
    // Deadlines that judge a process; absent when not armed.
    std::optional<Mono> stage_deadline, ready_probe_at, health_probe_at, probe_deadline, watchdog_at;
    std::uint32_t health_streak = 0;            // failures (or successes) in a row
    std::uint64_t probe = 0;                    // number of the outstanding probe, 0: none
    std::uint32_t step = 0;                     // the next command of the list of hooks that runs now
    std::uint64_t log_key = 0, notify_key = 0;  // descriptors at the anchor; 0: none
    Rare<std::string> status_text;              // STATUS=
    std::int32_t error_number = 0;              // ERRNO=
    Duration watchdog{};                        // WATCHDOG_USEC= overrides
    Rare<std::vector<Session>> sessions;        // without a cgroup: where its processes are looked for
    EventId started_event, ready_event;         // what those who waited for it name as their cause
    std::optional<DecidedSignal> signal;
    Rare<std::string> ended_by;       // the signal of an operation that its main process ended of
    Rare<std::string> probe_failure;  // of the last question for readiness or health; empty: it was answered well
    Rare<std::string> stop_failures;  // commands of its stop that failed
    Box<Reload> reload;
    bool operator==(const Run&) const = default;
};
BOOST_DESCRIBE_STRUCT(Run, (),
                      (number, state, stage, spec, processes, main_exit, populated, ready, healthy, unhealthy,
                       was_ready, degraded, draining, cgroup, failed, killed, term_sent, restart_after, paused, frozen,
                       hold, let_go, container, deletion, start_reason, stop_reason, cause, started_at, state_since,
                       ready_at, started, stage_deadline, ready_probe_at, health_probe_at, probe_deadline, watchdog_at,
                       health_streak, probe, step, log_key, notify_key, status_text, error_number, watchdog, sessions,
                       started_event, ready_event, signal, ended_by, probe_failure, stop_failures, reload))

// The condition `ready`: it came up, and its health does not speak against it.
inline bool is_ready(const Run& run) {
    return run.ready && !run.unhealthy;
}

// One line of a service's past, for `status NAME` and `why`.
struct PastRun {
    RunNumber number;
    Wall started_at{}, ended_at{};
    Reason reason = Reason::none;
    std::string cause;
    Box<ExitStatus> exit;
    Rare<std::string> failures;  // Run::stop_failures
    bool operator==(const PastRun&) const = default;
};
BOOST_DESCRIBE_STRUCT(PastRun, (), (number, started_at, ended_at, reason, cause, exit, failures))

struct Service {
    std::string name;
    std::uint64_t spec = 0;  // hash of the newest specification
    Want want = Want::down;
    Reason want_reason = Reason::none;
    std::string want_cause;
    bool enabled = true;       // autostart, after enable/disable
    bool held = false;         // a manual stop: stays down until a manual start
    bool removed = false;      // forgotten as soon as its last run has ended
    bool dynamic = false;      // defined at run time by `add`: a reloaded configuration does not forget it
    bool create_only = false;  // wanted up to `created` and not beyond, until somebody starts it
    State state = State::inactive;
    Wall since{};
    RunNumber last_run;
    std::vector<Run> runs;  // usually one; the newest is the last
    Box<ExitStatus> last_exit;
    Reason last_reason = Reason::none;
    Rare<std::string> last_cause;
    std::uint64_t restarts = 0;      // automatic ones since the last manual start
    std::uint32_t backoff_step = 0;  // consecutive unhealthy ends
    Duration backoff_delay{};        // as drawn, with jitter
    std::optional<Mono> backoff_until;
    Rare<std::vector<Boot>> restart_times;  // within the limit's window
    Rare<std::vector<PastRun>> past;
    Rare<std::vector<StoredDescriptor>> stored;  // oldest first
    EventId last_event;                          // about this service
    EventId wish_event;                          // the newest of the instance when the present wish was made
    Rare<std::string> last_failures;             // Run::stop_failures of the last run
    bool operator==(const Service&) const = default;
};
BOOST_DESCRIBE_STRUCT(Service, (),
                      (name, spec, want, want_reason, want_cause, enabled, held, removed, dynamic, create_only, state,
                       since, last_run, runs, last_exit, last_reason, last_cause, restarts, backoff_step, backoff_delay,
                       backoff_until, restart_times, past, stored, last_event, wish_event, last_failures))

BOOST_DEFINE_ENUM_CLASS(Verb, start, stop, restart, reload, kill, force_destroy, pause, unpause, enable, disable, apply,
                        remove, shutdown, cancel, upgrade, upgrade_anchor, emit, create)
BOOST_DEFINE_ENUM_CLASS(Permission, none, read, read_logs, operate, administer)

// Who asks, by the kernel's word.
struct Requester {
    std::uint32_t uid = 0, gid = 0;
    std::int32_t pid = 0;
    Permission permission = Permission::none;
    bool operator==(const Requester&) const = default;
};
BOOST_DESCRIBE_STRUCT(Requester, (), (uid, gid, pid, permission))

BOOST_DEFINE_ENUM_CLASS(Outcome, pending, done, failed, not_found, refused, not_permitted, timed_out, cancelled,
                        rolled_back)
struct TargetResult {
    std::string name;
    Outcome outcome = Outcome::pending;
    RunNumber run;       // the run the operation waits for; for restart, the one that must be newer
    std::string detail;  // one line
    bool operator==(const TargetResult&) const = default;
};
BOOST_DESCRIBE_STRUCT(TargetResult, (), (name, outcome, run, detail))

// A request that takes time; joining one is waiting for the same object.
struct Operation {
    OperationId id;
    Verb verb = Verb::start;
    Requester requester;
    std::vector<TargetResult> targets;
    Wall asked_at{}, ended_at{};
    std::optional<Mono> deadline;
    Outcome outcome = Outcome::pending;
    std::string detail;
    std::string ticket;  // what the asker calls it, so that it can be asked for again; may be empty
    bool operator==(const Operation&) const = default;
};
BOOST_DESCRIBE_STRUCT(Operation, (),
                      (id, verb, requester, targets, asked_at, ended_at, deadline, outcome, detail, ticket))

// An upgrade that was asked of managers that could only rescue, and what became of it, as far as they know.
struct RescueUpgrade {
    Operation operation;                 // pending; the program stands in its detail
    Outcome outcome = Outcome::pending;  // pending: the anchor knows
    std::string detail;
    bool operator==(const RescueUpgrade&) const = default;
};
BOOST_DESCRIBE_STRUCT(RescueUpgrade, (), (operation, outcome, detail))

// What became of the last upgrade that was begun, whichever manager tells of it.
struct UpgradeResult {
    bool anchor = false;  // of the anchor's program, not of the manager's
    std::string program;
    Outcome outcome = Outcome::pending;
    std::string detail;
    Wall ended_at{};
    bool operator==(const UpgradeResult&) const = default;
};
BOOST_DESCRIBE_STRUCT(UpgradeResult, (), (anchor, program, outcome, detail, ended_at))

// Facts of the instance as a whole.
struct Instance {
    InstanceSpec spec;
    std::uint64_t configuration = 0;  // counts accepted configurations
    bool shutting_down = false;
    std::optional<Mono> shutdown_deadline;
    std::int32_t exit_status = 0;  // of the instance, by an essential service
    bool ended = false;            // out::EndInstance was given
    SpawnId last_spawn;
    OperationId last_operation;
    EventId last_event;
    std::uint64_t last_probe = 0;
    std::uint64_t random = 0x9e3779b97f4a7c15;  // state of the generator that draws jitter
    std::uint64_t strays = 0;                   // inputs about a past run, or out of place: counted and dropped
    std::string stream;                         // of the event log; empty: the first one of the instance
    EventId reserved_events;                    // no other life of the instance uses ids up to this one
    EventId begun_event, stopping_event;        // of the supervisor: the causes of every start and stop by it
    std::optional<UpgradeResult> last_upgrade;
    SignalId last_signal;
    bool operator==(const Instance&) const = default;
};
BOOST_DESCRIBE_STRUCT(Instance, (),
                      (spec, configuration, shutting_down, shutdown_deadline, exit_status, ended, last_spawn,
                       last_operation, last_event, last_probe, random, strays, stream, reserved_events, begun_event,
                       stopping_event, last_upgrade, last_signal))

}  // namespace abide::model
