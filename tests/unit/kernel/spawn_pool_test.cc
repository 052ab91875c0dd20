// What children wrote into their stacks goes back to the machine when they are done, and not before.
#include "kernel/spawn_pool.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>

namespace abide::kernel {
namespace {

std::span<std::byte> below(std::byte* top) {
    return {top - StackPool::kStackBytes, StackPool::kStackBytes};
}

TEST(StackPool, GivesBackWhatIsFreeAndOnlyThat) {
    constexpr std::byte kWritten{0xa5};
    StackPool pool;
    std::byte* const free = pool.take().value();
    std::byte* const taken = pool.take().value();
    for (std::byte* const top : {free, taken}) std::ranges::fill(below(top), kWritten);
    pool.give(free);
    pool.release_memory();
    const auto is_written = [](std::byte byte) { return byte == kWritten; };
    // Private pages that were given back read as zeros (madvise(2), MADV_DONTNEED).
    EXPECT_TRUE(std::ranges::none_of(below(free), is_written));
    EXPECT_TRUE(std::ranges::all_of(below(taken), is_written));
    EXPECT_EQ(pool.take().value(), free);
}

}  // namespace
}  // namespace abide::kernel
