// monitor/groups.cc -- several processes as one: a control group where there is one to be had, else the sessions of the
// processes that were started in it.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "kernel/clock.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "monitor/core.hpp"
#include "monitor/parts.hpp"

namespace abide::detail {
namespace {

constexpr const char* kLeaf = "all";
constexpr Duration kLookEvery = milliseconds(20);
constexpr Duration kFirstLook{50'000};
constexpr int kKillRounds = 50;

error gone() {
    return {start_stage::none, EINVAL, "no such group"};
}

std::string folder_of(const group_record& g) {
    return g.name + "-" + std::to_string(g.id);
}

}  // namespace

result<std::uint64_t> core::make_group(std::string_view name, leave policy, group_tier best) {
    if (best == group_tier::cgroup && !tree_tried_) {
        tree_tried_ = true;
        const std::string own = options_.name.empty() ? "monitor-" + std::to_string(kernel::own_pid()) : options_.name;
        if (Result<kernel::CgroupTree> tree = kernel::CgroupTree::create(own)) {
            tree_ = std::move(*tree);
            static_cast<void>(tree_->enable_controllers(options_.controllers));
            static_cast<void>(epoll_.add(tree_->watch_fd(), EPOLLIN,
                                         token(token_kind::special, static_cast<std::uint64_t>(special::groups))));
        }
    }
    group_record g;
    g.id = ++last_group_;
    g.name = name;
    g.policy = policy;
    if (best == group_tier::cgroup && tree_) {
        Result<Fd> leaf = tree_->make_leaf(folder_of(g), kLeaf);
        if (!leaf) return from_kernel(leaf.error(), "can't make a group");
        g.leaf = std::move(*leaf);
        g.tier = group_tier::cgroup;
    }
    const std::uint64_t id = g.id;
    groups_.emplace(id, std::move(g));
    return id;
}

group_record* core::find_group(std::uint64_t id) {
    const auto found = groups_.find(id);
    return found == groups_.end() ? nullptr : &found->second;
}

std::string core::group_path(const group_record& g) const {
    return g.tier == group_tier::cgroup ? tree_->leaf_path(folder_of(g), kLeaf) : std::string();
}

result<void> core::begin_in_group(const command_parts& parts, record& r, kernel::SpawnRequest& request) {
    if (parts.group_id == 0) return {};
    group_record* g = find_group(parts.group_id);
    if (g == nullptr || g->dropped || parts.group_core.lock().get() != this) return gone();
    if (g->tier == group_tier::cgroup) {
        // A duplicate: the start may have to wait, and the group may go meanwhile.
        Result<Fd> leaf = g->leaf.duplicate();
        if (!leaf) return from_kernel(leaf.error(), {});
        request.cgroup_fd = leaf->get();
        request.joins_cgroup = g->was_killed;
        request.owned.push_back(std::move(*leaf));
        r.group = g->id;
        r.oom_kills_before = oom_kills(r);
    } else if (!parts.new_session) {
        return error{start_stage::none, ENOTSUP, "without control groups a member must lead a session"};
    }
    r.group = g->id;
    return {};
}

void core::member_joined(record& r) {
    group_record* g = r.group == 0 ? nullptr : find_group(r.group);
    if (g == nullptr) return;
    ++g->running;
    g->had_members = true;
}

// The process is there: from now on its session, or its place in the control group, counts.
void core::member_started(record& r) {
    group_record* g = r.group == 0 ? nullptr : find_group(r.group);
    if (g == nullptr) return;
    if (g->tier == group_tier::session) {
        if (const Result<std::uint64_t> ticks = kernel::start_ticks(r.pid)) g->sessions.push_back({r.pid, *ticks});
    }
    watch_group(*g);
}

void core::member_left(std::uint64_t group) {
    group_record* g = find_group(group);
    if (g == nullptr) return;
    if (g->running > 0) --g->running;
    if (g->running == 0) look_soon(*g, Duration{0});
}

void core::look_soon(group_record& g, Duration delay) {
    if (g.look != 0) return;
    const std::uint64_t id = g.id;
    g.look = after(delay, [this, id] { look_at_group(id); }, false);
}

void core::watch_group(group_record& g) {
    if (g.tier != group_tier::cgroup || g.watched || !g.had_members) return;
    const Result<bool> watching = tree_->watch_empty(folder_of(g), kLeaf, g.id);
    g.watched = watching.value_or(false);
    if (!g.watched) look_soon(g, kLookEvery);
}

// The one place that finds a group empty.
void core::look_at_group(std::uint64_t id) {
    group_record* g = find_group(id);
    if (g == nullptr) return;
    g->look = 0;
    if (!g->had_members) return;
    if (g->running == 0 && group_empty(*g)) return group_emptied(*g);
    if (g->tier == group_tier::cgroup) {
        watch_group(*g);
    } else if (g->running == 0) {
        // What forks faster than it is killed in one go.
        const bool to_be_killed = g->dropped && !g->ladder.steps.empty() && g->ladder.next == g->ladder.steps.size();
        if (to_be_killed) static_cast<void>(signal_group(*g, SIGKILL));
        look_soon(*g, kLookEvery);
    }
}

void core::group_emptied(group_record& g) {
    g.had_members = false;
    g.sessions.clear();
    if (g.ladder.timer != 0) cancel(std::exchange(g.ladder.timer, 0));
    if (g.watched) tree_->forget_watch(g.id);
    g.watched = false;
    if (g.dropped) return remove_group(g.id);
    const std::function<void()> handler = g.on_empty;
    if (handler && !silent_) handler();
}

std::size_t core::drain_groups() {
    std::size_t done = 0;
    for (const std::uint64_t id : tree_->drain_empty()) {
        if (group_record* g = find_group(id)) {
            g->watched = false;
            look_soon(*g, Duration{0});
            ++done;
        }
    }
    return done;
}

result<std::vector<int>> core::members(const group_record& g) const {
    if (g.tier == group_tier::cgroup) {
        Result<std::vector<pid_t>> pids = kernel::cgroup_processes(g.leaf.get());
        if (!pids) return from_kernel(pids.error(), {});
        std::erase_if(*pids, [](pid_t pid) { return !kernel::is_living(pid); });
        return std::move(*pids);
    }
    std::vector<int> out;
    for (const group_record::session& s : g.sessions) {
        const std::vector<pid_t> some = kernel::living_of_session(s.id, s.start_ticks);
        out.insert(out.end(), some.begin(), some.end());
    }
    return out;
}

bool core::group_empty(const group_record& g) const {
    if (g.tier == group_tier::cgroup) return !kernel::cgroup_populated(g.leaf.get()).value_or(false);
    return std::ranges::all_of(g.sessions,
                               [](const auto& s) { return kernel::living_of_session(s.id, s.start_ticks).empty(); });
}

std::size_t core::signal_sessions(const group_record& g, int number) {
    std::size_t sent = 0;
    for (int round = 0; round < kKillRounds; ++round) {
        bool any = false;
        for (const group_record::session& s : g.sessions) {
            for (const pid_t pid : kernel::living_of_session(s.id, s.start_ticks)) {
                const Result<Fd> pidfd = kernel::open_pidfd(pid);
                // Still of this session, after the pidfd was opened: it is the one that we saw.
                if (!pidfd || kernel::session_of(pid).value_or(0) != s.id) continue;
                any |= kernel::send_signal(pidfd->get(), number).has_value();
                ++sent;
            }
        }
        // What is killed may have had a child meanwhile.
        if (number != SIGKILL || !any) break;
        kernel::sleep_for(milliseconds(1));
    }
    return sent;
}

result<std::size_t> core::signal_members(group_record& g, int number) {
    if (g.tier == group_tier::session) return signal_sessions(g, number);
    if (number != SIGKILL) {
        const Result<std::size_t> sent = kernel::cgroup_signal_all(g.leaf.get(), number);
        if (!sent) return from_kernel(sent.error(), {});
        return *sent;
    }
    const Result<std::vector<pid_t>> before = kernel::cgroup_processes(g.leaf.get());
    g.was_killed = true;
    if (Status s = kernel::cgroup_kill_all(g.leaf.get()); !s) return from_kernel(s.error(), {});
    return before ? before->size() : std::size_t{0};
}

// Our own records are marked, so that their ends are known to have been asked for; those that wait for their start
// were not reached.
result<std::size_t> core::signal_group(group_record& g, int number, bool stops) {
    const result<std::size_t> sent = signal_members(g, number);
    if (!sent) return sent;
    for (const auto& slot : slots_) {
        if (slot && slot->group == g.id && slot->now != phase::over && slot->pid != 0)
            note_signal(*slot, number, stops);
    }
    return sent;
}

// Nobody of it runs any more, until it is thawed.
result<bool> core::stands_still(const group_record& g) const {
    if (g.tier == group_tier::cgroup) {
        const Result<std::string> events = kernel::cgroup_get(g.leaf.get(), "cgroup.events");
        if (!events) return from_kernel(events.error(), {});
        return events->find("frozen 1") != std::string::npos;
    }
    for (const group_record::session& s : g.sessions) {
        for (const pid_t pid : kernel::living_of_session(s.id, s.start_ticks)) {
            const Result<kernel::ProcessStat> seen = kernel::process_stat(pid);
            // T: stopped; t: by a tracer.
            if (seen && std::string_view("TtZX").find(seen->state) == std::string_view::npos) return false;
        }
    }
    return true;
}

// Both ways only ask (cgroups(7): cgroup.events tells when it is done), so we look, and ask sessions again: what forked
// meanwhile got no signal.
result<void> core::freeze_group(group_record& g, deadline until) {
    if (g.tier == group_tier::cgroup) {
        if (Status s = kernel::cgroup_freeze(g.leaf.get(), true); !s) return from_kernel(s.error(), {});
    }
    const Mono end = to_mono(until);
    for (Duration pause = kFirstLook;; pause.ns = std::min(pause.ns * 2, kLookEvery.ns)) {
        if (g.tier == group_tier::session) static_cast<void>(signal_group(g, SIGSTOP));
        const result<bool> still = stands_still(g);
        if (!still) return still.error();
        if (*still) return {};
        if (kernel::mono_now() >= end) return error{start_stage::none, ETIMEDOUT, "not all members stand still yet"};
        kernel::sleep_for(pause);
    }
}

result<void> core::thaw_group(group_record& g) {
    if (g.tier == group_tier::cgroup) {
        if (Status s = kernel::cgroup_freeze(g.leaf.get(), false); !s) return from_kernel(s.error(), {});
        return {};
    }
    const result<std::size_t> sent = signal_group(g, SIGCONT);
    return sent ? result<void>{} : result<void>(sent.error());
}

result<void> core::set_group(group_record& g, std::string_view file, std::string_view value) {
    if (g.tier != group_tier::cgroup) return error{start_stage::none, ENOTSUP, "no control group"};
    if (Status s = kernel::cgroup_set(g.leaf.get(), file, value); !s) return from_kernel(s.error(), {});
    return {};
}

result<void> core::stop_group(std::uint64_t id, stop_ladder ladder) {
    group_record* g = find_group(id);
    if (g == nullptr) return gone();
    if (ladder.empty()) return error{start_stage::none, EINVAL, "a stop ladder without steps"};
    if (g->ladder.timer != 0) cancel(g->ladder.timer);
    g->ladder = {std::move(ladder), 0, 0};
    climb_group(id);
    return {};
}

void core::climb_group(std::uint64_t id) {
    group_record* g = find_group(id);
    if (g == nullptr || g->ladder.next >= g->ladder.steps.size()) return;
    g->ladder.timer = 0;
    const stop_step step = g->ladder.steps[g->ladder.next++];
    static_cast<void>(signal_group(*g, step.signal, true));
    if (g->ladder.next < g->ladder.steps.size()) {
        g->ladder.timer = after(Duration{step.wait.count()}, [this, id] { climb_group(id); }, false);
    }
}

void core::on_group_empty(std::uint64_t id, std::function<void()> handler) {
    group_record* g = find_group(id);
    if (g == nullptr) return;
    g->on_empty = std::move(handler);
    look_soon(*g, Duration{0});
}

bool core::wait_group_empty(std::uint64_t id, deadline until) {
    const Mono end = to_mono(until);
    for (Duration pause{200'000};; pause.ns = std::min<std::int64_t>(pause.ns * 2, kLookEvery.ns)) {
        const group_record* g = find_group(id);
        if (g == nullptr) return true;
        pump_spawner();
        if (starting_ == 0 && group_empty(*g)) return true;
        if (kernel::mono_now() >= end) return false;
        kernel::sleep_for(pause);
    }
}

// The handle has gone.  What it wanted is begun here, and dispatch() goes on with it until the group is empty.
void core::drop_group(std::uint64_t id) {
    group_record* g = find_group(id);
    if (g == nullptr) return;
    g->on_empty = {};
    if (g->policy == leave::detach || !g->had_members) return remove_group(id);
    switch (g->policy) {
        case leave::kill: static_cast<void>(stop_group(id, {stop_step{SIGKILL, {}, {}}})); break;
        case leave::terminate_then_kill:
            static_cast<void>(stop_group(id, {{SIGTERM, options_.grace, {}}, {SIGKILL, {}, {}}}));
            break;
        case leave::wait: wait_group_empty(id, forever); break;
        case leave::detach: break;
    }
    g->dropped = true;
    if (g->look != 0) cancel(g->look);
    look_at_group(id);
}

// The monitor goes: what dispatch() would have done is waited for.
void core::finish_group(std::uint64_t id) {
    group_record* g = find_group(id);
    if (g->policy == leave::wait) wait_group_empty(id, forever);
    if (g->policy == leave::terminate_then_kill && !group_empty(*g)) {
        if (!g->dropped) static_cast<void>(signal_group(*g, SIGTERM, true));
        wait_group_empty(id, within(options_.grace));
    }
    if (g->policy != leave::detach && !group_empty(*g)) {
        static_cast<void>(signal_group(*g, SIGKILL, true));
        wait_group_empty(id, within(options_.parting));
    }
    remove_group(id);
}

void core::remove_group(std::uint64_t id) {
    group_record* g = find_group(id);
    for (const auto& slot : slots_) {
        if (slot && slot->group == id) slot->group = 0;
    }
    if (g->look != 0) cancel(g->look);
    if (g->ladder.timer != 0) cancel(g->ladder.timer);
    if (g->tier == group_tier::cgroup) {
        if (g->watched) tree_->forget_watch(id);
        g->leaf.reset();
        static_cast<void>(tree_->remove_leaf(folder_of(*g), kLeaf));
    }
    groups_.erase(id);
}

// Its group went while it waited for its start.
void core::end_if_late(record& r) {
    const group_record* g = find_group(r.group);
    if (g != nullptr && g->dropped) static_cast<void>(signal(r.id, SIGKILL, scope::process));
}

// -1: its group counts no such thing.
std::int64_t core::oom_kills(const record& r) const {
    const auto found = groups_.find(r.group);
    if (r.group == 0 || found == groups_.end() || found->second.tier != group_tier::cgroup) return -1;
    const std::optional<std::uint64_t> kills = kernel::cgroup_oom_kills(found->second.leaf.get());
    return kills ? static_cast<std::int64_t>(*kills) : -1;
}

}  // namespace abide::detail
