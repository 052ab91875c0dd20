// base/backoff.hpp -- the arithmetic of starting again: how long to wait, and how often is too often.  Without clocks
// and randomness of its own; shared by the supervisor's core and the process monitor.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/time.hpp"

namespace abide {

struct BackoffRule {
    Duration min, max;
    std::uint32_t factor_milli = 2000;  // thousandths: the delay grows by it at each step
    std::uint32_t jitter_milli = 0;     // thousandths of the delay that may be added
};

// Without jitter.  Step 0, the first restart after a healthy period, is immediate; step 1 waits `min`.
inline Duration backoff_delay(const BackoffRule& rule, std::uint32_t step) {
    if (step == 0) return {0};
    std::int64_t ns = rule.min.ns;
    for (std::uint32_t i = 1; i < step && ns < rule.max.ns; ++i) {
        ns = std::min<std::int64_t>(rule.max.ns, ns / 1000 * rule.factor_milli + ns % 1000 * rule.factor_milli / 1000);
    }
    return {std::min(ns, rule.max.ns)};
}

// The most that jitter may add to this delay.
inline std::uint64_t backoff_spread(const BackoffRule& rule, Duration delay) {
    return static_cast<std::uint64_t>(delay.ns / 1000) * rule.jitter_milli;
}

// Whether one more restart at `now` stays within `count` in the window (count 0: always); if so it is noted.
template <class Times, class Instant>
bool restart_allowed(Times& times, Instant now, Duration within, std::size_t count) {
    using std::erase_if;
    erase_if(times, [&](Instant t) { return now - t > within; });
    if (count != 0 && times.size() >= count) return false;
    times.push_back(now);
    return true;
}

}  // namespace abide
