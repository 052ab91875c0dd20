// model/signal.cc -- the table of signal numbers (signal(7), the numbers of x86 and ARM).  Knows no <signal.h>:
// SIGRTMIN is a call into the C library, and a name in a journal must mean the same number for every program that reads
// it.
#include "model/signal.hpp"

#include <array>
#include <charconv>

namespace abide::model {

namespace {

constexpr int kRealTimeFirst = 34;  // glibc and musl keep 32 and 33 (musl 34 too) for themselves
constexpr int kLast = 64;

constexpr std::array<std::string_view, 32> kNames{"",       "HUP",  "INT",    "QUIT", "ILL",   "TRAP", "ABRT", "BUS",
                                                  "FPE",    "KILL", "USR1",   "SEGV", "USR2",  "PIPE", "ALRM", "TERM",
                                                  "STKFLT", "CHLD", "CONT",   "STOP", "TSTP",  "TTIN", "TTOU", "URG",
                                                  "XCPU",   "XFSZ", "VTALRM", "PROF", "WINCH", "IO",   "PWR",  "SYS"};

struct Alias {
    std::string_view name;
    int number;
};
constexpr std::array<Alias, 4> kAliases{{{"IOT", 6}, {"CLD", 17}, {"POLL", 29}, {"UNUSED", 31}}};

std::optional<int> parse_number(std::string_view text, int low, int high) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || text.front() == '-' || error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    if (number < low || number > high) return std::nullopt;
    return number;
}

std::optional<int> parse_real_time(std::string_view name) {
    if (name == "RTMIN") return kRealTimeFirst;
    if (name == "RTMAX") return kLast;
    constexpr int kSpan = kLast - kRealTimeFirst;
    if (name.starts_with("RTMIN+")) {
        const auto offset = parse_number(name.substr(6), 0, kSpan);
        if (offset) return kRealTimeFirst + *offset;
    }
    if (name.starts_with("RTMAX-")) {
        const auto offset = parse_number(name.substr(6), 0, kSpan);
        if (offset) return kLast - *offset;
    }
    return std::nullopt;
}

}  // namespace

std::optional<int> parse_signal(std::string_view text) {
    if (const auto number = parse_number(text, 1, kLast)) return number;
    if (text.starts_with("SIG")) text.remove_prefix(3);
    if (text.empty()) return std::nullopt;
    for (std::size_t number = 1; number < kNames.size(); ++number) {
        if (kNames[number] == text) return static_cast<int>(number);
    }
    for (const Alias& alias : kAliases) {
        if (alias.name == text) return alias.number;
    }
    return parse_real_time(text);
}

std::string signal_name(int number) {
    if (number > 0 && number < static_cast<int>(kNames.size()))
        return std::string(kNames[static_cast<std::size_t>(number)]);
    if (number == kRealTimeFirst) return "RTMIN";
    if (number > kRealTimeFirst && number <= kLast) return "RTMIN+" + std::to_string(number - kRealTimeFirst);
    return std::to_string(number);
}

}  // namespace abide::model
