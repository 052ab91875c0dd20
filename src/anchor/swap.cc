// anchor/swap.cc -- another program for the manager, on probation; and the program before it back when it fails.
//
// The asker names the program (Key::next_program) and then ends; from there on nobody but the anchor decides.  The old
// program stays kept under Key::manager_program until the commit.  What fails is killed like any manager that hangs;
// that it ended is what takes the swap back, so a crash and a kill go one way.  Invariants: next_program is executed
// only on probation; every probation has a deadline; none ends with a program that was neither committed nor there
// before.
#include "anchor/anchor.hpp"
#include "anchor/text.hpp"

namespace abide::anchor {
namespace {

using Stage = Probation::Stage;
using text::Line;

constexpr std::int64_t kPartingNs = 1000 * kMs;  // from the answer to `swap` to the asker's end

// By Verdict.
constexpr const char* kWords[] = {
    "", "", "", "ended", "hung", "was not ready in time", "sent garbage", "was not committed in time"};

void drop_next(Anchor& a) {
    Kept* next = a.kept.find(std::uint64_t(Key::next_program));
    if (next == nullptr) return;
    close_later(a, next->fd);
    a.kept.remove(next);
}

void condemn(Anchor& a, Verdict verdict, std::int64_t now) {
    Generation& told = a.probation.told;
    if (Verdict(told.verdict) == Verdict::pending) told.verdict = std::uint32_t(verdict);
    if (a.manager.kill_ns == 0) a.manager.kill_ns = now;
}

void take_back(Anchor& a, std::int64_t now) {
    Probation& p = a.probation;
    if (Verdict(p.told.verdict) == Verdict::pending)
        p.told.verdict = std::uint32_t(a.manager.killed_by_us ? Verdict::hung : Verdict::crashed);
    p.told.last_kind = std::uint32_t(a.manager.last_kind);
    p.told.last_status = a.manager.last_status;
    ++p.told.rollbacks;
    p.stage = Stage::none;
    p.deadline_ns = 0;
    drop_next(a);
    a.manager.start = Start::rolled_back;
    a.manager.failures = a.manager.never_ready = 0;  // they were the other program's
    a.manager.next_start_ns = now;
    Line(2, false) << "abide-anchor: the new manager " << kWords[p.told.verdict & 7]
                   << "; the program before it comes back\n";
}

}  // namespace

const Kept* manager_program(Anchor& a) {
    const bool next = a.probation.stage == Stage::running;
    return a.kept.find(std::uint64_t(next ? Key::next_program : Key::manager_program));
}

std::uint32_t begin_swap(Anchor& a, const Swap& swap) {
    Probation& p = a.probation;
    if (p.stage != Stage::none) return EBUSY;
    if (swap.ticket == 0) return EINVAL;
    if (a.kept.find(std::uint64_t(Key::next_program)) == nullptr) return ENOENT;
    p.stage = Stage::asked;
    p.swap = swap;
    p.vouched = false;
    const std::int64_t now = sys::monotonic_ns();
    p.deadline_ns = now + kPartingNs;
    p.told.ticket = swap.ticket;
    p.told.verdict = std::uint32_t(Verdict::pending);
    p.told.last_kind = std::uint32_t(p.told.last_status = 0);
    p.told.asked_ns = std::uint64_t(now);
    return 0;
}

std::uint32_t commit_swap(Anchor& a, const Commit& commit) {
    Probation& p = a.probation;
    if (p.stage != Stage::running || commit.ticket != p.swap.ticket || !a.manager.was_ready) return ESTALE;
    if (a.manager.kill_ns != 0 || Verdict(p.told.verdict) != Verdict::pending) return ESTALE;
    if (!p.vouched) {
        p.vouched = true;
        p.deadline_ns = sys::monotonic_ns() + std::int64_t(p.swap.commit_ms) * kMs;
    }
    if ((commit.flags & kFinal) == 0) return 0;
    Kept* next = a.kept.find(std::uint64_t(Key::next_program));
    Kept* program = a.kept.find(std::uint64_t(Key::manager_program));
    close_later(a, program->fd);
    program->fd = next->fd;
    a.kept.remove(next);
    p.stage = Stage::none;
    p.deadline_ns = 0;
    p.told.verdict = std::uint32_t(Verdict::committed);
    ++p.told.swaps;
    return 0;
}

void judge_probation(Anchor& a, std::int64_t now) {
    Probation& p = a.probation;
    if (p.stage == Stage::none) return;
    if (p.stage == Stage::running && a.ignored_frames != p.garbage) condemn(a, Verdict::garbage, now);
    if (now < p.deadline_ns) return;
    if (p.stage == Stage::asked) {
        if (a.manager.kill_ns == 0) a.manager.kill_ns = now;  // it asked, and doesn't go
        return;
    }
    condemn(a, p.vouched ? Verdict::uncommitted : Verdict::late, now);
    if (a.manager.pid == 0) take_back(a, now);  // it could not even be started
}

bool on_swap(Anchor& a, std::int64_t now) {
    Probation& p = a.probation;
    if (p.stage == Stage::none) return false;
    if (p.stage == Stage::running) {
        take_back(a, now);
        return true;
    }
    p.stage = Stage::running;
    p.garbage = a.ignored_frames;
    p.deadline_ns = now + std::int64_t(p.swap.ready_ms) * kMs;
    a.manager.start = Start::upgraded;
    a.manager.failures = a.manager.never_ready = 0;
    a.manager.next_start_ns = now;
    return true;
}

}  // namespace abide::anchor
