// model/input.hpp -- what happened, in the past tense.  Every input about a process names its spawn, every input about
// a run names the run; one that speaks of the past is counted and dropped.  The shell has authenticated what comes from
// outside.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "model/state.hpp"

namespace abide::model {

namespace in {

// Somebody asked.  The shell chose the id from Instance::last_operation + 1 and journals nothing else.
struct Requested {
    Verb verb = Verb::start;
    std::vector<std::string> names;  // empty: all (shutdown, autostart)
    Requester requester;
    Duration timeout{};       // 0: none
    std::int32_t signal = 0;  // kill; 0: the default, TERM
    bool whole_tree = false;  // kill --who all
    OperationId operation;    // cancel: which
    std::string ticket;       // see Operation
    std::string program;      // upgrade, upgrade_anchor: its path
    Duration probation{};     // upgrade
};
// A new configuration, parsed and bounded, to be applied all or nothing.
struct Configured {
    Configuration configuration;
    bool dynamic = false;  // `add`: define or replace just these, forget nothing
    Requester requester;
    std::string ticket;  // see Operation
};
struct Spawned {
    SpawnId spawn;
    std::int32_t pid = 0;
    std::uint64_t start_ticks = 0;
    bool cgroup = false;  // in a control group of its run, from birth
};
// Everything up to the exec is done; it waits to be let go (out::Spawn::hold).
struct Held {
    SpawnId spawn;
};
// exec succeeded.
struct Executed {
    SpawnId spawn;
};
struct SpawnFailed {
    SpawnId spawn;
    std::string stage;  // "chdir", "setresuid", "exec", ...
    std::int32_t err = 0;
    std::string what;  // one clear sentence for people: what was tried, and why it could not be
};
struct Exited {
    SpawnId spawn;
    ExitStatus status;
    std::int32_t pid = 0;  // for people, where no Started came before; 0: not known
};
// The answer to out::FindMain: the first process of a container, which has not executed the program yet.
struct FoundMain {
    std::string service;
    RunNumber run;
    std::int32_t pid = 0;  // 0: none; `detail` says why
    std::uint64_t start_ticks = 0;
    std::string detail;
};
// Nobody of the run is left.
struct Emptied {
    std::string service;
    RunNumber run;
};
// An authenticated notify message (sd_notify(3)) of a run, one assignment group of it.
struct Notified {
    std::string service;
    RunNumber run;
    bool ready = false, reloading = false, stopping = false, watchdog = false, watchdog_trigger = false;
    std::string status;
    bool has_status = false;
    std::int32_t error_number = -1;  // -1: absent
    std::int64_t watchdog_us = -1;   // -1: absent
    std::int64_t extend_timeout_us = -1;
    std::int64_t monotonic_us = -1;  // of RELOADING=1: when it began; -1: absent
    std::int32_t main_pid = 0;       // checked to be a process of this run; 0: absent
    std::uint64_t main_start_ticks = 0;
    std::vector<FdKey> fds;        // FDSTORE=1: these are with the anchor already
    std::string fd_name;           // FDNAME=; empty: absent
    bool fd_store_remove = false;  // FDSTOREREMOVE=1
};
// Stored descriptors that are of no use any more: their other end hung up, or the anchor has them no longer.
struct StoredLost {
    std::string service;
    std::vector<FdKey> keys;
};
// The answer to out::Probe.
struct Probed {
    std::string service;
    RunNumber run;
    std::uint64_t probe = 0;
    bool healthy = false;
    std::string detail;
};
// A descriptor, log line or pid file said ready, without a question (ready.fd, ready.log, ready.pidfile).
struct BecameReady {
    std::string service;
    RunNumber run;
    std::int32_t main_pid = 0;  // pid file
    std::uint64_t main_start_ticks = 0;
};
// The answer to out::Freeze: all of it stands still, or goes on.
struct Frozen {
    std::string service;
    RunNumber run;
    bool frozen = true;
    std::string error;  // it could not be done, or not in time; empty: it was
};
// An upgrade has come to its end, or found an obstacle.
struct UpgradeEnded {
    OperationId operation;
    Outcome outcome = Outcome::failed;
    std::string detail;
};
struct Ticked {};
// Somebody emitted an event of their own.  The name and the fields were checked by the shell.
struct Emitted {
    std::string name;
    std::vector<Variable> fields;
    Requester requester;
    std::string ticket;  // see Operation
};
// A signal sent to the anchor.
struct Signalled {
    std::int32_t signal = 0;
};
// The manager came (back): what the kernel knows about a process that the journal speaks of.
struct Recovered {
    struct Found {
        SpawnId spawn;
        bool alive = false;      // else: it never ran, or its exit comes as Exited
        bool never_ran = false;  // asked, and no trace of it: safe to ask again
        std::int32_t pid = 0;
        std::uint64_t start_ticks = 0;
        bool executed = false;  // one that was to be held: it runs its program already
    };
    std::vector<Found> processes;
    bool first = false;   // nothing was running before: the instance starts
    bool rescue = false;  // managers before this one could not work, only rescue
    EventId last_event;   // the newest in the event log: no later one may have its id
    // The last signal that may have been given; where a whole run was meant, to those that the manager held and to the
    // others.  What was decided later was certainly not given.  All may have been, as long as nobody knows.
    SignalId signalled{UINT64_MAX}, signalled_others{UINT64_MAX};
    // What was asked of those, oldest first, and may be in no journal.
    std::vector<RescueUpgrade> upgrades;
};

}  // namespace in

using Input =
    std::variant<in::Requested, in::Configured, in::Spawned, in::Held, in::Executed, in::SpawnFailed, in::Exited,
                 in::FoundMain, in::Emptied, in::Notified, in::StoredLost, in::Probed, in::BecameReady, in::Frozen,
                 in::UpgradeEnded, in::Ticked, in::Signalled, in::Recovered, in::Emitted>;

}  // namespace abide::model
