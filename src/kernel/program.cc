// kernel/program.cc -- see program.hpp.
#include "kernel/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "kernel/clock.hpp"

extern char** environ;

namespace abide::kernel {

namespace {

constexpr int kMostDescriptors = 1024;  // that a command line may have inherited

void reset_signals() {
    for (int signal = 1; signal < NSIG; ++signal) {
        if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

bool is_terminal(int fd) {
    return ::isatty(fd) == 1;
}

bool is_terminal_master(int fd) {
    unsigned int number = 0;
    return ::ioctl(fd, TIOCGPTN, &number) == 0;  // of masters only: ioctl_tty(2)
}

std::size_t terminal_columns(int fd) {
    winsize size{};
    return ::ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

std::vector<std::string> environment() {
    std::vector<std::string> out;
    for (char** one = environ; one != nullptr && *one != nullptr; ++one) out.emplace_back(*one);
    return out;
}

std::optional<std::string> environment_value(std::string_view name) {
    for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
        const std::string_view entry(*one);
        if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
            return std::string(entry.substr(name.size() + 1));
        }
    }
    return std::nullopt;
}

std::int32_t own_pid() {
    return ::getpid();
}

std::int32_t parent_pid() {
    return ::getppid();
}

void fill_standard_descriptors() {
    for (int fd = 0; fd <= 2; ++fd) {
        // open(2) takes the lowest free number, which is this one.
        if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) return;
    }
}

void ignore_broken_pipes() {
    ::signal(SIGPIPE, SIG_IGN);
}

Result<SignalWatch> SignalWatch::create(std::initializer_list<int> signals) {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : signals) ::sigaddset(&set, signal);
    if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return fail_errno(errno, "can't block signals");
    Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd) return fail_errno(errno, "can't take signals as data");
    return SignalWatch(std::move(fd));
}

int SignalWatch::next() {
    signalfd_siginfo info{};
    const auto got = ::read(fd_.get(), &info, sizeof info);
    return got == static_cast<ssize_t>(sizeof info) ? static_cast<int>(info.ssi_signo) : 0;
}

Result<bool> wait_readable(std::span<const int> fds, Mono deadline) {
    std::vector<pollfd> polled;
    for (const int fd : fds) {
        if (fd >= 0) polled.push_back({fd, POLLIN, 0});
    }
    timespec left{};
    if (deadline != kNever) {
        const std::int64_t ns = std::max<std::int64_t>(0, (deadline - mono_now()).ns);
        left = {ns / 1'000'000'000, ns % 1'000'000'000};
    }
    const int ready = ::ppoll(polled.data(), polled.size(), deadline == kNever ? nullptr : &left, nullptr);
    if (ready < 0 && errno != EINTR) return fail_errno(errno, "can't wait for descriptors");
    return ready > 0;
}

void sleep_for(Duration duration) {
    const timespec span{duration.ns / 1'000'000'000, duration.ns % 1'000'000'000};
    ::nanosleep(&span, nullptr);
}

bool session_lingers(std::string_view user_name) {
    struct stat status{};
    if (::stat("/run/systemd/system", &status) != 0) return true;
    return ::stat(("/var/lib/systemd/linger/" + std::string(user_name)).c_str(), &status) == 0;
}

void ask_for_short_slices() {
    // struct sched_attr: sched_setattr(2).  <linux/sched/types.h> and <sched.h> exclude each other here.
    struct {
        std::uint32_t size, policy;
        std::uint64_t flags;
        std::int32_t nice;
        std::uint32_t priority;
        std::uint64_t runtime, deadline, period;
    } attributes{};
    constexpr std::uint64_t kShortestNs = 100'000;
    if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
    if (attributes.policy != SCHED_OTHER) return;
    attributes.size = sizeof attributes;
    attributes.flags = 0;
    attributes.runtime = kShortestNs;
    static_cast<void>(::syscall(SYS_sched_setattr, 0, &attributes, 0));
}

Status replace_program(const std::string& path, const std::vector<std::string>& argv,
                       const std::vector<std::string>& envp, std::span<const std::pair<int, int>> descriptors) {
    const auto pointers = [](const std::vector<std::string>& texts) {
        std::vector<char*> out;
        for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
        out.push_back(nullptr);
        return out;
    };
    const auto arguments = pointers(argv), variables = pointers(envp);
    // First out of the way of all targets, then into place: a source may be another one's target.
    int above = 3;
    for (const auto& [source, target] : descriptors) above = std::max(above, target + 1);
    std::vector<int> moved;
    for (const auto& [source, target] : descriptors) {
        const int copy = ::fcntl(source, F_DUPFD_CLOEXEC, above);
        if (copy < 0) return fail_errno(errno, "can't duplicate a descriptor for " + path);
        moved.push_back(copy);
    }
    constexpr unsigned kMarkOnly = 1u << 2;  // CLOSE_RANGE_CLOEXEC (Linux 5.11)
    if (::syscall(SYS_close_range, 0u, ~0u, kMarkOnly) != 0) {
        for (int fd = 0; fd < kMostDescriptors; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
        if (::dup2(moved[i], descriptors[i].second) < 0)
            return fail_errno(errno, "can't place a descriptor for " + path);
    }
    reset_signals();
    ::execve(path.c_str(), arguments.data(), variables.data());
    return fail_errno(errno, "can't execute " + path);
}

}  // namespace abide::kernel
