// kernel/cgroup.hpp -- the control group tree of one instance, cgroup v2 only.
//
// What we may write is found out, never assumed: on a machine with version 1 hierarchies the version 2 one has no
// useful controllers, and in a container it may be read-only.  Everything lies below the group that we were started in;
// our own processes go to a leaf beside (`abide`), since a group with controllers may not hold processes itself.  All
// paths are relative to descriptors of folders.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/fd.hpp"
#include "kernel/folders_ahead.hpp"

namespace abide::kernel {

// Where the version 2 hierarchy is, and which group of it we are in.
struct CgroupHome {
    std::string mount;  // "/sys/fs/cgroup" or "/sys/fs/cgroup/unified"
    std::string group;  // our own group as seen at the mount, "/" at its root
};
Result<CgroupHome> find_cgroup_home();
// Both texts as the kernel gives them; apart, so that it can be tested.
Result<CgroupHome> parse_cgroup_home(std::string_view mountinfo, std::string_view self_cgroup);

// The controllers that the groups of an instance started by us could have: those that our group gives already, and
// those that it may still give -- which it can't while processes are in it, if it isn't the root (cgroups(7)).
// `stays`: we remain in it.  Nothing is changed.
std::vector<std::string> controllers_within_reach(bool stays);

// A name that is safe as a part of a folder's name: letters, digits, '-', '_', '@' and inner dots stay, everything else
// becomes %XX.  A leaf's folder has a '+', so it collides neither with a file of the kernel's nor with our own leaf.
std::string escape_cgroup_name(std::string_view name);
std::string unescape_cgroup_name(std::string_view name);

class CgroupTree {
  public:
    // Makes (or finds again) HOME/abide-NAME/ with a leaf `abide`, and moves nobody.  refused when no version 2 tree
    // can be written; the caller then works with sessions and says so.
    static Result<CgroupTree> create(const std::string& instance);
    // The same inside a given folder of a cgroup2 mount.
    static Result<CgroupTree> create_at(Fd parent, const std::string& shown_parent, const std::string& instance);

    // The path of the tree as /proc/PID/cgroup shows it, e.g. "/abide-shop".
    [[nodiscard]] const std::string& path() const { return path_; }
    // The folder that the tree lies in, and the leaf for the supervisor's own processes.  Valid as long as the tree.
    [[nodiscard]] const Fd& home() const { return parent_; }
    [[nodiscard]] const Fd& own_leaf() const { return own_; }
    // Puts a process of ours in that leaf, unless it is there already.  Moving waits for a grace period of the kernel
    // (13 ms were seen); a process that is born there, by SpawnRequest::cgroup_fd, waits for nothing.
    Status adopt_own(pid_t pid);
    // Switches controllers on for the services; returns those that are asked for but not there.
    std::vector<std::string> enable_controllers(const std::vector<std::string>& wanted);

    // SERVICE+LEAF, e.g. ("api", "r7.main"); existing is fine.  The descriptor suits SpawnRequest::cgroup_fd.  One
    // folder and not one in another: a folder costs as much as half of a process (32 us to make it, measured), and
    // nothing is asked of a service's runs together.
    Result<Fd> make_leaf(std::string_view service, std::string_view leaf);
    // Makes leaves of that name for these services while the caller goes on, for as long as it keeps what it gets.
    std::unique_ptr<FoldersAhead> make_leaves_ahead(const std::vector<std::string>& services, std::string_view leaf);
    // A signal to every process of a leaf, as cgroup_signal_all(); a missing leaf is fine.  With nobody in it but those
    // that have it, which is nearly always so, one read tells all that is needed.
    Result<std::size_t> signal_leaf(std::string_view service, std::string_view leaf, int signal,
                                    std::span<const pid_t> have_it);
    // Existing only; not_found else.
    Result<Fd> open_leaf(std::string_view service, std::string_view leaf);
    // The path that cgroup_of() gives for a member.
    [[nodiscard]] std::string leaf_path(std::string_view service, std::string_view leaf) const;
    // refused while processes are in it (EBUSY); a missing leaf is fine.
    Status remove_leaf(std::string_view service, std::string_view leaf);
    // Whether anybody is in it or in a group below it; nobody is in one that is not there.
    [[nodiscard]] Result<bool> leaf_populated(std::string_view service, std::string_view leaf) const;
    struct LeafName {
        std::string service, leaf;
    };
    // What is there, for recovery.
    Result<std::vector<LeafName>> list_leaves() const;
    // Removes the whole tree, which must be empty of processes.
    Status remove();

