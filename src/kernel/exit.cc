// kernel/exit.cc -- see exit.hpp.
#include "kernel/exit.hpp"

#include <linux/sched.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "kernel/process.hpp"
#include "kernel/raw.hpp"
#include "kernel/spawn_child.hpp"

namespace abide::kernel {
namespace {

constexpr int kPidfdIdType = 3;                    // P_PIDFD: waitid(2)
constexpr unsigned kSignalProcessGroup = 1U << 2;  // PIDFD_SIGNAL_PROCESS_GROUP: pidfd_send_signal(2), Linux 6.9

// struct pidfd_info, first published form: ioctl_pidfd(2).  Newer kernels accept it.
struct PidfdInfo {
    std::uint64_t mask, cgroup_id;
    std::uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    std::int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr unsigned long kGetInfo = _IOWR(0xFF, 11, PidfdInfo);
constexpr std::uint64_t kInfoExit = 1U << 3;

// By the system call: only that gives the resources.
Taking take(int id_type, id_t id, ExitReport& report) {
    siginfo_t info{};
    rusage used{};
    long r = 0;
    // __WALL: children that were cloned with another exit signal than SIGCHLD count too.
    do {
        r = ::syscall(SYS_waitid, id_type, id, &info, WEXITED | WNOHANG | __WALL, &used);
    } while (r < 0 && errno == EINTR);
    if (r < 0) return Taking::foreign;
    if (info.si_pid == 0) return Taking::running;
    report.pid = info.si_pid;
    report.by_signal = info.si_code != CLD_EXITED;
    report.dumped = info.si_code == CLD_DUMPED;
    report.value = info.si_status;
    report.user_us = used.ru_utime.tv_sec * 1'000'000 + used.ru_utime.tv_usec;
    report.system_us = used.ru_stime.tv_sec * 1'000'000 + used.ru_stime.tv_usec;
    report.max_rss_kib = used.ru_maxrss;
    return Taking::taken;
}

constexpr int kProbeStatus = 42;

extern "C" [[noreturn]] ABIDE_RAW void abide_leave_at_once(void*) {
    raw::leave(kProbeStatus);
}

// A child that shares our memory and is gone before this returns, as with vfork(2): no cost that grows with us.  On a
// stack of its own: it would overwrite what a function that has not returned yet needs.
long clone_and_leave(int* pidfd) {
    alignas(16) std::byte stack[512];
    return enter_child(CLONE_VM | CLONE_VFORK | CLONE_PIDFD, stack + sizeof stack, pidfd, &abide_leave_at_once,
                       nullptr);
}

}  // namespace

Taking take_exit(int pidfd, ExitReport& report) {
    return take(kPidfdIdType, static_cast<id_t>(pidfd), report);
}

Taking take_exit_of(pid_t pid, ExitReport& report) {
    return take(P_PID, static_cast<id_t>(pid), report);
}

pid_t find_ended_child() {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0) return 0;
    return info.si_pid;
}

Life life_of(int pidfd) {
    pollfd p{pidfd, POLLIN, 0};
    if (::poll(&p, 1, 0) <= 0) return Life::running;
    if ((p.revents & POLLHUP) != 0) return Life::reaped;
    return (p.revents & POLLIN) != 0 ? Life::ended : Life::running;
}

bool probe_exit_info() {
    const std::uint64_t all = ~std::uint64_t{0};
    std::uint64_t before = 0;
    ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(all));
    int number = -1;
    const long pid = clone_and_leave(&number);
    ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, sizeof(before));
    if (pid < 0) return false;
    const Fd pidfd(number);
    // It has left our memory, and is a zombie a moment later.
    pollfd gone{pidfd.get(), POLLIN, 0};
    static_cast<void>(::poll(&gone, 1, 1000));
    ExitReport report;
    if (take_exit_of(static_cast<pid_t>(pid), report) == Taking::running) return false;
    const std::optional<int> raw = exit_info(pidfd.get());
    return raw && *raw == kProbeStatus << 8;
}

std::optional<int> exit_info(int pidfd) {
    PidfdInfo info{};
    info.mask = kInfoExit;
    if (::ioctl(pidfd, kGetInfo, &info) != 0 || (info.mask & kInfoExit) == 0) return std::nullopt;
    return info.exit_code;
}

ExitReport decode_wait_status(int raw) {
    ExitReport report;
    report.by_signal = WIFSIGNALED(raw);
    report.dumped = report.by_signal && WCOREDUMP(raw);
    report.value = report.by_signal ? WTERMSIG(raw) : WEXITSTATUS(raw);
    return report;
}

Result<Fd> watch_child_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGCHLD);
    Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd) return fail_errno(errno, "can't take SIGCHLD as data");
    return fd;
}

bool block_child_signals(bool on) {
    sigset_t set;
    sigset_t before;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGCHLD);
    // For this thread only, and those that it makes later: pthread_sigmask(3).
    ::pthread_sigmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, &before);
    return ::sigismember(&before, SIGCHLD) == 0;
}

Status send_signal_to_group(int pidfd, pid_t leader, int signal) {
    if (leader <= 1) return fail(ErrorKind::usage, "not the leader of a process group");
    if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, kSignalProcessGroup) == 0) return {};
    if (errno == ESRCH) return fail_errno(ESRCH, "the process group has ended");
    if (errno != EINVAL) return fail_errno(errno, "can't send a signal to a process group");
    // An older kernel.  Signal 0 by pidfd says that the leader was not reaped, so the number is still its group's.
    if (::syscall(SYS_pidfd_send_signal, pidfd, 0, nullptr, 0) != 0) return fail_errno(errno, "the process has ended");
    return send_signal_group(leader, signal);
}

Status send_signal_to_child(pid_t pid, int signal, bool whole_group) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0) {
        return fail_errno(ESRCH, "not a child any more");
    }
    if (::kill(whole_group ? -pid : pid, signal) != 0) return fail_errno(errno, "can't send a signal");
    return {};
}

}  // namespace abide::kernel
