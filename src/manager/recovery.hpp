// manager/recovery.hpp -- a manager came back: what does the kernel know about the processes that the journal speaks
// of?
//
// Knows the kernel's side only; what follows is the engine's.  Invariant: a process is taken for ours only by pid and
// start time together, by a record that the child itself wrote, or by its membership in the run's own control group.
#pragma once

#include <cstdint>
#include <functional>

#include "core/engine.hpp"
#include "kernel/epoll.hpp"
#include "kernel/spawn.hpp"
#include "manager/anchor_link.hpp"
#include "manager/journal_store.hpp"
#include "manager/processes.hpp"
#include "manager/runs.hpp"
#include "manager/tracking.hpp"
#include "model/input.hpp"

namespace abide::manager {

struct RecoveryUses {
    const core::Engine& engine;
    kernel::Epoll& epoll;
    kernel::Epoll& ends;  // of the anchor's children, which it tells
    AnchorLink& anchor;
    Processes& processes;
    Runs& runs;
    Tracking& tracking;
    kernel::Spawner& spawner;
    JournalStore& journal;
    std::int32_t anchor_pid = 0;
};

// Fills the tables of processes and runs, and says what was found.  `meanwhile` is called every few services, for what
// must not wait until the last one is done.
Result<model::in::Recovered> recover(const RecoveryUses& uses, const std::function<void()>& meanwhile);

}  // namespace abide::manager
