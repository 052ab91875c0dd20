// base/text.cc -- names, likeness, UTF-8, durations and sizes.  See text.hpp; word splitting is in words.cc.
#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>

#include "base/limits.hpp"

namespace abide {

namespace {

constexpr std::size_t kLikenessBytes = 128;
constexpr std::array<std::string_view, 2> kOwnLogFiles = {"event-ids", "supervisor.log"};

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
}

// The length of the well-formed sequence at the front of `text`, 0 if there is none (Unicode, table 3-7).
std::size_t utf8_sequence(std::string_view text) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const auto within = [](unsigned value, unsigned low, unsigned high) { return value >= low && value <= high; };
    const unsigned first = byte(0);
    if (text.empty()) return 0;
    if (first < 0x80) return 1;
    if (within(first, 0xC2, 0xDF)) return within(byte(1), 0x80, 0xBF) ? 2 : 0;
    if (within(first, 0xE0, 0xEF)) {
        const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
        const unsigned high = first == 0xED ? 0x9F : 0xBF;
        return within(byte(1), low, high) && within(byte(2), 0x80, 0xBF) ? 3 : 0;
    }
    if (within(first, 0xF0, 0xF4)) {
        const unsigned low = first == 0xF0 ? 0x90 : 0x80;
        const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
        return within(byte(1), low, high) && within(byte(2), 0x80, 0xBF) && within(byte(3), 0x80, 0xBF) ? 4 : 0;
    }
    return 0;
}

// Eight bytes of ASCII begin there: most text is nothing else.
bool ascii_word_at(std::string_view text, std::size_t at) {
    constexpr std::uint64_t kHighBits = 0x8080'8080'8080'8080;
    std::uint64_t word = kHighBits;
    if (text.size() - at >= sizeof word) std::memcpy(&word, text.data() + at, sizeof word);
    return (word & kHighBits) == 0;
}

