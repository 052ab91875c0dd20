// abide/monitor/restart.hpp -- when to start something again.  The same arithmetic as the supervisor's services.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <abide/monitor/exit.hpp>

namespace abide {

enum class restart_when : std::uint8_t { never, on_failure, always };

/// The rules.  The first restart after a healthy period is immediate; from the second on the delay grows from `min` by
/// `factor` to `max`, and a random part of up to `jitter` times the delay is added.
struct restart_rules {
    restart_when when = restart_when::on_failure;
    std::chrono::nanoseconds min = std::chrono::milliseconds(100);
    std::chrono::nanoseconds max = std::chrono::seconds(30);
    double factor = 2;                                                ///< 1 to 1000
    double jitter = 0.2;                                              ///< 0 to 1
    std::chrono::nanoseconds reset_after = std::chrono::minutes(1);   ///< so long a run forgets the past
    std::size_t limit_count = 10;                                     ///< at most so many restarts ... (0: no limit)
    std::chrono::nanoseconds limit_within = std::chrono::minutes(1);  ///< ... within this time
    std::vector<int> success_codes{0};                                ///< exit codes that are no failure
};

/// What to do after an end.
struct restart_decision {
    enum class action : std::uint8_t {
        rest,     ///< its work is done, or the rules say never
        restart,  ///< again, after `delay`
        give_up,  ///< the limit is reached
    };
    action what = action::rest;
    std::chrono::nanoseconds delay{};
    /// monitor::keep() only: it could not be started, and why.  A restart_policy leaves it empty.
    std::optional<error> failure{};
};

/// Rules and what happened so far.  A value without clocks, descriptors or threads: the same calls give the same
/// decisions, so it can be tested, copied and stored.
class restart_policy {
  public:
    /// `seed` decides the jitter.
    ABIDE_API explicit restart_policy(restart_rules rules = {}, std::uint64_t seed = 1);

    /// A run ended like this at `now`, having lasted from `started`.  An unknown status is a failure.
    ABIDE_API restart_decision next(const exit_status& status, std::chrono::steady_clock::time_point started,
                                    std::chrono::steady_clock::time_point now);
    /// It could not even be started: a failure that lasted no time.
    ABIDE_API restart_decision next_after_failed_start(std::chrono::steady_clock::time_point now);
    /// Forgets the past.
    ABIDE_API void reset();

    [[nodiscard]] std::uint64_t restarts() const { return restarts_; }
    [[nodiscard]] const restart_rules& rules() const { return rules_; }

  private:
    restart_decision again(std::chrono::steady_clock::time_point now);
    restart_rules rules_;
    std::uint64_t random_;
    std::uint32_t step_ = 0;
    std::uint64_t restarts_ = 0;
    std::vector<std::int64_t> times_;  // of restarts within the window, steady, in ns
};

}  // namespace abide
