// abide/monitor.hpp -- a process monitor: start processes of any kind, and be told of each end exactly once.
//
//     #include <abide/monitor.hpp>
//
//     auto m = abide::monitor::create().value();
//     auto web = m.spawn(abide::command("./web").arg("--port=80"), abide::leave::terminate_then_kill,
//                        [](const abide::exit_event& e) { std::puts(to_string(e.status).c_str()); });
//     if (!web) return std::puts(web.error().message().c_str());    // "can't start ./web: exec: No such file ..."
//     m.run();
//
// One descriptor for any number of processes, no thread, no signal handler, no global state.  Statuses are true or
// `unknown`, never invented.  C++20; only the standard library in these headers.  docs/libabide.md is the manual.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <abide/monitor/command.hpp>
#include <abide/monitor/exit.hpp>
#include <abide/monitor/group.hpp>
#include <abide/monitor/process.hpp>
#include <abide/monitor/restart.hpp>
#include <abide/monitor/result.hpp>
#include <abide/monitor/router.hpp>

namespace abide {

/// What the kernel gives us to learn of ends, best first.  Found out by trying, never by version.
enum class tier : std::uint8_t {
    exit_info,  ///< pidfds, and PIDFD_GET_INFO tells the status even when somebody else took it (Linux 6.15)
    pidfd,      ///< pidfds; a status that somebody else took is unknown (Linux 5.4)
    sigchld,    ///< neither (a container's filter): children are looked at one by one, see monitor_options
};
ABIDE_API const char* to_string(tier which) noexcept;

/// Which children are ours to wait for.
enum class reaper : std::uint8_t {
    /// Only those that this monitor started.  Other libraries' children, and the disposition of SIGCHLD, are left
    /// alone.
    cooperative,
    /// All, since this process is PID 1 or the subreaper of what it starts: orphans are reaped and told to
    /// monitor::on_orphan().  Blocks SIGCHLD in the calling thread, so make the monitor before other threads; one such
    /// monitor a process.
    exclusive,
};

struct monitor_options {
    abide::reaper reaper = abide::reaper::cooperative;
    /// The best tier to use; for tests.  One that the kernel lacks is never used.
    abide::tier best_tier = abide::tier::exit_info;
    /// exclusive only: become a subreaper (prctl(2)), so that orphans of descendants come to us.
    bool subreaper = true;
    /// Between TERM and KILL of leave::terminate_then_kill.
    std::chrono::nanoseconds grace = std::chrono::seconds(5);
    /// How long the destructor waits for processes that were killed; one in an uninterruptible sleep may never end.
    std::chrono::nanoseconds parting = std::chrono::seconds(5);
    /// An adopted process that has ended and that its parent does not reap has no readable status yet.  After so long
    /// it is told as unknown.
    std::chrono::nanoseconds adopt_patience = std::chrono::seconds(5);
    /// Tier sigchld: how often children are looked at when nothing else wakes us.  If all threads of the program block
    /// SIGCHLD, or child_hint() is called from its handler, ends are seen at once.
    std::chrono::nanoseconds look_every = std::chrono::milliseconds(20);
    /// Keeps all free descriptor numbers below 64 busy, and stages there what children need.  The cost of
    /// a start then does not grow with the number of descriptors of this process (else about 0.1 ms for each 1,000).
    /// For programs whose main work is to start others; make the monitor early.
    bool reserve_low_descriptors = false;
    /// At most so many children between clone and exec at a time, and so many starts that wait for one of these.
    std::size_t in_flight = 256, queued = 20'000;
    /// The helper for command::oom_score(), private_tmp() and held(); empty: where this library's package puts it.
    std::string hold_program;
    /// Control groups are made below HOME/abide-NAME; empty: a name made of our pid.
    std::string name;
    /// Controllers to switch on for groups, such as {"memory", "pids"}: with them group::set() has files to write, and
    /// exit_cause::oom can be told.  Writes cgroup.subtree_control of the group that this process is in.
    std::vector<std::string> controllers;
};

using timer_id = std::uint64_t;

/// Called from dispatch() when a start has come out; the process is empty if error is not.
using start_handler = std::function<void(result<process>)>;

/// Something that is started again when it ends; see monitor::keep().
class [[nodiscard]] keeper {
  public:
    keeper() noexcept = default;
    keeper(keeper&&) noexcept = default;
    ABIDE_API keeper& operator=(keeper&&) noexcept;
    keeper(const keeper&) = delete;
    /// Ends the keeping; the leave policy decides on the process.
    ABIDE_API ~keeper();
    explicit operator bool() const noexcept { return core_ != nullptr; }
    /// The process that runs now; empty between two runs.
    [[nodiscard]] ABIDE_API process_id current() const;
    [[nodiscard]] ABIDE_API int pid() const;
    [[nodiscard]] ABIDE_API std::uint64_t restarts() const;
    /// It will not be started again: it came to rest, gave up, or was stopped.
    [[nodiscard]] ABIDE_API bool resting() const;
    /// Stops it for good.
    ABIDE_API result<void> stop(stop_ladder ladder = default_ladder());

