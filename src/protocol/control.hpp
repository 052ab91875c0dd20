// protocol/control.hpp -- the interface io.abide.Control: its methods, their parameters and replies as plain structs,
// and the JSON form of each.
//
// Owns names and shapes that scripts rely on (`abide status --json` prints ServiceStatus as it comes from here).  Knows
// no policy and no socket.  Invariant: what write() makes, read() takes; unknown members are ignored, a member of the
// wrong type is refused by its name, an absent one has the default that stands here.
//
// The server's way:   varlink::parse_call -> varlink::answer_service -> find_method -> permission ->
// read<XyzRequest>(parameters)
//                     -> ... -> varlink::build_reply(write(XyzReply{...}))   or   error_message(Error)
#pragma once

#include <boost/describe.hpp>
#include <boost/json.hpp>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/state.hpp"
#include "protocol/varlink.hpp"

namespace abide::control {

inline constexpr std::string_view kInterface = "io.abide.Control";
// The interface description (IDL) that GetInterfaceDescription answers; docs/io.abide.Control.varlink is the same text.
extern const std::string_view kDescription;

// Of the control socket and of the runtime folder.  Who may connect may ask; what he may do is decided by his
// credentials.  Root's services with a user of their own pass through the folder to their sockets.
constexpr int socket_mode(bool shared) {
    return shared ? 0666 : 0600;
}
constexpr std::uint32_t folder_mode(bool shared, std::uint32_t uid) {
    return shared || uid == 0 ? 0711 : 0700;
}

enum class Method {
    ping,
    status,
    why,
    where,
    operations,
    wait,
    generation,
    subscribe,  // read
    start,
    create,
    stop,
    restart,
    reload,
    kill,
    force_destroy,
    pause,
    unpause,
    cancel,  // operate
    enable,
    disable,
    down,
    apply,
    plan,
    remove,
    upgrade,
    vouch,
    state,
    emit,  // administer
};

struct MethodInfo {
    Method method;
    std::string_view name;         // the full one: "io.abide.Control.Start"
    model::Permission permission;  // the least that a caller needs
    bool streams;                  // sends progress replies when called with `more`
};
std::span<const MethodInfo> methods();
const MethodInfo& info(Method method);
const MethodInfo* find_method(std::string_view full_name);  // nullptr: MethodNotFound

// ---- requests
// Requests that may be repeated: with `request`, a name that the caller draws (up to 64 bytes), asking again with the
// same name is waiting for the operation of the first time.  So a caller that lost its connection asks again.
// ----------------------------------------------------------------------------------------------------------------

struct Nothing {};  // Ping, Where, Operations
BOOST_DESCRIBE_STRUCT(Nothing, (), ())

struct StatusRequest {
    std::vector<std::string> names;  // empty: all
    bool detail = false;             // with the `detail` member of each
};
BOOST_DESCRIBE_STRUCT(StatusRequest, (), (names, detail))

// Start, Create, Stop, Restart, Reload, ForceDestroy, Pause, Unpause.  Start with no names: all with autostart.
struct TargetsRequest {
    std::vector<std::string> names;
    std::optional<std::int64_t> timeout_ms;  // absent: none; 0: at once
    bool wait = true;                        // answer when the operation has ended, else when it has begun
    std::string request;                     // see Requests that may be repeated
};
BOOST_DESCRIBE_STRUCT(TargetsRequest, (), (names, timeout_ms, wait, request))

struct KillRequest {
    std::string name;
    std::string signal;  // a name or number as model::parse_signal takes it; empty: TERM
    bool whole_tree = false;
    std::string request;
};
BOOST_DESCRIBE_STRUCT(KillRequest, (), (name, signal, whole_tree, request))

struct NamesRequest {  // Enable, Disable, Remove
    std::vector<std::string> names;
    std::string request;
};
BOOST_DESCRIBE_STRUCT(NamesRequest, (), (names, request))

struct DownRequest {
    std::optional<std::int64_t> timeout_ms;  // then SIGKILL to what is left; absent: each service's own stop rules
    bool wait = true;                        // answer when all services are down
    std::string request;
};
BOOST_DESCRIBE_STRUCT(DownRequest, (), (timeout_ms, wait, request))

struct UpgradeRequest {
    std::string program;                       // its path
    std::optional<std::int64_t> probation_ms;  // absent: kProbationMs
    bool anchor = false;                       // the anchor's program, else the manager's
    bool wait = true;
    std::string request;
};
BOOST_DESCRIBE_STRUCT(UpgradeRequest, (), (program, probation_ms, anchor, wait, request))
inline constexpr std::int64_t kProbationMs = 60'000;

// The witness of an upgrade says that the new manager answers as it should; `final`: that it is to stay.
struct VouchRequest {
    std::int64_t operation = 0;
    bool final_ = false;
};
BOOST_DESCRIBE_STRUCT(VouchRequest, (), (operation, final_))

struct NameRequest {  // Why
    std::string name;
};
BOOST_DESCRIBE_STRUCT(NameRequest, (), (name))

struct ConfigurationRequest {   // Apply, Plan
    std::string configuration;  // a model::Configuration as JSON text, by model/codec.hpp
    bool dynamic = false;       // define or replace just these services, forget nothing (`add`)
    std::string request;        // Apply only
};
BOOST_DESCRIBE_STRUCT(ConfigurationRequest, (), (configuration, dynamic, request))

struct OperationRequest {  // Wait, Cancel
    std::int64_t operation = 0;
    std::optional<std::int64_t> timeout_ms;  // Wait only
};
BOOST_DESCRIBE_STRUCT(OperationRequest, (), (operation, timeout_ms))

struct SubscribeRequest {
    std::vector<std::string> types, services;  // alternatives each; empty: all
    std::optional<std::string> since;          // "start", a cursor, or a duration back; absent: from now on
    bool snapshot = false;                     // first the last event of each service; not with `since`
};
BOOST_DESCRIBE_STRUCT(SubscribeRequest, (), (types, services, since, snapshot))

struct EventField {
    std::string name, value;
    bool operator==(const EventField&) const = default;
};
BOOST_DESCRIBE_STRUCT(EventField, (), (name, value))

struct EmitRequest {
    std::string name;  // what follows "abide.user."
    std::vector<EventField> fields;
    std::string request;
};
BOOST_DESCRIBE_STRUCT(EmitRequest, (), (name, fields, request))

// ---- replies
// -----------------------------------------------------------------------------------------------------------------

struct Usage {
    std::int64_t user_us = 0, system_us = 0, max_rss_kib = 0;
    bool operator==(const Usage&) const = default;
};
BOOST_DESCRIBE_STRUCT(Usage, (), (user_us, system_us, max_rss_kib))

// JSON: {"code": 1 | "unknown"} or {"signal": "KILL"}, then core_dumped, oom if true, time, rusage.
struct LastExit {
    std::optional<std::int64_t> code;   // both absent: unknown
    std::optional<std::string> signal;  // its name, without SIG
    bool core_dumped = false;
    std::string time;
    Usage rusage;
    bool oom = false;  // killed by the kernel for lack of memory
    bool operator==(const LastExit&) const = default;
};

struct ProcessStatus {
    std::int64_t pid = 0;
    std::string role;   // "main", "pre-start", "health-probe", ...
    std::string state;  // "asked", "alive", "exited"
    bool adopted = false;
    bool operator==(const ProcessStatus&) const = default;
};
BOOST_DESCRIBE_STRUCT(ProcessStatus, (), (pid, role, state, adopted))

struct RunStatus {
    std::int64_t run = 0;
    std::string state, stage;
    std::string started, ready;  // times; empty: not yet
    std::string reason, cause;   // why it was started
    std::string stop_reason;     // "none" while nobody stops it
    std::string status_text;     // STATUS= of sd_notify
    std::int64_t error_number = 0;
    bool cgroup = false;
    std::vector<ProcessStatus> processes;
    bool operator==(const RunStatus&) const = default;
};
BOOST_DESCRIBE_STRUCT(RunStatus, (),
                      (run, state, stage, started, ready, reason, cause, stop_reason, status_text, error_number, cgroup,
                       processes))

struct PastRunStatus {
    std::int64_t run = 0;
    std::string started, ended, reason, cause;
    std::optional<LastExit> exit;
    bool operator==(const PastRunStatus&) const = default;
};
BOOST_DESCRIBE_STRUCT(PastRunStatus, (), (run, started, ended, reason, cause, exit))

struct DependencyStatus {
    std::string relation;  // "requires", "wants", "binds-to", "part-of", "after", "before", "conflicts"
    std::string target;
    std::string await;  // "ready", "started", "healthy", "completed", "succeeded", "none"
    bool operator==(const DependencyStatus&) const = default;
};
BOOST_DESCRIBE_STRUCT(DependencyStatus, (), (relation, target, await))

struct StatusDetail {
    std::vector<std::string> command;
    std::string directory;
    std::string source;  // FILE:LINE of its table
    std::vector<RunStatus> runs;
    std::vector<PastRunStatus> past;
    std::vector<DependencyStatus> dependencies;
    std::string want_reason, want_cause, last_reason, last_cause;
    bool enabled = true, held = false;
    bool operator==(const StatusDetail&) const = default;
};
BOOST_DESCRIBE_STRUCT(StatusDetail, (),
                      (command, directory, source, runs, past, dependencies, want_reason, want_cause, last_reason,
                       last_cause, enabled, held))

// One element of `abide status --json`, in this order of members.
struct ServiceStatus {
    std::string name, kind, state;
    std::optional<std::string> stage;     // "pre-start", "ready-wait", ...; null: none
    std::vector<std::string> conditions;  // of ready, healthy, unhealthy, degraded, draining, paused, held
    std::string want;                     // "up" or "down"
    std::optional<std::int64_t> pid, run;
    std::optional<std::string> since;
    std::int64_t restarts = 0;
    std::optional<LastExit> last_exit;
    std::vector<std::string> waiting_for;
    std::optional<std::string> revision;
    std::string description;
    std::optional<StatusDetail> detail;  // absent, not null, when it was not asked for
    bool operator==(const ServiceStatus&) const = default;
};

struct StatusReply {
    std::vector<ServiceStatus> services;
};
BOOST_DESCRIBE_STRUCT(StatusReply, (), (services))

struct TargetReply {
    std::string name, outcome;  // model::to_text of a model::Outcome: "pending", "done", "failed", "not-found", ...
    std::optional<std::int64_t> run;
    std::string detail;
    bool operator==(const TargetReply&) const = default;
};
BOOST_DESCRIBE_STRUCT(TargetReply, (), (name, outcome, run, detail))

// An operation: as it began, with `more` also as it goes on (outcome pending, `progress` says what it waits for), and
// as it ended.  An operation that failed is a reply with its outcome, not a Varlink error.
struct OperationReply {
    std::int64_t operation = 0;
    std::string verb, outcome, detail;
    std::vector<TargetReply> targets;
    std::vector<std::string> progress;  // lines for people
    bool operator==(const OperationReply&) const = default;
};
BOOST_DESCRIBE_STRUCT(OperationReply, (), (operation, verb, outcome, detail, targets, progress))

struct OperationsReply {
    std::vector<OperationReply> operations;
};
BOOST_DESCRIBE_STRUCT(OperationsReply, (), (operations))

struct WhyReply {
    std::vector<std::string> lines;
};
BOOST_DESCRIBE_STRUCT(WhyReply, (), (lines))

struct WhereReply {
    std::string configuration, runtime, control, events, log, apps;  // absolute paths
    std::int64_t anchor_pid = 0, manager_pid = 0, logger_pid = 0;    // 0: not running
    bool operator==(const WhereReply&) const = default;
};
BOOST_DESCRIBE_STRUCT(WhereReply, (),
                      (configuration, runtime, control, events, log, apps, anchor_pid, manager_pid, logger_pid))

struct Change {
    std::string name;    // of a service, or a table of the instance as a whole: "[control]"
    std::string change;  // "add", "remove", "restart" (it runs and must be restarted), "update" (takes effect without)
    std::string detail;  // which keys
    bool operator==(const Change&) const = default;
};
BOOST_DESCRIBE_STRUCT(Change, (), (name, change, detail))

struct ChangesReply {  // Plan, Apply
    std::vector<Change> changes;
    std::int64_t operation = 0;  // Apply: the operation that carries it out, already ended or not
    std::string outcome;         // Apply: "done" when accepted
    std::string detail;
    bool operator==(const ChangesReply&) const = default;
};
BOOST_DESCRIBE_STRUCT(ChangesReply, (), (changes, operation, outcome, detail))

struct PingReply {
    std::string version, instance;
    std::int64_t epoch = 0;  // counts managers of the instance
    bool shutting_down = false;
    bool operator==(const PingReply&) const = default;
};
BOOST_DESCRIBE_STRUCT(PingReply, (), (version, instance, epoch, shutting_down))

// The last upgrade that was begun and has ended; outcome as of an operation.
struct LastUpgrade {
    bool anchor = false;
    std::string program, outcome, detail, time;
    bool operator==(const LastUpgrade&) const = default;
};
BOOST_DESCRIBE_STRUCT(LastUpgrade, (), (anchor, program, outcome, detail, time))

struct GenerationReply {
    std::string version;
    std::string program;      // path of the manager's program, as the kernel knows it
    std::string identity;     // DEVICE:INODE of it
    std::int64_t format = 0;  // of the journal that it writes
    std::int64_t anchor_version = 0, anchor_execs = 0;
    std::int64_t epoch = 0;  // counts managers of the instance
    std::string reason;  // why this one was started: "first", "crashed", "killed", "hung", "upgraded", "rolled-back"
    std::int64_t last_swap_us = 0;  // from the end of the one before to ready; 0: the first
    std::string probation;          // of the last upgrade: "none", "pending", "committed", or how it failed
    std::int64_t swaps = 0, rollbacks = 0;
    std::vector<std::string> rederived;    // what the journal did not say and the kernel had to
    std::vector<std::string> unknown;      // what a newer version wrote, kept as it is
    std::vector<std::string> quarantined;  // what is left out because it made managers crash
    std::vector<std::string> problems;     // of the journal as it was read
    bool rescue = false;
    std::optional<LastUpgrade> last_upgrade;  // in a rescue nobody knows
    bool operator==(const GenerationReply&) const = default;
};
BOOST_DESCRIBE_STRUCT(GenerationReply, (),
                      (version, program, identity, format, anchor_version, anchor_execs, epoch, reason, last_swap_us,
                       probation, swaps, rollbacks, rederived, unknown, quarantined, problems, rescue, last_upgrade))

struct StateReply {
    std::string state;  // text, a fact a line; secrets are left out
};
BOOST_DESCRIBE_STRUCT(StateReply, (), (state))

// What a program that rehearses an upgrade prints: what it makes of a copy of the journal, and what it would do first.
struct RehearsalReport {
    std::string rehearsal;  // kRehearsal: it is a report at all
    std::string version;
    std::int64_t format = 0;
    bool refused = false;               // it can't go on from this journal
    std::vector<std::string> problems;  // why
    std::vector<ServiceStatus> services;
    std::vector<OperationReply> operations;
    std::vector<std::string> decisions;  // "spawn api main": what it would do at once
};
BOOST_DESCRIBE_STRUCT(RehearsalReport, (),
                      (rehearsal, version, format, refused, problems, services, operations, decisions))
inline constexpr std::string_view kRehearsal = "abide-rehearsal-1";
inline constexpr std::string_view kRehearse = "--rehearse";  // the word that asks a manager program for it

// ---- JSON
// --------------------------------------------------------------------------------------------------------------------

// Defined for every struct above.  write appends the text of a JSON object straight into a string: no tree is built,
// since a status of a thousand services must take microseconds each.  read's error is the name of the parameter that is
// wrong.
template <class T>
void write(std::string& out, const T& value);
template <class T>
std::string write(const T& value) {
    std::string out;
    write(out, value);
    return out;
}
template <class T>
std::expected<T, std::string> read(const boost::json::object& object);

// The message that answers Status, written a service at a time: a StatusReply of a thousand services is a megabyte that
// would be made only to be copied.
class StatusMessage {
  public:
    explicit StatusMessage(std::size_t services);  // about as many
    void add(const ServiceStatus& service);
    std::string finish() &&;

