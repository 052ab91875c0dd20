// events/tail.hpp -- the lines of a log in order, from a place on, over all its segments.
//
// Owns one open segment and a buffer.  Follows a log that is being written, cut, and forgotten at its old end.
// Invariants: only lines with their line end are seen, since the one behind the last may be half of one; an id is given
// once; ids that are missing are given as one gap in their place; what is damaged is passed over and so becomes a gap.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "events/line.hpp"
#include "kernel/fd.hpp"

namespace abide::events {

// First ids of the segments of a folder, oldest first.
Result<std::vector<std::uint64_t>> list_segments(int folder);
Result<kernel::Fd> open_segment(int folder, std::uint64_t first_id);

// How a segment ends.
struct SegmentEnd {
    std::uint64_t whole = 0;    // bytes up to the last line end
    std::uint64_t size = 0;     // bytes in all
    std::uint64_t last_id = 0;  // of the last line that is whole and right; 0: none
    std::string source;         // of that line
};
Result<SegmentEnd> find_segment_end(int segment);

// The newest id of a folder and whose it is; the id is 0 when nothing was ever written.
struct LogEnd {
    std::uint64_t last_id = 0;
    std::string source;
};
Result<LogEnd> find_log_end(int folder);

class Tail {
  public:
    explicit Tail(kernel::Fd folder) : folder_(std::move(folder)) {}

    Status seek_beginning();
    // Behind everything that is there.
    Status seek_end();
    // Behind this id: what is missing since then is told as a gap.  Nothing is checked.
    Status seek_after(std::uint64_t id);
    // In front of the first event that is not older.
    Status seek_time(std::int64_t time_ns);

    struct Item {
        Line line;
        std::string_view text;  // without its line end; valid until the next call
    };
    // nullopt: no more at the moment.
    Result<std::optional<Item>> next();

    // The id that comes next; 0: whatever comes first.
    [[nodiscard]] std::uint64_t expected() const { return expected_; }
    [[nodiscard]] const std::string& source() const { return source_; }
    [[nodiscard]] int folder() const { return folder_.get(); }

  private:
    Result<std::optional<std::string_view>> line();
    Result<bool> fill();
    Result<bool> read_more();
    Result<bool> advance();
    Result<std::optional<std::uint64_t>> find_newer();
    Status locate(std::uint64_t id);
    Status open_at(std::uint64_t first_id);
    void consume(std::size_t bytes);
    bool is_followed_by_lower(std::uint64_t id, std::size_t bytes);
    Item gap(std::uint64_t from, std::uint64_t to, const Line& before, std::string_view text);

    kernel::Fd folder_, segment_;
    std::uint64_t first_ = 0;   // the segment's name
    std::uint64_t offset_ = 0;  // of the buffer in the segment
    static constexpr std::size_t kSmallestChunk = 4u << 10, kLargestChunk = 64u << 10;
    std::string buffer_;
    std::size_t chunk_ = kLargestChunk;  // of the next read
    std::size_t at_ = 0;                 // of the next line in the buffer
    std::size_t scanned_ = 0;            // no line end between at_ and here
    std::uint64_t expected_ = 0;
    bool found_none_ = false;  // nothing came since the last time that the end was met
    std::string source_, gap_text_;
};

}  // namespace abide::events
