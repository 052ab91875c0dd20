// cli/event_ids.hpp -- which ids the events of a new instance begin with: none that an earlier life may have used.
//
// Owns the reservation file of the log folder (events/reservation.hpp) while an instance is started.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.hpp"
#include "cli/places.hpp"

namespace abide::cli {

struct EventIds {
    std::uint64_t last = 0;      // the newest that may have been used
    std::uint64_t reserved = 0;  // up to here they are ours
    std::string stream;          // empty: the first of this instance
};
// Reserves a block on disk.  Where it is not known what was used (the file is lost, or nothing can be written) a new
// stream begins, far above all that the old one can have had, so that an old cursor meets a gap and never a wrong
// event.
EventIds reserve_event_ids(const Places& places, Wall now, std::uint64_t random);

}  // namespace abide::cli
