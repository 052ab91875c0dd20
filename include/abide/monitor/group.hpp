// abide/monitor/group.hpp -- several processes, and all that they start, as one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <abide/monitor/process.hpp>

namespace abide {

/// How a group holds its members.
enum class group_tier : std::uint8_t {
    cgroup,   ///< a control group of version 2: nobody can leave it, a kill takes all at once
    session,  ///< the sessions of the processes that were started in it: what calls setsid(2) itself leaves the group,
              ///< and members are found by reading /proc, so a kill is a bounded number of rounds
};
ABIDE_API const char* to_string(group_tier tier) noexcept;

/// Made by monitor::make_group(); processes join it by command::member_of().  Move-only, on the monitor's thread.  When
/// it is destroyed, `kill` and `terminate_then_kill` end all members without blocking as long as the monitor lives,
/// whose dispatch() goes on with it; `wait` blocks until nobody is left, `detach` leaves them (and a control group,
/// then, behind).  on_empty() is not called any more.
class [[nodiscard]] group {
  public:
    group() noexcept = default;
    group(group&&) noexcept = default;
    ABIDE_API group& operator=(group&&) noexcept;
    group(const group&) = delete;
    ABIDE_API ~group();

    explicit operator bool() const noexcept { return core_ != nullptr; }
    [[nodiscard]] ABIDE_API group_tier tier() const;
    /// The folder of the control group below the cgroup2 mount; empty in the tier `session`.
    [[nodiscard]] ABIDE_API std::string path() const;
    /// Pids of all members at one instant.
    [[nodiscard]] ABIDE_API result<std::vector<int>> members() const;
    /// Nobody is in it.
    [[nodiscard]] ABIDE_API bool empty() const;

    /// To every member; how many got it.
    ABIDE_API result<std::size_t> signal(int number);
    /// SIGKILL to all members, those included that are born meanwhile.
    ABIDE_API result<void> kill();
    /// Begins to climb down a ladder for all members; dispatch() goes on with it, and stops when the group is empty.
    /// stop_step::whom does not matter.
    ABIDE_API result<void> stop(stop_ladder ladder = default_ladder());
    /// Stops all members where they are, and returns when they stand still, or at the deadline: then ETIMEDOUT, which
    /// takes nothing back (one in an uninterruptible sleep stops when it wakes).  In the tier `session` by SIGSTOP.
    ABIDE_API result<void> freeze(deadline until = within(std::chrono::seconds(1)));
    /// Lets them go on.  In the tier `session` by SIGCONT.
    ABIDE_API result<void> thaw();
    /// Writes a file of the control group, such as {"pids.max", "100"}.  ENOTSUP in the tier `session`, ENOENT when the
    /// controller is not there.
    ABIDE_API result<void> set(std::string_view file, std::string_view value);

    /// Called from dispatch() each time that the group has become empty after it had members.
    ABIDE_API void on_empty(std::function<void()> handler);
    /// Blocks until nobody is in it; false: the deadline passed.  Ends of members are told by a later dispatch().
    ABIDE_API bool wait_empty(deadline until = forever);

  private:
    friend class detail::core;
    friend class monitor;
    friend class command;
    group(std::shared_ptr<detail::core> core, std::uint64_t id) : core_(std::move(core)), id_(id) {}
    std::shared_ptr<detail::core> core_;
    std::uint64_t id_ = 0;
};

}  // namespace abide
