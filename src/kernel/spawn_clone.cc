// kernel/spawn_clone.cc -- from a request to a running child: staging, the ways to clone, and the watch over the child.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/check.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/raw.hpp"
#include "kernel/signals_blocked.hpp"
#include "kernel/spawn_child.hpp"
#include "kernel/spawn_impl.hpp"

namespace abide::kernel {
namespace {

constexpr int kYields = 32;  // until a child has a table of its own
constexpr std::uint64_t kIntoCgroup = CLONE_INTO_CGROUP;
constexpr std::uint64_t kClearHandlers = CLONE_CLEAR_SIGHAND;

bool missing(long err) {
    return err == -ENOSYS || err == -EPERM;
}

// The highest descriptor in use, for tables that are copied.
int highest_descriptor() {
    int highest = kStagingEnd;
    Result<Fd> folder = open_directory("/proc/self/fd");
    if (!folder) {
        const Result<ResourceLimitValue> limit = get_limit(RLIMIT_NOFILE);
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

// The kernel's start time of a process is CLOCK_BOOTTIME, in ticks of sysconf(_SC_CLK_TCK): proc_pid_stat(5).
std::uint64_t ticks_now() {
    static const auto ticks_a_second = static_cast<std::int64_t>(::sysconf(_SC_CLK_TCK));
    return static_cast<std::uint64_t>(now().boot.ns / (1'000'000'000 / ticks_a_second));
}

// A process that was born within one tick needs no look at /proc, which would cost a tenth of its start.
std::uint64_t ticks_of(pid_t pid, std::uint64_t before) {
    return ticks_now() == before ? before : start_ticks(pid).value_or(0);
}

}  // namespace

// In somebody else's program dispositions change while we look away.
std::uint64_t Spawner::Impl::usual_signals() {
    std::uint64_t mask = 0;
    for (const int signal : {SIGPIPE, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN,
                             SIGTTOU, SIGALRM, SIGXFSZ}) {
        mask |= std::uint64_t{1} << (signal - 1);
    }
    return mask;
}

std::uint64_t Spawner::Impl::ignored_signals() {
    std::uint64_t mask = 0;
    for (int signal = 1; signal <= 64; ++signal) {
        if (raw::is_ignored(signal)) mask |= std::uint64_t{1} << (signal - 1);
    }
    return mask;
}

bool Spawner::Impl::probe_close_range() {
    // An empty range at the end of the numbers: closes nothing.
    return ::syscall(SYS_close_range, ~0U, ~0U, 0) == 0;
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

// Not one that abide-hold writes into, and none that a copy of our table would hold on to.
bool Spawner::Impl::reuses_pipe(const Flight& flight) const {
    return options_.reuses_pipes && flight.shares_table && !flight.through_hold;
}

// Whoever has the copy may hold on to it (stopped, or born into a frozen group), so it shall have no write end of
// anybody's.  Those that are staged are given up as soon as their children have tables of their own, which takes
// microseconds; one that is stopped before it has keeps its own outcome to itself, as long as the copy lives.
void Spawner::Impl::begin_copied_table() {
    sweep_unshared(false);
    for (int i = 0; i < kYields && !sharing_.empty(); ++i) {
        ::sched_yield();
        sweep_unshared(false);
    }
    if (!options_.reuses_pipes) return;
    sweep_unwatched(false);
    for (const std::uint64_t serial : unwatched_) flights_.at(serial).outcome_end.reset();
    pipes_.clear();
}

Result<Pipe> Spawner::Impl::outcome_pipe(const Flight& flight) {
    const HoldRequest& hold = flight.memory->request.hold;
    if (reuses_pipe(flight)) return pipes_.take();
    if (hold.told_read < 0 || hold.told_write < 0) return make_pipe(true);
    Pipe pipe;
    for (const auto& [mine, given] : {std::pair{&pipe.read, hold.told_read}, std::pair{&pipe.write, hold.told_write}}) {
        *mine = Fd(::fcntl(given, F_DUPFD_CLOEXEC, kStagingEnd));
        if (!*mine) return fail_errno(errno, "can't duplicate a descriptor");
    }
    return pipe;
}

Spawner::Impl::Launch Spawner::Impl::launch(Waiting& waiting) {
    Flight flight;
    flight.token = waiting.token;
    const int count = static_cast<int>(waiting.memory->sources.size());
    flight.shares_table = have_close_range_ && count <= staging_.capacity() && !out_of_patience_;
    if (flight.shares_table) {
        flight.block_begin = staging_.allocate(count, highest_target(*waiting.memory));
        if (flight.block_begin < 0) return Launch::no_room;
        flight.block_count = count;
    }
    if (!flight.shares_table) begin_copied_table();
    flight.memory = std::move(waiting.memory);
    flight.through_hold = flight.memory->program_place >= 0;
    Result<Pipe> pipe = outcome_pipe(flight);
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
    const std::uint64_t before = ticks_now();
    const long pid = clone_child(flight, &pidfd, &stage_reached);
    if (pid < 0) return refuse(stage_reached, static_cast<int>(-pid));
    flight.pid = static_cast<pid_t>(pid);
    if (reuses_pipe(flight)) flight.outcome_end = std::move(pipe->write);
    pipe->write.reset();
    take_off(std::move(flight), pidfd, before);
    return Launch::done;
}

Status Spawner::Impl::stage(Flight& flight, const Fd& outcome_end) {
    FlightMemory& memory = *flight.memory;
    memory.sources[static_cast<std::size_t>(memory.outcome_place)] = outcome_end.get();
    ChildPlan& plan = memory.plan;
    int begin = flight.block_begin;
    if (!flight.shares_table) {
        // Without close_range(2) the child must know where to end.  With it, only what it takes along matters: all
        // other numbers of its copy may be overwritten.
        plan.highest = have_close_range_ ? kStagingEnd : highest_descriptor();
        int top = plan.highest;
        for (const PlanDescriptor& d : memory.descriptors) top = std::max(top, d.target);
        for (const std::int32_t source : memory.sources) top = std::max(top, source);
        begin = top + 1;
    }
    plan.has_close_range = have_close_range_;
    place_plan(memory, begin, flight.shares_table);
    plan.default_signals = options_.without_staging ? usual_signals() : ignored_;
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
        // Above the block, or the child would overwrite it before it is staged.
        Result<Fd> high = procs.duplicate(memory.plan.block_end);
        if (!high) return std::unexpected(high.error());
        procs = std::move(*high);
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
    arguments.flags = CLONE_VM | CLONE_CHILD_CLEARTID | (flight.shares_table ? CLONE_FILES : 0) |
                      (clear_handlers ? kClearHandlers : 0);
    arguments.child_tid = reinterpret_cast<std::uint64_t>(&memory.plan.in_our_memory);
    memory.plan.in_our_memory = 1;
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
    memory.plan.in_our_memory = 1;  // stays so: the outcome's end of file tells
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
    const bool into = wants_cgroup && !flight.memory->request.joins_cgroup && have_into_cgroup_ && have_clone3_;
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

void Spawner::Impl::take_off(Flight flight, int raw_pidfd, std::uint64_t ticks_before) {
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
    started.start_ticks = ticks_of(flight.pid, ticks_before);
    events_.push_back(std::move(started));

    const std::uint64_t serial = ++last_serial_;
    ++counted_;
    if (!flight.shares_table) flight.memory->request.owned.clear();
    const bool shares = flight.shares_table;
    flights_.emplace(serial, std::move(flight));
    if (shares) sharing_.push_back(serial);
    unwatched_.push_back(serial);
}

}  // namespace abide::kernel
