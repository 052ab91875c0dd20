// anchor/exits.cc -- children that ended: seen, told, and reaped only when the manager has acknowledged them.
//
// The zombie is the record.  It is looked at with WNOWAIT, marked kEndedBit, pushed (kPushedBit) and stays until
// `reap`. SIGCHLD coalesces (signal(7)): the signal names one pid, which is the fast path; the rest are found by a
// sweep shortly after, off that path.  waitid(P_ALL, WNOWAIT) shows the same zombie again and again, so the sweep asks
// /proc for the list of children where there is one, and else waits until the first zombie was reaped. Invariants:
// zombies == children with kEndedBit; pushed == children with kPushedBit <= zombies.
#include "anchor/anchor.hpp"
#include "anchor/text.hpp"

namespace abide::anchor {
namespace {

constexpr int kLookOnly = WEXITED | WNOHANG | WNOWAIT | __WALL;
constexpr int kReap = WEXITED | WNOHANG | __WALL;
constexpr std::int64_t kSweepDelayNs = 20 * kMs;
constexpr std::uint32_t kSweepWaits = 5;
constexpr int kSweepSteps = 256;  // first zombies reaped in one sweep, so that a storm of orphans can't keep us in it

// Reaped without a manager: the status is kept for peek, the oldest gives way.
void put_aside(Anchor& a, const Exit& exit) {
    Exit& slot = a.statuses[a.next_status];
    a.next_status = (a.next_status + 1) % kMaxStatuses;
    if (slot.pid != 0 && (slot.marks & kManaged) != 0) ++a.statuses_lost;
    slot = exit;
}

void forget(Anchor& a, Child* child) {
    if ((child->flags & kEndedBit) != 0) --a.zombies;
    if ((child->flags & kPushedBit) != 0) --a.pushed;
    a.children.remove(child);
}

bool fill(const Exit* exits, std::uint32_t count, Anchor& a) {
    Frame frame;
    frame.header = {std::uint16_t(Verb::exited), 0, 0, count, 0};
    memcpy(frame.body, exits, count * sizeof(Exit));
    return send(a, frame, count * sizeof(Exit)) == Sent::yes;
}

void note_pushed(Anchor& a, Child* child) {
    if ((child->flags & kPushedBit) != 0) return;
    child->flags |= kPushedBit;
    if (hang_deadline(a) == 0) a.manager.heard_ns = sys::monotonic_ns();
    ++a.pushed;
}

// A child has ended and is not yet known to have.  True if it stays a zombie.
bool note_ended(Anchor& a, const Exit& seen) {
    Child* child = a.children.find(std::uint64_t(seen.pid));
    const std::uint32_t marks = child != nullptr ? child->flags & kMarkBits : 0;
    const bool managed = (marks & kManaged) != 0;
    const bool keep = a.manager.pid != 0 || (managed && a.zombies < kMaxZombies);
    if (keep && child == nullptr) child = a.children.add(std::uint64_t(seen.pid));
    if (!keep || child == nullptr) {
        Exit reaped;
        if (look(seen.pid, reaped, true) == Ended::unknown) return false;
        reaped.marks = marks;
        put_aside(a, reaped);
        if (child != nullptr) forget(a, child);
        return false;
    }
    child->flags |= kEndedBit;
    ++a.zombies;
    if (!can_send(a)) return true;
    Exit exit = seen;
    exit.marks = marks;
    if (fill(&exit, 1, a)) note_pushed(a, child);
    return true;
}

void check(Anchor& a, int pid) {
    const Child* known = a.children.find(std::uint64_t(pid));
    if (pid == a.manager.pid || (known != nullptr && (known->flags & kEndedBit) != 0)) return;
    Exit exit;
    const Ended kind = look(pid, exit, false);
    if (kind == Ended::running || kind == Ended::unknown) return;
    if (is_closer(a, pid))
        look(pid, exit, true);
    else if (!is_rehearsal(a, pid))
        note_ended(a, exit);
}

// True if the list of children could be read, and so every zombie was seen.
bool sweep_listed(Anchor& a) {
    if (!a.has_proc) return false;
    // Without CONFIG_PROC_CHILDREN there is no such file.
    return text::each_number("/proc/thread-self/children", [&a](std::int64_t pid) { check(a, int(pid)); });
}

}  // namespace

Ended look(int pid, Exit& out, bool reap) {
    sys::WaitInfo info{};
    sys::Usage usage{};
    out = Exit{};
    out.pid = pid;
    out.kind = std::uint32_t(Ended::unknown);
    // Any other error says nothing about the child: it counts as running, and is looked at again.
    const long err = pid <= 0 ? -ECHILD : sys::waitid(P_PID, pid, &info, reap ? kReap : kLookOnly, &usage);
    if (err == -ECHILD) return Ended::unknown;
    out.kind = info.pid == 0 ? 0 : std::uint32_t(info.code);  // CLD_EXITED, CLD_KILLED, CLD_DUMPED are 1, 2, 3
    if (info.pid == 0) return Ended::running;
    out.seen_ns = std::uint64_t(sys::monotonic_ns());
    out.status = info.status;
    out.user_us = std::uint64_t(usage.user.tv_sec * 1'000'000 + usage.user.tv_nsec);
    out.system_us = std::uint64_t(usage.system.tv_sec * 1'000'000 + usage.system.tv_nsec);
    out.max_rss_kib = std::uint64_t(usage.max_rss_kib);
    return Ended(out.kind);
}

void child_signal(Anchor& a, int pid) {
    if (a.sweep_ns == 0) a.sweep_ns = sys::monotonic_ns() + kSweepDelayNs;
    if (pid > 0) check(a, pid);
}

void sweep(Anchor& a) {
    const std::uint32_t waits = a.sweep_waits;
    a.sweep_ns = 0;
    a.sweep_waits = 0;
    a.sweep_blocked = false;
    for (int step = 0; step < kSweepSteps; ++step) {
        sys::WaitInfo info{};
        if (sys::waitid(P_ALL, 0, &info, kLookOnly) < 0 || info.pid == 0) return;
        check(a, info.pid);
        const Child* child = a.children.find(std::uint64_t(info.pid));
        // Reaped: the next one shows.
        if (info.pid != a.manager.pid && (child == nullptr || (child->flags & kEndedBit) == 0)) continue;
        // To look at every child takes a millisecond for 500 of them, and meanwhile one that ends waits.  A manager
        // that was told of this zombie acknowledges it in less, as a rule; then the next sweep sees behind it.
        if (info.pid != a.manager.pid && a.manager.pid != 0 && a.pushed > 0 && waits < kSweepWaits) {
            a.sweep_waits = waits + 1;
            a.sweep_ns = sys::monotonic_ns() + kSweepDelayNs;
            return;
        }
        const std::uint32_t aside = a.next_status;
        a.sweep_blocked = !sweep_listed(a);
        if (a.next_status != aside) break;  // the list shifts while we reap from it: read it again
        return;
    }
    a.sweep_ns = sys::monotonic_ns() + kMs;
}

void push_exits(Anchor& a) {
    for (Child* at = a.children.begin(); a.zombies > a.pushed && can_send(a) && at < a.children.end();) {
        Child* batch[kBatch];
        Exit exits[kBatch];
        std::uint32_t n = 0;
        for (; n < kBatch && at < a.children.end(); ++at) {
            Child& child = *at;
            if ((child.flags & (kEndedBit | kPushedBit)) != kEndedBit) continue;
            look(int(child.key), exits[n], false);
            exits[n].marks = child.flags & kMarkBits;
            batch[n++] = &child;
        }
        if (n == 0 || !fill(exits, n, a)) return;
        for (std::uint32_t i = 0; i < n; ++i) note_pushed(a, batch[i]);
    }
}

void forget_pushed(Anchor& a) {
    if (a.pushed > 0)
        for (Child& child : a.children) child.flags &= ~kPushedBit;
    a.pushed = 0;
}

void acknowledge(Anchor& a, int pid) {
    if (pid <= 0 || pid == a.manager.pid) return;
    for (std::uint32_t i = 0; i < a.closer_count; ++i)
        if (a.closers[i] == pid) return;
    Exit exit;
    const Ended kind = look(pid, exit, true);
    if (kind == Ended::running) return;  // the manager is ahead of the world: nothing to forget
    if (Child* child = a.children.find(std::uint64_t(pid))) forget(a, child);
    if (kind == Ended::unknown)
        for (Exit& aside : a.statuses)
            if (aside.pid == pid) aside = Exit{};
    if (a.sweep_blocked && a.sweep_ns == 0) a.sweep_ns = exit.seen_ns != 0 ? std::int64_t(exit.seen_ns) : 1;
}

Exit describe(Anchor& a, int pid) {
    Exit exit;
    const Ended kind = look(pid, exit, false);
    Child* child = pid > 0 ? a.children.find(std::uint64_t(pid)) : nullptr;
    exit.marks = child != nullptr ? child->flags & kMarkBits : 0;
    if (kind == Ended::unknown && pid > 0)
        for (const Exit& aside : a.statuses)
            if (aside.pid == pid) return aside;
    if (kind == Ended::running || kind == Ended::unknown) return exit;
    if (child == nullptr) child = a.children.add(std::uint64_t(pid));
    if (child == nullptr) return exit;
    if ((child->flags & kEndedBit) == 0) ++a.zombies;
    child->flags |= kEndedBit;
    note_pushed(a, child);  // an answer tells as much as a push
    return exit;
}

}  // namespace abide::anchor
