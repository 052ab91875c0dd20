// kernel/process.hpp -- processes that exist, through pidfds.  A pid alone never identifies anything: a process is
// named by a pidfd, or by pid and start time together.  What is read from /proc is true of one instant only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernel/fd.hpp"

namespace abide::kernel {

struct ProcessStat {
    pid_t pid = 0, parent = 0, session = 0;
    char state = '?';               // 'Z': zombie
    bool never_executed = false;    // still the program of its parent (PF_FORKNOEXEC)
    std::uint64_t start_ticks = 0;  // since boot, in clock ticks
    std::string name;
};
// not_found when there is no such process (any more).
Result<ProcessStat> process_stat(pid_t pid);
// It is there, and no zombie.
bool is_living(pid_t pid);
Result<std::uint64_t> start_ticks(pid_t pid);
Result<pid_t> parent_of(pid_t pid);
Result<pid_t> session_of(pid_t pid);
// The path on the `0::` line of /proc/PID/cgroup.
Result<std::string> cgroup_of(pid_t pid);
Result<std::uint32_t> uid_of(pid_t pid);

Result<Fd> open_pidfd(pid_t pid);
// The number that a pidfd's process has, or had.
Result<pid_t> pid_of(int pidfd);
// Fails with not_found unless the process that has this pid now started at that time.
Result<Fd> open_checked(pid_t pid, std::uint64_t start_ticks);
struct Checked {
    Fd pidfd;
    pid_t parent = 0;
};
Result<Checked> open_with_parent(pid_t pid, std::uint64_t start_ticks);
// not_found when the process has ended (a zombie takes signals without effect, and counts as there).
Status send_signal(int pidfd, int signal);
// To the process group; for interactive signals only.
Status send_signal_group(pid_t group, int signal);
// The process has ended (a zombie counts as ended).
bool has_ended(int pidfd);

// Takes the exit status of a child of ours; nothing when it still runs.  Tests and the command line use it; services
// are reaped by the anchor.
struct Reaped {
    bool ended = false;
    bool by_signal = false;
    int value = 0;  // exit code or signal
};
Result<Reaped> reap(int pidfd, bool wait);

// Children that exist now.  Falls back to scanning /proc where the kernel has no children file.
Result<std::vector<pid_t>> children_of(pid_t pid);
// All processes of a session, by scanning /proc.
Result<std::vector<pid_t>> processes_of_session(pid_t session);
// The number of a session stays taken while somebody is in it, so only a leader with another start time (0: not known)
// shows that it is another session by now.
bool is_same_session(pid_t session, std::uint64_t leader_start_ticks);
// Those that live, zombies left out; none when it is another session by now.
std::vector<pid_t> living_of_session(pid_t session, std::uint64_t leader_start_ticks);
Result<std::vector<pid_t>> all_processes();

Status become_subreaper();
// The path of the running program (/proc/self/exe), and of a process.
Result<std::string> program_path();

}  // namespace abide::kernel
