// cli/text.hpp -- how things look to people: columns, durations, colours, one line for an error.  Pure.
//
// Invariant: foreign text (descriptions, status texts, names from a server) never reaches a terminal unescaped.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace abide::cli {

// Columns that well-formed UTF-8 text takes on a terminal: combining characters none, wide ones (East Asian, emoji)
// two.
std::size_t display_width(std::string_view text);

enum class Colour { none, bold, dim, red, green, yellow, blue, magenta, cyan };
// The text between escape sequences, or as it is when not `coloured`.
std::string paint(std::string_view text, Colour colour, bool coloured);

struct Cell {
    std::string text;  // escaped already
    Colour colour = Colour::none;
};
// Rows of a table, columns aligned by display width and two spaces apart; no spaces at line ends.  The last column is
// cut to fit `columns` (0: never).
std::string render_table(const std::vector<std::vector<Cell>>& rows, bool coloured, std::size_t columns);

// "3s", "5min 2s", "2h 10min", "4d 3h".
std::string ago(Duration duration);
// "2026-11-21 09:00:00" in UTC.
std::string short_time(std::string_view rfc3339);

// The system's words for an errno.
std::string error_text(int err);
// "abide: what: reason; advice" without a newline, control bytes escaped.
std::string error_line(const Error& error);
// The exit status that docs/reference.md gives to an error.
int exit_status_of(ErrorKind kind);
// Line breaks inside are shown as "\n", everything else that a terminal would obey as \xNN.
std::string safe(std::string_view text);

}  // namespace abide::cli
