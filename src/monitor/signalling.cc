// monitor/signalling.cc -- signals, stop ladders, and what becomes of a process when its owner goes.
#include <cerrno>
#include <csignal>

#include "kernel/process.hpp"
#include "monitor/core.hpp"

namespace abide::detail {

// The rule of exit_cause::asked, for every way in which a signal of ours gets to a process.
void core::note_signal(record& r, int number, bool stops) {
    if (number < 1 || number > 64) return;
    r.sent_signals |= std::uint64_t{1} << (number - 1);
    r.event.asked_signal = number;
    r.asked_to_end |= stops || number == SIGTERM || number == SIGINT || number == SIGQUIT || number == SIGKILL;
}

result<void> core::signal(process_id id, int number, scope whom) {
    record* r = find(id);
    if (r == nullptr || r->now == phase::over || r->pid == 0) {
        return error{start_stage::none, ESRCH, "the process has ended"};
    }
    const bool whole_group = whom == scope::process_group && r->leads_session && r->now == phase::running;
    Status sent;
    if (!r->pidfd) {
        sent = kernel::send_signal_to_child(r->pid, number, whole_group);
    } else if (whole_group) {
        sent = kernel::send_signal_to_group(r->pidfd.get(), r->pid, number);
    } else {
        sent = kernel::send_signal(r->pidfd.get(), number);
    }
    if (!sent) return from_kernel(sent.error(), {});
    note_signal(*r, number, false);
    return {};
}

result<void> core::stop_process(process_id id, stop_ladder ladder) {
    record* r = find(id);
    if (r == nullptr || r->now == phase::over) return error{start_stage::none, ESRCH, "the process has ended"};
    if (ladder.empty()) return error{start_stage::none, EINVAL, "a stop ladder without steps"};
    if (r->ladder.timer != 0) cancel(r->ladder.timer);
    r->asked_to_end = true;
    r->ladder = {std::move(ladder), 0, 0};
    climb(id);
    return {};
}

// The next step, and the timer for the one after it.
void core::climb(process_id id) {
    record* r = find(id);
    if (r == nullptr || r->now == phase::over || r->ladder.next >= r->ladder.steps.size()) return;
    if (r->pid == 0) return;  // took_off() goes on
    const stop_step step = r->ladder.steps[r->ladder.next++];
    r->ladder.timer = 0;
    static_cast<void>(signal(id, step.signal, step.whom));
    // A stopped process would only get it when it goes on.
    if (step.signal != SIGKILL && step.signal != SIGSTOP) static_cast<void>(signal(id, SIGCONT, step.whom));
    r->event.asked_signal = step.signal;
    if (r->ladder.next < r->ladder.steps.size()) {
        r->ladder.timer = after(Duration{step.wait.count()}, [this, id] { climb(id); }, false);
    }
}

void core::apply_policy(record& r) {
    if (r.pid == 0) {
        r.policy_due = true;  // it waits for its start
        return;
    }
    switch (r.policy) {
        case leave::kill: static_cast<void>(signal(r.id, SIGKILL, scope::process)); break;
        case leave::terminate_then_kill:
            static_cast<void>(stop_process(r.id, {{SIGTERM, options_.grace, scope::process}, {SIGKILL, {}, {}}}));
            break;
        case leave::detach:
        case leave::wait: break;
    }
}

// The handle has gone.
void core::drop(process_id id) {
    record* r = find(id);
    if (r == nullptr) return;
    r->owned = false;
    r->release.reset();  // nobody else could end its hold
    if (r->now == phase::over) return free_if_done(id);
    switch (r->policy) {
        case leave::kill:
        case leave::terminate_then_kill: apply_policy(*r); break;
        case leave::detach:
            r->muted = true;
            --watched_;
            break;
        case leave::wait: static_cast<void>(wait(id, forever)); break;
    }
}

process_id core::release(process_id id) {
    record* r = find(id);
    if (r == nullptr) return id;
    r->owned = false;
    r->release.reset();
    free_if_done(id);
    return id;
}

}  // namespace abide::detail
