// kernel/spawn.cc -- the Spawner: queue, staging, clone, outcome.  The theory is in spawn.hpp.
//
// Who closes what, when: the write end of a child's outcome pipe exists only as a staged number, which is shared with
// the child until it has unshared.  So we take it away when the child says that it has (or is dead, or has a copied
// table from the start); from then on only the child holds it, and its end of file is the child's exec or end.
#include "kernel/spawn.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <map>

#include "base/check.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/spawn_child.hpp"
#include "kernel/spawn_flight.hpp"
#include "kernel/spawn_pool.hpp"

namespace abide::kernel {
namespace {

constexpr std::uint64_t kWakeToken = ~std::uint64_t{0};
constexpr std::uint64_t kPatienceToken = kWakeToken - 1;
// How long a request waits for room in the staging area.  A child that is born into a frozen group, or stopped, keeps
// its place for as long as it likes; then the next ones get a copied table, which costs more but needs no room.
constexpr long kPatienceNs = 20'000'000;
constexpr int kYields = 32;
constexpr Duration kPartingPatience = seconds(1);
constexpr std::uint64_t kIntoCgroup = CLONE_INTO_CGROUP;
constexpr std::uint64_t kClearHandlers = CLONE_CLEAR_SIGHAND;

// While this lives no signal is handled here or, before its own set-up, in the child.  By the raw call: the C library's
// wrapper keeps two signals back.
class AllSignalsBlocked {
  public:
    AllSignalsBlocked() {
        const std::uint64_t all = ~std::uint64_t{0};
        ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before_, sizeof(all));
    }
    ~AllSignalsBlocked() { ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, sizeof(before_)); }
    AllSignalsBlocked(const AllSignalsBlocked&) = delete;
    AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

  private:
    std::uint64_t before_ = 0;
};

bool missing(long err) {
    return err == -ENOSYS || err == -EPERM;
}

bool probe_close_range() {
    // An empty range at the end of the numbers: closes nothing.
    return ::syscall(SYS_close_range, ~0U, ~0U, 0) == 0;
}

// The highest descriptor in use, for tables that are copied.
int highest_descriptor() {
    int highest = kStagingEnd;
    Result<Fd> folder = open_directory("/proc/self/fd");
    if (!folder) {
        const Result<ResourceLimitValue> limit = get_limit(7 /* RLIMIT_NOFILE */);
        return limit ? static_cast<int>(std::min<std::uint64_t>(limit->soft, 1u << 20)) - 1 : 1023;
    }
    const Result<std::vector<std::string>> names = list_directory(folder->get(), 1u << 21);
    if (!names) return 1023;
    for (const std::string& name : *names) {
        int number = 0;
        for (const char c : name) number = number * 10 + (c - '0');
        highest = std::max(highest, number);
    }
    return highest;
}

}  // namespace

std::string_view spawn_stage_name(SpawnStage stage) {
    switch (stage) {
        case SpawnStage::clone: return "clone";
        case SpawnStage::unshare: return "unshare";
        case SpawnStage::cgroup: return "cgroup";
        case SpawnStage::record: return "record";
        case SpawnStage::session: return "session";
        case SpawnStage::descriptors: return "descriptors";
        case SpawnStage::terminal: return "terminal";
        case SpawnStage::limits: return "limits";
        case SpawnStage::nice: return "nice";
        case SpawnStage::groups: return "groups";
        case SpawnStage::capabilities: return "capabilities";
        case SpawnStage::user: return "user";
        case SpawnStage::privileges: return "no-new-privileges";
        case SpawnStage::directory: return "directory";
        case SpawnStage::signals: return "signals";
        case SpawnStage::exec: return "exec";
        case SpawnStage::killed: return "killed";
        case SpawnStage::hold: return "hold";
        case SpawnStage::oom_score: return "oom-score";
        case SpawnStage::mounts: return "mounts";
        case SpawnStage::released: return "released";
    }
    return "unknown";
}

std::vector<std::string> search_candidates(std::string_view program, std::string_view path) {
    std::vector<std::string> out;
    if (program.find('/') != std::string_view::npos) return {std::string(program)};
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find(':', begin), path.size());
        const std::string_view folder = path.substr(begin, end - begin);
        // An empty entry means the current folder, which is never searched here: a service's folder may be writable by
        // others.
        if (!folder.empty()) out.push_back(std::string(folder) + "/" + std::string(program));
        begin = end + 1;
    }
    return out;
}

