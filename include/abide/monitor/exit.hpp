// abide/monitor/exit.hpp -- how a process ended.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <abide/monitor/result.hpp>

namespace abide {

/// A process of one monitor.  Unique for the life of that monitor and never used again, unlike a pid.
enum class process_id : std::uint64_t {};

/// `unknown` is a status like the others: somebody else took the real one (waitpid(-1) in another thread, SIGCHLD
/// ignored, not our child) and the kernel has no way to tell.  It is never replaced by a guess.
enum class ended : std::uint8_t {
    unknown,
    exited,  ///< by _exit(2); value is the code, 0 to 255
    killed,  ///< by a signal; value is its number
    dumped,  ///< by a signal, and a core was dumped; value is the signal
};

/// Where a status comes from.
enum class exit_source : std::uint8_t {
    none,       ///< nowhere: the status is unknown
    wait,       ///< waitid(2): the only source that also gives resources
    exit_info,  ///< PIDFD_GET_INFO: not our child, or somebody else took the wait
};

/// How a process ended, without when and why.
struct exit_status {
    ended how = ended::unknown;
    int value = 0;  ///< meaningless when how is unknown
    exit_source source = exit_source::none;

    /// Exited with 0.  An unknown status is not a success.
    [[nodiscard]] bool success() const noexcept { return how == ended::exited && value == 0; }
    [[nodiscard]] std::optional<int> code() const noexcept {
        return how == ended::exited ? std::optional<int>(value) : std::nullopt;
    }
    [[nodiscard]] std::optional<int> signal() const noexcept {
        return how == ended::killed || how == ended::dumped ? std::optional<int>(value) : std::nullopt;
    }
    /// Same end; the source does not count.
    friend bool operator==(const exit_status& a, const exit_status& b) noexcept {
        return a.how == b.how && (a.how == ended::unknown || a.value == b.value);
    }
};

/// "exit 3", "SIGKILL", "SIGSEGV (core dumped)" or "unknown".
ABIDE_API std::string to_string(const exit_status& status);

/// Who is behind the end, as far as this monitor can tell.
enum class exit_cause : std::uint8_t {
    unknown,  ///< the status is unknown and nobody here asked
    itself,   ///< it returned or called exit, or a fault of its own (SIGSEGV, SIGABRT, ...) ended it
    asked,    ///< this monitor wanted it: it died of a signal that this monitor sent to it or to its group; or it
              ///< exited after a stop() or leave policy, its own or its group's, whatever the signals of that, or after
              ///< a signal() of SIGTERM, SIGINT, SIGQUIT or SIGKILL, which mean an end.  Others don't: what exits after
              ///< a signal(SIGHUP) does so by `itself`
    oom,      ///< SIGKILL, and its control group counted an out-of-memory kill meanwhile
    outside,  ///< a signal that this monitor did not send
};
ABIDE_API const char* to_string(exit_cause cause) noexcept;

/// What the process used, with its children that it waited for.
struct exit_resources {
    std::chrono::microseconds user{}, system{};
    std::int64_t max_rss_kib = 0;
};

/// The one notification of a process's end.
struct exit_event {
    process_id id{};
    int pid = 0;             ///< for people and logs.  Free for reuse by the kernel: never signal it
    std::string_view label;  ///< of its command; lives as long as the monitor
    exit_status status;
    exit_cause cause = exit_cause::unknown;
    int asked_signal = 0;                ///< the last signal that this monitor sent to it, or 0
    std::optional<exit_resources> used;  ///< absent unless the source is `wait`
    /// When the end was seen here; the kernel keeps no time of death.  Wall clock for people, steady for arithmetic.
    std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds> time{};
    std::chrono::steady_clock::time_point started{}, seen{};
};

}  // namespace abide