struct Unit {
    std::string_view name;
    std::int64_t ns;
};
constexpr std::array<Unit, 7> kUnits{{{"d", 86'400'000'000'000},
                                      {"h", 3'600'000'000'000},
                                      {"m", 60'000'000'000},
                                      {"s", 1'000'000'000},
                                      {"ms", 1'000'000},
                                      {"us", 1'000},
                                      {"ns", 1}}};

std::unexpected<Error> bad_duration(std::string_view text) {
    return fail(ErrorKind::usage, "not a duration: \"" + printable(text, 40) + "\"",
                "write whole numbers with ms, s, m, h or d, such as \"250ms\" or \"1m30s\"");
}

std::unexpected<Error> bad_size(std::string_view text) {
    return fail(ErrorKind::usage, "not a size: \"" + printable(text, 40) + "\"",
                "write a whole number of bytes with K, M, G or T, such as \"64M\"");
}

}  // namespace

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    std::size_t begin = 0;
    while (true) {
        const std::size_t end = text.find(separator, begin);
        if (end == std::string_view::npos) break;
        parts.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    parts.push_back(text.substr(begin));
    return parts;
}

std::string folder_of(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return "";
    return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

std::string_view last_component(std::string_view path) {
    return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    if (a.size() > kLikenessBytes || b.size() > kLikenessBytes) return std::max(a.size(), b.size());
    // Three rows of the table of prefixes: the one before the last is needed for swaps.
    std::array<std::array<std::size_t, kLikenessBytes + 1>, 3> rows;
    for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        auto& row = rows[i % 3];
        const auto& above = rows[(i + 2) % 3];
        const auto& two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a.size() % 3][b.size()];
}

std::optional<std::string_view> closest(std::string_view name, std::span<const std::string_view> candidates) {
    std::size_t best = std::max<std::size_t>(1, name.size() / 3) + 1;
    std::optional<std::string_view> found;
    for (const std::string_view candidate : candidates) {
        const std::size_t apart = std::max(name.size(), candidate.size()) - std::min(name.size(), candidate.size());
        // Words cut short are meant as often as words mistyped.
        const bool cut_short = name.size() >= 3 && candidate.starts_with(name);
        if (apart >= best && !cut_short) continue;
        const std::size_t distance = cut_short ? 1 : edit_distance(name, candidate);
        // All of a short name replaced is no likeness.
        if (distance >= best || distance >= std::max(name.size(), candidate.size())) continue;
        best = distance;
        found = candidate;
    }
    return found;
}

std::size_t first_invalid_utf8(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        if (static_cast<unsigned char>(text[at]) < 0x80) {
            at += ascii_word_at(text, at) ? sizeof(std::uint64_t) : 1;
            continue;
        }
        const std::size_t length = utf8_sequence(text.substr(at, 4));
        if (length == 0) return at;
        at += length;
    }
    return std::string_view::npos;
}

bool is_plain_name(std::string_view text) {
    if (text.empty() || text.size() > limits::kNameBytes || !is_alphanumeric(text.front())) return false;
    return std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_service_name(std::string_view text) {
    const std::size_t at = text.find('@');
    if (at == std::string_view::npos) return is_plain_name(text);
    return is_plain_name(text.substr(0, at)) && is_plain_name(text.substr(at + 1));
}

bool is_reserved_name(std::string_view text) {
    return std::ranges::any_of(kOwnLogFiles, [&](std::string_view own) {
        const std::string_view rest = text.substr(std::min(own.size(), text.size()));
        return text.starts_with(own) && (rest.empty() || rest.front() == '.');
    });
}

bool is_template_name(std::string_view text) {
    return text.ends_with('@') && is_plain_name(text.substr(0, text.size() - 1));
}

Result<Duration> parse_duration(std::string_view text) {
    if (text == "0") return Duration{};
    std::int64_t total = 0;
    std::size_t next_unit = 0;
    std::string_view rest = text;
    if (rest.empty()) return bad_duration(text);
    while (!rest.empty()) {
        std::int64_t count = 0;
        if (!is_digit(rest.front())) return bad_duration(text);
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
        if (error != std::errc{}) return bad_duration(text);
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
        std::size_t length = 0;
        while (length < rest.size() && !is_digit(rest[length])) ++length;
        const std::string_view name = rest.substr(0, length);
        while (next_unit < kUnits.size() && kUnits[next_unit].name != name) ++next_unit;
        if (next_unit == kUnits.size()) return bad_duration(text);
        std::int64_t part = 0;
        if (__builtin_mul_overflow(count, kUnits[next_unit].ns, &part) || __builtin_add_overflow(total, part, &total) ||
            total == std::numeric_limits<std::int64_t>::max()) {
            return fail(ErrorKind::usage, "duration out of range: \"" + printable(text, 40) + "\"",
                        "292 years are the most");
        }
        ++next_unit;
        rest.remove_prefix(length);
    }
    return Duration{total};
}

std::string format_duration(Duration duration) {
    if (duration == kForever) return "forever";
    if (duration.ns == 0) return "0";
    std::string text = duration.ns < 0 ? "-" : "";
    // Negation in unsigned arithmetic is defined for the smallest number too.
    std::uint64_t rest = static_cast<std::uint64_t>(duration.ns);
    if (duration.ns < 0) rest = 0 - rest;
    for (const Unit& unit : kUnits) {
        const std::uint64_t count = rest / static_cast<std::uint64_t>(unit.ns);
        if (count == 0) continue;
        text += std::to_string(count);
        text += unit.name;
        rest -= count * static_cast<std::uint64_t>(unit.ns);
    }
    return text;
}

Result<std::uint64_t> parse_size(std::string_view text) {
    constexpr std::string_view kPrefixes = "KMGT";
    if (text.empty() || !is_digit(text.front())) return bad_size(text);
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc{}) return bad_size(text);
    const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
    if (unit.empty()) return count;
    const std::size_t power = kPrefixes.find(unit.front());
    const std::string_view tail = unit.substr(1);
    if (power == std::string_view::npos || !(tail.empty() || tail == "iB")) return bad_size(text);
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(count, std::uint64_t{1} << (10 * (power + 1)), &bytes)) return bad_size(text);
    return bytes;
}

std::string format_size(std::uint64_t bytes) {
    constexpr std::string_view kPrefixes = "KMGT";
    std::size_t power = 0;
    while (bytes != 0 && bytes % 1024 == 0 && power < kPrefixes.size()) {
        bytes /= 1024;
        ++power;
    }
    std::string text = std::to_string(bytes);
    if (power > 0) text += kPrefixes[power - 1];
    return text;
}

std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t low, std::int64_t high) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    if (number < low || number > high) return std::nullopt;
    return number;
}

std::string printable(std::string_view text, std::size_t limit) {
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string shown;
    std::size_t at = 0;
    while (at < text.size()) {
        if (shown.size() >= limit) return shown + "...";
        const auto byte = static_cast<unsigned char>(text[at]);
        const std::size_t length = utf8_sequence(text.substr(at, 4));
        // U+0080 to U+009F are control characters too, which a terminal obeys.
        const bool second_control = byte == 0xC2 && length == 2 && static_cast<unsigned char>(text[at + 1]) < 0xA0;
        if (length == 0 || byte < 0x20 || byte == 0x7F || second_control) {
            shown += "\\x";
            shown += kHex[byte >> 4];
            shown += kHex[byte & 15];
            ++at;
        } else {
            shown += text.substr(at, length);
            at += length;
        }
    }
    return shown;
}

}  // namespace abide
