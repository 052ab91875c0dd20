// events/line.cc -- see line.hpp.
#include "events/line.hpp"

#include <algorithm>
#include <charconv>

#include "base/text.hpp"

namespace abide::events {

namespace {

constexpr int kDepth = 16;

// Walks over JSON text without building anything.
class Scan {
  public:
    explicit Scan(std::string_view text) : text_(text) {}

    // The object's members, one after the other: visit(name, value).  False: no object, or not well-formed.
    template <class Visit>
    bool members(Visit&& visit) {
        if (!take('{')) return false;
        if (take('}')) return true;
        do {
            std::string_view name, value;
            if (!string(name) || !take(':') || !this->value(value)) return false;
            visit(name.substr(1, name.size() - 2), value);
        } while (take(','));
        return take('}');
    }
    [[nodiscard]] bool at_end() const { return at_ == text_.size(); }

  private:
    bool take(char c) {
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    bool string(std::string_view& raw) {
        const std::size_t begin = at_;
        if (!take('"')) return false;
        while (at_ < text_.size()) {
            const char c = text_[at_++];
            if (c == '"') {
                raw = text_.substr(begin, at_ - begin);
                return true;
            }
            if (static_cast<unsigned char>(c) < 0x20) return false;
            if (c == '\\' && !escape()) return false;
        }
        return false;
    }
    bool escape() {
        if (at_ >= text_.size()) return false;
        const char c = text_[at_++];
        if (c != 'u') return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
        for (int i = 0; i < 4; ++i, ++at_) {
            if (at_ >= text_.size() || std::string_view("0123456789abcdefABCDEF").find(text_[at_]) == text_.npos)
                return false;
        }
        return true;
    }
    bool value(std::string_view& raw) {
        if (++depth_ > kDepth || at_ >= text_.size()) return false;
        const std::size_t begin = at_;
        bool good = false;
        switch (text_[at_]) {
            case '"': good = string(raw); break;
            case '{': good = members([](std::string_view, std::string_view) {}); break;
            case '[': good = array(); break;
            default: good = word(); break;
        }
        raw = text_.substr(begin, at_ - begin);
        --depth_;
        return good;
    }
    bool array() {
        std::string_view item;
        take('[');
        if (take(']')) return true;
        do {
            if (!value(item)) return false;
        } while (take(','));
        return take(']');
    }
    // A number, true, false or null.
    bool word() {
        for (const std::string_view one : {"true", "false", "null"}) {
            if (!text_.substr(at_).starts_with(one)) continue;
            at_ += one.size();
            return true;
        }
        const std::size_t begin = at_;
        while (at_ < text_.size() && std::string_view("0123456789+-.eE").find(text_[at_]) != std::string_view::npos)
            ++at_;
        return at_ > begin;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    int depth_ = 0;
};

std::string_view inner(std::string_view quoted) {
    return quoted.size() >= 2 && quoted.front() == '"' ? quoted.substr(1, quoted.size() - 2) : std::string_view{};
}

std::optional<std::uint64_t> digits(std::string_view text, std::size_t count) {
    std::uint64_t value = 0;
    if (text.size() != count) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// Days since 1970 of a date of the Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
constexpr std::int64_t days_of(std::int64_t year, unsigned month, unsigned day) {
    year -= month <= 2 ? 1 : 0;
    const std::int64_t era = year / 400;
    const auto year_of_era = static_cast<unsigned>(year - era * 400);
    const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146'097 + static_cast<std::int64_t>(day_of_era) - 719'468;
}
static_assert(days_of(1970, 1, 1) == 0 && days_of(2000, 3, 1) == 11'017);

}  // namespace

std::optional<Line> parse_line(std::string_view text) {
    Line line;
    std::string_view id, time;
    bool version = false;
    if (text.size() > kLineBytes || first_invalid_utf8(text) != std::string_view::npos) return std::nullopt;
    Scan scan(text);
    const bool whole = scan.members([&](std::string_view name, std::string_view value) {
        if (name == "specversion") version = value == "\"1.0\"";
        if (name == "id") id = inner(value);
        if (name == "source") line.source = inner(value);
        if (name == "type") line.type = inner(value);
        if (name == "subject") line.subject = inner(value);
        if (name == "time") time = inner(value);
        if (name == "data") line.data = value;
    });
    const auto number_of_id = digits(id, kCursorDigits);
    const auto instant = parse_time(time);
    if (!whole || !scan.at_end() || !version || !number_of_id || *number_of_id == 0 || !instant) return std::nullopt;
    if (line.source.empty() || !line.type.starts_with("abide.") || !line.data.starts_with('{')) return std::nullopt;
    line.id = *number_of_id;
    line.time_ns = *instant;
    if (line.type == kGapType) {
        line.gap_from = number(member(line.data, "from"));
        if (line.gap_from == 0 || line.gap_from > line.id) return std::nullopt;
    }
    return line;
}

std::string_view member(std::string_view object, std::string_view name) {
    std::string_view found;
    Scan scan(object);
    const bool whole = scan.members([&](std::string_view one, std::string_view value) {
        if (one == name) found = value;
    });
    return whole ? found : std::string_view{};
}

std::string unescape(std::string_view text) {
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            out += text[i];
            continue;
        }
        const char c = text[++i];
        constexpr std::string_view kNames = "bfnrt", kBytes = "\b\f\n\r\t";
        if (const std::size_t known = kNames.find(c); known != std::string_view::npos) {
            out += kBytes[known];
        } else if (c == 'u' && i + 4 < text.size()) {
            // The writer escapes control bytes only; everything else stands as it is.
            unsigned code = 0;
            std::from_chars(text.data() + i + 1, text.data() + i + 5, code, 16);
            if (code < 0x80) out += static_cast<char>(code);
            i += 4;
        } else {
            out += c;
        }
    }
    return out;
}

std::uint64_t number(std::string_view text) {
    if (text.size() >= 2 && text.front() == '"') text = inner(text);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

std::optional<std::int64_t> parse_time(std::string_view text) {
    constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd.dddddddddZ";
    if (text.size() != kForm.size()) return std::nullopt;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool digit = text[i] >= '0' && text[i] <= '9';
        if (kForm[i] == 'd' ? !digit : text[i] != kForm[i]) return std::nullopt;
    }
    const auto part = [&](std::size_t at, std::size_t count) {
        return static_cast<std::int64_t>(*digits(text.substr(at, count), count));
    };
    const std::int64_t days = days_of(part(0, 4), static_cast<unsigned>(part(5, 2)), static_cast<unsigned>(part(8, 2)));
    const std::int64_t seconds = ((days * 24 + part(11, 2)) * 60 + part(14, 2)) * 60 + part(17, 2);
    if (seconds > INT64_MAX / 1'000'000'000 - 1) return std::nullopt;
    return seconds * 1'000'000'000 + part(20, 9);
}

std::string cursor_text(std::uint64_t id) {
    std::string text = std::to_string(id);
    return std::string(kCursorDigits - std::min(kCursorDigits, text.size()), '0') + text;
}

std::string segment_name(std::uint64_t first_id) {
    return cursor_text(first_id) + std::string(kSegmentSuffix);
}

std::optional<std::uint64_t> parse_segment_name(std::string_view name) {
    if (name.size() != kCursorDigits + kSegmentSuffix.size() || !name.ends_with(kSegmentSuffix)) return std::nullopt;
    const auto first = digits(name.substr(0, kCursorDigits), kCursorDigits);
    return first && *first != 0 ? first : std::nullopt;
}

std::string gap_line(std::uint64_t from, std::uint64_t to, std::string_view source, std::string_view time) {
    std::string out = "{\"specversion\":\"1.0\",\"id\":\"" + cursor_text(to) + "\",\"source\":\"";
    out.append(source);
    out.append("\",\"type\":\"").append(kGapType).append("\",\"time\":\"").append(time);
    out += "\",\"data\":{\"from\":\"" + cursor_text(from) + "\",\"to\":\"" + cursor_text(to) +
           "\",\"count\":" + std::to_string(to - from + 1) + "}}\n";
    return out;
}

}  // namespace abide::events
