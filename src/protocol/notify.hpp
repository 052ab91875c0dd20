// protocol/notify.hpp -- what one datagram on a notify socket says (sd_notify(3)).
//
// Owns the text format only.  Knows nothing of who sent it (the manager authenticates) nor of descriptors passed beside
// it. Total and bounded: any bytes give a Message; unknown keys and lines that make no sense are skipped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace abide::notify {

struct Message {
    bool ready = false;                    // READY=1
    bool reloading = false;                // RELOADING=1
    bool stopping = false;                 // STOPPING=1
    bool watchdog = false;                 // WATCHDOG=1
    bool watchdog_trigger = false;         // WATCHDOG=trigger
    bool barrier = false;                  // BARRIER=1: one descriptor came along; close it when all before it is done
    bool fd_store = false;                 // FDSTORE=1: keep the descriptors that came along
    bool fd_store_remove = false;          // FDSTOREREMOVE=1: forget those of fd_name
    bool fd_poll = true;                   // FDPOLL=0 turns it off: keep even a descriptor that hung up
    std::string fd_name;                   // FDNAME=, when valid (1..255 printable ASCII bytes, no ':'), else empty
    std::optional<std::string> status;     // STATUS=: valid UTF-8, at most limits::kStatusBytes
    std::optional<std::int32_t> main_pid;  // MAINPID=, above 0
    std::optional<std::int64_t> monotonic_us;       // MONOTONIC_USEC=
    std::optional<std::int64_t> watchdog_us;        // WATCHDOG_USEC=; 0: off
    std::optional<std::int64_t> extend_timeout_us;  // EXTEND_TIMEOUT_USEC=
    std::optional<std::int32_t> error_number;       // ERRNO=, 0..4095
    bool operator==(const Message&) const = default;
    // Nothing in it that we know.
    bool empty() const { return *this == Message{}; }
};

// Reads at most limits::kNotifyBytes; a line cut by that bound is dropped.  Numbers beyond 63 bits are clamped.  A NUL
// ends a line like a newline does.  A later line with the same key wins.
Message parse(std::string_view datagram);

}  // namespace abide::notify
