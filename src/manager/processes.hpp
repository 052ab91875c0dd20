// manager/processes.hpp -- the processes that the engine asked for, as the kernel knows them.
//
// Owns one pidfd a process and the order of news about it: started, then executed or failed, then ended.  The anchor
// tells an exit by pid; the pid is a name here only because the anchor keeps the zombie until reap() is sent, which is
// done after the exit is in the journal.  Knows no service.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/flat_map.hpp"
#include "base/ids.hpp"
#include "kernel/fd.hpp"
#include "model/state.hpp"
#include "protocol/anchor.hpp"

namespace abide::manager {

model::ExitStatus exit_status_of(const anchor::Exit& exit, Wall now);

class Processes {
  public:
    struct Tracked {
        kernel::Fd pidfd;
        std::int32_t pid = 0;
        bool child = true;     // of the anchor, which tells its exit; else its pidfd is watched
        bool settled = false;  // its exec succeeded or failed
        bool brings_child = false;
        bool failed = false;  // the engine was told SpawnFailed: the exit says nothing new
    };
    struct Ended {
        SpawnId spawn;
        anchor::Exit exit;
    };

    void add(SpawnId spawn, std::int32_t pid, kernel::Fd pidfd, bool child, bool settled);
    // The exec succeeded or failed; an exit that came before is given back now.
    std::optional<Ended> settle(SpawnId spawn, bool failed);
    // News about its exec come after all.
    void unsettle(SpawnId spawn);
    const Tracked* find(SpawnId spawn) const;
    [[nodiscard]] std::optional<SpawnId> by_pid(std::int32_t pid) const;
    // The engine takes another process instead (MAINPID): forget this one, its exit is an unknown process's.
    void forget(SpawnId spawn);

    // An exit that the anchor told.  Nothing is returned when it must wait for news that come first, or belongs to
    // nobody. `spawning`: children may exist whose start was not told yet.
    std::optional<Ended> ended(const anchor::Exit& exit, bool spawning);
    // Exits that were kept for a start that did not come: belong to nobody.
    void spawner_idle();
    // Pids whose exits are dealt with; given to the anchor after the journal was written.
    std::vector<std::int32_t> take_acknowledged();
    // While this process lives, and in the turn of its end, a stranger that ends may be one that we are about to be
    // told of: the first process of a container whose runtime was its parent.  Its exit is kept.
    void expect_child_of(SpawnId spawn);
    // This stranger will be taken under a spawn of its own (add), or not (unclaim).
    void claim(std::int32_t pid) { claimed_.insert(pid); }
    void unclaim(std::int32_t pid) { claimed_.erase(pid); }
    // To close a pidfd that is watched takes a while: it is done when their exits are told.
    void close_ended() { ended_.clear(); }
    void end_turn(bool spawning);
    void acknowledge(std::int32_t pid) { acknowledged_.push_back(pid); }

    // What a burst has made large.
    void release_memory();
    [[nodiscard]] std::size_t size() const { return by_spawn_.size(); }

  private:
    Ended close(SpawnId spawn, Tracked& process, const anchor::Exit& exit);

    FlatMap<SpawnId, Tracked> by_spawn_;
    FlatMap<std::int32_t, SpawnId> by_pid_;
    std::map<std::int32_t, anchor::Exit> early_;  // before their start, or before their exec was settled
    std::set<std::int32_t> claimed_;
    std::size_t bringing_ = 0, brought_ = 0;  // processes that bring a child; of them ended in this turn
    std::vector<std::int32_t> acknowledged_;
    std::vector<kernel::Fd> ended_;  // their pidfds
};

}  // namespace abide::manager
