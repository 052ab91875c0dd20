// events/reservation.hpp -- which ids of events were used by earlier lives of an instance: a small file in the log
// folder, since the log itself may lie in memory and end with the machine.
//
// Pure text.  A life reserves a block before its first event; ids up to `next` - 1 may have been used.  A clean end
// gives back what was not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace abide::events {

inline constexpr std::string_view kReservationFile = "event-ids";
inline constexpr std::uint64_t kReservedAtOnce = 1'000'000'000;

struct Reservation {
    std::uint64_t next = 1;  // the first id that was certainly never used
    std::string stream;      // empty: the first stream of the instance
    bool operator==(const Reservation&) const = default;
};
std::string write_reservation(const Reservation& reservation);
std::optional<Reservation> read_reservation(std::string_view text);

}  // namespace abide::events
