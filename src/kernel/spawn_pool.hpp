// kernel/spawn_pool.hpp -- the three things that every child in flight takes a share of: descriptor numbers below 64,
// where it finds what was staged for it, a small stack, and a pipe that tells of its end.  Known to the Spawner only.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "base/result.hpp"
#include "kernel/fd.hpp"

namespace abide::kernel {

// Invariant: no number below kStagingEnd is ever free, so that nothing else lands there; what isn't staged is spare.
class StagingArea {
  public:
    static Result<StagingArea> create();
    // One that reserves nothing and has room for nothing; keeps `other` open as long as it lives.
    static StagingArea none(Fd other);
    StagingArea(StagingArea&& other) noexcept = default;
    StagingArea& operator=(StagingArea&& other) noexcept = default;
    ~StagingArea() = default;

    // The first of `count` numbers in a row, or -1 when there is no room now.  From the bottom, since a child copies
    // all numbers up to its own; but where there is room above `target`, the highest number that the child is to fill,
    // there.
    int allocate(int count, int target);
    Status put(int number, int source);
    void release(int begin, int count);
    // What could be allocated with nothing in flight.
    [[nodiscard]] int capacity() const { return capacity_; }

  private:
    enum class Use : unsigned char { foreign, spare, taken, staged };

    StagingArea() = default;
    [[nodiscard]] int find_row(int begin, int count) const;
    std::array<Use, kStagingEnd> use_{};
    int capacity_ = 0;
    Fd spare_;              // above the area
    std::vector<Fd> kept_;  // the numbers themselves, closed with us
};

// Stacks with a guard page below, mapped in groups and used again, the last one first.
class StackPool {
  public:
    static constexpr std::size_t kStackBytes = 16 * 1024;

    StackPool() = default;
    StackPool(StackPool&&) = delete;
    ~StackPool();

    // Makes so many at once.  Later they come in groups, while children that fault their first pages in stand in the
    // way of mprotect(2) and it in theirs.
    Status reserve(std::size_t count);
    // The top of a stack (stacks grow down), or an error.
    Result<std::byte*> take();
    void give(std::byte* top) { free_.push_back(top); }
    // What children wrote into those that are free goes back to the machine.
    void release_memory();
    // A child may still run on one of them: leave them mapped when we go.
    void abandon() { groups_.clear(); }

  private:
    static constexpr std::size_t kGroup = 16;
    Status add_group();
    std::vector<std::byte*> groups_, free_;
};

// Pipes of children that executed while we were awake: nobody slept on them, so they hold nothing, and the child's copy
// of the write end is the first thing that its exec closes.  (The kernel clears the child's word a moment before;
// whoever sleeps on the pipe by then sleeps that much longer.)  The next child gets the same one, which saves three
// calls.
class OutcomePipes {
  public:
    Result<Pipe> take();
    void give(Pipe pipe);
    // Before a table is copied: who has a write end keeps all those waiting that sleep on the read end.
    void clear() { idle_.clear(); }

  private:
    static constexpr std::size_t kMost = 32;
    std::vector<Pipe> idle_;
};

}  // namespace abide::kernel
