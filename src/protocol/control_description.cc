// protocol/control_description.cc -- the interface description that GetInterfaceDescription answers.  A test keeps it
// equal to docs/io.abide.Control.varlink.
#include "protocol/control.hpp"

namespace abide::control {

const std::string_view kDescription =
    R"varlink(# Control of one Abide instance, on the socket `control` of its runtime folder.
#
# Calls on one connection are answered in order: a client opens a connection for each call that waits.  What a caller
# needs is written at each method: read, operate or administer (docs/reference.md says who has it).  Times are RFC 3339
# in UTC.
interface io.abide.Control

type Usage (user_us: int, system_us: int, max_rss_kib: int)

type Process (pid: int, role: string, state: string, adopted: bool)

type Run (
  run: int,
  state: string,
  stage: string,
  started: string,
  ready: string,
  reason: string,
  cause: string,
  stop_reason: string,
  status_text: string,
  error_number: int,
  cgroup: bool,
  processes: []Process
)

# exit: see Service.last_exit.
type PastRun (run: int, started: string, ended: string, reason: string, cause: string, exit: ?object)

type Dependency (relation: string, target: string, await: string)

type Detail (
  command: []string,
  directory: string,
  source: string,
  runs: []Run,
  past: []PastRun,
  dependencies: []Dependency,
  want_reason: string,
  want_cause: string,
  last_reason: string,
  last_cause: string,
  enabled: bool,
  held: bool
)

# state: inactive, waiting, created, starting, running, reloading, stopping, backoff, completed, failed or paused.
# last_exit: {"code": int or "unknown"} or {"signal": string}, and core_dumped: bool, time: string, rusage: Usage;
# oom: true where the kernel killed it for lack of memory.
type Service (
  name: string,
  kind: string,
  state: string,
  stage: ?string,
  conditions: []string,
  want: string,
  pid: ?int,
  run: ?int,
  since: ?string,
  restarts: int,
  last_exit: ?object,
  waiting_for: []string,
  revision: ?string,
  description: string,
  detail: ?Detail
)

# outcome: pending, done, failed, not-found, refused, not-permitted, timed-out or cancelled or rolled-back.
type Target (name: string, outcome: string, run: ?int, detail: string)

type Operation (
  operation: int,
  verb: string,
  outcome: string,
  detail: string,
  targets: []Target,
  progress: []string
)

# name: a service, or a table of the instance as a whole ([control]).  change: add, remove, restart or update.
type Change (name: string, change: string, detail: string)

# read.  Answers when the manager works.
method Ping() -> (version: string, instance: string, epoch: int, shutting_down: bool)

# read.  No names: all services, sorted.
method Status(names: ?[]string, detail: ?bool) -> (services: []Service)

# read.  The chain of causes, a line each.
method Why(name: string) -> (lines: []string)

# read.  Where the instance lives, and its own processes; 0: not running.
method Where() -> (
  configuration: string,
  runtime: string,
  control: string,
  events: string,
  log: string,
  apps: string,
  anchor_pid: int,
  manager_pid: int,
  logger_pid: int
)

# read.  Those under way, and the last that ended.
method Operations() -> (operations: []Operation)

# read.  Answers when the operation has ended; with `more` also tells of its progress (outcome pending).
method Wait(operation: int, timeout_ms: ?int) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

# The last upgrade that was begun and has ended.  outcome: done, refused (nothing was changed), rolled-back, or failed
# (interrupted before it was swapped in).
type LastUpgrade (anchor: bool, program: string, outcome: string, detail: string, time: string)

# read.  Which manager this is, why it was started, and what it had to find out by itself.  Each list a line each.
method Generation() -> (
  version: string,
  program: string,
  identity: string,
  format: int,
  anchor_version: int,
  anchor_execs: int,
  epoch: int,
  reason: string,
  last_swap_us: int,
  probation: string,
  swaps: int,
  rollbacks: int,
  rederived: []string,
  unknown: []string,
  quarantined: []string,
  problems: []string,
  rescue: bool,
  last_upgrade: ?LastUpgrade
)

# read.  Tells each event, one a reply, as it stands in the event log (docs/events.md); only with `more`.  types: whole
# words of a type, such as "service", "process.exited", "ready"; services: names with * and ?; both are alternatives,
# none: all.  since: "start", an id, or a duration back ("10m"); absent: from now on.  snapshot: first the last event of
# each service, then what follows, without a hole between; not with since.  A gap is told as an event of the type
# abide.stream.gap whatever the filters.  A caller that reads slowly is told from the files: nothing is left out.
method Subscribe(types: ?[]string, services: ?[]string, since: ?string, snapshot: ?bool) -> (event: object)

# request: a name that the caller draws (up to 64 bytes).  Asking again with the same name is waiting for the operation
# of the first time, so a caller that lost its connection asks again.

# operate.  Each of these joins an operation under way.  wait (default true): answer when it has ended, else when it has
# begun; with `more` also tells of its progress.  An operation that failed is a reply with its outcome, not an error.
# No names: all with autostart.
method Start(names: ?[]string, timeout_ms: ?int, wait: ?bool, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

# Like Start, up to, and not including, the exec: the state is created then, and Start lets it go.
method Create(names: []string, timeout_ms: ?int, wait: ?bool, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

method Stop(names: []string, timeout_ms: ?int, wait: ?bool, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

method Restart(names: []string, timeout_ms: ?int, wait: ?bool, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

method Reload(names: []string, timeout_ms: ?int, wait: ?bool, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

# Kills at any stage: the service, its dependents, every descendant.
method ForceDestroy(names: []string, timeout_ms: ?int, wait: ?bool, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

method Pause(names: []string, timeout_ms: ?int, wait: ?bool, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

method Unpause(names: []string, timeout_ms: ?int, wait: ?bool, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

# operate.  signal: "TERM" (default), "SIGTERM", "15", "RTMIN+3".
method Kill(name: string, signal: ?string, whole_tree: ?bool, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

# operate.  Takes back what the operation asked for, as far as it has not happened.
method Cancel(operation: int) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

# administer.  Autostart, kept over restarts of the instance.
method Enable(names: []string, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

method Disable(names: []string, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

# administer.  Stops everything in order and ends the instance; what is left after timeout_ms is killed.
method Down(timeout_ms: ?int, wait: ?bool, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

# administer.  A whole configuration as JSON text, applied all or nothing; dynamic: define or replace just its services.
method Apply(configuration: string, dynamic: ?bool, request: ?string) -> (
  changes: []Change, operation: int, outcome: string, detail: string
)

# administer.  What Apply would change.
method Plan(configuration: string, dynamic: ?bool) -> (
  changes: []Change, operation: int, outcome: string, detail: string
)

# administer.  Stops and forgets services.
method Remove(names: []string, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

# administer.  Another program for the manager, or with `anchor` for the anchor: rehearsed, swapped in, on probation for
# probation_ms (default 60000), then committed (outcome done), refused before anything changed, or rolled-back.
method Upgrade(program: string, probation_ms: ?int, anchor: ?bool, wait: ?bool, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

# administer.  For the witness of an upgrade: the new manager answers as it should; final: it stays.
method Vouch(operation: int, final: bool) -> ()

# administer.  The whole state, a fact a line; secrets are left out.
method State() -> (state: string)

type EventField (name: string, value: string)

# administer.  An event abide.user.NAME; detail of the reply is its id.
method Emit(name: string, fields: ?[]EventField, request: ?string) -> (
  operation: int, verb: string, outcome: string, detail: string, targets: []Target, progress: []string
)

error NotFound (message: string, advice: string)

error NotPermitted (message: string, advice: string)

error Refused (message: string, advice: string)

error Failed (message: string, advice: string)

error TimedOut (message: string, advice: string)

error ShuttingDown (message: string, advice: string)
)varlink";

}  // namespace abide::control
