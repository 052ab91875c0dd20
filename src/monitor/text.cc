// monitor/text.cc -- words for people.
#include <array>
#include <cstdio>
#include <cstring>

#include "abide/monitor.hpp"
#include "kernel/spawn.hpp"

namespace abide {

const char* to_string(start_stage stage) noexcept {
    static constexpr std::array kNames{
        "none",   "clone",  "unshare", "cgroup",       "record", "session",           "descriptors", "terminal",
        "limits", "nice",   "groups",  "capabilities", "user",   "no-new-privileges", "directory",   "signals",
        "exec",   "killed", "hold",    "oom-score",    "mounts", "released"};
    static_assert(kNames.size() == static_cast<std::size_t>(start_stage::released) + 1);
    // The library's stages are the kernel layer's, after `none`.
    static_assert(static_cast<int>(start_stage::exec) == static_cast<int>(kernel::SpawnStage::exec) + 1);
    static_assert(static_cast<int>(start_stage::released) == static_cast<int>(kernel::SpawnStage::released) + 1);
    const auto index = static_cast<std::size_t>(stage);
    return index < kNames.size() ? kNames[index] : "unknown";
}

const char* to_string(exit_cause cause) noexcept {
    switch (cause) {
        case exit_cause::unknown: return "unknown";
        case exit_cause::itself: return "itself";
        case exit_cause::asked: return "asked";
        case exit_cause::oom: return "out of memory";
        case exit_cause::outside: return "outside";
    }
    return "unknown";
}

const char* to_string(tier which) noexcept {
    switch (which) {
        case tier::exit_info: return "exit-info";
        case tier::pidfd: return "pidfd";
        case tier::sigchld: return "sigchld";
    }
    return "unknown";
}

const char* to_string(group_tier tier) noexcept {
    return tier == group_tier::cgroup ? "cgroup" : "session";
}

std::string to_string(const exit_status& status) {
    switch (status.how) {
        case ended::unknown: break;
        case ended::exited: return "exit " + std::to_string(status.value);
        case ended::killed:
        case ended::dumped: {
            const char* name = ::sigabbrev_np(status.value);
            std::string text = name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(status.value);
            return status.how == ended::dumped ? text + " (core dumped)" : text;
        }
    }
    return "unknown";
}

std::string error::message() const {
    std::string text = what;
    if (stage != start_stage::none) text += std::string(": ") + to_string(stage);
    if (number != 0) {
        const char* description = ::strerrordesc_np(number);  // static and thread-safe, unlike strerror(3)
        text += std::string(": ") + (description != nullptr ? description : "unknown error");
    }
    return text;
}

namespace detail {
void no_value(const error& why) noexcept {
    std::fprintf(stderr, "abide: the value of a failed result was used: %s\n", why.message().c_str());
    std::abort();
}
}  // namespace detail

deadline within(std::chrono::nanoseconds from_now) {
    const deadline now = std::chrono::steady_clock::now();
    return from_now > forever - now ? forever : now + from_now;
}

stop_ladder default_ladder() {
    return {{SIGTERM, std::chrono::seconds(10), scope::process}, {SIGKILL, {}, scope::process}};
}

}  // namespace abide
