// abide/monitor/process.hpp -- one process that a monitor watches.
#pragma once

#include <chrono>
#include <coroutine>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <abide/monitor/exit.hpp>
#include <abide/monitor/result.hpp>

namespace abide {

namespace detail {
class core;
struct record;
}  // namespace detail

using deadline = std::chrono::steady_clock::time_point;
/// No deadline.
inline constexpr deadline forever = deadline::max();
/// A deadline so far from now.
ABIDE_API deadline within(std::chrono::nanoseconds from_now);

/// Called from dispatch() (or from process::wait() for its own process), exactly once for each process.  It may do
/// anything with the monitor but destroy it.
using exit_handler = std::function<void(const exit_event&)>;

/// What becomes of a process that still runs when its owner goes: the handle, or after release() the monitor.  There is
/// no good default, so there is none.
enum class leave : std::uint8_t {
    kill,                 ///< SIGKILL
    terminate_then_kill,  ///< SIGTERM, then SIGKILL after monitor_options::grace
    detach,               ///< it goes on, and nobody is told of its end
    wait,                 ///< block until it ends by itself
};

/// Who gets a signal.
enum class scope : std::uint8_t {
    process,        ///< the process alone
    process_group,  ///< its process group, too, if it leads one (it does, with new_session)
};

/// One step of a stop: send, then wait so long for the end.
struct stop_step {
    int signal = SIGTERM;
    std::chrono::nanoseconds wait = std::chrono::seconds(10);
    scope whom = scope::process;
};
/// A stop as data, from polite to final.  The last step's wait does not matter.
using stop_ladder = std::vector<stop_step>;
/// TERM, 10 s, KILL.
ABIDE_API stop_ladder default_ladder();

/// Suspends a coroutine until a process has ended; see process::exited().
class ABIDE_API exit_awaiter {
  public:
    exit_awaiter(std::shared_ptr<detail::core> core, process_id id);
    exit_awaiter(const exit_awaiter&) = delete;
    exit_awaiter& operator=(const exit_awaiter&) = delete;
    /// A coroutine may be destroyed while it waits.
    ~exit_awaiter();
    bool await_ready();
    void await_suspend(std::coroutine_handle<> waiting);
    exit_event await_resume();

  private:
    friend class detail::core;
    std::shared_ptr<detail::core> core_;
    process_id id_;
    std::coroutine_handle<> waiting_;
    exit_event event_;
    exit_awaiter* next_ = nullptr;
    bool linked_ = false;
};

/// The owner of one process.  Move-only; movable at any time; all functions on the thread of its monitor.  When it is
/// destroyed while the process runs, the leave policy of its start is carried out: `kill` and `terminate_then_kill`
/// without blocking as long as the monitor lives, whose handler is still told of the end.
///
/// A handle may outlive its monitor; then it can only say what was known.
class [[nodiscard]] process {
  public:
    /// Owns nothing; only operator bool, assignment and destruction make sense.
    process() noexcept = default;
    process(process&&) noexcept = default;
    ABIDE_API process& operator=(process&&) noexcept;
    process(const process&) = delete;
    ABIDE_API ~process();

    explicit operator bool() const noexcept { return core_ != nullptr; }
    [[nodiscard]] process_id id() const noexcept { return id_; }
    /// For people and logs: a pid may be reused as soon as running() is false.
    [[nodiscard]] ABIDE_API int pid() const;
    /// Borrowed, valid while running(); -1 in the tier `sigchld`.  Not to be waited on with waitid(2).
    [[nodiscard]] ABIDE_API int pidfd() const;
    [[nodiscard]] ABIDE_API std::string_view label() const;
    /// Its end was not seen yet.  Looks at nothing: only dispatch() and wait() see ends.
    [[nodiscard]] ABIDE_API bool running() const;
    /// How it ended; nothing while running().
    [[nodiscard]] ABIDE_API std::optional<exit_event> exit() const;

    /// Sends a signal, never to a process that got the same pid later.  ESRCH when it has ended.
    ABIDE_API result<void> signal(int number, scope whom = scope::process);
    result<void> kill() { return signal(SIGKILL); }
    /// Begins to climb down a ladder; dispatch() goes on with it.  Another call replaces the ladder under way.
    ABIDE_API result<void> stop(stop_ladder ladder = default_ladder());
    /// Blocks until it has ended or the deadline has passed (nothing then).  Its handler has run when this returns;
    /// other processes' handlers do not run here.
    ABIDE_API std::optional<exit_event> wait(deadline until = forever);
    /// `exit_event e = co_await p.exited();`  Resumed by dispatch(), or not suspended when it has ended already.  Not
    /// resumed when the monitor goes first.
    [[nodiscard]] ABIDE_API exit_awaiter exited();
    /// Replaces the handler of a process that runs.
    ABIDE_API void on_exit(exit_handler handler);
    /// It was started by a command that is held(), and waits for release_hold().
    [[nodiscard]] ABIDE_API bool held() const;
    /// Executes the program of a process that is held, and returns when that has succeeded or failed, as spawn() does;
    /// the error has the stage and errno.  Since its start was told, its end is told in any case: 125 after a failed
    /// exec.  EINVAL: it is not held; ESRCH: it has ended.
    ABIDE_API result<void> release_hold();
    /// Gives the process to the monitor, which keeps the leave policy until its own end.
    ABIDE_API process_id release();

    /// The caller's end of a stdio::pipe() (0, 1 or 2); ownership goes to the caller.  -1: none, or taken already.
    [[nodiscard]] ABIDE_API int take_pipe(int descriptor);
    /// What a stdio::buffer() (1 or 2) holds; empties it, and lets the program write again.
    [[nodiscard]] ABIDE_API std::string take_output(int descriptor);
    /// Reads again after a sink said flow::pause.
    ABIDE_API void resume(int descriptor);
    /// The end of file of a captured descriptor was seen.
    [[nodiscard]] ABIDE_API bool output_ended(int descriptor) const;

  private:
    friend class detail::core;
    friend class monitor;
    process(std::shared_ptr<detail::core> core, process_id id) : core_(std::move(core)), id_(id) {}
    std::shared_ptr<detail::core> core_;
    process_id id_{};
};

/// The simplest coroutine type: starts at once, and nobody waits for it.
///
///     abide::fire_and_forget twice(abide::monitor& m) {
///         for (int i = 0; i < 2; ++i) co_await m.spawn(abide::command("true"), abide::leave::kill).value().exited();
///     }
struct fire_and_forget {
    struct promise_type {
        fire_and_forget get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::abort(); }
    };
};

}  // namespace abide
