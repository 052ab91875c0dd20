// anchor/loop.cc -- waits for signals, the manager's socket and the manager's end; no wake-up without a cause.
//
// Only what poll named is looked at: the manager, which was just told of an exit, often waits for our processor.
#include "anchor/anchor.hpp"

namespace abide::anchor {
namespace {

constexpr std::int64_t kRetryNs = 100 * kMs;  // closers that could not be started
constexpr std::int64_t kSecond = 1'000'000'000;

// The first instant at which something is to be done unasked; 0: never.
std::int64_t next_instant(const Anchor& a, std::int64_t now) {
    std::int64_t next = 0;
    const auto consider = [&next](std::int64_t instant) {
        if (instant != 0 && (next == 0 || instant < next)) next = instant;
    };
    const Manager& m = a.manager;
    consider(a.sweep_ns);
    consider(hang_deadline(a));
    consider(a.renewal.deadline_ns);
    if (m.kill_ns == 0) consider(a.probation.deadline_ns);
    if (m.pid == 0) consider(m.next_start_ns);
    if (m.pid != 0 && m.kill_ns != 0) consider(m.killed_by_us ? m.kill_ns + 5000 * kMs : m.kill_ns);
    if (a.closing_count > 0 && a.closer_count < kMaxClosers) consider(now + kRetryNs);
    return next;
}

// What has something for us.
struct Ready {
    bool signals, manager_end, socket;
};

Ready wait(Anchor& a, std::int64_t now) {
    const Manager& m = a.manager;
    const std::int64_t next = next_instant(a, now);
    const std::int64_t pause = next > now ? next - now : 0;
    __kernel_timespec timeout{pause / kSecond, pause % kSecond};
    sys::PollFd fds[3] = {{a.signals, POLLIN, 0}, {-1, 0, 0}, {-1, 0, 0}};
    if (m.pid != 0) fds[1].fd = m.pidfd, fds[1].events = POLLIN;
    if (m.pid != 0 && m.socket >= 0) {
        const bool to_send = a.out_bytes > 0 || a.renewal.answer_due || (m.greeted && a.zombies > a.pushed);
        bool wish = false;
        for (std::uint32_t i = 0; i < a.wish_count; ++i) wish = wish || !a.wishes[i].sent;
        fds[2].fd = m.socket;
        fds[2].events = std::int16_t((a.out_bytes == 0 ? POLLIN : 0) | (to_send || (m.greeted && wish) ? POLLOUT : 0));
    }
    if (sys::poll(fds, 3, next == 0 ? nullptr : &timeout) < 0) return {true, true, true};
    return {fds[0].revents != 0, fds[1].revents != 0, fds[2].revents != 0};
}

}  // namespace

void loop(Anchor& a) {
    look_for_stop(a);
    for (Ready ready{true, true, true};;) {
        if (ready.signals) read_signals(a);
        if (ready.socket) serve(a);
        flush(a);
        if (a.end_asked) finish(a, a.end);
        const std::int64_t now = sys::monotonic_ns();
        if (a.sweep_ns != 0 && now >= a.sweep_ns) sweep(a);
        tend_manager(a, now, ready.manager_end);
        tend_renewal(a, now);
        start_closers(a);
        ready = wait(a, now);
    }
}

}  // namespace abide::anchor
