// base/text.hpp -- words about words: splitting, names, durations, sizes, likeness.  Pure, bounded, linear in its input
// (the edit distance is quadratic in texts of at most 128 bytes).  Knows no file, locale or clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace abide {

// The parts between separators; an empty text has one empty part.  The views point into `text`.
std::vector<std::string_view> split(std::string_view text, char separator);
// Without spaces, tabs and line ends at both ends.
std::string_view trim(std::string_view text);
// Of a path: what comes before its last slash ("/" below the root, "" without one), and what comes after it.
std::string folder_of(std::string_view path);
std::string_view last_component(std::string_view path);

// Insertions, deletions, replacements and swaps of neighbours that turn one into the other.  Texts of more than 128
// bytes have no likeness: the answer is then the length of the longer one.
std::size_t edit_distance(std::string_view a, std::string_view b);
// The candidate most like `name`, if one is like it enough to be what was meant: at most one change in three bytes.
std::optional<std::string_view> closest(std::string_view name, std::span<const std::string_view> candidates);

// The offset of the first byte that is not part of well-formed UTF-8 (no surrogates, no overlong forms), or npos.
std::size_t first_invalid_utf8(std::string_view text);
inline bool is_utf8(std::string_view text) {
    return first_invalid_utf8(text) == std::string_view::npos;
}

// [A-Za-z0-9][A-Za-z0-9_.-]*, at most limits::kNameBytes.
bool is_plain_name(std::string_view text);
// A plain name, or two with one @ between them.
bool is_service_name(std::string_view text);
// A name that Abide's own files have beside the folders of the services' logs: `event-ids`, `supervisor.log` and what
// lies in their place for a moment.  A service of that name would have no log.
bool is_reserved_name(std::string_view text);
// A plain name and an @.
bool is_template_name(std::string_view text);

// "250ms", "10s", "1m30s", "0": whole numbers with ns, us, ms, s, m, h or d, each unit at most once, larger ones first.
Result<Duration> parse_duration(std::string_view text);
// The same form, exact: parse_duration gives the same value back.  kForever is "forever", which parse_duration refuses.
std::string format_duration(Duration duration);
// "512", "64K", "64M", "1G", "1T" and "64MiB": bytes, binary multiples.
Result<std::uint64_t> parse_size(std::string_view text);
// The shortest exact form that parse_size reads.
std::string format_size(std::uint64_t bytes);
// A whole decimal number that fits; nullopt for anything else, signs and spaces included (a leading - only if `low` <
// 0).
std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t low, std::int64_t high);

// What a `$` in the words becomes.  references: `${...}` outside single quotes is left for expansion and kept in one
// word, and a `$` that the quoting makes literal is written `$$`.
enum class Dollar { literal, references };

// Splits as a POSIX shell splits words: blanks, single and double quotes, backslashes.  Nothing is expanded.  An
// unquoted operator (| ; & < > ( ) ` or a line end) or $( is an error, since no shell runs.
Result<std::vector<std::string>> split_words(std::string_view text, Dollar dollar = Dollar::literal);

// For messages: control bytes and invalid UTF-8 as \xNN, cut with "..." after `limit` bytes.
std::string printable(std::string_view text, std::size_t limit = 200);

}  // namespace abide
