// logger/names.cc -- see names.hpp.
#include "logger/names.hpp"

#include <algorithm>

namespace abide::logger {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kLastSecond = 253'402'300'799;  // the end of the year 9999

void put_digits(char* out, std::int64_t value, int count) {
    for (int i = count - 1; i >= 0; --i, value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

// The proleptic Gregorian calendar (Howard Hinnant's algorithms): days since 1970 <-> year, month, day.
struct Civil {
    std::int64_t year, month, day;
};
Civil civil_from_days(std::int64_t days) {
    days += 719'468;
    const std::int64_t era = days / 146'097;
    const std::int64_t day_of_era = days - era * 146'097;
    const std::int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
    const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const std::int64_t shifted = (5 * day_of_year + 2) / 153;
    const std::int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
    return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day_of_year - (153 * shifted + 2) / 5 + 1};
}
std::int64_t days_from_civil(std::int64_t year, std::int64_t month, std::int64_t day) {
    year -= month <= 2 ? 1 : 0;
    const std::int64_t era = year / 400;
    const std::int64_t year_of_era = year - era * 400;
    const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

// -1 when a byte is no digit.
std::int64_t digits(std::string_view text) {
    std::int64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

bool plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '@';
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

std::string_view Stamp::text(std::int64_t wall_ns) {
    wall_ns = std::max<std::int64_t>(wall_ns, 0);
    const std::int64_t second = std::min(wall_ns / kSecond, kLastSecond);
    if (second != second_) {
        const Civil date = civil_from_days(second / 86'400);
        const std::int64_t of_day = second % 86'400;
        constexpr std::string_view kShape = "0000-00-00T00:00:00.000000000Z";
        std::copy(kShape.begin(), kShape.end(), text_.begin());
        put_digits(&text_[0], date.year, 4);
        put_digits(&text_[5], date.month, 2);
        put_digits(&text_[8], date.day, 2);
        put_digits(&text_[11], of_day / 3600, 2);
        put_digits(&text_[14], of_day / 60 % 60, 2);
        put_digits(&text_[17], of_day % 60, 2);
        second_ = second;
    }
    put_digits(&text_[20], wall_ns % kSecond, 9);
    return {text_.data(), text_.size()};
}

std::optional<std::int64_t> parse_stamp(std::string_view text) {
    if (text.size() < kStampBytes) return std::nullopt;
    if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != '.' ||
        text[29] != 'Z')
        return std::nullopt;
    const std::int64_t year = digits(text.substr(0, 4)), month = digits(text.substr(5, 2)),
                       day = digits(text.substr(8, 2));
    const std::int64_t hour = digits(text.substr(11, 2)), minute = digits(text.substr(14, 2)),
                       sec = digits(text.substr(17, 2));
    const std::int64_t fraction = digits(text.substr(20, 9));
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || sec < 0 || sec > 60 || fraction < 0)
        return std::nullopt;
    const std::int64_t seconds = days_from_civil(year, month, day) * 86'400 + hour * 3600 + minute * 60 + sec;
    std::int64_t ns = 0;  // beyond the year 2262 the nanoseconds don't fit
    if (__builtin_mul_overflow(seconds, kSecond, &ns) || __builtin_add_overflow(ns, fraction, &ns)) return std::nullopt;
    return ns;
}

std::optional<LineHead> parse_head(std::string_view line) {
    if (line.size() < kHeadBytes) return std::nullopt;
    const char mark = line[kStampBytes];
    if (mark != kFirstMark && mark != kContinuationMark) return std::nullopt;
    const std::optional<std::int64_t> ns = parse_stamp(line);
    if (!ns) return std::nullopt;
    return LineHead{*ns, mark == kContinuationMark};
}

std::optional<std::string> folder_name(std::string_view service) {
    constexpr char kHex[] = "0123456789ABCDEF";
    std::string folder;
    for (const char c : service) {
        const bool first = folder.empty() && (c == '.' || c == '@');
        if (plain(c) && !first) {
            folder.push_back(c);
        } else {
            const auto byte = static_cast<unsigned char>(c);
            folder += {'%', kHex[byte >> 4], kHex[byte & 15]};
        }
    }
    if (folder.empty() || folder.size() > kFolderBytes) return std::nullopt;
    return folder;
}

std::optional<std::string> service_of_folder(std::string_view folder) {
    std::string service;
    for (std::size_t i = 0; i < folder.size(); ++i) {
        if (folder[i] != '%') {
            service.push_back(folder[i]);
            continue;
        }
        if (i + 2 >= folder.size()) return std::nullopt;
        const int high = hex_digit(folder[i + 1]), low = hex_digit(folder[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        service.push_back(static_cast<char>(high * 16 + low));
        i += 2;
    }
    // One name, one folder: what would be written in another way is not ours.
    if (folder_name(service) != folder) return std::nullopt;
    return service;
}

std::string rotated_name(std::int64_t first_wall_ns) {
    Stamp stamp;
    return "@" + std::string(stamp.text(first_wall_ns)) + ".log";
}

std::optional<RotatedName> parse_rotated(std::string_view file) {
    if (file.empty() || file[0] != '@') return std::nullopt;
    file.remove_prefix(1);
    const std::optional<std::int64_t> ns = parse_stamp(file);
    if (!ns) return std::nullopt;
    file.remove_prefix(kStampBytes);
    if (file != ".log" && file != ".log.gz") return std::nullopt;
    return RotatedName{*ns, file == ".log.gz"};
}

}  // namespace abide::logger
