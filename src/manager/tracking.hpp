// manager/tracking.hpp -- which processes belong to a run: a cgroup leaf of its own where the machine has a writable
// version 2 tree, else the sessions that its processes were started in.
//
// Owns the cgroup tree and the list of runs that somebody wants to see empty.  Knows no policy.  Invariant: Emptied is
// said once for each watch, and only after the kernel showed that nobody is left.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "core/engine.hpp"
#include "kernel/cgroup.hpp"
#include "kernel/fd.hpp"
#include "manager/run_key.hpp"
#include "manager/sessions.hpp"

namespace abide::manager {

class Tracking {
  public:
    // Who adopts the orphans of services.
    void set_reaper(std::int32_t anchor) { sessions_.set_reaper(anchor); }
    // Tries for a cgroup tree inside `home` (a folder of a cgroup2 mount, `shown` is its path there), and says why on
    // standard error when there is none.
    void start(kernel::Fd home, const std::string& shown, const std::string& instance,
               const std::vector<std::int32_t>& own_processes);
    [[nodiscard]] bool has_cgroups() const { return tree_.has_value(); }
    // Becomes readable when a watched leaf may have emptied; -1 without cgroups.
    [[nodiscard]] int watch_fd() const { return tree_ ? tree_->watch_fd() : -1; }

    // The leaf to start a process in; an invalid one without cgroups.
    Result<kernel::Fd> leaf_for_spawn(std::string_view service, RunNumber run);
    // Whether who is started in it must join it instead of being born there: it may have been killed
    // (SpawnRequest::joins_cgroup), by us or by the manager before us.
    [[nodiscard]] bool may_have_been_killed(std::string_view service, RunNumber run) const {
        return killed_.contains(run_key(service, run));
    }
    void assume_killed(std::string_view service, RunNumber run) { killed_.insert(run_key(service, run)); }
    // A group inside that leaf, beside the ones that a container runtime makes there.
    static Result<kernel::Fd> inner_leaf(int leaf);
    // Where a runtime puts the container of this run; empty without cgroups.
    [[nodiscard]] std::string container_group(std::string_view service, RunNumber run) const;
    Result<kernel::Fd> existing_leaf(std::string_view service, RunNumber run);
    // Without cgroups: a session leader of this run was started.  The journal has it as soon as the engine knows.
    void add_session(std::uint64_t key, const model::Session& session);
    // The same of all that the journal says of a run.
    void recover(std::string_view service, const model::Run& run);
    // Without cgroups: takes over what the engine says of the sessions of these services.
    void follow(const core::Engine& engine, const std::vector<std::string>& services);

    // Is the process of this run?  The caller holds a pidfd, and asks again whether it still lives.
    [[nodiscard]] bool contains(std::string_view service, RunNumber run, std::int32_t pid) const;
    // The same of one that the run names as its own.  Without cgroups that may be a daemon of `user`'s, and it is the
    // run's from then on.
    bool claims(std::string_view service, RunNumber run, std::int32_t pid, std::uint32_t user);

    // `have_it`: processes of the run that got the signal before, and that the anchor has not reaped.
    Status signal_all(std::string_view service, RunNumber run, int signal, std::span<const std::int32_t> have_it = {});
    Status kill_all(std::string_view service, RunNumber run);
    // Of a container its own group, so that its runtime sees it too.  True: it is done.  False: drain_frozen() will
    // tell.
    Result<bool> freeze(std::string_view service, RunNumber run, bool frozen, bool container);
    struct Frozen {
        std::string service;
        RunNumber run;
        std::string error;  // what was to be frozen is not; empty: it is
    };
    // To be called after drain().
    std::vector<Frozen> drain_frozen(Mono now);

    // True: nobody is left (its leaf is given up).  False: watched, a later drain() will tell.
    bool watch_empty(std::string_view service, RunNumber run);
    void release(std::string_view service, RunNumber run);
    // After a manager came back: groups of runs that the engine does not know, since who released them died before he
    // had removed them.
    void drop_unclaimed(const core::Engine& engine);
    struct Empty {
        std::string service;
        RunNumber run;
    };
    // What became empty; call it when watch_fd() is readable and when next_look() has come.
    std::vector<Empty> drain(Mono now);
    [[nodiscard]] Mono next_look() const { return std::min({next_look_, remove_at_, next_freeze()}); }

    // Whether the kernel killed somebody of the run for lack of memory since this was asked last.
    bool had_oom(std::string_view service, RunNumber run);

    // At the end of the instance: gives the tree back.  Our own processes move to `home` first.
    void finish(int home, const std::vector<std::int32_t>& own_processes);

  private:
    static std::string leaf_name(RunNumber run);
    struct Leaf {
        std::string service;
        RunNumber run;
    };
    struct Freezing {
        std::string service;
        RunNumber run;
        Mono until;
    };
    struct Watch {
        std::string service;
        RunNumber run;
        bool polled = false;  // no news of it comes by itself
    };
    [[nodiscard]] Mono next_freeze() const;
    void give_up(std::string_view service, RunNumber run);
    bool remove_now(std::string_view service, RunNumber run);
    void remove_oldest();
    void remove_some(Mono now);

    std::optional<kernel::CgroupTree> tree_;
    bool counts_oom_ = false;                           // the memory controller is there
    std::map<std::uint64_t, Watch> watches_;            // by run key
    std::map<std::uint64_t, Freezing> freezing_;        // by run key
    std::map<std::uint64_t, std::uint64_t> oom_kills_;  // by run key, as counted last; 0 is left out
    std::set<std::uint64_t> killed_;                    // run keys whose leaf was killed and is still there
    std::set<std::uint64_t> gone_;                      // run keys whose leaf was given up, until the run is released
    // Leaves that were given up and are still there.  The kernel frees a group some 10 ms after it was removed, in the
    // time of the processor that removed it, which would hold up the starts of then: they are removed when it is quiet.
    std::deque<Leaf> given_up_;
    Mono remove_at_ = kNever;
    Sessions sessions_;  // without cgroups
    Mono next_look_ = kNever;
    Duration look_delay_{};
};

}  // namespace abide::manager
