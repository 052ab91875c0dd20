// bench/slots.hpp -- the shared file in which the measured programs write when they began to run.
//
// A file that everybody maps: one header, then one slot a service.  The clock is CLOCK_MONOTONIC, the same for all
// processes. bench/bench.py reads it by the same offsets.
#pragma once

#include <cstdint>

namespace bench {

struct Slot {
    std::int64_t first_ns;  // at the first instruction of the newest process
    std::int64_t ready_ns;  // when it told that it is ready; 0: it doesn't tell
    std::int32_t pid;
    std::uint32_t starts;   // written last: who sees a new number sees the new times
    std::int64_t ended_ns;  // just before it ended by itself, as SIGUSR1 asks it to
};
static_assert(sizeof(Slot) == 32);

struct Header {
    std::int64_t launch_ns;  // before the exec of what is measured
    std::int64_t unused[3];
};
static_assert(sizeof(Header) == 32);

}  // namespace bench