    // Asks to be told when the leaf has no process left: its token is given by drain_empty().  False: it is empty
    // already, and nothing is watched.  One inotify descriptor for all.
    Result<bool> watch_empty(std::string_view service, std::string_view leaf, std::uint64_t token);
    void forget_watch(std::uint64_t token);
    [[nodiscard]] int watch_fd() const { return inotify_.get(); }
    std::vector<std::uint64_t> drain_empty();

    // Freezes a leaf, or only the group `below` it if there is one; thaws both.  True: it is done.  False:
    // drain_frozen() gives the token when it is, or nobody is left to be frozen; by the same inotify descriptor.
    Result<bool> freeze(std::string_view service, std::string_view leaf, std::string_view below, bool frozen,
                        std::uint64_t token);
    void forget_freeze(std::uint64_t token);
    // To be called after drain_empty().
    std::vector<std::uint64_t> drain_frozen();

  private:
    CgroupTree() = default;
    static std::string folder_of(std::string_view service, std::string_view leaf);
    Result<int> watch_events(int group);
    void unwatch(int watch);
    struct Freezing {
        int watch = -1;
        Fd group;
    };
    struct Watch {
        std::uint64_t token = 0;
        Fd leaf;
    };
    std::string path_;
    Fd parent_, root_, own_, inotify_;
    std::string folder_;
    std::map<int, Watch> watches_;
    std::map<std::uint64_t, Freezing> freezing_;  // by token
    std::vector<int> changed_;
    bool makes_leaves_ = false;
    bool made_ahead_ = true;  // it was so each time so far
};

// The leaf of the processes of a run.
std::string run_leaf_name(std::uint64_t run);

// The pids in the text of cgroup.procs; those of another pid namespace, which read as 0, are left out: cgroups(7).
std::vector<pid_t> parse_cgroup_procs(std::string_view text);
// What can be done with a leaf, by its descriptor.
Result<bool> cgroup_populated(int group, std::string_view below = {});  // of the group or of one below it
Result<std::vector<pid_t>> cgroup_processes(int leaf);
// SIGKILL to all: cgroup.kill, else rounds of signals until nobody is left or a bound is reached.
Status cgroup_kill_all(int leaf);
Status cgroup_kill_by_rounds(int leaf);
// To every process of it: each is opened and then checked to be a member still.  Returns how many were signalled.
// `have_it`: got it before, and nobody has reaped them since, so that their pids are nobody else's.
Result<std::size_t> cgroup_signal_all(int leaf, int signal, std::span<const pid_t> have_it = {});
// Asked for only: what is in the kernel at that time stops when it comes out (cgroup_frozen()).
Status cgroup_freeze(int leaf, bool frozen);
Result<bool> cgroup_frozen(int leaf);
Status cgroup_join(int leaf, pid_t pid);
// memory.max and so on; not_found when the controller is not there.
Status cgroup_set(int leaf, std::string_view file, std::string_view value);
Result<std::string> cgroup_get(int leaf, std::string_view file);
// How many processes of it, or below it, the kernel has killed for lack of memory; nothing without the memory
// controller.  It counts before it kills, so at the end of such a process it is counted.
std::optional<std::uint64_t> cgroup_oom_kills(int leaf);

}  // namespace abide::kernel
