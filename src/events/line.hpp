// events/line.hpp -- one line of the event log as text: what a reader has to know of it, and how segments are named.
//
// Pure.  Owns the check that a line is whole: one JSON object in UTF-8 with the members of an event.  Invariant: any
// bytes are either such a line or none; a line that lost or gained bytes is none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace abide::events {

inline constexpr std::string_view kGapType = "abide.stream.gap";
inline constexpr std::string_view kSegmentSuffix = ".jsonl";
inline constexpr std::string_view kDoorbell = "doorbell";
inline constexpr std::size_t kCursorDigits = 20;
inline constexpr std::size_t kLineBytes = 1u << 20;  // a longer one is no line

// Views into the line.  Texts are as they stand between their quotes, still escaped.
struct Line {
    std::uint64_t id = 0;
    std::int64_t time_ns = 0;
    std::string_view type, subject, source, data;
    std::uint64_t gap_from = 0;  // of a gap; else 0
};
// Without its line end; nullopt: damaged.
std::optional<Line> parse_line(std::string_view text);

// The member of a JSON object as it stands there, with the quotes of a text; empty: there is none.
std::string_view member(std::string_view object, std::string_view name);
// A JSON text (with or without its quotes) as the bytes that it stands for.
std::string unescape(std::string_view text);
// Digits, also in quotes; 0 for anything else.
std::uint64_t number(std::string_view text);
// "2026-11-21T09:00:00.000123456Z" to ns since 1970.
std::optional<std::int64_t> parse_time(std::string_view text);

// 20 digits.
std::string cursor_text(std::uint64_t id);
std::string segment_name(std::uint64_t first_id);
// nullopt: not the name of a segment.
std::optional<std::uint64_t> parse_segment_name(std::string_view name);

// A whole line, with its end, that tells of missing events.
std::string gap_line(std::uint64_t from, std::uint64_t to, std::string_view source, std::string_view time);

}  // namespace abide::events
