// protocol/notify.cc -- the text format of sd_notify(3).  See notify.hpp.
#include "protocol/notify.hpp"

#include <limits>

#include "base/limits.hpp"

namespace abide::notify {

namespace {

// Digits only; clamped at the largest 63-bit number.
std::optional<std::int64_t> parse_number(std::string_view text) {
    if (text.empty()) return std::nullopt;
    std::int64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        std::int64_t next = 0;
        if (__builtin_mul_overflow(value, 10, &next) || __builtin_add_overflow(next, c - '0', &next)) {
            next = std::numeric_limits<std::int64_t>::max();
        }
        value = next;
    }
    return value;
}

// A number in [low, high], else nullopt: a pid or errno out of range means nothing.
std::optional<std::int32_t> parse_small(std::string_view text, std::int32_t low, std::int32_t high) {
    const auto value = parse_number(text);
    if (!value || *value < low || *value > high) return std::nullopt;
    return static_cast<std::int32_t>(*value);
}

bool valid_fd_name(std::string_view name) {
    if (name.empty() || name.size() > 255) return false;
    for (const char c : name) {
        if (c < ' ' || c > '~' || c == ':') return false;
    }
    return true;
}

// Length of a well-formed UTF-8 sequence of printable text at the front, else 0.
std::size_t printable_sequence(std::string_view text) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
    const unsigned a = byte(0), b = byte(1);
    if (a >= 0x20 && a < 0x7F) return 1;
    if (a >= 0xC2 && a <= 0xDF) return tail(1) && !(a == 0xC2 && b < 0xA0) ? 2 : 0;  // no C1 control characters
    if (a >= 0xE0 && a <= 0xEF) {
        return tail(1) && tail(2) && !(a == 0xE0 && b < 0xA0) && !(a == 0xED && b > 0x9F) ? 3 : 0;
    }
    if (a >= 0xF0 && a <= 0xF4) {
        return tail(1) && tail(2) && tail(3) && !(a == 0xF0 && b < 0x90) && !(a == 0xF4 && b > 0x8F) ? 4 : 0;
    }
    return 0;
}

// Valid UTF-8 without control characters; what is neither becomes '?'.
std::string clean_status(std::string_view text) {
    std::string out;
    while (!text.empty() && out.size() < limits::kStatusBytes) {
        const std::size_t length = printable_sequence(text);
        if (length == 0) {
            out += '?';
            text.remove_prefix(1);
            continue;
        }
        if (out.size() + length > limits::kStatusBytes) break;
        out.append(text.substr(0, length));
        text.remove_prefix(length);
    }
    return out;
}

template <class T>
void set_if_valid(std::optional<T>& member, std::optional<T> value) {
    if (value) member = value;
}

void take_line(Message& message, std::string_view line) {
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return;
    const std::string_view key = line.substr(0, equals), value = line.substr(equals + 1);
    const bool one = value == "1";
    if (key == "READY")
        message.ready = one;
    else if (key == "RELOADING")
        message.reloading = one;
    else if (key == "STOPPING")
        message.stopping = one;
    else if (key == "WATCHDOG") {
        message.watchdog |= one;
        message.watchdog_trigger |= value == "trigger";
    } else if (key == "BARRIER")
        message.barrier = one;
    else if (key == "FDSTORE")
        message.fd_store = one;
    else if (key == "FDSTOREREMOVE")
        message.fd_store_remove = one;
    else if (key == "FDPOLL")
        message.fd_poll = value != "0";
    else if (key == "FDNAME")
        message.fd_name = valid_fd_name(value) ? std::string(value) : std::string();
    else if (key == "STATUS")
        message.status = clean_status(value);
    else if (key == "MAINPID")
        set_if_valid(message.main_pid, parse_small(value, 1, std::numeric_limits<std::int32_t>::max()));
    else if (key == "MONOTONIC_USEC")
        set_if_valid(message.monotonic_us, parse_number(value));
    else if (key == "WATCHDOG_USEC")
        set_if_valid(message.watchdog_us, parse_number(value));
    else if (key == "EXTEND_TIMEOUT_USEC")
        set_if_valid(message.extend_timeout_us, parse_number(value));
    else if (key == "ERRNO")
        set_if_valid(message.error_number, parse_small(value, 0, 4095));
}

}  // namespace

Message parse(std::string_view datagram) {
    constexpr std::string_view kLineEnds("\n\0", 2);
    Message message;
    const bool cut = datagram.size() > limits::kNotifyBytes;
    if (cut) datagram = datagram.substr(0, limits::kNotifyBytes);
    while (!datagram.empty()) {
        const std::size_t end = datagram.find_first_of(kLineEnds);
        if (end == std::string_view::npos) {
            if (!cut) take_line(message, datagram);
            break;
        }
        take_line(message, datagram.substr(0, end));
        datagram.remove_prefix(end + 1);
    }
    return message;
}

}  // namespace abide::notify
