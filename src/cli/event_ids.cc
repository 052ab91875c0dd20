// cli/event_ids.cc -- see event_ids.hpp.
#include "cli/event_ids.hpp"

#include <algorithm>

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

ReservingIds::ReservingIds(const Places& places, Wall now, std::uint64_t random)
    : end_(log_end(places.events)), elsewhere_(new_stream(now, random)), from_(elsewhere_) {
    if (places.log.empty()) {
        from_ = known(std::nullopt, false);
        return;
    }
    const std::string path = places.log + "/" + std::string(events::kReservationFile);
    std::optional<events::Reservation> told;
    if (const auto text = kernel::read_file(path, kFileBytes)) told = events::read_reservation(*text);
    from_ = known(std::move(told), is_empty_folder(places.log));
    events::Reservation block = from_;
    block.next += events::kReservedAtOnce;
    auto writing = kernel::FileWriting::begin(path, events::write_reservation(block), 0644);
    if (!writing) return;
    writing_ = std::move(*writing);
    writing_->sync_meanwhile();
}

// What begins after all that was used, as far as it is known.
events::Reservation ReservingIds::known(std::optional<events::Reservation> told, bool first) const {
    if (!told && end_.last_id == 0 && first) told.emplace();
    if (!told && end_.last_id != 0) {
        const std::size_t mark = end_.source.find('#');
        told = events::Reservation{end_.last_id + 1, mark == std::string::npos ? "" : end_.source.substr(mark + 1)};
    }
    if (!told) told = elsewhere_;
    // A number far beyond what was reserved is damaged.
    if (end_.last_id >= told->next && end_.last_id - told->next < events::kReservedAtOnce)
        told->next = end_.last_id + 1;
    return *told;
}

EventIds ReservingIds::finish() {
    const bool kept = writing_ && writing_->finish();
    // Another life could not know of this one.
    if (!kept && end_.last_id == 0) from_ = elsewhere_;
    return {from_.next - 1, from_.next + events::kReservedAtOnce - 1, from_.stream};
}

}  // namespace abide::cli