class Spawner::Impl {
  public:
    Impl(const SpawnerOptions& options, StagingArea staging, Epoll epoll, int wake, Fd patience)
        : options_(options),
          staging_(std::move(staging)),
          epoll_(std::move(epoll)),
          wake_(wake),
          patience_(std::move(patience)),
          have_clone3_(!options.without_clone3),
          have_into_cgroup_(!options.without_into_cgroup),
          have_clone_pidfd_(!options.without_clone_pidfd),
          have_close_range_(!options.without_close_range && probe_close_range()) {}

    ~Impl();

    Status spawn(SpawnRequest request, std::uint64_t token);
    std::vector<SpawnEvent> drain();
    [[nodiscard]] int fd() const { return epoll_.fd(); }
    [[nodiscard]] std::size_t in_flight() const { return counted_; }
    [[nodiscard]] std::size_t queued() const { return queue_.size(); }

  private:
    struct Waiting {
        std::unique_ptr<FlightMemory> memory;
        std::uint64_t token = 0;
    };
    enum class Launch { done, no_room };

    Launch launch(Waiting& waiting);
    Launch launch_with_yields(Waiting& waiting);
    Status stage(Flight& flight, const Fd& outcome_end);
    Status stage_cgroup(Flight& flight);
    long clone_child(Flight& flight, int* pidfd, SpawnStage* stage);
    long clone_by_clone3(Flight& flight, int* pidfd, bool into_cgroup, bool clear_handlers);
    long clone_by_clone(Flight& flight, int* pidfd);
    void take_off(Flight flight, int raw_pidfd);
    void fail_flight(std::uint64_t token, pid_t pid, SpawnStage stage, int err);
    void poke();
    void be_patient(bool on);
    void launch_waiting();

    void sweep_unshared(bool going_to_sleep);
    bool settle_table(std::uint64_t serial, Flight& flight, bool going_to_sleep);
    void unstage(Flight& flight);
    void child_died(std::uint64_t serial);
    void read_outcome(std::uint64_t serial);
    void read_hold_word(Flight& flight, const HoldMessage& message);
    void land(std::uint64_t serial);
    SpawnEvent judge(Flight& flight) const;
    void free_memory(Flight& flight);

    SpawnerOptions options_;
    StagingArea staging_;
    Epoll epoll_;
    int wake_;     // an eventfd at a number of the staging area, so that every child finds it
    Fd patience_;  // a timer, armed while the queue's head finds no room
    bool patient_ = false, out_of_patience_ = false;
    bool have_clone3_, have_into_cgroup_, have_clone_pidfd_, have_close_range_;
    bool poked_ = false;
    std::uint64_t last_serial_ = 0;
    std::size_t counted_ = 0;
    StackPool stacks_;
    std::map<std::uint64_t, Flight> flights_;
    std::vector<std::uint64_t> sharing_;  // serials of flights whose tables may still be ours
    std::deque<Waiting> queue_;
    std::vector<SpawnEvent> events_;
};

