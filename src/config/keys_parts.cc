// config/keys_parts.cc -- the rows of the tables inside a service: ready, health, stop, restart, limits and so on.
#include "config/tables.hpp"

namespace abide::config {

namespace {

using model::HealthSpec;
using model::Limits;
using model::LogSpec;
using model::Oci;
using model::ProbeKind;
using model::ReadySpec;
using model::ReloadSpec;
using model::ResourceLimit;
using model::RestartSpec;
using model::Sandbox;
using model::SocketSpec;
using model::StopSpec;

template <class T, ProbeKind K>
void probe(Reader& reader, const KeyInfo& key, const Value& value, T& target) {
    read_probe(reader, key, value, target.probe, K);
}

template <std::int32_t Resource>
void resource(Reader& reader, const KeyInfo& key, const Value& value, Limits& target) {
    read_resource(reader, key, value, target, Resource);
}

// Numbers of RLIMIT_* (setrlimit(2), the generic ones of Linux): a specification must mean the same wherever it is
// read.
enum : std::int32_t {
    kCpu,
    kFsize,
    kData,
    kStack,
    kCore,
    kRss,
    kNproc,
    kNofile,
    kMemlock,
    kAs,
    kLocks,
    kSigpending,
    kMsgqueue,
    kNiceLimit,
    kRtprio,
    kRttime
};

constexpr std::int64_t kMany = INT32_MAX;

constexpr Key<model::Dependency> kDependency[] = {
    {{.name = "service", .shape = Shape::name, .doc = "The service.", .required = true},
     [](Reader&, const KeyInfo&, const Value&, model::Dependency&) {}},
    {{.name = "for",
      .shape = Shape::choice,
      .fallback = "\"ready\"",
      .doc = "What is waited for. `completed`: ended in any way; `succeeded`: ended well; `none`: nothing, it is only "
             "started too.",
      .choices = "ready|none|started|healthy|completed|succeeded"},
     into<model::Dependency, &model::Dependency::await>},
    {{.name = "on-loss",
      .shape = Shape::choice,
      .fallback = "\"ignore\"",
      .doc =
          "What to do when what was waited for is lost again: `ready` and `healthy` also by a failed health check of a "
          "service that lives on.",
      .choices = "ignore|stop|restart|reload|pause"},
     into<model::Dependency, &model::Dependency::on_loss>},
};

// No name service is asked: it might block.
constexpr const char* kTcpDoc =
    "Something accepts connections at HOST:PORT. HOST is a number or a name in /etc/hosts: no name service is asked.";
constexpr const char* kHttpDoc =
    "This http:// URL answers with a status from 200 to 399. Its host is a number or a name in /etc/hosts.";

constexpr Key<ReadySpec> kReady[] = {
    {{.name = "notify", .shape = Shape::flag, .doc = "The service sends READY=1 (sd_notify)."},
     probe<ReadySpec, ProbeKind::notify>},
    {{.name = "fd",
      .shape = Shape::integer,
      .doc = "The service writes a line end to this descriptor, as for s6.",
      .min = 3,
      .max = 1023},
     probe<ReadySpec, ProbeKind::fd>},
    {{.name = "tcp", .shape = Shape::text, .doc = kTcpDoc}, probe<ReadySpec, ProbeKind::tcp>},
    {{.name = "unix", .shape = Shape::path, .doc = "Something accepts connections at this socket."},
     probe<ReadySpec, ProbeKind::unix_>},
    {{.name = "http", .shape = Shape::text, .doc = kHttpDoc}, probe<ReadySpec, ProbeKind::http>},
    {{.name = "exec", .shape = Shape::command, .doc = "This command ends with status 0."},
     probe<ReadySpec, ProbeKind::exec>},
    {{.name = "log", .shape = Shape::text, .doc = "A line of the output matches this pattern."},
     probe<ReadySpec, ProbeKind::log>},
    {{.name = "pidfile",
      .shape = Shape::path,
      .doc = "This regular file (no symbolic link) names the main process (a daemon that forks)."},
     probe<ReadySpec, ProbeKind::pidfile>},
    {{.name = "delay", .shape = Shape::duration, .doc = "It still runs after this time."},
     probe<ReadySpec, ProbeKind::delay>},
    {{.name = "timeout",
      .shape = Shape::duration,
      .fallback = "\"1m\"",
      .doc = "Not ready by then is a failed start.",
      .positive = true},
     into<ReadySpec, &ReadySpec::timeout>},
    {{.name = "every",
      .shape = Shape::duration,
      .fallback = "\"100ms\"",
      .doc = "How often tcp, unix, http, exec and pidfile are tried.",
      .positive = true},
     into<ReadySpec, &ReadySpec::every>},
};

constexpr Key<HealthSpec> kHealth[] = {
    {{.name = "tcp", .shape = Shape::text, .doc = kTcpDoc}, probe<HealthSpec, ProbeKind::tcp>},
    {{.name = "unix", .shape = Shape::path, .doc = "Something accepts connections at this socket."},
     probe<HealthSpec, ProbeKind::unix_>},
    {{.name = "http", .shape = Shape::text, .doc = kHttpDoc}, probe<HealthSpec, ProbeKind::http>},
    {{.name = "exec", .shape = Shape::command, .doc = "This command ends with status 0."},
     probe<HealthSpec, ProbeKind::exec>},
    {{.name = "every",
      .shape = Shape::duration,
      .fallback = "\"10s\"",
      .doc = "From the end of one check to the next.",
      .positive = true},
     into<HealthSpec, &HealthSpec::every>},
    {{.name = "timeout",
      .shape = Shape::duration,
      .fallback = "\"1s\"",
      .doc = "A check that takes longer has failed.",
      .positive = true},
     into<HealthSpec, &HealthSpec::timeout>},
    {{.name = "delay",
      .shape = Shape::duration,
      .fallback = "\"0\"",
      .doc = "Before the first check, counted from ready."},
     into<HealthSpec, &HealthSpec::delay>},
    {{.name = "failures",
      .shape = Shape::integer,
      .fallback = "3",
      .doc = "In a row, until it is unhealthy.",
      .min = 1,
      .max = kMany},
     into<HealthSpec, &HealthSpec::failures>},
    {{.name = "successes",
      .shape = Shape::integer,
      .fallback = "1",
      .doc = "In a row, until it is healthy again.",
      .min = 1,
      .max = kMany},
     into<HealthSpec, &HealthSpec::successes>},
    {{.name = "action",
      .shape = Shape::choice,
      .fallback = "\"restart\"",
      .doc = "What is done when it is unhealthy. With `none` it runs on, and is not ready until a check succeeds.",
      .choices = "restart|stop|none"},
     into<HealthSpec, &HealthSpec::action>},
};

constexpr Key<StopSpec> kStop[] = {
    {{.name = "signal", .shape = Shape::signal, .fallback = "\"TERM\"", .doc = "The signal that asks it to end."},
     into<StopSpec, &StopSpec::signal>},
    {{.name = "command", .shape = Shape::command, .doc = "A command that asks it to end, before the signal."},
     into<StopSpec, &StopSpec::command>},
    {{.name = "timeout",
      .shape = Shape::duration,
      .fallback = "\"10s\"",
      .doc = "How long it may take after the signal."},
     into<StopSpec, &StopSpec::timeout>},
    {{.name = "final",
      .shape = Shape::choice,
      .fallback = "\"kill\"",
      .doc = "After that: `kill`, or `never` kill but wait and raise an alarm.",
      .choices = "kill|never"},
     into<StopSpec, &StopSpec::final_>},
    {{.name = "scope",
      .shape = Shape::choice,
      .fallback = "\"all\"",
      .doc = "Who gets the signal and the kill: `all` processes, the `main` one, or `mixed`: the signal to main, the "
             "kill to all.",
      .choices = "all|main|mixed"},
     into<StopSpec, &StopSpec::scope>},
};

constexpr Key<ReloadSpec> kReload[] = {
    {{.name = "signal",
      .shape = Shape::signal,
      .doc = "A signal to the main process. With `ready.notify`, a RELOADING=1 within 500 ms of it is waited for, and "
             "then its READY=1."},
     into<ReloadSpec, &ReloadSpec::signal>},
    {{.name = "command", .shape = Shape::command, .doc = "Or a command."}, into<ReloadSpec, &ReloadSpec::command>},
    {{.name = "timeout",
      .shape = Shape::duration,
      .fallback = "\"1m\"",
      .doc = "A reload that takes longer has failed.",
      .positive = true},
     into<ReloadSpec, &ReloadSpec::timeout>},
};

constexpr Key<Oci> kOci[] = {
    {{.name = "bundle",
      .shape = Shape::path,
      .doc = "The folder of the bundle (config.json and a root file system), relative to the project.",
      .required = true},
     [](Reader& r, const KeyInfo& k, const Value& v, Oci& t) {
         static_cast<void>(r.read_instance_text(k, v, t.bundle));
     }},
    {{.name = "runtime",
      .shape = Shape::path,
      .fallback = "\"crun\"",
      .doc = "The runtime, by name or path: `crun`, `runc`, or another one with the same words."},
     into<Oci, &Oci::runtime>},
};

constexpr Key<RestartSpec> kRestartDelay[] = {
    {{.name = "min", .shape = Shape::duration, .fallback = "\"100ms\"", .doc = "The first delay that isn't zero."},
     into<RestartSpec, &RestartSpec::min>},
    {{.name = "max", .shape = Shape::duration, .fallback = "\"30s\"", .doc = "No delay is longer."},
     into<RestartSpec, &RestartSpec::max>},
    {{.name = "factor",
      .shape = Shape::number,
      .fallback = "2",
      .doc = "Each delay is this many times the one before.",
      .min = 1,
      .max = 100},
     [](Reader& r, const KeyInfo& k, const Value& v, RestartSpec& t) { r.read_milli(k, v, t.factor_milli); }},
    {{.name = "jitter",
      .shape = Shape::number,
      .fallback = "0.2",
      .doc = "The part of a delay that is left to chance.",
      .min = 0,
      .max = 1},
     [](Reader& r, const KeyInfo& k, const Value& v, RestartSpec& t) { r.read_milli(k, v, t.jitter_milli); }},
    {{.name = "reset-after",
      .shape = Shape::duration,
      .fallback = "\"1m\"",
      .doc = "A run that was up for this long starts the delays and the count anew."},
     into<RestartSpec, &RestartSpec::reset_after>},
};

constexpr Key<RestartSpec> kRestartLimit[] = {
    {{.name = "count",
      .shape = Shape::integer,
      .fallback = "10",
      .doc = "So many restarts; 0 is no limit.",
      .max = 10000},
     into<RestartSpec, &RestartSpec::limit_count>},
    {{.name = "within", .shape = Shape::duration, .fallback = "\"1m\"", .doc = "In this time.", .positive = true},
     into<RestartSpec, &RestartSpec::limit_within>},
};

constexpr Key<Limits> kLimits[] = {
    {{.name = "nofile", .shape = Shape::rlimit, .doc = "Open descriptors.", .table = "rlimit"}, resource<kNofile>},
    {{.name = "nproc", .shape = Shape::rlimit, .doc = "Processes of the user.", .table = "rlimit"}, resource<kNproc>},
    {{.name = "core", .shape = Shape::rlimit, .doc = "Size of a core dump.", .table = "rlimit"}, resource<kCore>},
    {{.name = "memlock", .shape = Shape::rlimit, .doc = "Locked memory.", .table = "rlimit"}, resource<kMemlock>},
    {{.name = "stack", .shape = Shape::rlimit, .doc = "Size of the stack.", .table = "rlimit"}, resource<kStack>},
    {{.name = "as", .shape = Shape::rlimit, .doc = "Address space.", .table = "rlimit"}, resource<kAs>},
    {{.name = "data", .shape = Shape::rlimit, .doc = "Data segment.", .table = "rlimit"}, resource<kData>},
    {{.name = "fsize", .shape = Shape::rlimit, .doc = "Size of a file.", .table = "rlimit"}, resource<kFsize>},
    {{.name = "rss", .shape = Shape::rlimit, .doc = "Resident set (without effect on Linux).", .table = "rlimit"},
     resource<kRss>},
    {{.name = "cpu", .shape = Shape::rlimit, .doc = "Seconds of processor time.", .table = "rlimit"}, resource<kCpu>},
    {{.name = "locks", .shape = Shape::rlimit, .doc = "File locks.", .table = "rlimit"}, resource<kLocks>},
    {{.name = "sigpending", .shape = Shape::rlimit, .doc = "Queued signals.", .table = "rlimit"},
     resource<kSigpending>},
    {{.name = "msgqueue", .shape = Shape::rlimit, .doc = "Bytes of POSIX message queues.", .table = "rlimit"},
     resource<kMsgqueue>},
    {{.name = "rtprio", .shape = Shape::rlimit, .doc = "Real-time priority.", .table = "rlimit"}, resource<kRtprio>},
    {{.name = "rttime", .shape = Shape::rlimit, .doc = "Microseconds of real-time processor time.", .table = "rlimit"},
     resource<kRttime>},
    {{.name = "memory-max",
      .shape = Shape::size,
      .doc = "Memory of all its processes; beyond it they are killed (cgroup).",
      .positive = true},
     into<Limits, &Limits::memory_max>},
    {{.name = "memory-high",
      .shape = Shape::size,
      .doc = "Memory beyond which they are slowed down (cgroup).",
      .positive = true},
     into<Limits, &Limits::memory_high>},
    {{.name = "pids-max", .shape = Shape::integer, .doc = "Processes and threads (cgroup).", .min = 1, .max = 4194304},
     into<Limits, &Limits::pids_max>},
    {{.name = "cpu-weight",
      .shape = Shape::integer,
      .doc = "Share of the processor; 100 is usual (cgroup).",
      .min = 1,
      .max = 10000},
     into<Limits, &Limits::cpu_weight>},
    {{.name = "nice", .shape = Shape::integer, .fallback = "0", .doc = "Scheduling priority.", .min = -20, .max = 19},
     into<Limits, &Limits::nice>},
    {{.name = "oom-score-adjust",
      .shape = Shape::integer,
      .fallback = "0",
      .doc = "How readily the kernel kills it when memory runs out.",
      .min = -1000,
      .max = 1000},
     into<Limits, &Limits::oom_score_adjust>},
    {{.name = "umask",
      .shape = Shape::octal,
      .doc = "Permission bits that new files don't get, such as \"027\".",
      .max = 0777},
     into<Limits, &Limits::umask>},
};

constexpr Key<ResourceLimit> kResource[] = {
    {{.name = "soft", .shape = Shape::rlimit, .doc = "The limit that holds.", .required = true},
     [](Reader&, const KeyInfo&, const Value&, ResourceLimit&) {}},
    {{.name = "hard", .shape = Shape::rlimit, .doc = "How far the service may raise it.", .required = true},
     [](Reader&, const KeyInfo&, const Value&, ResourceLimit&) {}},
};

constexpr Key<Sandbox> kSandbox[] = {
    {{.name = "no-new-privileges", .shape = Shape::flag, .fallback = "false", .doc = "No exec gives it more rights."},
     into<Sandbox, &Sandbox::no_new_privileges>},
    {{.name = "private-tmp", .shape = Shape::flag, .fallback = "false", .doc = "A /tmp and /var/tmp of its own."},
     into<Sandbox, &Sandbox::private_tmp>},
    {{.name = "capabilities",
      .shape = Shape::capabilities,
      .doc = "Exactly these remain, such as [\"CAP_NET_BIND_SERVICE\"]; by default all."},
     [](Reader& r, const KeyInfo& k, const Value& v, Sandbox& t) {
         r.read(k, v, t.capabilities);
         t.keep_capabilities = false;
     }},
};

constexpr Key<LogSpec> kLog[] = {
    {{.name = "max-size",
      .shape = Shape::size,
      .fallback = "\"10M\"",
      .doc = "A file that has grown to this is rotated.",
      .positive = true},
     into<LogSpec, &LogSpec::max_size>},
    {{.name = "keep", .shape = Shape::integer, .fallback = "5", .doc = "So many old files are kept.", .max = 10000},
     into<LogSpec, &LogSpec::keep>},
    {{.name = "max-age",
      .shape = Shape::duration,
      .fallback = "\"0\"",
      .doc = "A file this old is rotated; 0 is never."},
     into<LogSpec, &LogSpec::max_age>},
    {{.name = "compress", .shape = Shape::flag, .fallback = "true", .doc = "Old files are compressed."},
     into<LogSpec, &LogSpec::compress>},
};

constexpr Key<SocketSpec> kSocket[] = {
    {{.name = "name", .shape = Shape::name, .doc = "What LISTEN_FDNAMES calls it; by default the service's name."},
     into<SocketSpec, &SocketSpec::name>},
    {{.name = "listen",
      .shape = Shape::text,
      .doc = "`tcp:HOST:PORT`, `udp:HOST:PORT` or `unix:PATH`.",
      .required = true},
     [](Reader& r, const KeyInfo& k, const Value& v, SocketSpec& t) { r.read_expandable(k, v, t.address); }},
    {{.name = "backlog",
      .shape = Shape::integer,
      .fallback = "4096",
      .doc = "Connections that may wait to be accepted.",
      .min = 1,
      .max = kMany},
     into<SocketSpec, &SocketSpec::backlog>},
    {{.name = "mode",
      .shape = Shape::octal,
      .doc = "Permission bits of a unix socket, such as \"0660\"; by default by umask.",
      .max = 0777},
     into<SocketSpec, &SocketSpec::mode>},
};

}  // namespace

constinit const std::span<const Key<model::Dependency>> kDependencyKeys = kDependency;
constinit const std::span<const Key<ReadySpec>> kReadyKeys = kReady;
constinit const std::span<const Key<HealthSpec>> kHealthKeys = kHealth;
constinit const std::span<const Key<StopSpec>> kStopKeys = kStop;
constinit const std::span<const Key<ReloadSpec>> kReloadKeys = kReload;
constinit const std::span<const Key<RestartSpec>> kRestartDelayKeys = kRestartDelay;
constinit const std::span<const Key<RestartSpec>> kRestartLimitKeys = kRestartLimit;
constinit const std::span<const Key<Limits>> kLimitKeys = kLimits;
constinit const std::span<const Key<ResourceLimit>> kResourceKeys = kResource;
constinit const std::span<const Key<Sandbox>> kSandboxKeys = kSandbox;
constinit const std::span<const Key<LogSpec>> kLogKeys = kLog;
constinit const std::span<const Key<SocketSpec>> kSocketKeys = kSocket;
constinit const std::span<const Key<Oci>> kOciKeys = kOci;

}  // namespace abide::config
