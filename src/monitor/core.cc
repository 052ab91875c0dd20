// monitor/core.cc -- the loop, the table of records and the timers; see core.hpp.
#include "monitor/core.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"

namespace abide::detail {
namespace {

constexpr std::size_t kTimersATurn = 128;
constexpr unsigned kSlotBits = 24;
constexpr std::size_t kOutputBytes = 64 * 1024;

tier probe_tier(abide::tier best) {
    if (best == tier::sigchld || !kernel::open_pidfd(kernel::own_pid())) return tier::sigchld;
    return best == tier::exit_info && kernel::probe_exit_info() ? tier::exit_info : tier::pidfd;
}

}  // namespace

error from_kernel(const Error& why, std::string what) {
    int number = why.err;
    if (number == 0 && why.kind == ErrorKind::not_found) number = ESRCH;
    if (number == 0 && why.kind == ErrorKind::usage) number = EINVAL;
    if (number == 0 && why.kind == ErrorKind::refused) number = EBUSY;
    return {start_stage::none, number, what.empty() ? why.what : what + ": " + why.what};
}

Mono to_mono(deadline when) {
    if (when == forever) return kNever;
    return {std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count()};
}

core::core(const monitor_options& options, kernel::Epoll epoll, kernel::Bell bell, kernel::AlarmClock alarm)
    : options_(options),
      epoll_(std::move(epoll)),
      bell_(std::move(bell)),
      alarm_(std::move(alarm)),
      buffer_(kOutputBytes) {}

core::~core() {
    if (unblock_at_end_) kernel::block_child_signals(false);
}

result<std::shared_ptr<core>> core::create(const monitor_options& options) {
    Result<kernel::Epoll> epoll = kernel::Epoll::create();
    if (!epoll) return from_kernel(epoll.error(), {});
    Result<kernel::Bell> bell = kernel::Bell::create();
    if (!bell) return from_kernel(bell.error(), {});
    Result<kernel::AlarmClock> alarm = kernel::AlarmClock::create();
    if (!alarm) return from_kernel(alarm.error(), {});
    auto made = std::make_shared<core>(options, std::move(*epoll), std::move(*bell), std::move(*alarm));
    if (result<void> ready = made->set_up(); !ready) return ready.error();
    return made;
}

result<void> core::set_up() {
    tier_ = probe_tier(options_.best_tier);
    kernel::SpawnerOptions spawning;
    spawning.without_staging = !options_.reserve_low_descriptors;
    spawning.in_flight = std::max<std::size_t>(1, options_.in_flight);
    spawning.queued = options_.queued;
    const std::string hold = options_.hold_program.empty() ? ABIDE_HOLD_PROGRAM : options_.hold_program;
    if (Result<Fd> program = kernel::open_file(hold, O_PATH)) {
        hold_program_ = std::move(*program);
        spawning.hold_program = hold_program_.get();
    }
    Result<std::unique_ptr<kernel::Spawner>> spawner = kernel::Spawner::create(spawning);
    if (!spawner) return from_kernel(spawner.error(), {});
    spawner_ = std::move(*spawner);

    const bool exclusive = options_.reaper == reaper::exclusive;
    if (exclusive || tier_ == tier::sigchld) {
        if (exclusive) unblock_at_end_ = kernel::block_child_signals(true);
        Result<Fd> signals = kernel::watch_child_signals();
        if (!signals) return from_kernel(signals.error(), {});
        child_signals_ = std::move(*signals);
    }
    if (exclusive && options_.subreaper) {
        if (Status s = kernel::become_subreaper(); !s) return from_kernel(s.error(), {});
    }
    const std::array<std::pair<int, special>, 4> own{{{bell_.fd(), special::bell},
                                                      {alarm_.fd(), special::alarm},
                                                      {spawner_->fd(), special::spawner},
                                                      {child_signals_.get(), special::child_signals}}};
    for (const auto& [number, what] : own) {
        if (number < 0) continue;
        const std::uint64_t which = token(token_kind::special, static_cast<std::uint64_t>(what));
        if (Status s = epoll_.add(number, EPOLLIN, which); !s) return from_kernel(s.error(), {});
    }
    return {};
}

// ---- the table

record* core::find(process_id id) {
    const auto slot = static_cast<std::uint64_t>(id) & ((1U << kSlotBits) - 1);
    if (slot >= slots_.size() || !slots_[slot] || slots_[slot]->id != id) return nullptr;
    return slots_[slot].get();
}

record& core::make_record(leave policy, std::string_view label) {
    if (free_slots_.empty()) {
        free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
        slots_.emplace_back();
        // So that giving a slot back, on the way of an end, needs no memory.
        free_slots_.reserve(slots_.capacity());
    }
    const std::uint32_t slot = free_slots_.back();
    free_slots_.pop_back();
    auto made = std::make_unique<record>();
    made->id = process_id{++last_serial_ << kSlotBits | slot};
    made->policy = policy;
    made->event.id = made->id;
    made->event.label = intern(label);
    made->event.started = std::chrono::steady_clock::now();
    slots_[slot] = std::move(made);
    return *slots_[slot];
}

void core::free_record(process_id id) {
    record* r = find(id);
    if (r == nullptr) return;
    const auto slot = static_cast<std::uint32_t>(static_cast<std::uint64_t>(id) & ((1U << kSlotBits) - 1));
    for (const int number : {1, 2}) end_stream(*r, number);
    // Awaiters hold the core, not the record; they never wait for one that is over.
    const std::unique_ptr<record> gone = std::move(slots_[slot]);
    free_slots_.push_back(slot);
}

// Over, told, and nobody holds it.
void core::free_if_done(process_id id) {
    const record* r = find(id);
    if (r != nullptr && r->now == phase::over && r->told && !r->owned && !r->started && !r->sync) free_record(id);
}

std::string_view core::intern(std::string_view label) {
    const auto found = labels_.find(label);
    return found != labels_.end() ? *found : *labels_.emplace(label).first;
}

// ---- timers

timer_id core::after(Duration delay, std::function<void()> handler, bool of_user) {
    const timer_id id = ++last_timer_;
    const Mono when = kernel::mono_now() + Duration{std::max<std::int64_t>(0, delay.ns)};
    timers_.emplace(std::pair{when.ns, id}, timer{std::move(handler), id, of_user});
    timer_times_.emplace(id, when.ns);
    if (of_user) ++user_timers_;
    arm();
    return id;
}

bool core::cancel(timer_id id) {
    const auto found = timer_times_.find(id);
    if (found == timer_times_.end()) return false;
    const auto at = timers_.find({found->second, id});
    if (at->second.of_user) --user_timers_;
    timers_.erase(at);
    timer_times_.erase(found);
    return true;
}

std::size_t core::run_timers() {
    std::size_t done = 0;
    const std::int64_t now = kernel::mono_now().ns;
    while (!timers_.empty() && timers_.begin()->first.first <= now && done < kTimersATurn) {
        const timer due = std::move(timers_.begin()->second);
        timer_times_.erase(due.id);
        timers_.erase(timers_.begin());
        if (due.of_user) --user_timers_;
        ++done;
        if (!(silent_ && due.of_user)) due.handler();
    }
    return done;
}

void core::arm() {
    alarm_.set(timers_.empty() ? kNever : Mono{timers_.begin()->first.first});
}

// ---- the loop

std::size_t core::dispatch() {
    if (dispatching_) return 0;
    const std::shared_ptr<core> alive = shared_from_this();
    dispatching_ = true;
    std::size_t done = tell_outcomes();
    const Result<std::span<const kernel::Ready>> ready = epoll_.wait(Mono{0});
    if (ready) {
        for (const kernel::Ready& r : *ready) done += handle(r);
    }
    done += tell_outcomes();
    dispatching_ = false;
    if (!outcomes_.empty() || !lost_.empty()) bell_.ring();
    arm();
    return done;
}

std::size_t core::handle(const kernel::Ready& ready) {
    const auto kind = static_cast<token_kind>(ready.token % 4);
    const std::uint64_t id = ready.token / 4;
    switch (kind) {
        case token_kind::process: {
            record* r = find(process_id{id});
            if (r == nullptr || !collect(*r)) return 0;
            tell(process_id{id});
            return 1;
        }
        case token_kind::output:
        case token_kind::error: read_stream(process_id{id}, kind == token_kind::output ? 1 : 2, kOutputBytes); return 1;
        case token_kind::special: return handle_special(static_cast<special>(id));
    }
    return 0;
}

std::size_t core::handle_special(special what) {
    switch (what) {
        case special::bell:
            bell_.silence();
            if (hint_.exchange(false)) return options_.reaper == reaper::exclusive ? reap_all() : look_at_children();
            return 0;
        case special::alarm: return run_timers();
        case special::spawner: pump_spawner(); return 0;
        case special::child_signals: {
            std::array<std::byte, 128 * 8> skipped;  // struct signalfd_siginfo, several
            while (kernel::read_some(child_signals_.get(), skipped.data(), skipped.size()).value_or(0) ==
                   skipped.size()) {}
            return options_.reaper == reaper::exclusive ? reap_all() : look_at_children();
        }
        case special::groups: return drain_groups();
    }
    return 0;
}

// What was found out where nobody may be called: told now.
std::size_t core::tell_outcomes() {
    std::size_t done = 0;
    for (std::size_t left = lost_.size(); left > 0; --left, ++done) {
        const process_id id = lost_.front();
        lost_.pop_front();
        tell(id);
    }
    for (std::size_t left = outcomes_.size(); left > 0; --left) {
        const process_id id = outcomes_.front();
        outcomes_.pop_front();
        record* r = find(id);
        if (r == nullptr) continue;
        ++done;
        const start_handler started = std::exchange(r->started, {});
        if (r->failed) {
            const error why = r->failure;
            free_if_done(id);
            if (started && !silent_) started(why);
        } else {
            r->owned = true;
            process handle(shared_from_this(), id);
            if (started && !silent_) {
                started(std::move(handle));
            } else {
                handle.release();
            }
        }
    }
    return done;
}

std::size_t core::run_once(deadline until) {
    if (dispatching_) return 0;
    const std::array<int, 1> own{epoll_.fd()};
    if (!kernel::wait_readable(own, to_mono(until)).value_or(false)) return 0;
    return dispatch();
}

bool core::has_work() const {
    if (watched_ > 0 || starting_ > 0 || failed_ > 0 || user_timers_ > 0 || !outcomes_.empty() || !lost_.empty())
        return true;
    if (std::ranges::any_of(keepers_, [](const auto& k) { return k.second.timer != 0; })) return true;
    return std::ranges::any_of(
        groups_, [](const auto& g) { return g.second.watched || g.second.dropped || g.second.look != 0; });
}

void core::run() {
    if (dispatching_) return;
    const std::shared_ptr<core> alive = shared_from_this();
    while (!stop_.exchange(false) && has_work()) run_once(forever);
}

void core::stop() noexcept {
    stop_.store(true);
    bell_.ring();
}

void core::child_hint() noexcept {
    hint_.store(true);
    bell_.ring();
}

std::size_t core::close(bool silently) {
    if (dispatching_) return watched_;
    const std::shared_ptr<core> alive = shared_from_this();
    silent_ = silently;
    while (!keepers_.empty()) drop_keeper(keepers_.begin()->first);
    bool forever_for_some = false;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        record* r = slots_[i].get();
        if (r == nullptr || r->now == phase::over || r->muted || r->failed) continue;
        r->release.reset();
        forever_for_some |= r->policy == leave::wait;
        if (r->policy == leave::detach) {
            r->muted = true;
            --watched_;
        } else {
            apply_policy(*r);
        }
    }
    const deadline until = forever_for_some ? forever : within(options_.grace + options_.parting);
    while ((watched_ > 0 || starting_ > 0 || failed_ > 0) && deadline::clock::now() < until) run_once(until);
    while (!groups_.empty()) finish_group(groups_.begin()->first);
    // What was detached and has ended meanwhile leaves no zombie.
    for (const auto& slot : slots_) {
        if (slot && slot->muted) collect(*slot);
    }
    if (tree_ && groups_.empty()) {
        // Fails while a detached group's members live: it stays for them.
        if (tree_->remove()) tree_.reset();
    }
    return watched_;
}

}  // namespace abide::detail
