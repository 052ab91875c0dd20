// kernel/process.cc -- see process.hpp.
#include "kernel/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "kernel/files.hpp"

namespace abide::kernel {
namespace {

constexpr std::size_t kProcFileBytes = 1u << 20;
constexpr std::uint64_t kForkNoExec =
    0x40;  // PF_FORKNOEXEC, <linux/sched.h> of the kernel; part of /proc's stable flags field

std::string proc_path(pid_t pid, std::string_view file) {
    return "/proc/" + std::to_string(pid) + "/" + std::string(file);
}

bool is_gone(const Result<std::string>& text) {
    return !text && (text.error().err == ENOENT || text.error().err == ESRCH);
}

// A failure that isn't an answer (no memory, no
// descriptor) may pass, so it is asked once more.
Result<std::string> read_proc(pid_t pid, std::string_view file) {
    const std::string path = proc_path(pid, file);
    Result<std::string> text = read_file(path, kProcFileBytes);
    if (!text && !is_gone(text)) text = read_file(path, kProcFileBytes);
    if (is_gone(text)) return fail(ErrorKind::not_found, "no process " + std::to_string(pid));
    return text;
}

template <class T>
T number(std::string_view text) {
    T value{};
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

// Calls `take` with each word; it returns false to end.
template <class F>
void each_word(std::string_view text, F take) {
    for (std::size_t at = 0; (at = text.find_first_not_of(" \n\t", at)) != std::string_view::npos;) {
        const std::size_t end = std::min(text.find_first_of(" \n\t", at), text.size());
        if (!take(text.substr(at, end - at))) return;
        at = end;
    }
}

}  // namespace

Result<ProcessStat> process_stat(pid_t pid) {
    const Result<std::string> text = read_proc(pid, "stat");
    if (!text) return std::unexpected(text.error());
    // The name is in brackets and may itself hold anything: the last bracket ends it (proc_pid_stat(5)).
    const std::size_t open = text->find('('), close = text->rfind(')');
    if (open == std::string::npos || close == std::string::npos || close < open) {
        return fail(ErrorKind::failed, "/proc/PID/stat has an unknown form");
    }
    ProcessStat out;
    out.pid = pid;
    out.name = text->substr(open + 1, close - open - 1);
    int field = 2;
    each_word(std::string_view(*text).substr(close + 1), [&](std::string_view word) {
        ++field;
        if (field == 3) out.state = word[0];
        if (field == 4) out.parent = number<pid_t>(word);
        if (field == 6) out.session = number<pid_t>(word);
        if (field == 9) out.never_executed = (number<std::uint64_t>(word) & kForkNoExec) != 0;
        if (field == 22) out.start_ticks = number<std::uint64_t>(word);
        return field < 22;
    });
    if (field < 22) return fail(ErrorKind::failed, "/proc/PID/stat is too short");
    return out;
}

Result<std::uint64_t> start_ticks(pid_t pid) {
    const Result<ProcessStat> stat = process_stat(pid);
    if (!stat) return std::unexpected(stat.error());
    return stat->start_ticks;
}
Result<pid_t> parent_of(pid_t pid) {
    const Result<ProcessStat> stat = process_stat(pid);
    if (!stat) return std::unexpected(stat.error());
    return stat->parent;
}
Result<pid_t> session_of(pid_t pid) {
    const Result<ProcessStat> stat = process_stat(pid);
    if (!stat) return std::unexpected(stat.error());
    return stat->session;
}

Result<std::string> cgroup_of(pid_t pid) {
    const Result<std::string> text = read_proc(pid, "cgroup");
    if (!text) return text;
    const std::string lines = "\n" + *text;
    const std::size_t at = lines.find("\n0::");
    if (at == std::string::npos) return fail(ErrorKind::not_found, "no version 2 control group");
    const std::size_t begin = at + 4;
    return lines.substr(begin, lines.find('\n', begin) - begin);
}

Result<std::uint32_t> uid_of(pid_t pid) {
    const Result<FileStatus> status = file_status("/proc/" + std::to_string(pid));
    if (!status) return std::unexpected(status.error());
    return status->uid;
}

Result<Fd> open_pidfd(pid_t pid) {
    Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (fd) return fd;
    if (errno == ESRCH) return fail(ErrorKind::not_found, "no process " + std::to_string(pid));
    return fail_errno(errno, "can't open a pidfd");
}

Result<pid_t> pid_of(int pidfd) {
    const Result<std::string> text = read_file("/proc/self/fdinfo/" + std::to_string(pidfd), kProcFileBytes);
    if (!text) return std::unexpected(text.error());
    const std::size_t at = text->find("\nPid:");
    if (at == std::string::npos) return fail_errno(EBADF, "not a pidfd");
    const std::size_t digits = text->find_first_of("-0123456789", at);
    const pid_t pid = digits == std::string::npos ? -1 : number<pid_t>(std::string_view(*text).substr(digits));
    // -1: reaped; 0: of a pid namespace that we can't see.
    if (pid <= 0) return fail(ErrorKind::not_found, "the process has ended");
    return pid;
}

Result<Checked> open_with_parent(pid_t pid, std::uint64_t ticks) {
    Result<Fd> fd = open_pidfd(pid);
    if (!fd) return std::unexpected(fd.error());
    // Once the pidfd is open the pid is this process's as long as it lives, so what /proc says now is said of it, or of
    // a successor; then the times differ.
    const Result<ProcessStat> now = process_stat(pid);
    if (!now) return std::unexpected(now.error());
    if (now->start_ticks != ticks)
        return fail(ErrorKind::not_found, "process " + std::to_string(pid) + " is another one now");
    return Checked{std::move(*fd), now->parent};
}

Result<Fd> open_checked(pid_t pid, std::uint64_t ticks) {
    Result<Checked> found = open_with_parent(pid, ticks);
    if (!found) return std::unexpected(found.error());
    return std::move(found->pidfd);
}

Status send_signal(int pidfd, int signal) {
    if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) return {};
    if (errno == ESRCH) return fail(ErrorKind::not_found, "the process has ended");
    return fail_errno(errno, "can't send a signal");
}

Status send_signal_group(pid_t group, int signal) {
    if (group <= 1) return fail(ErrorKind::usage, "not a process group of a service");
    if (::kill(-group, signal) == 0) return {};
    if (errno == ESRCH) return fail(ErrorKind::not_found, "no such process group");
    return fail_errno(errno, "can't send a signal to a group");
}

bool has_ended(int pidfd) {
    pollfd p{pidfd, POLLIN, 0};
    return ::poll(&p, 1, 0) > 0 && (p.revents & POLLIN) != 0;
}

Result<Reaped> reap(int pidfd, bool wait) {
    siginfo_t info{};
    for (;;) {
        // __WALL: children that were cloned with another exit signal than SIGCHLD count too.
        if (::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | __WALL | (wait ? 0 : WNOHANG)) == 0) break;
        if (errno != EINTR) return fail_errno(errno, "can't wait for a process");
    }
    Reaped out;
    if (info.si_pid == 0) return out;
    out.ended = true;
    out.by_signal = info.si_code != CLD_EXITED;
    out.value = info.si_status;
    return out;
}

