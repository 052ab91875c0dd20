// kernel/exit.hpp -- how a process ended, from each place where the kernel says so: waitid(2) for children, and
// PIDFD_GET_INFO for anybody whose pidfd we have.  Nothing here waits.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "kernel/fd.hpp"

namespace abide::kernel {

struct ExitReport {
    pid_t pid = 0;
    bool by_signal = false, dumped = false;
    int value = 0;  // exit code or signal
    std::int64_t user_us = 0, system_us = 0, max_rss_kib = 0;
};

enum class Taking : std::uint8_t {
    running,  // nothing to take yet
    taken,    // reaped; the report is filled in
    foreign,  // ECHILD: not a child of ours, or somebody else took it
};
// Reaps a child.
Taking take_exit(int pidfd, ExitReport& report);
// The same by number, for kernels without pidfds.  The number is the child's own for as long as nobody reaps it.
Taking take_exit_of(pid_t pid, ExitReport& report);
// A child that has ended, whoever started it; it stays a zombie.  0: none.
pid_t find_ended_child();

enum class Life : std::uint8_t { running, ended, reaped };
// What a pidfd shows of its process.  Kernels before 6.9 don't show that it was reaped.
Life life_of(int pidfd);

// Whether PIDFD_GET_INFO keeps exit statuses (Linux 6.15).  Tries it on a child of its own, which sends no SIGCHLD and
// is not seen by waitpid(-1).
bool probe_exit_info();
// The raw wait status of a process that was reaped, by anybody; nothing before that, or when the kernel can't say.
std::optional<int> exit_info(int pidfd);
ExitReport decode_wait_status(int raw);

// SIGCHLD as data.  Where it isn't blocked (in all threads), nothing is ever read from this descriptor.
Result<Fd> watch_child_signals();
// Blocks SIGCHLD in the calling thread; false: it was blocked before.
bool block_child_signals(bool on);

// The process group of the process that `pidfd` is, and that leads it.  PIDFD_SIGNAL_PROCESS_GROUP, else by number
// while the leader still holds it.
Status send_signal_to_group(int pidfd, pid_t leader, int signal);
// For kernels without pidfds: a child of ours that was not reaped.
Status send_signal_to_child(pid_t pid, int signal, bool whole_group);

}  // namespace abide::kernel
