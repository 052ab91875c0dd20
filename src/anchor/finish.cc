// anchor/finish.cc -- the end of the instance: TERM to all, a bounded wait, KILL to all but those marked never, exit.
//
// Needs no manager.  Processes are found through /proc/PID/task/TID/children; without it, only as PID 1 can all be
// reached (kill(-1)), else nothing but the children that were marked.  Invariants: ends within the grace time and
// kKillWaitNs, whatever the processes do; a child's pid can't be reused in a pass, since nothing is reaped in it (a
// grandchild's could, if it ended and its number came round within the microseconds between reading the list and kill).
#include "anchor/anchor.hpp"
#include "anchor/text.hpp"

namespace abide::anchor {
namespace {

constexpr std::int64_t kPassNs = 50 * kMs;
constexpr std::int64_t kKillWaitNs = 5000 * kMs;   // for those in uninterruptible sleep
constexpr std::int64_t kShortenedNs = 1000 * kMs;  // what a further TERM or INT leaves of the grace time
constexpr std::uint32_t kMaxFound = 32768;

struct Found {
    int pids[kMaxFound];
    std::uint32_t count;
};

// "/proc/PID/task/TID/children" of one thread, appended.
void append_children(Found& found, int pid, int thread) {
    text::Word path;
    path << "/proc/" << pid << "/task";
    if (thread != 0) {
        path << "/" << thread << "/children";
        text::each_number(path.text(), [&found](std::int64_t child) {
            if (found.count < kMaxFound) found.pids[found.count++] = int(child);
        });
        return;
    }
    const long fd = sys::open(path.text(), O_RDONLY | O_DIRECTORY);
    if (fd < 0) return;
    alignas(8) char data[1024];
    for (long got = 0; (got = sys::call(__NR_getdents64, fd, sys::at(data), sizeof data)) > 0;)
        for (const char* entry = data; entry < data + got;) {
            const char* name = entry + 19;  // struct linux_dirent64: inode, offset, length, type, name
            std::int64_t task = 0;
            if (text::number(name, task)) append_children(found, pid, int(task));
            std::uint16_t length = 0;
            memcpy(&length, entry + 16, sizeof length);
            entry += length;
        }
    sys::close(int(fd));
}

bool is_marked(Anchor& a, int pid, std::uint32_t bit) {
    const Child* child = a.children.find(std::uint64_t(pid));
    return child != nullptr && (child->flags & bit) != 0;
}

// Signals every process below us; how many there were.  With `spare`, those marked never and what they started are left
// out.
std::uint32_t signal_all(Anchor& a, Found& found, int signal, bool spare) {
    found.count = 0;
    if (!a.has_proc && a.is_pid1) return sys::kill(-1, signal) == 0 ? 1 : 0;
    if (!a.has_proc) {
        for (const Child& child : a.children)
            if (child.key != 0 && found.count < kMaxFound) found.pids[found.count++] = int(child.key);
        if (a.manager.pid != 0 && found.count < kMaxFound) found.pids[found.count++] = a.manager.pid;
    } else {
        const int self = sys::getpid();
        append_children(found, self, self);
    }
    std::uint32_t signalled = 0;
    for (std::uint32_t i = 0; i < found.count; ++i) {  // breadth first: the list grows while we walk it
        const int pid = found.pids[i];
        if (spare && is_marked(a, pid, kNeverKill)) continue;
        if (a.has_proc) append_children(found, pid, 0);
        if (sys::kill(pid, signal) == 0) ++signalled;
        if (signal == SIGTERM) sys::kill(pid, SIGCONT);  // a stopped process would not see it
    }
    return signalled;
}

// Reaps what ended; false when no child is left.  The pid of what was reaped is nobody's: it must not be signalled
// again.
bool reap_all(Anchor& a) {
    for (;;) {
        sys::WaitInfo info{};
        const long err = sys::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL);
        if (err == -ECHILD) return false;
        if (err < 0 || info.pid == 0) return true;
        if (Child* child = a.children.find(std::uint64_t(info.pid))) a.children.remove(child);
    }
}

// Waits for a signal, at most until `until`; true if it was another wish to stop.
bool wait_signal(Anchor& a, std::int64_t until) {
    const std::int64_t left = until - sys::monotonic_ns(), pause = left > 0 ? left : 0;
    __kernel_timespec timeout{pause / 1'000'000'000, pause % 1'000'000'000};
    sys::PollFd poll{a.signals, POLLIN, 0};
    sys::poll(&poll, 1, &timeout);
    signalfd_siginfo info;
    bool stop = false;
    while (sys::read(a.signals, &info, sizeof info) == sizeof info)
        stop = stop || info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
    return stop;
}

}  // namespace

void finish(Anchor& a, const End& end) {
    static Found found;
    std::int64_t kill_ns = sys::monotonic_ns() + std::int64_t(end.grace_ms) * kMs;
    bool any = reap_all(a);
    if (any) signal_all(a, found, SIGTERM, false);
    while (any && sys::monotonic_ns() < kill_ns) {
        if (wait_signal(a, kill_ns)) {
            const std::int64_t sooner = sys::monotonic_ns() + kShortenedNs;
            kill_ns = sooner < kill_ns ? sooner : 0;
        }
        any = reap_all(a);
    }
    const std::int64_t give_up_ns = sys::monotonic_ns() + kKillWaitNs;
    while (any && sys::monotonic_ns() < give_up_ns) {
        if (signal_all(a, found, SIGKILL, true) == 0) break;  // none but those marked never
        wait_signal(a, sys::monotonic_ns() + kPassNs);
        any = reap_all(a);
    }
    sys::exit(end.status & 0xff);
}

}  // namespace abide::anchor