  private:
    friend class detail::core;
    friend class monitor;
    keeper(std::shared_ptr<detail::core> core, std::uint64_t id) : core_(std::move(core)), id_(id) {}
    std::shared_ptr<detail::core> core_;
    std::uint64_t id_ = 0;
};

/// Told for each end of a kept process, and for each start after the first that failed, with what happens next.  For a
/// failed start restart_decision::failure says why; there was no end then, and the event has only label and times.
using keep_handler = std::function<void(const exit_event&, const restart_decision&)>;

/// A loop over processes.  Movable (not while it dispatches), not copyable.  All functions on one thread at a time;
/// several monitors in several threads do not disturb each other.  Only stop() may be called from any thread, and
/// child_hint() from a signal handler.
///
/// Destruction carries out the leave policy of every process, group and keeper that is left, and calls no handler; use
/// close() where each end is to be told.
class monitor {
  public:
    /// Errors: EMFILE and the like; ENOTSUP for an exclusive monitor where signals can't be read as data; EBUSY when
    /// reserve_low_descriptors finds too few free numbers.
    static ABIDE_API result<monitor> create(const monitor_options& options = {});
    ABIDE_API monitor(monitor&&) noexcept;
    ABIDE_API monitor& operator=(monitor&&) noexcept;
    monitor(const monitor&) = delete;
    ABIDE_API ~monitor();

    // ---- the loop

    /// Readable (POLLIN) whenever dispatch() has something to do: timers, ends, output.  Level-triggered; belongs to
    /// the monitor; may be put into any poll, epoll, libuv, Asio or GLib loop.  After a call of this object that is not
    /// dispatch(), it is also readable for what that call has left to tell.
    [[nodiscard]] ABIDE_API int fd() const;
    /// Handles what is ready, never waits; bounded work (about 128 things), so call it again while fd() is readable.
    /// Returns how many things were handled.  Called from a handler it does nothing and returns 0.
    ABIDE_API std::size_t dispatch();
    /// Waits for something to do, until the deadline, and dispatches once.  0: nothing to tell (the deadline passed, a
    /// signal came, or it was a matter of the monitor's own).
    ABIDE_API std::size_t run_once(deadline until = forever);
    /// Dispatches until nothing is left to wait for (no process, timer or start) or stop() is called.
    ABIDE_API void run();
    /// Makes run() return, now or at its next call.  From any thread, and from signal handlers.
    ABIDE_API void stop() noexcept;
    /// Dispatches as after the end of everything: carries out the leave policies and delivers each end, for at most
    /// the time that grace and parting give.  Returns how many processes are left.
    ABIDE_API std::size_t close();

    // ---- processes

    /// Starts a process and returns when its exec has succeeded or failed; never with a child that is going to exit
    /// with 127.  The error has the stage and errno.  Takes as long as the exec: one on a dead network file system
    /// blocks.  Cost does not depend on the memory of this process (no fork, no copied page tables).
    /// `leave` is required: what becomes of it when the handle goes.  Without a handler, the router's counts.
    ABIDE_API result<process> spawn(const command& what, leave policy, exit_handler handler = {});
    /// The same without waiting for the exec: `started` is called from dispatch().
    ABIDE_API void spawn_async(const command& what, leave policy, start_handler started, exit_handler handler = {});
    /// Watches a process that is not our child, or a child that somebody else started.  The pidfd is duplicated.
    /// Its status is told where the kernel has exit info, else `unknown`, never a guess.  ENOTSUP in the tier sigchld.
    /// leave::kill and terminate_then_kill signal it like any other.
    ABIDE_API result<process> adopt(int pidfd, leave policy, exit_handler handler = {}, std::string_view label = {});
    /// Starts, and starts again, as the rules say.  An error is one of the first start; later ones count as failures
    /// and are told to the handler.
    ABIDE_API result<keeper> keep(const command& what, const restart_rules& rules, leave policy,
                                  keep_handler handler = {});
    /// Handlers for all processes that have none of their own.
    ABIDE_API void route(router routes);
    /// exclusive only: a child that this monitor did not start was reaped.  id is 0, label empty.
    ABIDE_API void on_orphan(exit_handler handler);
    /// A group for processes to be started in.  `name` is for people, and part of the control group's.  With
    /// best = session no control group is tried.
    ABIDE_API result<group> make_group(std::string_view name, leave policy, group_tier best = group_tier::cgroup);

    // ---- time

    /// Calls back once from dispatch(), not before this time has passed.
    ABIDE_API timer_id after(std::chrono::nanoseconds delay, std::function<void()> handler);
    /// False: it was called already, or never existed.
    ABIDE_API bool cancel(timer_id timer);

    // ---- facts

    [[nodiscard]] ABIDE_API abide::tier tier() const;
    /// Processes whose end is still to be told.
    [[nodiscard]] ABIDE_API std::size_t watched() const;
    /// Tier sigchld: look at the children soon.  Async-signal-safe.
    ABIDE_API void child_hint() noexcept;

  private:
    explicit monitor(std::shared_ptr<detail::core> core);
    std::shared_ptr<detail::core> core_;
};

}  // namespace abide
