// kernel/spawn.cc -- the Spawner: requests, queue, and when to launch what.  The theory is in spawn.hpp.
#include "kernel/spawn.hpp"

#include <sched.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/check.hpp"
#include "kernel/clock.hpp"
#include "kernel/spawn_impl.hpp"

namespace abide::kernel {
namespace {

// How long a request waits for room in the staging area.  A child that is born into a frozen group, or stopped, keeps
// its place for as long as it likes; then the next ones get a copied table, which costs more but needs no room.
constexpr long kPatienceNs = 20'000'000;
constexpr int kYields = 32;
// Beyond so many children on their way we let them run first: many half-born processes at once cost fresh memory for
// each.
constexpr std::size_t kEager = 16;
constexpr int kEagerYields = 4;
constexpr Duration kPartingPatience = seconds(1);

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

// Room comes free when a child gets to run its first call, for which it may need our processor.  Going to sleep instead
// would cost a wake-up for each child.  Bounded, so that a stopped child can't hold us.
Spawner::Impl::Launch Spawner::Impl::launch_with_yields(Waiting& waiting) {
    for (int i = 0; i < kEagerYields && counted_ >= kEager; ++i) {
        if (i > 0) ::sched_yield();
        collect();
    }
    Launch result = launch(waiting);
    for (int i = 0; i < kYields && result == Launch::no_room; ++i) {
        sweep_unshared(false);
        result = launch(waiting);
        if (result == Launch::no_room) ::sched_yield();
    }
    return result;
}

void Spawner::Impl::be_patient(bool on) {
    if (patient_ == on) return;
    patient_ = on;
    const itimerspec when{{0, 0}, {0, on ? kPatienceNs : 0}};
    CHECK(::timerfd_settime(patience_.get(), 0, &when, nullptr) == 0, "our own timer can't be set");
}

void Spawner::Impl::launch_waiting() {
    // A copied table costs a look at every descriptor, so only a few starts at a time go that way; the others wait for
    // room, or for the next expiry.
    constexpr int kCopiesAtOnce = 8;
    const bool was_out_of_patience = out_of_patience_;
    int copies = 0;
    bool no_room = false;
    while (!queue_.empty() && counted_ < options_.in_flight && !no_room) {
        no_room = launch_with_yields(queue_.front()) == Launch::no_room;
        if (!no_room) queue_.pop_front();
        if (out_of_patience_ && ++copies == kCopiesAtOnce) out_of_patience_ = false;
    }
    if (was_out_of_patience) {
        out_of_patience_ = false;
        be_patient(true);  // takes back the timer's expiry
    }
    be_patient(no_room);
}

std::vector<SpawnEvent> Spawner::Impl::drain() {
    if (!poked_ && flights_.empty() && queue_.empty()) return std::exchange(events_, {});
    collect();
    launch_waiting();
    sweep_unshared(true);
    sweep_unwatched(true);
    if (flights_.empty() && queue_.empty()) pipes_.clear();
    // Room that came free after the last try: come back at once.
    if (!queue_.empty() && sharing_.empty() && counted_ < options_.in_flight) poke();
    return std::exchange(events_, {});
}

Result<std::unique_ptr<Spawner>> Spawner::create(const SpawnerOptions& options) {
    Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) return fail_errno(errno, "no eventfd");
    int low = event.get();
    if (!options.without_staging) {
        if (Status s = raise_above_staging(event); !s) return std::unexpected(s.error());
    }
    Result<StagingArea> staging = options.without_staging ? StagingArea::none(std::move(event)) : StagingArea::create();
    if (!staging) return std::unexpected(staging.error());
    if (!options.without_staging) {
        // One number of the area is the wake descriptor's for good.
        low = staging->allocate(1, -1);
        if (Status s = staging->put(low, event.get()); !s) return std::unexpected(s.error());
    }
    Result<Epoll> epoll = Epoll::create();
    if (!epoll) return std::unexpected(epoll.error());
    if (Status s = epoll->add(low, EPOLLIN, Spawner::Impl::kWakeToken); !s) return std::unexpected(s.error());
    Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer) return fail_errno(errno, "no timer");
    if (Status s = epoll->add(timer.get(), EPOLLIN, Spawner::Impl::kPatienceToken); !s)
        return std::unexpected(s.error());
    auto impl = std::make_unique<Impl>(options, std::move(*staging), std::move(*epoll), low, std::move(timer));
    if (Status s = impl->reserve_stacks(2 * kEager); !s) return std::unexpected(s.error());
    return std::make_unique<Spawner>(std::move(impl));
}

Spawner::Spawner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Spawner::~Spawner() = default;
Status Spawner::spawn(SpawnRequest request, std::uint64_t token) {
    return impl_->spawn(std::move(request), token);
}
Status Spawner::resume(std::uint64_t token, pid_t pid, int pidfd, Fd told, bool let_go) {
    return impl_->resume(token, pid, pidfd, std::move(told), let_go);
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
void Spawner::release_memory() {
    impl_->release_memory();
}

}  // namespace abide::kernel
