// cli/left_behind.hpp -- services whose anchor, manager and logger were killed together: they run on, and the copy of
// the journal in the runtime folder says what they are.
//
// Knows how to tell them from strangers: the same boot, and each process by pid and start time.  Starts and stops
// nothing.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "cli/places.hpp"

namespace abide::cli {

struct LeftBehind {
    std::string journal;        // as the last manager wrote it
    std::size_t processes = 0;  // that live; at least one
};

// With the lock of the instance in the caller's hands, so that nobody else writes.  nullopt also for a file that
// somebody else could have written.
std::optional<LeftBehind> find_left_behind(const Places& places);

}  // namespace abide::cli
