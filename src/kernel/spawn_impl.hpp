// kernel/spawn_impl.hpp -- the inside of the Spawner: queue, staging, flights.  Its parts: spawn.cc (requests and
// queue), spawn_clone.cc (from a request to a running child), spawn_outcome.cc (what became of it).
//
// Who closes what, when: the write end of a child's outcome pipe exists only as a staged number, which is shared with
// the child until it has unshared.  So we take it away when the child says that it has (or is dead, or has a copied
// table from the start); from then on only the child holds it, and its end of file is the child's exec or end.  With
// SpawnerOptions::reuses_pipes we hold it too, until we are about to sleep on the read end: most children are seen to
// have executed before (sweep_unwatched), and then the pipe is as good as new.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "kernel/epoll.hpp"
#include "kernel/spawn.hpp"
#include "kernel/spawn_flight.hpp"
#include "kernel/spawn_pool.hpp"

namespace abide::kernel {

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

    Status reserve_stacks(std::size_t count) { return stacks_.reserve(count); }
    Status spawn(SpawnRequest request, std::uint64_t token);
    Status resume(std::uint64_t token, pid_t pid, int pidfd, Fd told, bool let_go);
    std::vector<SpawnEvent> drain();
    [[nodiscard]] int fd() const { return epoll_.fd(); }
    [[nodiscard]] std::size_t in_flight() const { return counted_; }
    [[nodiscard]] std::size_t queued() const { return queue_.size(); }
    void release_memory() { stacks_.release_memory(); }

    // Tokens in our own epoll; a flight's are twice its serial (outcome), and one more (pidfd).
    static constexpr std::uint64_t kWakeToken = ~std::uint64_t{0};
    static constexpr std::uint64_t kPatienceToken = kWakeToken - 1;

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
    void take_off(Flight flight, int raw_pidfd, std::uint64_t ticks_before);
    void fail_flight(std::uint64_t token, pid_t pid, SpawnStage stage, int err);
    static bool probe_close_range();
    static std::uint64_t usual_signals();
    static std::uint64_t ignored_signals();
    void poke();
    void be_patient(bool on);
    void launch_waiting();
    void collect();

    void sweep_unshared(bool going_to_sleep);
    void sweep_unwatched(bool going_to_sleep);
    bool settle_table(std::uint64_t serial, Flight& flight, bool going_to_sleep);
    void unstage(Flight& flight);
    void child_died(std::uint64_t serial);
    void read_outcome(std::uint64_t serial);
    void read_hold_word(Flight& flight, const HoldMessage& message);
    void land(std::uint64_t serial);
    SpawnEvent judge(Flight& flight) const;
    [[nodiscard]] bool reuses_pipe(const Flight& flight) const;
    Result<Pipe> outcome_pipe(const Flight& flight);
    void begin_copied_table();
    bool watch_outcome(std::uint64_t serial, Flight& flight);
    void free_memory(Flight& flight);

    SpawnerOptions options_;
    StagingArea staging_;
    Epoll epoll_;
    int wake_;     // an eventfd at a number of the staging area, so that every child finds it
    Fd patience_;  // a timer, armed while the queue's head finds no room
    bool patient_ = false, out_of_patience_ = false;
    bool have_clone3_, have_into_cgroup_, have_clone_pidfd_, have_close_range_;
    bool poked_ = false;
    // What a child sets to its default.  Handled signals are reset by the clone (CLONE_CLEAR_SIGHAND), ignored ones are
    // not.
    const std::uint64_t ignored_ = ignored_signals();
    std::uint64_t last_serial_ = 0;
    std::size_t counted_ = 0;
    StackPool stacks_;
    OutcomePipes pipes_;
    std::map<std::uint64_t, Flight> flights_;
    std::vector<std::uint64_t> sharing_;    // serials of flights whose tables may still be ours
    std::vector<std::uint64_t> unwatched_;  // serials of flights whose outcome isn't in our epoll
    std::deque<Waiting> queue_;
    std::vector<SpawnEvent> events_;
};

}  // namespace abide::kernel
