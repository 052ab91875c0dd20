// events/reservation.cc -- see reservation.hpp.
#include "events/reservation.hpp"

#include "base/text.hpp"
#include "events/line.hpp"

namespace abide::events {

std::string write_reservation(const Reservation& reservation) {
    return "{\"next\":\"" + cursor_text(reservation.next) + "\",\"stream\":\"" + reservation.stream + "\"}\n";
}

std::optional<Reservation> read_reservation(std::string_view text) {
    text = trim(text);
    Reservation out;
    out.next = number(member(text, "next"));
    const std::string_view stream = member(text, "stream");
    out.stream = unescape(stream);
    if (out.next == 0 || stream.empty() || (!out.stream.empty() && !is_plain_name(out.stream))) return std::nullopt;
    return out;
}

}  // namespace abide::events
