// logger/names.hpp -- how times, lines, folders and files of the log are written.  Pure.
//
// A line of a file:  2026-11-21T09:00:00.000123456Z text      the first piece of a line
//                    2026-11-21T09:00:00.000123456Z+text      the line before it goes on here: it was longer than
//                                                             limits::kLogLineBytes, or another run's output came
//                                                             between
// A service's folder: `current`, and older files `@STAMP.log` or `@STAMP.log.gz`, named by the time of their first
// line. Invariant: within a folder, names of older files sort in the order of time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace abide::logger {

inline constexpr std::size_t kStampBytes = 30;
inline constexpr std::size_t kHeadBytes = kStampBytes + 1;  // with the mark
inline constexpr char kFirstMark = ' ', kContinuationMark = '+';
inline constexpr const char* kCurrent = "current";
inline constexpr std::size_t kFolderBytes = 200;  // of a folder name; NAME_MAX is 255

// Formats times, remembering the second it formatted last.
class Stamp {
  public:
    // Valid until the next call.  Times before 1970 and after 9999 are clamped.
    std::string_view text(std::int64_t wall_ns);

  private:
    std::array<char, kStampBytes> text_{};
    std::int64_t second_ = -1;
};

// Of the first kStampBytes bytes; nullopt when they are no stamp.
std::optional<std::int64_t> parse_stamp(std::string_view text);

struct LineHead {
    std::int64_t wall_ns = 0;
    bool continues = false;
};
// Of a whole line; nullopt when it doesn't begin as ours do.
std::optional<LineHead> parse_head(std::string_view line);

// A name as a folder: letters, digits, '-', '_', '.', '@' stay, all else (and a first '.' or '@') becomes %XX. nullopt:
// empty, or too long for a folder.
std::optional<std::string> folder_name(std::string_view service);
// The way back; nullopt: not a name that folder_name() makes.
std::optional<std::string> service_of_folder(std::string_view folder);

std::string rotated_name(std::int64_t first_wall_ns);
struct RotatedName {
    std::int64_t first_ns = 0;
    bool compressed = false;
};
// nullopt for `current`, temporary and foreign files.
std::optional<RotatedName> parse_rotated(std::string_view file);

}  // namespace abide::logger
