// monitor/restart.cc -- the rules of abide/monitor/restart.hpp over the arithmetic of base/backoff.hpp.
#include "abide/monitor/restart.hpp"

#include <algorithm>
#include <cmath>

#include "base/backoff.hpp"

namespace abide {
namespace {

std::int64_t nanoseconds_of(std::chrono::steady_clock::time_point t) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
}

std::uint32_t milli(double value, double lowest, double highest) {
    const double bounded = std::isfinite(value) ? std::clamp(value, lowest, highest) : lowest;
    return static_cast<std::uint32_t>(std::lround(bounded * 1000));
}

// splitmix64: any seed will do, 0 too.
std::uint64_t draw(std::uint64_t& state) {
    std::uint64_t z = state += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

}  // namespace

restart_policy::restart_policy(restart_rules rules, std::uint64_t seed) : rules_(std::move(rules)), random_(seed) {}

void restart_policy::reset() {
    step_ = 0;
    times_.clear();
}

restart_decision restart_policy::next(const exit_status& status, std::chrono::steady_clock::time_point started,
                                      std::chrono::steady_clock::time_point now) {
    if (now - started >= rules_.reset_after) reset();
    const std::optional<int> code = status.code();
    const bool failed = !code || std::ranges::find(rules_.success_codes, *code) == rules_.success_codes.end();
    const bool wanted = rules_.when == restart_when::always || (rules_.when == restart_when::on_failure && failed);
    return wanted ? again(now) : restart_decision{};
}

restart_decision restart_policy::next_after_failed_start(std::chrono::steady_clock::time_point now) {
    return rules_.when == restart_when::never ? restart_decision{} : again(now);
}

restart_decision restart_policy::again(std::chrono::steady_clock::time_point now) {
    std::vector<Boot> times;
    times.reserve(times_.size() + 1);
    for (const std::int64_t ns : times_) times.push_back({ns});
    const bool allowed =
        restart_allowed(times, Boot{nanoseconds_of(now)}, Duration{rules_.limit_within.count()}, rules_.limit_count);
    times_.clear();
    // Without a limit nobody asks for the times.
    if (rules_.limit_count != 0) {
        for (const Boot t : times) times_.push_back(t.ns);
    }
    if (!allowed) return {restart_decision::action::give_up, {}};
    const BackoffRule rule{
        {rules_.min.count()}, {rules_.max.count()}, milli(rules_.factor, 1, 1000), milli(rules_.jitter, 0, 1)};
    const Duration delay = backoff_delay(rule, step_);
    const std::uint64_t extra = draw(random_) % (backoff_spread(rule, delay) + 1);
    if (step_ < UINT32_MAX) ++step_;
    ++restarts_;
    return {restart_decision::action::restart, std::chrono::nanoseconds(delay.ns) + std::chrono::nanoseconds(extra)};
}

}  // namespace abide
