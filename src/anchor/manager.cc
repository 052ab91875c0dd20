// anchor/manager.cc -- keeps one manager alive: starts it, notices its end, kills one that hangs, fences one that won't
// die.
//
// Invariants: at most one manager has a socket; `epoch` counts every start; a manager is signalled through its pidfd
// only.
#include <initializer_list>

#include "anchor/anchor.hpp"
#include "anchor/text.hpp"

namespace abide::anchor {
namespace {

using text::Line;

constexpr std::int64_t kFirstPauseNs = 10 * kMs, kLongestPauseNs = 5000 * kMs;
constexpr std::int64_t kLongestReadyPauseNs = 40 * kMs;  // for one that had got ready: killed, not broken
constexpr std::int64_t kFenceNs = 5000 * kMs;            // a killed manager that still is not dead sits in the kernel
constexpr int kLastTurns = 64;
constexpr std::uint32_t kEnoughFailures = 5;  // in a row without ever being ready: TERM is then obeyed by us

[[noreturn]] void become_manager(const Anchor& a, int program, int copy, int socket) {
    static char name[] = "abide-manager";
    static char empty[] = "";
    char* argv[] = {name, nullptr};
    if (a.oom_score_adj != -1000) {
        if (const long fd = sys::open("/proc/self/oom_score_adj", O_WRONLY); fd >= 0) {
            Line(int(fd)) << a.oom_score_adj;
            sys::close(int(fd));
        }
    }
    sys::call(__NR_prlimit64, 0, RLIMIT_NOFILE, sys::at(&a.open_files), 0);
    sys::dup_to(socket, kManagerSocket, 0);
    sys::set_mask(0);
    long err = 0;
    for (const int candidate : {program, copy}) {
        if (candidate < 0) break;
        err = sys::call(__NR_execveat, candidate, sys::at(empty), sys::at(argv), sys::at(a.environment), AT_EMPTY_PATH);
    }
    Line(2, false) << "abide-anchor: can't execute the manager: " << text::error_name(err) << "\n";
    sys::exit(127);
}

// A plain copy instead of vfork: our memory is tiny, and an exec that hangs on a dead file system must not hang PID 1.
void start_manager(Anchor& a, std::int64_t now) {
    Manager& m = a.manager;
    m.next_start_ns = now + kLongestPauseNs;  // if anything below is refused
    int pair[2];
    if (sys::call(__NR_socketpair, sys::kUnix, sys::kSeqPacket | sys::kCloexec | sys::kNonblock, 0, sys::at(pair)) < 0)
        return;
    const Kept* program = manager_program(a);
    const Kept* copy = a.kept.find(std::uint64_t(Key::program_copy));  // of manager_program, not of the next one
    if (a.probation.stage == Probation::Stage::running) copy = nullptr;
    const long pid = program == nullptr ? -ENOENT : sys::fork(CLONE_PIDFD, &m.pidfd);
    if (pid == 0) become_manager(a, program->fd, copy == nullptr ? -1 : copy->fd, pair[1]);
    sys::close(pair[1]);
    if (pid < 0) {
        sys::close(pair[0]);
        Line(2, false) << "abide-anchor: can't start the manager: " << text::error_name(pid) << "\n";
        return;
    }
    m.pid = int(pid);
    m.socket = pair[0];
    m.greeted = m.was_ready = m.killed_by_us = false;
    m.start = m.epoch == 0 ? Start::first : m.start;
    ++m.epoch;
    m.ready_ns = m.kill_ns = m.working_ns = 0;
    m.heard_ns = now;
}

void part(Anchor& a) {
    a.out_bytes = 0;
    for (int turn = 0; turn < kLastTurns && a.manager.socket >= 0; ++turn)
        serve(a);  // what it asked for with its last breath
    drop_link(a);
    forget_pushed(a);
    for (std::uint32_t i = 0; i < a.wish_count; ++i) a.wishes[i].sent = false;
    sys::close(a.manager.pidfd);
    a.manager.pid = 0;
    a.probation.told.gone_ns = std::uint64_t(sys::monotonic_ns());
}

void schedule_next(Anchor& a, std::int64_t now) {
    Manager& m = a.manager;
    if (m.ready_ns != 0 && now - m.ready_ns >= kHealthyMs * kMs)
        m.failures = 0;
    else
        ++m.failures;
    if (!m.was_ready) ++m.never_ready;
    std::int64_t pause = 0;
    const std::int64_t longest = m.was_ready ? kLongestReadyPauseNs : kLongestPauseNs;
    // Those that had got ready say nothing about one that did not: killed by chance in its recovery, it is no loop yet.
    const std::uint32_t in_a_row = m.was_ready ? m.failures : m.never_ready;
    if (in_a_row >= 2) {
        pause = kFirstPauseNs;
        for (std::uint32_t i = 2; i < in_a_row && pause < longest; ++i) pause *= 2;
        if (pause > longest) pause = longest;
    }
    // One that has worked for the length of the pause has kept that distance already.
    m.next_start_ns = (m.was_ready ? m.ready_ns : now) + pause;
}

// True if it has ended; then everything is ready for the next one.
bool manager_ended(Anchor& a, std::int64_t now) {
    Manager& m = a.manager;
    Exit exit;
    const Ended kind = look(m.pid, exit, true);
    if (kind == Ended::running) return false;
    m.last_kind = kind;
    m.last_status = exit.status;
    if (m.killed_by_us)
        m.start = Start::hung;
    else
        m.start = kind == Ended::killed && exit.status == SIGKILL ? Start::killed : Start::crashed;
    Line(2, false) << "abide-anchor: the manager (pid " << m.pid << ") "
                   << (kind == Ended::exited ? "exited with status " : "was ended by signal ") << exit.status
                   << (m.killed_by_us ? " after it hung" : "") << "; starting the next\n";
    if (Child* child = a.children.find(std::uint64_t(m.pid))) a.children.remove(child);
    part(a);
    if (!on_swap(a, now)) schedule_next(a, now);
    if (a.sweep_blocked) a.sweep_ns = now;
    return true;
}

// The manager is past SIGKILL and still there.  Its journal is sealed, so it can't act any more
// (F_SEAL_FUTURE_WRITE, fcntl(2); F_SEAL_WRITE fails while somebody holds a page), and the next one starts on a copy.
// When it does end, it is an orphan like any other.
void fence(Anchor& a, std::int64_t now) {
    if (const Kept* journal = a.kept.find(std::uint64_t(Key::journal)))
        sys::fcntl(journal->fd, sys::kAddSeals, sys::kSealShrink | sys::kSealGrow | sys::kSealFutureWrite);
    Line(2, false) << "abide-anchor: the manager (pid " << a.manager.pid << ") does not die; it is fenced off\n";
    a.manager.last_kind = Ended::running;
    a.manager.start = Start::hung;
    a.manager.sealed = true;
    part(a);
    if (!on_swap(a, now)) schedule_next(a, now);
}

}  // namespace

std::int64_t hang_deadline(const Anchor& a) {
    const Manager& m = a.manager;
    if (m.pid == 0 || m.kill_ns != 0 || a.hang_ns == 0) return 0;
    bool outstanding = !m.greeted || a.pushed > 0 || a.manager_stopped;
    for (std::uint32_t i = 0; i < a.wish_count; ++i) outstanding = outstanding || a.wishes[i].sent;
    if (!outstanding) return 0;
    const std::int64_t deadline = m.heard_ns + a.hang_ns;
    return deadline > m.working_ns ? deadline : m.working_ns;
}

// Asked after every SIGCHLD, not read from it: signals coalesce (signal(7)), and a state does not.
void look_for_stop(Anchor& a) {
    sys::WaitInfo info{};
    if (a.manager.pid != 0) sys::waitid(P_PID, a.manager.pid, &info, WSTOPPED | WNOHANG | WNOWAIT);
    if (info.pid != 0 && hang_deadline(a) == 0) a.manager.heard_ns = sys::monotonic_ns();
    a.manager_stopped = info.pid != 0;
}

void tend_manager(Anchor& a, std::int64_t now, bool ended) {
    Manager& m = a.manager;
    judge_probation(a, now);
    if (m.pid != 0 && !(ended && manager_ended(a, now))) {
        const std::int64_t deadline = hang_deadline(a);
        const bool lost_socket = m.socket < 0;  // it closed its end, or its process is about to be seen ending
        if (m.kill_ns == 0 && (lost_socket || (deadline != 0 && now >= deadline))) {
            // A process that is ending closes its socket first: give it a moment to be seen as what it is.
            m.kill_ns = lost_socket && !m.killed_by_us ? now + 100 * kMs : now;
        }
        if (m.kill_ns != 0 && now >= m.kill_ns && !m.killed_by_us) {
            sys::call(__NR_pidfd_send_signal, m.pidfd, SIGKILL, 0, 0);
            m.killed_by_us = true;
        }
        if (m.killed_by_us && now >= m.kill_ns + kFenceNs) fence(a, now);
    }
    if (m.pid != 0) return;
    if (a.end_asked) finish(a, a.end);
    if (m.never_ready >= kEnoughFailures && stop_wished(a)) finish(a, End{1, a.grace_ms});
    if (now >= m.next_start_ns) start_manager(a, now);
}

}  // namespace abide::anchor
