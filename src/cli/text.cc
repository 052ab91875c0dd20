// cli/text.cc -- see text.hpp.
#include "cli/text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "logger/escape.hpp"

namespace abide::cli {

namespace {

struct Range {
    std::uint32_t first, last;
};
// Zero columns: combining marks, zero width characters, variation selectors (Unicode categories Mn, Me, Cf, the common
// ones).
constexpr std::array kZero = {
    Range{0x0300, 0x036F}, Range{0x0483, 0x0489}, Range{0x0591, 0x05BD}, Range{0x0610, 0x061A},  Range{0x064B, 0x065F},
    Range{0x0900, 0x0902}, Range{0x093C, 0x093C}, Range{0x0E31, 0x0E31}, Range{0x0E34, 0x0E3A},  Range{0x1AB0, 0x1AFF},
    Range{0x1DC0, 0x1DFF}, Range{0x200B, 0x200F}, Range{0x202A, 0x202E}, Range{0x2060, 0x2064},  Range{0x20D0, 0x20F0},
    Range{0xFE00, 0xFE0F}, Range{0xFE20, 0xFE2F}, Range{0xFEFF, 0xFEFF}, Range{0xE0100, 0xE01EF}};
// Two columns: East Asian Wide and Fullwidth (UAX 11), and emoji shown so.
constexpr std::array kWide = {
    Range{0x1100, 0x115F},   Range{0x231A, 0x231B},  Range{0x2329, 0x232A},   Range{0x23E9, 0x23EC},
    Range{0x25FD, 0x25FE},   Range{0x2614, 0x2615},  Range{0x2648, 0x2653},   Range{0x26A1, 0x26A1},
    Range{0x26BD, 0x26BE},   Range{0x2705, 0x2705},  Range{0x274C, 0x274C},   Range{0x2753, 0x2755},
    Range{0x2757, 0x2757},   Range{0x2795, 0x2797},  Range{0x2B1B, 0x2B1C},   Range{0x2E80, 0x303E},
    Range{0x3041, 0x33FF},   Range{0x3400, 0x4DBF},  Range{0x4E00, 0x9FFF},   Range{0xA000, 0xA4CF},
    Range{0xA960, 0xA97C},   Range{0xAC00, 0xD7A3},  Range{0xF900, 0xFAFF},   Range{0xFE30, 0xFE6F},
    Range{0xFF00, 0xFF60},   Range{0xFFE0, 0xFFE6},  Range{0x1F300, 0x1F64F}, Range{0x1F680, 0x1F6FF},
    Range{0x1F900, 0x1FAFF}, Range{0x20000, 0x3FFFD}};

template <std::size_t N>
bool contains(const std::array<Range, N>& ranges, std::uint32_t c) {
    return std::ranges::any_of(ranges, [c](const Range& one) { return one.first <= c && c <= one.last; });
}

// Takes one character from the front; what is not UTF-8 is one byte of its own.
std::uint32_t take_character(std::string_view& text) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (length == 1 || text.size() < length) {
        text.remove_prefix(1);
        return lead;
    }
    std::uint32_t value = lead & (0x7Fu >> length);
    for (std::size_t i = 1; i < length; ++i) value = (value << 6) | (static_cast<unsigned char>(text[i]) & 0x3Fu);
    text.remove_prefix(length);
    return value;
}

std::size_t width_of(std::uint32_t c) {
    return contains(kZero, c) ? 0 : contains(kWide, c) ? 2 : 1;
}

// The longest front of `text` that fits, with "…" when something is cut.
std::string cut_to(std::string_view text, std::size_t columns) {
    if (display_width(text) <= columns) return std::string(text);
    std::size_t used = 1;
    std::string_view rest = text;
    while (!rest.empty()) {
        std::string_view after = rest;
        used += width_of(take_character(after));
        if (used > columns) break;
        rest = after;
    }
    return std::string(text.substr(0, text.size() - rest.size())) + "\u2026";
}

std::string_view code_of(Colour colour) {
    switch (colour) {
        case Colour::none: return "";
        case Colour::bold: return "\x1b[1m";
        case Colour::dim: return "\x1b[2m";
        case Colour::red: return "\x1b[31m";
        case Colour::green: return "\x1b[32m";
        case Colour::yellow: return "\x1b[33m";
        case Colour::blue: return "\x1b[34m";
        case Colour::magenta: return "\x1b[35m";
        case Colour::cyan: return "\x1b[36m";
    }
    return "";
}

std::string two_units(std::int64_t big, const char* big_name, std::int64_t small, const char* small_name) {
    std::string out = std::to_string(big) + big_name;
    if (small > 0) out += " " + std::to_string(small) + small_name;
    return out;
}

}  // namespace

