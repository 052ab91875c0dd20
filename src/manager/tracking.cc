// manager/tracking.cc -- see the header.
#include "manager/tracking.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "manager/complain.hpp"
#include "model/signal.hpp"

namespace abide::manager {

namespace {

constexpr Duration kFirstLook = milliseconds(5);
constexpr Duration kLastLook = seconds(1);
constexpr Duration kFreezeTime = seconds(5);
constexpr const char* kContainerGroup = "container";
// Leaves are removed when none was given up for so long, a few in each turn; of more than that the oldest at once.
constexpr Duration kQuiet = milliseconds(50);
constexpr std::size_t kRemovedAtOnce = 16, kMostGivenUp = 512;

}  // namespace

std::string Tracking::leaf_name(RunNumber run) {
    return kernel::run_leaf_name(run.value);
}

void Tracking::start(kernel::Fd home, const std::string& shown, const std::string& instance,
                     const std::vector<std::int32_t>& own_processes) {
    Result<kernel::CgroupTree> tree = kernel::CgroupTree::create_at(std::move(home), shown, instance);
    if (!tree) {
        complain("no control groups: " + describe(tree.error()) + "; services are tracked by session");
        return;
    }
    tree_ = std::move(*tree);
    for (const std::int32_t pid : own_processes) {
        if (const Status moved = tree_->adopt_own(pid); !moved)
            complain("own control group: " + describe(moved.error()));
    }
    // A limit that can't be set is reported by its service.
    const std::vector<std::string> missing = tree_->enable_controllers({"memory", "pids", "cpu"});
    counts_oom_ = std::ranges::find(missing, "memory") == missing.end();
}

Result<kernel::Fd> Tracking::leaf_for_spawn(std::string_view service, RunNumber run) {
    if (!tree_) return kernel::Fd{};
    if (gone_.erase(run_key(service, run)) != 0 && remove_now(service, run))
        killed_.erase(run_key(service, run));  // it is a new one
    return tree_->make_leaf(service, leaf_name(run));
}

Result<kernel::Fd> Tracking::inner_leaf(int leaf) {
    return kernel::make_directory_beneath(leaf, "runtime", 0755);
}

std::string Tracking::container_group(std::string_view service, RunNumber run) const {
    return tree_ ? tree_->leaf_path(service, leaf_name(run)) + "/" + kContainerGroup : std::string{};
}

Result<kernel::Fd> Tracking::existing_leaf(std::string_view service, RunNumber run) {
    if (!tree_) return fail(ErrorKind::not_found, "no control groups");
    return tree_->open_leaf(service, leaf_name(run));
}

void Tracking::add_session(std::uint64_t key, const model::Session& session) {
    if (!tree_) sessions_.add(key, session);
}

void Tracking::recover(std::string_view service, const model::Run& run) {
    if (!tree_) sessions_.follow(run_key(service, run.number), run);
}

void Tracking::follow(const core::Engine& engine, const std::vector<std::string>& services) {
    if (tree_) return;
    for (const std::string& name : services) {
        const model::Service* service = engine.find(name);
        if (service == nullptr) continue;
        for (const model::Run& run : service->runs) recover(name, run);
    }
}

bool Tracking::contains(std::string_view service, RunNumber run, std::int32_t pid) const {
    if (tree_) {
        const Result<std::string> group = kernel::cgroup_of(pid);
        const std::string leaf = tree_->leaf_path(service, leaf_name(run));
        return group && group->starts_with(leaf) && (group->size() == leaf.size() || (*group)[leaf.size()] == '/');
    }
    return sessions_.contains(run_key(service, run), pid);
}

bool Tracking::claims(std::string_view service, RunNumber run, std::int32_t pid, std::uint32_t user) {
    return tree_ ? contains(service, run, pid) : sessions_.adopt(run_key(service, run), pid, user);
}

Status Tracking::signal_all(std::string_view service, RunNumber run, int signal,
                            std::span<const std::int32_t> have_it) {
    if (gone_.contains(run_key(service, run))) return {};
    if (tree_) {
        const Result<std::size_t> sent = tree_->signal_leaf(service, leaf_name(run), signal, have_it);
        return sent ? Status{} : std::unexpected(sent.error());
    }
    for (const Sessions::Member& member : sessions_.members(run_key(service, run))) {
        const Result<kernel::Fd> process = kernel::open_checked(member.pid, member.start_ticks);
        if (process) static_cast<void>(kernel::send_signal(process->get(), signal));
    }
    return {};
}

bool Tracking::had_oom(std::string_view service, RunNumber run) {
    if (!counts_oom_) return false;
    const Result<kernel::Fd> leaf = existing_leaf(service, run);
    const std::optional<std::uint64_t> count = leaf ? kernel::cgroup_oom_kills(leaf->get()) : std::nullopt;
    if (!count || *count == 0) return false;
    std::uint64_t& before = oom_kills_[run_key(service, run)];
    return *count > std::exchange(before, *count);
}

Status Tracking::kill_all(std::string_view service, RunNumber run) {
    constexpr int kRounds = 8;  // a fork may slip through one look
    if (gone_.contains(run_key(service, run))) return {};
    if (tree_) {
        const Result<kernel::Fd> leaf = tree_->open_leaf(service, leaf_name(run));
        if (!leaf) return {};
        assume_killed(service, run);
        return kernel::cgroup_kill_all(leaf->get());
    }
    for (int round = 0; round < kRounds && !sessions_.members(run_key(service, run)).empty(); ++round) {
        if (const Status sent = signal_all(service, run, model::kKill); !sent) return sent;
    }
    return {};
}

Result<bool> Tracking::freeze(std::string_view service, RunNumber run, bool frozen, bool container) {
    constexpr int kStop = 19, kContinue = 18;
    const std::uint64_t key = run_key(service, run);
    freezing_.erase(key);
    if (!tree_) {
        const Status sent = signal_all(service, run, frozen ? kStop : kContinue);
        return sent ? Result<bool>{true} : std::unexpected(sent.error());
    }
    const Result<bool> done = tree_->freeze(service, leaf_name(run), container ? kContainerGroup : "", frozen, key);
    if (done && !*done) freezing_[key] = {std::string(service), run, kernel::mono_now() + kFreezeTime};
    return done;
}

std::vector<Tracking::Frozen> Tracking::drain_frozen(Mono now) {
    std::vector<Frozen> told;
    if (freezing_.empty() || !tree_) return told;
    for (const std::uint64_t key : tree_->drain_frozen()) {
        if (const auto found = freezing_.extract(key)) told.push_back({found.mapped().service, found.mapped().run, {}});
    }
    for (auto it = freezing_.begin(); it != freezing_.end();) {
        if (it->second.until > now) {
            ++it;
            continue;
        }
        told.push_back({it->second.service, it->second.run, "not all of its processes stood still in time"});
        tree_->forget_freeze(it->first);
        it = freezing_.erase(it);
    }
    return told;
}

Mono Tracking::next_freeze() const {
    Mono next = kNever;
    for (const auto& [key, freezing] : freezing_) next = std::min(next, freezing.until);
    return next;
}

bool Tracking::watch_empty(std::string_view service, RunNumber run) {
    const std::uint64_t key = run_key(service, run);
    if (gone_.contains(key)) return true;
    if (watches_.contains(key)) {
        // Asked again: whatever became of the news, this is the answer.
        if (!tree_ || !tree_->remove_leaf(service, leaf_name(run))) return false;
        watches_.erase(key);
        tree_->forget_watch(key);
        gone_.insert(key);
        return true;
    }
    bool polled = !tree_;
    if (tree_) {
        const Result<bool> populated = tree_->leaf_populated(service, leaf_name(run));
        if (populated && !*populated) {
            give_up(service, run);
            return true;
        }
        const Result<bool> watched = tree_->watch_empty(service, leaf_name(run), key);
        if (watched && !*watched) {
            if (const Status gone = tree_->remove_leaf(service, leaf_name(run)); !gone)
                complain(describe(gone.error()));
            return true;
        }
        if (!watched) {
            complain("watching a control group: " + describe(watched.error()));
            polled = true;
            next_look_ = std::min(next_look_, kernel::mono_now() + kLastLook);
        }
    } else {
        if (sessions_.members(key).empty()) return true;
        look_delay_ = kFirstLook;
        next_look_ = std::min(next_look_, kernel::mono_now() + look_delay_);
    }
    watches_.emplace(key, Watch{std::string(service), run, polled});
    return false;
}

void Tracking::give_up(std::string_view service, RunNumber run) {
    gone_.insert(run_key(service, run));
    given_up_.push_back({std::string(service), run});
    remove_at_ = kernel::mono_now() + kQuiet;
    if (given_up_.size() > kMostGivenUp) remove_oldest();
}

// Who entered it meanwhile keeps it.
void Tracking::remove_oldest() {
    static_cast<void>(tree_->remove_leaf(given_up_.front().service, leaf_name(given_up_.front().run)));
    given_up_.pop_front();
}

// False: it is there still, since somebody entered it.
bool Tracking::remove_now(std::string_view service, RunNumber run) {
    std::erase_if(given_up_, [&](const Leaf& one) { return one.service == service && one.run == run; });
    return tree_->remove_leaf(service, leaf_name(run)).has_value();
}

void Tracking::remove_some(Mono now) {
    if (now < remove_at_) return;
    for (std::size_t i = 0; i < kRemovedAtOnce && !given_up_.empty(); ++i) remove_oldest();
    if (given_up_.empty()) remove_at_ = kNever;
}

void Tracking::release(std::string_view service, RunNumber run) {
    const std::uint64_t key = run_key(service, run);
    sessions_.release(key);
    oom_kills_.erase(key);
    killed_.erase(key);
    if (freezing_.erase(key) != 0 && tree_) tree_->forget_freeze(key);
    if (watches_.erase(key) != 0 && tree_) tree_->forget_watch(key);
    if (!tree_ || gone_.erase(key) != 0) return;
    // With stop.scope = "main" somebody may stay in it on purpose: then the folder stays too.
    static_cast<void>(tree_->remove_leaf(service, leaf_name(run)));
}

void Tracking::drop_unclaimed(const core::Engine& engine) {
    if (!tree_) return;
    const Result<std::vector<kernel::CgroupTree::LeafName>> leaves = tree_->list_leaves();
    if (!leaves) return complain("listing control groups: " + describe(leaves.error()));
    for (const kernel::CgroupTree::LeafName& one : *leaves) {
        const model::Service* service = engine.find(one.service);
        const bool claimed = service != nullptr && std::ranges::any_of(service->runs, [&](const model::Run& run) {
                                 return leaf_name(run.number) == one.leaf;
                             });
        // With stop.scope = "main" somebody may be in it on purpose: then it stays.
        if (!claimed) static_cast<void>(tree_->remove_leaf(one.service, one.leaf));
    }
}

std::vector<Tracking::Empty> Tracking::drain(Mono now) {
    std::vector<Empty> empty;
    const auto take = [&](std::uint64_t key) {
        auto watch = watches_.extract(key);
        if (watch) empty.push_back({std::move(watch.mapped().service), watch.mapped().run});
    };
    if (tree_) {
        for (const std::uint64_t key : tree_->drain_empty()) take(key);
    }
    remove_some(now);
    if (now < next_look_) return empty;
    next_look_ = kNever;
    std::vector<std::uint64_t> keys;
    for (const auto& [key, watch] : watches_) {
        const bool gone = tree_ ? tree_->remove_leaf(watch.service, leaf_name(watch.run)).has_value()
                                : sessions_.members(key).empty();
        if (gone) keys.push_back(key);
    }
    for (const std::uint64_t key : keys) take(key);
    const bool goes_on = std::ranges::any_of(watches_, [](const auto& entry) { return entry.second.polled; });
    if (goes_on || (!watches_.empty() && watch_fd() < 0)) {
        look_delay_ = std::min(Duration{std::max(look_delay_.ns, kFirstLook.ns) * 2}, kLastLook);
        next_look_ = now + look_delay_;
    }
    return empty;
}

void Tracking::finish(int home, const std::vector<std::int32_t>& own_processes) {
    if (!tree_) return;
    given_up_.clear();
    remove_at_ = kNever;
    for (const std::int32_t pid : own_processes) {
        if (home >= 0) static_cast<void>(kernel::cgroup_join(home, pid));
    }
    if (const Status removed = tree_->remove(); !removed)
        complain("the control groups stay: " + describe(removed.error()));
    tree_.reset();
}

}  // namespace abide::manager
