// monitor/starting.cc -- from a command to a running process, and processes that others started.
#include <cerrno>

#include "kernel/clock.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "kernel/socket.hpp"
#include "monitor/core.hpp"
#include "monitor/request.hpp"

namespace abide::detail {
// Everything that can be refused is refused here; afterwards all that happens comes by pump_spawner().
result<process_id> core::begin(const command& what, leave policy, exit_handler handler, bool sync) {
    const command_parts& parts = command_access::parts_of(what);
    if (parts.argv[0].empty()) return error{start_stage::none, EINVAL, "the command is empty"};
    if (parts.as_sibling && tier_ == tier::sigchld) {
        return error{start_stage::none, ENOTSUP,
                     "without pidfds the end of a process that is not our child is not seen"};
    }
    result<prepared> ready = prepare(parts);
    if (!ready) return ready.error();
    record& r = make_record(policy, parts.label);
    const process_id id = r.id;
    r.handler = std::move(handler);
    r.sync = sync;
    r.child = !parts.as_sibling;
    r.leads_session = parts.new_session;
    r.streams = std::move(ready->streams);
    r.pipes = std::move(ready->pipes);
    r.release = std::move(ready->release);
    // What a failure will be called.
    r.failure.what = parts.executable.empty() ? parts.argv[0] : parts.executable;
    if (result<void> joined = begin_in_group(parts, r, ready->request); !joined) {
        free_record(id);
        return joined.error();
    }
    if (Status s = spawner_->spawn(std::move(ready->request), static_cast<std::uint64_t>(id)); !s) {
        free_record(id);
        return from_kernel(s.error(), {});
    }
    ++starting_;
    ++watched_;
    member_joined(r);
    pump_spawner();  // so that no process is ever looked at by a number that another one has got
    return id;
}

result<process> core::spawn(const command& what, leave policy, exit_handler handler, std::uint64_t keeper) {
    const result<process_id> id = begin(what, policy, std::move(handler), true);
    if (!id) return id.error();
    find(*id)->keeper = keeper;
    for (;;) {
        pump_spawner();
        record* r = find(*id);
        if (r->failed) {
            const error why = r->failure;
            r->sync = false;
            free_if_done(*id);
            return why;
        }
        if (r->now != phase::starting) break;
        const std::array<int, 1> outcome{spawner_->fd()};
        static_cast<void>(kernel::wait_readable(outcome, kNever));
    }
    record* r = find(*id);
    r->sync = false;
    r->owned = true;
    return process(shared_from_this(), *id);
}

void core::spawn_async(const command& what, leave policy, start_handler started, exit_handler handler) {
    const result<process_id> id = begin(what, policy, std::move(handler), false);
    if (id) {
        find(*id)->started = std::move(started);
        return;
    }
    // Told like any other outcome, by dispatch().
    record& r = make_record(policy, {});
    r.failed = true;
    r.now = phase::over;
    r.told = true;
    r.failure = id.error();
    r.started = std::move(started);
    outcomes_.push_back(r.id);
    bell_.ring();
}

// Takes the Spawner's news.  Calls nobody: also used in the middle of spawn().
void core::pump_spawner() {
    for (kernel::SpawnEvent& event : spawner_->drain()) {
        record* r = find(process_id{event.token});
        if (r == nullptr) continue;
        switch (event.kind) {
            case kernel::SpawnEventKind::started: took_off(*r, std::move(event)); break;
            case kernel::SpawnEventKind::held:
                r->holding = hold::held;
                start_done(*r);
                break;
            case kernel::SpawnEventKind::executed:
            case kernel::SpawnEventKind::failed: settle(*r, event); break;
        }
    }
}

void core::took_off(record& r, kernel::SpawnEvent event) {
    r.pid = event.pid;
    r.event.pid = event.pid;
    member_started(r);
    if (tier_ == tier::sigchld || options_.reaper == reaper::exclusive) {
        lost_number(event.pid);
        by_pid_[event.pid] = r.id;
    }
    if (tier_ != tier::sigchld) {
        r.pidfd = std::move(event.pidfd);
        const std::uint64_t mine = token(token_kind::process, static_cast<std::uint64_t>(r.id));
        // Without a descriptor that tells (too many are open, say) it is looked at like in the tier sigchld.
        if (r.pidfd && !epoll_.add(r.pidfd.get(), EPOLLIN, mine)) r.pidfd.reset();
    }
    if (!r.pidfd) look_later();
    if (std::exchange(r.policy_due, false)) apply_policy(r);
    end_if_late(r);
    if (r.ladder.next < r.ladder.steps.size() && r.ladder.timer == 0) climb(r.id);
}

// A process that we watch by its number can't have it any more: somebody else reaped it.
void core::lost_number(pid_t pid) {
    const auto found = by_pid_.find(pid);
    if (found == by_pid_.end()) return;
    record* before = find(found->second);
    if (before == nullptr || before->now == phase::over) return;
    // By its pidfd the status may still be had; by its number it would be the new process's.
    if (!before->pidfd || !collect(*before)) finish_unknown(*before);
    lost_.push_back(before->id);
    bell_.ring();
}

void core::settle(record& r, const kernel::SpawnEvent& event) {
    const bool failed = event.kind == kernel::SpawnEventKind::failed;
    if (failed) {
        r.failure.what = "can't start " + r.failure.what;
        r.failure.stage = static_cast<start_stage>(static_cast<int>(event.stage) + 1);
        r.failure.number = event.err;
    }
    if (r.holding != hold::none) {
        // Its start was told when it was held, so its end will be, too.
        r.holding = failed ? hold::failed : hold::executed;
        return;
    }
    if (failed) start_failed(r);
    start_done(r);
}

void core::start_failed(record& r) {
    r.failed = true;
    const bool counted = r.now != phase::over;
    if (counted && !r.muted) --watched_;
    for (auto& stream : r.streams) stream.reset();
    // A child that came to be is reaped like any other, but nobody is told.
    if (r.pid != 0) {
        failed_ += counted ? 1 : 0;
        return;
    }
    r.now = phase::over;
    r.told = true;
    const std::uint64_t group = std::exchange(r.group, 0);
    if (group != 0) member_left(group);
}

void core::start_done(record& r) {
    --starting_;
    if (!r.failed && r.now == phase::starting) {
        r.now = phase::running;
        attach_streams(r);
    }
    if (!r.sync) {
        outcomes_.push_back(r.id);
        bell_.ring();
    }
}

result<void> core::release_hold(process_id id) {
    record* r = find(id);
    const error ended{start_stage::none, ESRCH, "the process has ended"};
    if (r == nullptr || r->now == phase::over) return ended;
    if (r->holding == hold::none || r->holding == hold::executed) {
        return error{start_stage::none, EINVAL, "the process is not held"};
    }
    if (r->holding == hold::held) {
        if (!kernel::send_some(r->release.get(), &kernel::kHoldGo, 1)) return ended;
        r->holding = hold::let_go;
    }
    for (pump_spawner(); r->holding == hold::let_go; pump_spawner()) {
        const std::array<int, 1> outcome{spawner_->fd()};
        static_cast<void>(kernel::wait_readable(outcome, kNever));
    }
    return r->holding == hold::executed ? result<void>{} : result<void>(r->failure);
}

result<process> core::adopt(int pidfd, leave policy, exit_handler handler, std::string_view label) {
    if (tier_ == tier::sigchld) return error{start_stage::none, ENOTSUP, "no pidfds here"};
    Result<Fd> own = kernel::duplicate(pidfd);
    if (!own) return from_kernel(own.error(), {});
    const Result<pid_t> pid = kernel::pid_of(own->get());
    if (!pid) return from_kernel(pid.error(), "not a pidfd");
    record& r = make_record(policy, label);
    const process_id id = r.id;
    r.handler = std::move(handler);
    // In the cooperative mode a wait would take the status from whoever started it.
    r.child = options_.reaper == reaper::exclusive && kernel::parent_of(*pid).value_or(0) == kernel::own_pid();
    if (r.child) by_pid_[*pid] = id;
    r.pid = *pid;
    r.event.pid = *pid;
    r.pidfd = std::move(*own);
    r.now = phase::running;
    if (Status s = epoll_.add(r.pidfd.get(), EPOLLIN, token(token_kind::process, static_cast<std::uint64_t>(id))); !s) {
        r.now = phase::over;
        free_record(id);
        return from_kernel(s.error(), "can't watch a process");
    }
    ++watched_;
    r.owned = true;
    return process(shared_from_this(), id);
}

}  // namespace abide::detail
