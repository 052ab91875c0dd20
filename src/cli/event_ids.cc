// cli/event_ids.cc -- see event_ids.hpp.
#include "cli/event_ids.hpp"

#include <algorithm>

#include "events/reservation.hpp"
#include "events/tail.hpp"
#include "kernel/files.hpp"

namespace abide::cli {

namespace {

constexpr std::size_t kFileBytes = 4096;
constexpr std::uint64_t kIdsPerSecond = 1000;  // no instance has had more of them, all its life

events::LogEnd log_end(const std::string& folder) {
    const Result<kernel::Fd> opened = kernel::open_directory(folder);
    if (!opened) return {};
    return events::find_log_end(opened->get()).value_or(events::LogEnd{});
}

bool is_empty_folder(const std::string& path) {
    const Result<kernel::Fd> opened = kernel::open_directory(path);
    if (!opened) return false;
    const auto names = kernel::list_directory(opened->get());
    return names && names->empty();
}

events::Reservation new_stream(Wall now, std::uint64_t random) {
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";
    events::Reservation out;
    for (int i = 0; i < 6; ++i, random >>= 5) out.stream += kLetters[random & 31];
    out.next = static_cast<std::uint64_t>(std::max<std::int64_t>(now.ns / 1'000'000'000, 1)) * kIdsPerSecond;
    return out;
}

}  // namespace

EventIds reserve_event_ids(const Places& places, Wall now, std::uint64_t random) {
    const std::string path = places.log + "/" + std::string(events::kReservationFile);
    const events::LogEnd end = log_end(places.events);
    std::optional<events::Reservation> known;
    if (!places.log.empty()) {
        if (const auto text = kernel::read_file(path, kFileBytes)) known = events::read_reservation(*text);
        if (!known && end.last_id == 0 && is_empty_folder(places.log)) known.emplace();
    }
    if (!known && end.last_id != 0) {
        const std::size_t mark = end.source.find('#');
        known = events::Reservation{end.last_id + 1, mark == std::string::npos ? "" : end.source.substr(mark + 1)};
    }
    if (!known) known = new_stream(now, random);
    // A number far beyond what was reserved is damaged.
    if (end.last_id >= known->next && end.last_id - known->next < events::kReservedAtOnce)
        known->next = end.last_id + 1;
    events::Reservation block = *known;
    block.next += events::kReservedAtOnce;
    const bool kept =
        !places.log.empty() && kernel::write_file_atomic(path, events::write_reservation(block), 0644).has_value();
    if (!kept && end.last_id == 0) {
        // Another life could not know of this one.
        known = new_stream(now, random);
        block.next = known->next + events::kReservedAtOnce;
    }
    return {known->next - 1, block.next - 1, known->stream};
}

}  // namespace abide::cli