Result<std::vector<pid_t>> all_processes() {
    const Result<Fd> proc = open_directory("/proc");
    if (!proc) return std::unexpected(proc.error());
    const Result<std::vector<std::string>> names = list_directory(proc->get(), 1u << 22);
    if (!names) return std::unexpected(names.error());
    std::vector<pid_t> out;
    for (const std::string& name : *names) {
        if (name[0] >= '1' && name[0] <= '9') out.push_back(number<pid_t>(name));
    }
    return out;
}

Result<std::vector<pid_t>> children_of(pid_t pid) {
    std::vector<pid_t> out;
    const Result<Fd> tasks = open_directory(proc_path(pid, "task"));
    if (!tasks) return fail(ErrorKind::not_found, "no process " + std::to_string(pid));
    const Result<std::vector<std::string>> names = list_directory(tasks->get());
    if (!names) return std::unexpected(names.error());
    bool have_file = true;
    for (const std::string& name : *names) {
        const Result<std::string> text = read_file_beneath(tasks->get(), name + "/children", kProcFileBytes);
        if (!text) {
            have_file = false;
            continue;
        }
        each_word(*text, [&](std::string_view word) {
            out.push_back(number<pid_t>(word));
            return true;
        });
    }
    if (have_file) return out;
    out.clear();
    const Result<std::vector<pid_t>> all = all_processes();
    if (!all) return all;
    for (const pid_t p : *all) {
        if (parent_of(p).value_or(0) == pid) out.push_back(p);
    }
    return out;
}

Result<std::vector<pid_t>> processes_of_session(pid_t session) {
    const Result<std::vector<pid_t>> all = all_processes();
    if (!all) return all;
    std::vector<pid_t> out;
    for (const pid_t p : *all) {
        if (session_of(p).value_or(0) == session) out.push_back(p);
    }
    return out;
}

bool is_living(pid_t pid) {
    const Result<ProcessStat> stat = process_stat(pid);
    return stat && stat->state != 'Z' && stat->state != 'X';
}

bool is_same_session(pid_t session, std::uint64_t leader_start_ticks) {
    const Result<std::uint64_t> ticks = start_ticks(session);
    return !ticks || leader_start_ticks == 0 || *ticks == leader_start_ticks;
}

std::vector<pid_t> living_of_session(pid_t session, std::uint64_t leader_start_ticks) {
    if (!is_same_session(session, leader_start_ticks)) return {};
    std::vector<pid_t> members = processes_of_session(session).value_or(std::vector<pid_t>{});
    std::erase_if(members, [](pid_t pid) { return !is_living(pid); });
    return members;
}

Status become_subreaper() {
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return fail_errno(errno, "can't become a subreaper");
    return {};
}

Result<std::string> program_path() {
    return real_path("/proc/self/exe");
}

}  // namespace abide::kernel
