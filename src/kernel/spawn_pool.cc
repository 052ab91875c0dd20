// kernel/spawn_pool.cc -- see spawn_pool.hpp.
#include "kernel/spawn_pool.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/check.hpp"

namespace abide::kernel {
namespace {

constexpr int kFirst = 3;
constexpr int kLeastCapacity = 12;
constexpr std::size_t kGuardBytes = 4096;
constexpr std::size_t kSlotBytes = kGuardBytes + StackPool::kStackBytes;

}  // namespace

Result<StagingArea> StagingArea::create() {
    StagingArea area;
    Fd any(::open("/", O_PATH | O_CLOEXEC));
    if (!any) return fail_errno(errno, "can't open / to keep numbers busy");
    Result<Fd> high = any.duplicate(kStagingEnd);
    if (!high) return std::unexpected(high.error());
    any.reset();
    area.spare_ = std::move(*high);
    for (;;) {
        const int number = ::fcntl(area.spare_.get(), F_DUPFD_CLOEXEC, 0);
        if (number < 0) return fail_errno(errno, "can't reserve descriptor numbers");
        Fd fd(number);
        if (number >= kStagingEnd) break;
        if (number >= kFirst) area.use_[static_cast<std::size_t>(number)] = Use::spare;
        area.kept_.push_back(std::move(fd));
    }
    int row = 0;
    for (const Use use : area.use_) {
        row = use == Use::spare ? row + 1 : 0;
        if (row > area.capacity_) area.capacity_ = row;
    }
    if (area.capacity_ < kLeastCapacity) {
        return fail(ErrorKind::refused, "too few free descriptor numbers below 64 for starting processes",
                    "make the Spawner before other descriptors");
    }
    return area;
}

StagingArea StagingArea::none(Fd other) {
    StagingArea area;
    area.kept_.push_back(std::move(other));
    return area;
}

int StagingArea::find_row(int begin, int count) const {
    int row = 0;
    for (int number = begin; number < kStagingEnd; ++number) {
        row = use_[static_cast<std::size_t>(number)] == Use::spare ? row + 1 : 0;
        if (row == count) return number - count + 1;
    }
    return -1;
}

int StagingArea::allocate(int count, int target) {
    int begin = find_row(std::max(kFirst, target + 1), count);
    if (begin < 0) begin = find_row(kFirst, count);
    for (int number = begin; begin >= 0 && number < begin + count; ++number)
        use_[static_cast<std::size_t>(number)] = Use::taken;
    return begin;
}

Status StagingArea::put(int number, int source) {
    CHECK(use_[static_cast<std::size_t>(number)] == Use::taken, "staging at a number that isn't allocated");
    if (::dup3(source, number, O_CLOEXEC) < 0) return fail_errno(errno, "can't stage a descriptor");
    use_[static_cast<std::size_t>(number)] = Use::staged;
    return {};
}

void StagingArea::release(int begin, int count) {
    for (int number = begin; number < begin + count; ++number) {
        Use& use = use_[static_cast<std::size_t>(number)];
        CHECK(use == Use::taken || use == Use::staged, "releasing a number that isn't allocated");
        // Replaces in one step: the number is never free.  It can't fail with two open descriptors, but for EBUSY and
        // EINTR (dup(2)), which are passing.
        while (use == Use::staged && ::dup3(spare_.get(), number, O_CLOEXEC) < 0) {
            CHECK(errno == EBUSY || errno == EINTR, "a staged descriptor can't be replaced");
        }
        use = Use::spare;
    }
}

StackPool::~StackPool() {
    for (std::byte* group : groups_) ::munmap(group, kGroup * kSlotBytes);
}

Status StackPool::add_group() {
    void* raw =
        ::mmap(nullptr, kGroup * kSlotBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (raw == MAP_FAILED) return fail_errno(errno, "no memory for a child's stack");
    auto* group = static_cast<std::byte*>(raw);
    for (std::size_t i = 0; i < kGroup; ++i) {
        std::byte* stack = group + i * kSlotBytes + kGuardBytes;
        if (::mprotect(stack, kStackBytes, PROT_READ | PROT_WRITE) != 0) {
            const int err = errno;
            ::munmap(raw, kGroup * kSlotBytes);
            for (; i > 0; --i) free_.pop_back();
            return fail_errno(err, "no memory for a child's stack");
        }
        free_.push_back(stack + kStackBytes);
    }
    groups_.push_back(group);
    return {};
}

Status StackPool::reserve(std::size_t count) {
    while (free_.size() < count) {
        if (Status added = add_group(); !added) return added;
    }
    return {};
}

Result<std::byte*> StackPool::take() {
    if (Status there = reserve(1); !there) return std::unexpected(there.error());
    std::byte* top = free_.back();
    free_.pop_back();
    return top;
}

void StackPool::release_memory() {
    // Refused, they only stay.
    for (std::byte* top : free_) static_cast<void>(::madvise(top - kStackBytes, kStackBytes, MADV_DONTNEED));
}

Result<Pipe> OutcomePipes::take() {
    if (idle_.empty()) return make_pipe(true);
    Pipe pipe = std::move(idle_.back());
    idle_.pop_back();
    return pipe;
}

void OutcomePipes::give(Pipe pipe) {
    if (idle_.size() < kMost) idle_.push_back(std::move(pipe));
}

}  // namespace abide::kernel
