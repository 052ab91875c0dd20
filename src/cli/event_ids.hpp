// cli/event_ids.hpp -- which ids the events of a new instance begin with: none that an earlier life may have used.
//
// Owns the reservation file of the log folder (events/reservation.hpp) while an instance is started.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/time.hpp"
#include "cli/places.hpp"
#include "events/reservation.hpp"
#include "events/tail.hpp"
#include "kernel/file_writing.hpp"

namespace abide::cli {

struct EventIds {
    std::uint64_t last = 0;      // the newest that may have been used
    std::uint64_t reserved = 0;  // up to here they are ours
    std::string stream;          // empty: the first of this instance
};
// Reserves a block on disk.  Where it is not known what was used (the file is lost, or nothing can be written) a new
// stream begins, far above all that the old one can have had, so that an old cursor meets a gap and never a wrong
// event.
class ReservingIds {
  public:
    ReservingIds(const Places& places, Wall now, std::uint64_t random);
    // Waits for the disk, which was at work since then: no id is anybody's before.
    EventIds finish();

  private:
    [[nodiscard]] events::Reservation known(std::optional<events::Reservation> told, bool first) const;

    events::LogEnd end_;
    events::Reservation elsewhere_, from_;
    std::unique_ptr<kernel::FileWriting> writing_;
};

}  // namespace abide::cli
