// monitor/ending.cc -- how ends are seen in each tier, and told once.
//
// With pidfds: readable means ended.  waitid takes the status of a child; ECHILD says that it isn't ours or that
// somebody else took it, and then PIDFD_GET_INFO has the status as soon as the process is reaped.  Without pidfds each
// child is asked by number, which is its own for as long as nobody reaps it.
#include <algorithm>
#include <csignal>

#include "base/check.hpp"
#include "kernel/clock.hpp"
#include "kernel/program.hpp"
#include "monitor/core.hpp"

namespace abide::detail {
namespace {

constexpr std::size_t kReapsATurn = 128;
// What a process does to itself more often than others do to it.
constexpr std::array kFaults{SIGSEGV, SIGBUS,  SIGILL,  SIGFPE,  SIGTRAP, SIGABRT,
                             SIGSYS,  SIGPIPE, SIGALRM, SIGXCPU, SIGXFSZ};

exit_status status_of(const kernel::ExitReport& report, exit_source source) {
    exit_status status;
    status.source = source;
    status.value = report.value;
    status.how = !report.by_signal ? ended::exited : report.dumped ? ended::dumped : ended::killed;
    return status;
}

void set_resources(exit_event& event, const kernel::ExitReport& report) {
    event.used = exit_resources{std::chrono::microseconds(report.user_us), std::chrono::microseconds(report.system_us),
                                report.max_rss_kib};
}

}  // namespace

void stamp(exit_event& event) {
    event.seen = std::chrono::steady_clock::now();
    event.time = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>(
        std::chrono::nanoseconds(kernel::now().wall.ns));
}

// True when the record has just come to its end; the caller tells.
bool core::collect(record& r) {
    if (r.now == phase::over) return false;
    if (r.now == phase::starting && !r.failed) {
        pump_spawner();
        // Its outcome comes first.
        if (r.now == phase::starting && !r.failed) return false;
    }
    if (!r.child) return collect_foreign(r);
    kernel::ExitReport report;
    const kernel::Taking taking =
        r.pidfd ? kernel::take_exit(r.pidfd.get(), report) : kernel::take_exit_of(r.pid, report);
    switch (taking) {
        case kernel::Taking::running: return false;
        case kernel::Taking::taken: finish(r, report, exit_source::wait); return true;
        case kernel::Taking::foreign: break;
    }
    if (r.pidfd) return collect_foreign(r);
    finish_unknown(r);
    return true;
}

bool core::collect_foreign(record& r) {
    const kernel::Life life = kernel::life_of(r.pidfd.get());
    if (life == kernel::Life::running) return false;
    if (tier_ != tier::exit_info) {
        finish_unknown(r);
        return true;
    }
    if (const std::optional<int> raw = kernel::exit_info(r.pidfd.get())) {
        finish(r, kernel::decode_wait_status(*raw), exit_source::exit_info);
        return true;
    }
    if (life == kernel::Life::reaped) {
        finish_unknown(r);
        return true;
    }
    if (!r.only_hangup) {
        // A zombie: its parent comes first.  Until then the pidfd stays readable, and only EPOLLHUP is news.
        r.only_hangup = true;
        stamp(r.event);
        static_cast<void>(
            epoll_.modify(r.pidfd.get(), 0, token(token_kind::process, static_cast<std::uint64_t>(r.id))));
        const process_id id = r.id;
        const auto give_up = [this, id] {
            record* late = find(id);
            if (late == nullptr || late->now == phase::over) return;
            late->patience = 0;
            if (!collect(*late)) finish_unknown(*late);
            tell(id);
        };
        r.patience = after(Duration{options_.adopt_patience.count()}, give_up, false);
    }
    return false;
}

exit_cause core::judge(const record& r) const {
    const exit_status& status = r.event.status;
    const bool asked = r.asked_to_end;
    if (status.how == ended::unknown) return asked ? exit_cause::asked : exit_cause::unknown;
    if (status.how == ended::exited) return asked ? exit_cause::asked : exit_cause::itself;
    if (status.value >= 1 && status.value <= 64 && ((r.sent_signals >> (status.value - 1)) & 1) != 0) {
        return exit_cause::asked;
    }
    if (status.value == SIGKILL && r.oom_kills_before >= 0 && oom_kills(r) > r.oom_kills_before) return exit_cause::oom;
    return std::ranges::find(kFaults, status.value) != kFaults.end() ? exit_cause::itself : exit_cause::outside;
}

void core::finish(record& r, const kernel::ExitReport& report, exit_source source) {
    if (!r.only_hangup) stamp(r.event);  // else: when it was first seen to have ended
    r.event.status = status_of(report, source);
    if (source == exit_source::wait) set_resources(r.event, report);
    close_record(r);
}

void core::finish_unknown(record& r) {
    if (!r.only_hangup) stamp(r.event);
    close_record(r);
}

// The one way to `over`.  Allocates nothing.
void core::close_record(record& r) {
    CHECK(r.now != phase::over, "a process ended twice");
    r.event.cause = judge(r);
    r.now = phase::over;
    if (r.failed) {
        --failed_;
    } else if (!r.muted) {
        --watched_;
    }
    if (r.pidfd) {
        static_cast<void>(epoll_.remove(r.pidfd.get()));  // the Spawner may still have a duplicate
        r.pidfd.reset();
    }
    if (!by_pid_.empty()) {
        const auto found = by_pid_.find(r.pid);
        if (found != by_pid_.end() && found->second == r.id) by_pid_.erase(found);
    }
    for (timer_id* pending : {&r.patience, &r.ladder.timer}) {
        if (*pending != 0) cancel(std::exchange(*pending, 0));
    }
}

// Tells the end of a record that is over: output first, then who waits, then the handler.
void core::tell(process_id id) {
    const bool outer = std::exchange(dispatching_, true);
    if (const record* r = find(id); r != nullptr && r->started) tell_outcomes();  // its start comes first
    for (const int number : {1, 2}) read_stream(id, number, std::size_t{1} << 20);
    record* r = find(id);
    if (r != nullptr && !std::exchange(r->told, true)) {
        const exit_event event = r->event;
        const std::uint64_t keeper = r->keeper;
        const bool quiet = r->muted || r->failed || silent_;
        const exit_handler handler = std::move(r->handler);
        if (const std::uint64_t group = std::exchange(r->group, 0); group != 0) member_left(group);
        resume_awaiters(id);
        free_if_done(id);
        if (!quiet) {
            const std::shared_ptr<const router> routes = router_;
            if (handler) {
                handler(event);
            } else if (keeper == 0 && routes) {
                (*routes)(event);
            }
            if (keeper != 0) kept_ended(keeper, event);
        }
    }
    dispatching_ = outer;
}

void core::resume_awaiters(process_id id) {
    for (record* r = find(id); r != nullptr && r->waiting != nullptr && !silent_; r = find(id)) {
        exit_awaiter* const first = r->waiting;
        r->waiting = first->next_;
        first->linked_ = false;
        first->event_ = r->event;
        first->waiting_.resume();
    }
}

// ---- tier sigchld, and exclusive

void core::look_later() {
    if (look_timer_ != 0) return;
    look_timer_ = after(Duration{options_.look_every.count()}, [this] { look_at_children(); }, false);
}

std::size_t core::look_at_children() {
    std::size_t done = 0;
    bool any = false;
    // A handler that starts something sets a new timer.
    if (look_timer_ != 0) cancel(std::exchange(look_timer_, 0));
    pump_spawner();
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        record* r = slots_[i].get();
        if (r == nullptr || r->now == phase::over || r->pidfd || r->pid == 0) continue;
        const process_id id = r->id;
        if (!collect(*r)) {
            any = true;
            continue;
        }
        tell(id);
        ++done;
    }
    if (any) look_later();
    return done;
}