  private:
    std::string text_;
    bool first_ = true;
};

// ---- errors
// ------------------------------------------------------------------------------------------------------------------

inline constexpr std::string_view kNotFound = "io.abide.Control.NotFound";
inline constexpr std::string_view kNotPermitted = "io.abide.Control.NotPermitted";
inline constexpr std::string_view kRefused = "io.abide.Control.Refused";
inline constexpr std::string_view kFailed = "io.abide.Control.Failed";
inline constexpr std::string_view kTimedOut = "io.abide.Control.TimedOut";
inline constexpr std::string_view kShuttingDown = "io.abide.Control.ShuttingDown";

// The wire message of an error; the inverse takes a reply whose `error` is not empty, ours or org.varlink.service's.
std::string error_message(const Error& error);
std::string shutting_down_message();
Error error_of(const varlink::Reply& reply);

// ---- from the model
// ----------------------------------------------------------------------------------------------------------

ServiceStatus status_of(const model::Service& service, const model::ServiceSpec& spec,
                        std::vector<std::string> waiting_for);
// For `status NAME`; `spec` is the newest specification of the service, not that of its run.
StatusDetail detail_of(const model::Service& service, const model::ServiceSpec& spec);
OperationReply operation_of(const model::Operation& operation, std::vector<std::string> progress = {});
LastExit exit_of(const model::ExitStatus& status);
LastUpgrade upgrade_of(const model::UpgradeResult& result);

// The text of a model::Outcome back to the value; failed for what is unknown.
model::Outcome outcome_of(std::string_view text);

// RFC 3339 in UTC with nanoseconds, "2026-11-21T09:00:00.000123456Z"; empty for the zero instant.
std::string time_text(Wall time);
// The inverse, for any RFC 3339 text with Z or an offset and 0..9 digits of fraction.
std::optional<Wall> parse_time(std::string_view text);

}  // namespace abide::control