Spawner::Impl::~Impl() {
    // A child that still shares our table must find its staged descriptors.  That takes microseconds, unless it is
    // stopped.
    const Mono deadline = mono_now() + kPartingPatience;
    for (sweep_unshared(false); !sharing_.empty() && mono_now() < deadline; sweep_unshared(false)) {
        const timespec pause{0, 50'000};
        ::nanosleep(&pause, nullptr);
    }
    // Children that have not executed yet go on; what they run on must stay.
    bool left = false;
    for (auto& [serial, flight] : flights_) {
        if (!flight.memory) continue;
        left = true;
        static_cast<void>(flight.memory.release());
    }
    if (left) stacks_.abandon();
}

void Spawner::Impl::poke() {
    if (poked_) return;
    poked_ = true;
    const std::uint64_t one = 1;
    CHECK(::write(wake_, &one, sizeof(one)) == sizeof(one), "our own eventfd can't be written");
}

void Spawner::Impl::fail_flight(std::uint64_t token, pid_t pid, SpawnStage stage, int err) {
    SpawnEvent event;
    event.token = token;
    event.kind = SpawnEventKind::failed;
    event.pid = pid;
    event.stage = stage;
    event.err = err;
    events_.push_back(std::move(event));
}

Status Spawner::Impl::spawn(SpawnRequest request, std::uint64_t token) {
    if (Status s = check_request(request, options_.hold_program); !s) return s;
    if (queue_.size() >= options_.queued) return fail(ErrorKind::refused, "too many processes wait to be started");
    Result<std::unique_ptr<FlightMemory>> memory = prepare_memory(std::move(request), options_.hold_program);
    if (!memory) return std::unexpected(memory.error());
    Waiting waiting{std::move(*memory), token};
    if (!queue_.empty() || counted_ >= options_.in_flight) {
        queue_.push_back(std::move(waiting));
    } else {
        const Launch result = launch_with_yields(waiting);
        if (result == Launch::no_room) queue_.push_back(std::move(waiting));
    }
    poke();
    return {};
}

// Room comes free when a child gets to run its first call, for which it may need our processor.  Going to sleep instead would
// cost a wake-up for each child.  Bounded, so that a stopped child can't hold us.
Spawner::Impl::Launch Spawner::Impl::launch_with_yields(Waiting& waiting) {
    Launch result = launch(waiting);
    for (int i = 0; i < kYields && result == Launch::no_room; ++i) {
        sweep_unshared(false);
        result = launch(waiting);
        if (result == Launch::no_room) ::sched_yield();
    }
    return result;
}

Spawner::Impl::Launch Spawner::Impl::launch(Waiting& waiting) {
    Flight flight;
    flight.token = waiting.token;
    const int count = static_cast<int>(waiting.memory->sources.size());
    flight.shares_table = have_close_range_ && count <= staging_.capacity() && !out_of_patience_;
    if (flight.shares_table) {
        flight.block_begin = staging_.allocate(count);
        if (flight.block_begin < 0) return Launch::no_room;
        flight.block_count = count;
    }
    flight.memory = std::move(waiting.memory);
    flight.through_hold = flight.memory->program_place >= 0;
    Result<Pipe> pipe = make_pipe(true);
    Result<std::byte*> stack = stacks_.take();
    const auto refuse = [&](SpawnStage stage, int err) {
        if (flight.block_count > 0) unstage(flight);
        if (stack) stacks_.give(*stack);
        fail_flight(flight.token, 0, stage, err);
        return Launch::done;
    };
    if (!pipe || !stack) return refuse(SpawnStage::clone, pipe ? stack.error().err : pipe.error().err);
    flight.stack = *stack;
    flight.outcome = std::move(pipe->read);
    if (Status s = stage(flight, pipe->write); !s) return refuse(SpawnStage::descriptors, s.error().err);
    int pidfd = -1;
    SpawnStage stage_reached = SpawnStage::clone;
    const long pid = clone_child(flight, &pidfd, &stage_reached);
    if (pid < 0) return refuse(stage_reached, static_cast<int>(-pid));
    flight.pid = static_cast<pid_t>(pid);
    pipe->write.reset();
    take_off(std::move(flight), pidfd);
    return Launch::done;
}

Status Spawner::Impl::stage(Flight& flight, const Fd& outcome_end) {
    FlightMemory& memory = *flight.memory;
    memory.sources[static_cast<std::size_t>(memory.outcome_place)] = outcome_end.get();
    ChildPlan& plan = memory.plan;
    int begin = flight.block_begin;
    if (!flight.shares_table) {
        plan.highest = highest_descriptor();
        int top = plan.highest;
        for (const PlanDescriptor& d : memory.descriptors) top = std::max(top, d.target);
        begin = top + 1;
    }
    plan.has_close_range = have_close_range_;
    place_plan(memory, begin, flight.shares_table);
    plan.wake = wake_;
    plan.unshare_state = flight.shares_table ? kTableShared : kTableUnshared;
    if (!flight.shares_table) return {};
    for (std::size_t i = 0; i < memory.sources.size(); ++i) {
        if (memory.sources[i] < 0) continue;
        if (Status s = staging_.put(begin + static_cast<int>(i), memory.sources[i]); !s) return s;
    }
    return {};
}

// The child will write itself into its group.
Status Spawner::Impl::stage_cgroup(Flight& flight) {
    FlightMemory& memory = *flight.memory;
    if (memory.cgroup_place < 0 || memory.plan.cgroup_procs >= 0) return {};
    Fd procs(::openat(memory.request.cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC));
    if (!procs) return fail_errno(errno, "can't open cgroup.procs");
    const int number = memory.plan.block_begin + memory.cgroup_place;
    if (flight.shares_table) {
        if (Status s = staging_.put(number, procs.get()); !s) return s;
    } else {
        memory.sources[static_cast<std::size_t>(memory.cgroup_place)] = procs.get();
    }
    memory.request.owned.push_back(std::move(procs));
    memory.plan.cgroup_procs = number;
    return {};
}

long Spawner::Impl::clone_by_clone3(Flight& flight, int* pidfd, bool into_cgroup, bool clear_handlers) {
    FlightMemory& memory = *flight.memory;
    memory.plan.default_signals |= clear_handlers ? 0 : ~std::uint64_t{0};
    CloneArguments arguments{};
    arguments.flags = CLONE_VM | (flight.shares_table ? CLONE_FILES : 0) | (clear_handlers ? kClearHandlers : 0);
    if (have_clone_pidfd_) arguments.flags |= CLONE_PIDFD;
    if (memory.request.as_parents_child) {
        arguments.flags |= CLONE_PARENT;
    } else {
        arguments.exit_signal = SIGCHLD;
    }
    if (into_cgroup) {
        arguments.flags |= kIntoCgroup;
        arguments.cgroup = static_cast<std::uint64_t>(memory.request.cgroup_fd);
    }
    arguments.pidfd = reinterpret_cast<std::uint64_t>(pidfd);
    arguments.stack = reinterpret_cast<std::uint64_t>(flight.stack - StackPool::kStackBytes);
    arguments.stack_size = StackPool::kStackBytes;
    return enter_by_clone3(&arguments, sizeof(arguments), &memory.plan);
}

long Spawner::Impl::clone_by_clone(Flight& flight, int* pidfd) {
    FlightMemory& memory = *flight.memory;
    memory.plan.default_signals = ~std::uint64_t{0};
    unsigned long flags = CLONE_VM | (flight.shares_table ? CLONE_FILES : 0);
    if (have_clone_pidfd_) flags |= CLONE_PIDFD;
    flags |= memory.request.as_parents_child ? static_cast<unsigned long>(CLONE_PARENT) : SIGCHLD;
    return enter_by_clone(flags, flight.stack, pidfd, &memory.plan);
}

// From the newest way to the oldest.  What is missing altogether is remembered; an EINVAL may be due to this request
// alone.
long Spawner::Impl::clone_child(Flight& flight, int* pidfd, SpawnStage* stage) {
    const bool wants_cgroup = flight.memory->cgroup_place >= 0;
    const auto join_by_itself = [&]() -> long {
        const Status s = stage_cgroup(flight);
        if (!s) *stage = SpawnStage::cgroup;
        return s ? 0 : -s.error().err;
    };
    const AllSignalsBlocked blocked;
    const bool into = wants_cgroup && have_into_cgroup_ && have_clone3_;
    if (wants_cgroup && !into) {
        if (const long r = join_by_itself(); r < 0) return r;
    }
    if (have_clone3_) {
        long r = clone_by_clone3(flight, pidfd, into, true);
        if (into && (r == -EINVAL || r == -EACCES || r == -EOPNOTSUPP || r == -E2BIG || missing(r))) {
            if (const long joined = join_by_itself(); joined < 0) return joined;
            if (!missing(r)) r = clone_by_clone3(flight, pidfd, false, true);
        }
        if (r == -EINVAL) r = clone_by_clone3(flight, pidfd, false, false);
        if (!missing(r)) return r;
        have_clone3_ = false;
    }
    const long r = clone_by_clone(flight, pidfd);
    if (r != -EINVAL || !have_clone_pidfd_) return r;
    have_clone_pidfd_ = false;  // older than 5.2; or the request is impossible, and then it fails again
    const long again = clone_by_clone(flight, pidfd);
    if (again == -EINVAL) have_clone_pidfd_ = true;
    return again;
}

void Spawner::Impl::take_off(Flight flight, int raw_pidfd) {
    Fd pidfd(raw_pidfd);
    if (!pidfd) {
        if (Result<Fd> opened = open_pidfd(flight.pid)) pidfd = std::move(*opened);
    }
    if (pidfd) {
        if (Result<Fd> second = pidfd.duplicate()) flight.pidfd = std::move(*second);
    }
    SpawnEvent started;
    started.token = flight.token;
    started.kind = SpawnEventKind::started;
    started.pid = flight.pid;
    started.pidfd = std::move(pidfd);
    events_.push_back(std::move(started));

    const std::uint64_t serial = ++last_serial_;
    ++counted_;
    if (!flight.shares_table) flight.memory->request.owned.clear();
    const int outcome = flight.outcome.get();
    const bool shares = flight.shares_table;
    flights_.emplace(serial, std::move(flight));
    if (shares) sharing_.push_back(serial);
    const Status added = epoll_.add(outcome, EPOLLIN, serial * 2);
    CHECK(added.has_value(), "an outcome pipe can't be watched");
}

void Spawner::Impl::unstage(Flight& flight) {
    staging_.release(flight.block_begin, flight.block_count);
    flight.block_count = 0;
    if (flight.memory) flight.memory->request.owned.clear();
    if (flight.watched) {
        flight.watched = false;
        static_cast<void>(epoll_.remove(flight.pidfd.get()));
    }
}

// True when the flight's table isn't ours any more, and nothing is staged.
bool Spawner::Impl::settle_table(std::uint64_t serial, Flight& flight, bool going_to_sleep) {
    std::uint32_t* state = &flight.memory->plan.unshare_state;
    std::uint32_t now = __atomic_load_n(state, __ATOMIC_ACQUIRE);
    if (now == kTableShared && going_to_sleep) {
        if (__atomic_compare_exchange_n(state, &now, kParentWaits, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            // It wakes us when it has unshared, or by its death.
            flight.watched = flight.pidfd && epoll_.add(flight.pidfd.get(), EPOLLIN, serial * 2 + 1).has_value();
            return false;
        }
    }
    if (now != kTableUnshared && now != kTableStuck) return false;
    unstage(flight);
    return true;
}

void Spawner::Impl::sweep_unshared(bool going_to_sleep) {
    std::erase_if(sharing_, [&](std::uint64_t serial) {
        const auto found = flights_.find(serial);
        return found == flights_.end() || settle_table(serial, found->second, going_to_sleep);
    });
}

// Dead: it won't touch the table any more, whatever its state says.
void Spawner::Impl::child_died(std::uint64_t serial) {
    const auto found = flights_.find(serial);
    if (found == flights_.end() || found->second.block_count == 0) return;
    unstage(found->second);
    std::erase(sharing_, serial);
}

void Spawner::Impl::free_memory(Flight& flight) {
    if (flight.stack != nullptr) stacks_.give(std::exchange(flight.stack, nullptr));
    flight.memory.reset();
}

void Spawner::Impl::read_hold_word(Flight& flight, const HoldMessage& message) {
    flight.hold_word = message.word;
    // It was executed, so nothing of ours is in use any more.
    if (flight.memory) free_memory(flight);
    if (message.word == kHoldHeld && !flight.not_in_count) {
        flight.not_in_count = true;
        --counted_;
        SpawnEvent event;
        event.token = flight.token;
        event.kind = SpawnEventKind::held;
        event.pid = flight.pid;
        events_.push_back(std::move(event));
    }
    if (message.word == kHoldFailed) {
        flight.hold_stage = static_cast<SpawnStage>(message.stage);
        flight.hold_err = message.err;
    }
}

void Spawner::Impl::read_outcome(std::uint64_t serial) {
    const auto found = flights_.find(serial);
    if (found == flights_.end()) return;
    Flight& flight = found->second;
    for (;;) {
        HoldMessage message{};
        const Result<std::size_t> n = read_some(flight.outcome.get(), &message, sizeof(message));
        if (n && *n == kNothingNow) return;
        if (n && *n == sizeof(message)) {
            read_hold_word(flight, message);
            continue;
        }
        land(serial);
        return;
    }
}

// End of file on the outcome pipe: executed or dead.
SpawnEvent Spawner::Impl::judge(Flight& flight) const {
    SpawnEvent event;
    event.token = flight.token;
    event.pid = flight.pid;
    event.kind = SpawnEventKind::failed;
    event.stage = SpawnStage::killed;
    if (flight.hold_word == kHoldExec) {
        event.kind = SpawnEventKind::executed;
        return event;
    }
    if (flight.hold_word == kHoldFailed) {
        event.stage = flight.hold_stage;
        event.err = flight.hold_err;
        return event;
    }
    if (!flight.memory) return event;  // abide-hold was killed
    const ChildPlan& plan = flight.memory->plan;
    const auto stage = static_cast<SpawnStage>(__atomic_load_n(&plan.stage, __ATOMIC_ACQUIRE));
    event.err = __atomic_load_n(&plan.err, __ATOMIC_ACQUIRE);
    if (event.err != 0) {
        event.stage = stage;
        return event;
    }
    if (stage != SpawnStage::exec || flight.through_hold) return event;
    // The last doubt: killed inside execve.  The kernel remembers in PF_FORKNOEXEC, even of a zombie.  The pidfd tells
    // that the pid was still its own when we looked; a process that was reaped already is taken as executed, its exit
    // will tell.
    const Result<ProcessStat> seen = process_stat(flight.pid);
    if (seen && seen->never_executed && flight.pidfd && send_signal(flight.pidfd.get(), 0)) return event;
    event.kind = SpawnEventKind::executed;
    return event;
}

void Spawner::Impl::land(std::uint64_t serial) {
    const auto found = flights_.find(serial);
    Flight& flight = found->second;
    if (flight.block_count > 0) child_died(serial);
    events_.push_back(judge(flight));
    static_cast<void>(epoll_.remove(flight.outcome.get()));
    if (flight.memory) free_memory(flight);
    if (!flight.not_in_count) --counted_;
    flights_.erase(found);
}

void Spawner::Impl::be_patient(bool on) {
    if (patient_ == on) return;
    patient_ = on;
    const itimerspec when{{0, 0}, {0, on ? kPatienceNs : 0}};
    CHECK(::timerfd_settime(patience_.get(), 0, &when, nullptr) == 0, "our own timer can't be set");
}

void Spawner::Impl::launch_waiting() {
    bool no_room = false;
    while (!queue_.empty() && counted_ < options_.in_flight && !no_room) {
        no_room = launch_with_yields(queue_.front()) == Launch::no_room;
        if (!no_room) queue_.pop_front();
    }
    if (out_of_patience_) {
        out_of_patience_ = false;
        be_patient(true);  // takes back the timer's expiry
    }
    be_patient(no_room);
}

std::vector<SpawnEvent> Spawner::Impl::drain() {
    sweep_unshared(false);
    const Result<std::span<const Ready>> ready = epoll_.wait(Mono{0});
    CHECK(ready.has_value(), "our own epoll can't be read");
    for (const Ready& r : *ready) {
        if (r.token == kWakeToken) {
            std::uint64_t count = 0;
            static_cast<void>(::read(wake_, &count, sizeof(count)));
            poked_ = false;
        } else if (r.token == kPatienceToken) {
            patient_ = false;
            out_of_patience_ = true;
        } else if (r.token % 2 == 1) {
            child_died(r.token / 2);
        } else {
            read_outcome(r.token / 2);
        }
    }
    sweep_unshared(false);
    launch_waiting();
    sweep_unshared(true);
    // Room that came free after the last try: come back at once.
    if (!queue_.empty() && sharing_.empty() && counted_ < options_.in_flight) poke();
    return std::exchange(events_, {});
}

Result<std::unique_ptr<Spawner>> Spawner::create(const SpawnerOptions& options) {
    Result<StagingArea> staging = StagingArea::create();
    if (!staging) return std::unexpected(staging.error());
    Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) return fail_errno(errno, "no eventfd");
    // One number of the area is the wake descriptor's for good.
    const int low = staging->allocate(1);
    if (Status s = staging->put(low, event.get()); !s) return std::unexpected(s.error());
    Result<Epoll> epoll = Epoll::create();
    if (!epoll) return std::unexpected(epoll.error());
    if (Status s = epoll->add(low, EPOLLIN, kWakeToken); !s) return std::unexpected(s.error());
    Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer) return fail_errno(errno, "no timer");
    if (Status s = epoll->add(timer.get(), EPOLLIN, kPatienceToken); !s) return std::unexpected(s.error());
    return std::make_unique<Spawner>(
        std::make_unique<Impl>(options, std::move(*staging), std::move(*epoll), low, std::move(timer)));
}

Spawner::Spawner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Spawner::~Spawner() = default;
Status Spawner::spawn(SpawnRequest request, std::uint64_t token) {
    return impl_->spawn(std::move(request), token);
}
int Spawner::fd() const {
    return impl_->fd();
}
std::vector<SpawnEvent> Spawner::drain() {
    return impl_->drain();
}
std::size_t Spawner::in_flight() const {
    return impl_->in_flight();
}
std::size_t Spawner::queued() const {
    return impl_->queued();
}

}  // namespace abide::kernel
