// model/effect.hpp -- what to do, in the imperative.  Effects are carried out after the change of state that they
// follow from is in the journal.  Each is safe to repeat for the same run, or says what a repetition means.
#pragma once

#include <string>
#include <variant>

#include "model/event.hpp"
#include "model/state.hpp"

namespace abide::model {

namespace out {

// Start one process of a run.  Answered by Spawned, then Executed or SpawnFailed, then Exited; with `hold` by Held
// before Executed, which then comes only after LetGo.
struct Spawn {
    std::string service;
    RunNumber run;
    SpawnId spawn;
    Role role = Role::main;
    std::uint32_t step = 0;
    bool hold = false;
};
// A main process that is held executes its program now.  A repetition does nothing.
struct LetGo {
    std::string service;
    RunNumber run;
    SpawnId spawn;
};
// To the main process, or to all of the run.  A repeated TERM may be seen twice, so it is given at most once: whoever
// carries it out notes the number first, and the next manager is told the last one noted (in::Recovered).
struct Signal {
    std::string service;
    RunNumber run;
    std::int32_t signal = 15;
    StopScope scope = StopScope::all;
    SignalId id;          // none: a repetition does no harm
    bool others = false;  // the processes that we hold have it, perhaps; the rest of the run certainly not
};
// SIGKILL to every process of the run.  Repeated until Emptied.
struct KillAll {
    std::string service;
    RunNumber run;
};
// SIGKILL to one process (a probe or hook that hangs).
struct KillProcess {
    SpawnId spawn;
};
// The main process of the run is another one from now on (MAINPID, pid file): watch it under this spawn.
struct Adopt {
    std::string service;
    RunNumber run;
    SpawnId spawn;
    std::int32_t pid = 0;
    std::uint64_t start_ticks = 0;
};
// Which process is the first one of the container that the runtime has created?  Answered by FoundMain, at once.
struct FindMain {
    std::string service;
    RunNumber run;
    bool failed = false;  // it could not be created: there is none, and the answer says why
};
// Answered by Frozen, when all of it stands still, or when that takes too long.
struct Freeze {
    std::string service;
    RunNumber run;
    bool frozen = true;
};
// Ask once; answered by Probed with this number.  exec probes are answered through Spawn/Exited instead.
struct Probe {
    std::string service;
    RunNumber run;
    std::uint64_t probe = 0;
    bool health = false;  // else readiness
    Duration timeout{};
};
// Tell whether somebody of the run still lives: answered by Emptied, now or when it becomes true.
struct WatchEmpty {
    std::string service;
    RunNumber run;
};
// The run is over: give back its cgroup, notify socket, log pipe, temporary folders.
struct Release {
    std::string service;
    RunNumber run;
};
// A descriptor that a service gave us is kept no longer.
struct DropStored {
    std::string service;
    FdKey key;
};
// An operation ended: answer those who wait for it.  Told as it ended: by the time of the answer the engine may have
// forgotten it.
struct Reply {
    Operation operation;
};
struct Publish {
    Event event;
};
// Put another program in the manager's or the anchor's place.  Answered by UpgradeEnded, perhaps to a later manager.
struct Upgrade {
    OperationId operation;
    std::string program;
    Duration probation{};
    bool anchor = false;
};
// All services are down: end the instance with this exit status.
struct EndInstance {
    std::int32_t exit_status = 0;
};

}  // namespace out

using Effect = std::variant<out::Spawn, out::LetGo, out::Signal, out::KillAll, out::KillProcess, out::Adopt,
                            out::FindMain, out::Freeze, out::Probe, out::WatchEmpty, out::Release, out::DropStored,
                            out::Reply, out::Publish, out::Upgrade, out::EndInstance>;

}  // namespace abide::model