std::size_t core::reap_all() {
    pump_spawner();  // so that all children of ours are known
    std::size_t done = 0;
    for (; done < kReapsATurn; ++done) {
        const pid_t pid = kernel::find_ended_child();
        if (pid == 0) return done;
        const auto found = by_pid_.find(pid);
        record* r = found == by_pid_.end() ? nullptr : find(found->second);
        if (r != nullptr) {
            const process_id id = r->id;
            if (!collect(*r)) break;  // its outcome is not known yet: a moment later
            tell(id);
            continue;
        }
        kernel::ExitReport report;
        if (kernel::take_exit_of(pid, report) == kernel::Taking::taken) tell_orphan(report);
    }
    child_hint();  // more is left, and SIGCHLD was said already
    return done;
}

void core::tell_orphan(const kernel::ExitReport& report) {
    const std::shared_ptr<const exit_handler> handler = orphan_;
    if (!handler || !*handler || silent_) return;
    exit_event event;
    event.pid = report.pid;
    event.status = status_of(report, exit_source::wait);
    set_resources(event, report);
    stamp(event);
    event.started = event.seen;  // nobody knows
    event.cause = exit_cause::unknown;
    (*handler)(event);
}

// ---- waiting

std::optional<exit_event> core::wait(process_id id, deadline until) {
    const std::shared_ptr<core> alive = shared_from_this();
    const Mono end = to_mono(until);
    Duration pause{200'000};
    for (;;) {
        record* r = find(id);
        if (r == nullptr) return std::nullopt;
        if (r->now == phase::over) {
            const exit_event event = r->event;
            tell(id);
            return event;
        }
        if (collect(*r)) {
            const exit_event event = r->event;
            tell(id);
            return event;
        }
        if (kernel::mono_now() >= end) return std::nullopt;
        wait_a_moment(*r, end, pause);
    }
}

void core::wait_a_moment(record& r, Mono end, Duration& pause) {
    if (r.now == phase::starting) {
        const std::array<int, 1> outcome{spawner_->fd()};
        static_cast<void>(kernel::wait_readable(outcome, end));
        return;
    }
    if (r.pidfd && !r.only_hangup) {
        const std::array<int, 1> its_end{r.pidfd.get()};
        static_cast<void>(kernel::wait_readable(its_end, end));
        return;
    }
    // No descriptor tells: without pidfds, or a zombie that waits for its parent.
    kernel::sleep_for(std::min(pause, end == kNever ? pause : end - kernel::mono_now()));
    pause.ns = std::min<std::int64_t>(pause.ns * 2, options_.look_every.count());
    pause.ns = std::max<std::int64_t>(pause.ns, 100'000);
}

void core::await(exit_awaiter& awaiter, std::coroutine_handle<> waiting) {
    record* r = find(awaiter.id_);
    if (r == nullptr) return;
    awaiter.waiting_ = waiting;
    awaiter.linked_ = true;
    exit_awaiter** last = &r->waiting;
    while (*last != nullptr) last = &(*last)->next_;
    *last = &awaiter;
}

void core::forget(exit_awaiter& awaiter) {
    record* r = find(awaiter.id_);
    if (r == nullptr || !awaiter.linked_) return;
    exit_awaiter** at = &r->waiting;
    while (*at != nullptr && *at != &awaiter) at = &(*at)->next_;
    if (*at != nullptr) *at = awaiter.next_;
    awaiter.linked_ = false;
}

}  // namespace abide::detail