std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    while (!text.empty()) width += width_of(take_character(text));
    return width;
}

std::string paint(std::string_view text, Colour colour, bool coloured) {
    if (!coloured || colour == Colour::none || text.empty()) return std::string(text);
    return std::string(code_of(colour)) + std::string(text) + "\x1b[0m";
}

std::string render_table(const std::vector<std::vector<Cell>>& rows, bool coloured, std::size_t columns) {
    constexpr std::size_t kNarrowest = 8;  // a last column is not cut below this
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()), 0);
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i].text));
    }
    std::size_t before_last = 0;
    for (std::size_t i = 0; i + 1 < widths.size(); ++i) before_last += widths[i] + 2;
    std::string out;
    for (const auto& row : rows) {
        std::size_t end = row.size();
        while (end > 0 && row[end - 1].text.empty()) --end;
        for (std::size_t i = 0; i < end; ++i) {
            std::string text = row[i].text;
            if (columns > 0 && i + 1 == widths.size()) {
                text = cut_to(text, std::max(kNarrowest, columns > before_last ? columns - before_last : 0));
            }
            out += paint(text, row[i].colour, coloured);
            if (i + 1 < end) out.append(widths[i] - display_width(row[i].text) + 2, ' ');
        }
        out += '\n';
    }
    return out;
}

std::string ago(Duration duration) {
    const std::int64_t s = std::max<std::int64_t>(0, duration.ns / 1'000'000'000);
    if (s < 60) return std::to_string(s) + "s";
    if (s < 3600) return two_units(s / 60, "min", s % 60, "s");
    if (s < 86'400) return two_units(s / 3600, "h", s % 3600 / 60, "min");
    return two_units(s / 86'400, "d", s % 86'400 / 3600, "h");
}

std::string short_time(std::string_view rfc3339) {
    std::string out(rfc3339.substr(0, std::min<std::size_t>(19, rfc3339.size())));
    if (out.size() > 10 && out[10] == 'T') out[10] = ' ';
    return out;
}

std::string error_text(int err) {
    const char* const words = ::strerrordesc_np(err);
    return words != nullptr ? words : "error " + std::to_string(err);
}

std::string error_line(const Error& error) {
    std::string out = "abide: " + safe(error.what);
    if (error.err != 0) out += ": " + error_text(error.err);
    if (!error.advice.empty()) out += "; " + safe(error.advice);
    return out;
}

int exit_status_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::failed: return 1;
        case ErrorKind::usage: return 2;
        case ErrorKind::not_found: return 3;
        case ErrorKind::unreachable: return 4;
        case ErrorKind::not_permitted: return 5;
        case ErrorKind::timed_out: return 6;
        case ErrorKind::refused: return 7;
        case ErrorKind::rolled_back: return 8;
    }
    return 1;
}

std::string safe(std::string_view text) {
    std::string flat;
    for (const char c : text) {
        if (c == '\n')
            flat += "\\n";
        else
            flat += c;
    }
    return logger::escape_for_terminal(flat);
}

}  // namespace abide::cli
