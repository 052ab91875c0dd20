// model/spec.hpp -- what a service should be: the meaning of abide.toml, after parsing and before policy.
//
// Plain values, bounded by config/, compared member by member (reload-config restarts only what differs).  A member's
// default is the documented default of its key; the codec omits members that equal their default, so absence means it.
// Every struct lists its members with BOOST_DESCRIBE_STRUCT; the codec refuses to compile when one is missing.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/box.hpp"
#include "base/rare.hpp"
#include "base/time.hpp"

namespace abide::model {

BOOST_DEFINE_ENUM_CLASS(Kind, service, task, group, timer)

// An argument vector.  `${NAME}` and `${NAME:-default}` are expanded from the run's environment when it is spawned.
struct Command {
    std::vector<std::string> argv;
    bool operator==(const Command&) const = default;
};
BOOST_DESCRIBE_STRUCT(Command, (), (argv))

struct Variable {
    std::string name, value;
    bool operator==(const Variable&) const = default;
};
BOOST_DESCRIBE_STRUCT(Variable, (), (name, value))

// requires: pulls up, must succeed.  wants: pulls up, may fail.  binds_to: requires, and stops with it whatever the
// reason. part_of: stops and restarts with it.  after/before: order only.  conflicts: never up together.
BOOST_DEFINE_ENUM_CLASS(Relation, requires_, wants, binds_to, part_of, after, before, conflicts)
// What the dependent waits for.  completed: ended in any way; succeeded: ended with a status in success-exit; none:
// nothing.
BOOST_DEFINE_ENUM_CLASS(Await, ready, none, started, healthy, completed, succeeded)
// What the dependent does when what it awaited is lost again (readiness withdrawn, health failed, process restarted).
BOOST_DEFINE_ENUM_CLASS(OnLoss, ignore, stop, restart, reload, pause)

struct Dependency {
    Relation relation = Relation::requires_;
    std::string target;  // a full service name (a provided name is resolved to its provider by config/)
    Await await = Await::ready;
    OnLoss on_loss = OnLoss::ignore;
    bool operator==(const Dependency&) const = default;
};
BOOST_DESCRIBE_STRUCT(Dependency, (), (relation, target, await, on_loss))

BOOST_DEFINE_ENUM_CLASS(ProbeKind, exec_success, notify, fd, tcp, unix_, http, exec, log, pidfile, delay)

// One way to learn that a service is ready or healthy.
struct Probe {
    ProbeKind kind = ProbeKind::exec_success;
    std::string target;  // tcp: HOST:PORT; unix_, pidfile: path; http: URL; log: pattern
    Command command;     // exec
    std::int32_t fd = -1;
    Duration delay{};
    bool operator==(const Probe&) const = default;
};
BOOST_DESCRIBE_STRUCT(Probe, (), (kind, target, command, fd, delay))

struct ReadySpec {
    Probe probe;
    Duration timeout = seconds(60);
    Duration every = milliseconds(100);  // period of a polled probe (tcp, unix, http, exec, pidfile)
    bool operator==(const ReadySpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(ReadySpec, (), (probe, timeout, every))

BOOST_DEFINE_ENUM_CLASS(HealthAction, restart, stop, none)
struct HealthSpec {
    Probe probe;
    Duration every = seconds(10);
    Duration timeout = seconds(1);
    Duration delay{};             // before the first check, counted from ready
    std::uint32_t failures = 3;   // in a row, until unhealthy
    std::uint32_t successes = 1;  // in a row, until healthy again
    HealthAction action = HealthAction::restart;
    bool operator==(const HealthSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(HealthSpec, (), (probe, every, timeout, delay, failures, successes, action))

BOOST_DEFINE_ENUM_CLASS(StopScope, all, main, mixed)  // mixed: the signal to main, the final kill to all
BOOST_DEFINE_ENUM_CLASS(StopFinal, kill, never)       // never: wait, raise an alarm, and never kill
struct StopSpec {
    std::int32_t signal = 15;
    Duration timeout = seconds(10);
    StopFinal final_ = StopFinal::kill;
    StopScope scope = StopScope::all;
    Command command;
    bool operator==(const StopSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(StopSpec, (), (signal, timeout, final_, scope, command))

BOOST_DEFINE_ENUM_CLASS(RestartPolicy, on_failure, never, always)

// An exit code or a signal.
struct ExitMatch {
    bool is_signal = false;
    std::int32_t value = 0;
    bool operator==(const ExitMatch&) const = default;
};
BOOST_DESCRIBE_STRUCT(ExitMatch, (), (is_signal, value))

// Fractions are in thousandths: the core has no floating point.
struct RestartSpec {
    Duration min = milliseconds(100);
    Duration max = seconds(30);
    std::uint32_t factor_milli = 2000;
    std::uint32_t jitter_milli = 200;
    Duration reset_after = seconds(60);
    std::uint32_t limit_count = 10;  // 0: no limit
    Duration limit_within = seconds(60);
    std::vector<ExitMatch> prevent;  // never restart after these
    std::vector<ExitMatch> force;    // always restart after these
    bool operator==(const RestartSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(RestartSpec, (),
                      (min, max, factor_milli, jitter_milli, reset_after, limit_count, limit_within, prevent, force))

struct ReloadSpec {
    std::int32_t signal = 0;  // 0: none
    Command command;
    Duration timeout = seconds(60);
    bool operator==(const ReloadSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(ReloadSpec, (), (signal, command, timeout))

// Names are looked up in /etc/passwd and /etc/group by the manager when a run starts; numbers are taken as they are.
struct Identity {
    std::string user, group;
    std::vector<std::string> groups;
    bool operator==(const Identity&) const = default;
};
BOOST_DESCRIBE_STRUCT(Identity, (), (user, group, groups))

// One resource limit (setrlimit(2)): the number of RLIMIT_*, and both values.  UINT64_MAX is "unlimited".
struct ResourceLimit {
    std::int32_t resource = 0;
    std::uint64_t soft = 0, hard = 0;
    bool operator==(const ResourceLimit&) const = default;
};
BOOST_DESCRIBE_STRUCT(ResourceLimit, (), (resource, soft, hard))

struct Limits {
    std::vector<ResourceLimit> resources;
    std::uint64_t memory_max = 0, memory_high = 0;  // bytes; 0: not set
    std::uint64_t pids_max = 0;
    std::uint64_t cpu_weight = 0;
    std::int32_t nice = 0;
    std::int32_t oom_score_adjust = 0;
    std::int32_t umask = -1;  // -1: inherited
    bool operator==(const Limits&) const = default;
};
BOOST_DESCRIBE_STRUCT(Limits, (),
                      (resources, memory_max, memory_high, pids_max, cpu_weight, nice, oom_score_adjust, umask))

// What of these is set in a control group, and where: keys and files are two names of one thing, and what stands before
// the file's dot is the controller that must be there.
struct CgroupLimit {
    std::string_view key, file;
    std::uint64_t value = 0;
};
inline std::vector<CgroupLimit> cgroup_limits(const Limits& limits) {
    std::vector<CgroupLimit> set;
    for (const CgroupLimit& one : {CgroupLimit{"memory-max", "memory.max", limits.memory_max},
                                   CgroupLimit{"memory-high", "memory.high", limits.memory_high},
                                   CgroupLimit{"pids-max", "pids.max", limits.pids_max},
                                   CgroupLimit{"cpu-weight", "cpu.weight", limits.cpu_weight}}) {
        if (one.value != 0) set.push_back(one);
    }
    return set;
}

struct Sandbox {
    bool no_new_privileges = false;
    bool private_tmp = false;
    std::vector<std::string> capabilities;  // the bounding and ambient set that remains; see keep_capabilities
    bool keep_capabilities = true;          // false: exactly `capabilities`
    bool operator==(const Sandbox&) const = default;
};
BOOST_DESCRIBE_STRUCT(Sandbox, (), (no_new_privileges, private_tmp, capabilities, keep_capabilities))

BOOST_DEFINE_ENUM_CLASS(LogMode, file, inherit, none)
struct LogSpec {
    LogMode mode = LogMode::file;
    std::uint64_t max_size = 10u << 20;  // bytes of one file
    std::uint32_t keep = 5;              // old files
    Duration max_age{};                  // 0: no rotation by age
    bool compress = true;                // old files
    bool operator==(const LogSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(LogSpec, (), (mode, max_size, keep, max_age, compress))

// A bundle (OCI runtime specification) that a runtime makes a container of, instead of a command.
struct Oci {
    std::string bundle;            // absolute
    std::string runtime = "crun";  // a program of the runtime's command line
    bool operator==(const Oci&) const = default;
};
BOOST_DESCRIBE_STRUCT(Oci, (), (bundle, runtime))

// A listening socket handed to the service (LISTEN_FDS).  address: "tcp:HOST:PORT", "udp:HOST:PORT", "unix:PATH".
struct SocketSpec {
    std::string name, address;
    std::int32_t backlog = 4096;
    std::int32_t mode = -1;  // permission bits of a unix socket; -1: by umask
    bool operator==(const SocketSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(SocketSpec, (), (name, address, backlog, mode))

// Commands around the main process.
struct Hooks {
    std::vector<Command> pre_start, post_start, pre_stop, post_stop;
    Duration timeout = seconds(60);  // of each command
    bool operator==(const Hooks&) const = default;
};
BOOST_DESCRIBE_STRUCT(Hooks, (), (pre_start, post_start, pre_stop, post_stop, timeout))

// Where the table of this service stands, for messages.
struct SourcePosition {
    std::string file;
    std::uint32_t line = 0, column = 0;
    bool operator==(const SourcePosition&) const = default;
};
BOOST_DESCRIBE_STRUCT(SourcePosition, (), (file, line, column))

struct ServiceSpec {
    std::string name;  // SCOPE/NAME@INSTANCE; the system scope is implied
    Kind kind = Kind::service;
    Command command;
    Rare<std::string> description;
    Rare<std::string> directory;  // absolute; empty: the instance's own
    Rare<std::vector<Variable>> environment;
    Rare<std::vector<Dependency>> dependencies;
    Rare<std::vector<std::string>> provides;
    Rare<std::vector<ExitMatch>> success_exit;  // besides code 0, and for services the stop signal
    Rare<std::vector<SocketSpec>> sockets;
    Box<Identity> identity;
    Box<Hooks> hooks;
    Box<ReadySpec> ready;
    Box<HealthSpec> health;
    Box<StopSpec> stop;
    Box<RestartSpec> restart_delay;
    Box<ReloadSpec> reload;
    Box<Limits> limits;
    Box<Sandbox> sandbox;
    Box<LogSpec> log;
    Box<Oci> oci;
    Duration watchdog{};             // 0: off; WATCHDOG=1 must come more often than this
    std::uint32_t fd_store_max = 0;  // descriptors kept for it from run to run (FDSTORE=1); 0: none
    RestartPolicy restart = RestartPolicy::on_failure;
    bool autostart = true;
    bool essential = false;
    bool is_template = false;
    SourcePosition source;
    bool operator==(const ServiceSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(ServiceSpec, (),
                      (name, kind, command, description, directory, environment, dependencies, provides, success_exit,
                       sockets, identity, hooks, ready, health, stop, restart_delay, reload, limits, sandbox, log, oci,
                       watchdog, fd_store_max, restart, autostart, essential, is_template, source))

// How much of the event log is kept.
struct EventsSpec {
    std::uint64_t max_size = 64u << 20;
    Duration max_age = seconds(7 * 86'400);  // 0: for ever
    bool operator==(const EventsSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(EventsSpec, (), (max_size, max_age))

// What is said of the instance as a whole.
struct InstanceSpec {
    std::string name;
    std::string directory;                   // absolute; services start here unless they say otherwise
    std::uint32_t parallel = 0;              // services starting at once; 0: no limit
    std::vector<std::string> read, operate;  // groups of [control]
    Box<EventsSpec> events;
    // Groups of [control] are let in, to the socket and the folder that it is in.
    [[nodiscard]] bool shared() const { return !read.empty() || !operate.empty(); }
    bool operator==(const InstanceSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(InstanceSpec, (), (name, directory, parallel, read, operate, events))

// A whole configuration: checked by config/, applied by the core all or nothing.
struct Configuration {
    InstanceSpec instance;
    std::vector<ServiceSpec> services;  // sorted by name
    bool operator==(const Configuration&) const = default;
};
BOOST_DESCRIBE_STRUCT(Configuration, (), (instance, services))

}  // namespace abide::model
