// monitor/core.hpp -- the inside of a monitor: one epoll, a table of processes, and the order of news about each.
//
// Theory.  A process is a record with an id that is never used again; handles, timers and the tokens of the epoll name
// the id, never the record, so what is late finds nothing.  A record goes through: starting (its exec is not known
// yet), running, over.  `over` is reached once, in finish(), which is the only place that tells an end.  Nothing the
// user wrote is called from anywhere but dispatch() and the blocking waits, and always with the record looked up again
// afterwards: a handler may have dropped any handle.
//
// Parts: core.cc (loop and timers), starting.cc, ending.cc (the tiers, the one notification), signalling.cc (signals,
// ladders, policies), output.cc, groups.cc, keeping.cc, adopting.cc.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "abide/monitor.hpp"
#include "kernel/cgroup.hpp"
#include "kernel/epoll.hpp"
#include "kernel/exit.hpp"
#include "kernel/fd.hpp"
#include "kernel/spawn.hpp"
#include "kernel/wake.hpp"

namespace abide::detail {

using kernel::Fd;

error from_kernel(const Error& why, std::string what);
Mono to_mono(deadline when);
void stamp(exit_event& event);  // with the time of now

// Captured output of one descriptor.  Shared, since a sink may drop the handle that owns it.
struct stream {
    Fd fd;
    int number = 1;
    output_sink sink;  // empty: into `held`
    std::string held;
    std::size_t limit = 0;
    bool paused = false, watched = false;
};

struct ladder_state {
    stop_ladder steps;
    std::size_t next = 0;
    timer_id timer = 0;
};

enum class phase : std::uint8_t { starting, running, over };
// Of a process that is held before its exec; then it is `running` for everybody.
enum class hold : std::uint8_t { none, held, let_go, executed, failed };

struct record {
    process_id id{};
    phase now = phase::starting;
    hold holding = hold::none;
    pid_t pid = 0;
    Fd pidfd;
    leave policy = leave::kill;
    bool child = true;    // of ours, so that waitid can tell
    bool owned = false;   // there is a handle
    bool told = false;    // over, and its end was told
    bool muted = false;   // nobody is told of its end
    bool failed = false;  // its exec failed: reaped without a word
    bool leads_session = false;
    bool only_hangup = false;   // ended, but not reaped by its parent yet
    bool policy_due = false;    // its owner went before it was started
    bool asked_to_end = false;  // see exit_cause::asked
    bool sync = false;          // spawn() waits for its outcome
    exit_handler handler;
    start_handler started;
    error failure;
    exit_event event;
    exit_awaiter* waiting = nullptr;
    std::uint64_t sent_signals = 0;  // bit n-1
    ladder_state ladder;
    timer_id patience = 0;
    std::array<std::shared_ptr<stream>, 3> streams;
    std::array<Fd, 3> pipes;
    Fd release;  // a byte here ends the hold; its closing ends the process
    std::uint64_t group = 0, keeper = 0;
    std::int64_t oom_kills_before = -1;  // of its control group; -1: not counted
};

struct group_record {
    std::uint64_t id = 0;
    std::string name;
    group_tier tier = group_tier::session;
    leave policy = leave::kill;
    Fd leaf;
    struct session {
        pid_t id = 0;
        std::uint64_t start_ticks = 0;
    };
    std::vector<session> sessions;
    std::size_t running = 0;  // of our own records in it
    bool watched = false, had_members = false;
    bool was_killed = false;  // see SpawnRequest::joins_cgroup
    bool dropped = false;     // its handle has gone, and it goes when it is empty
    std::function<void()> on_empty;
    ladder_state ladder;
    timer_id look = 0;
};

struct keep_record {
    std::uint64_t id = 0;
    command what;
    restart_policy rules;
    leave policy;
    keep_handler handler;
    process_id current{};
    timer_id timer = 0;
    bool resting = false;
};

class core : public std::enable_shared_from_this<core> {
  public:
    static result<std::shared_ptr<core>> create(const monitor_options& options);
    core(const monitor_options& options, kernel::Epoll epoll, kernel::Bell bell, kernel::AlarmClock alarm);
    ~core();
    core(const core&) = delete;
    core& operator=(const core&) = delete;

    // ---- core.cc: the loop
    [[nodiscard]] int fd() const { return epoll_.fd(); }
    std::size_t dispatch();
    std::size_t run_once(deadline until);
    void run();
    void stop() noexcept;
    std::size_t close(bool silently);
    timer_id after(Duration delay, std::function<void()> handler, bool of_user);
    bool cancel(timer_id timer);
    [[nodiscard]] abide::tier tier() const { return tier_; }
    [[nodiscard]] std::size_t watched() const { return watched_; }
    void child_hint() noexcept;
    void ring() const noexcept { bell_.ring(); }
    record* find(process_id id);
    void route(router routes) { router_ = std::make_shared<const router>(std::move(routes)); }
    void on_orphan(exit_handler handler) { orphan_ = std::make_shared<const exit_handler>(std::move(handler)); }

    // ---- starting.cc
    result<process> spawn(const command& what, leave policy, exit_handler handler, std::uint64_t keeper = 0);
    void spawn_async(const command& what, leave policy, start_handler started, exit_handler handler);
    result<void> release_hold(process_id id);
    result<process> adopt(int pidfd, leave policy, exit_handler handler, std::string_view label);

    // ---- ending.cc
    std::optional<exit_event> wait(process_id id, deadline until);
    void await(exit_awaiter& awaiter, std::coroutine_handle<> waiting);
    void forget(exit_awaiter& awaiter);

    // ---- signalling.cc
    result<void> signal(process_id id, int number, scope whom);
    result<void> stop_process(process_id id, stop_ladder ladder);
    void drop(process_id id);
    process_id release(process_id id);

    // ---- output.cc
    std::string take_output(process_id id, int descriptor);
    void resume(process_id id, int descriptor);
    bool output_ended(process_id id, int descriptor);

    // ---- groups.cc
    result<std::uint64_t> make_group(std::string_view name, leave policy, group_tier best);
    group_record* find_group(std::uint64_t id);
    [[nodiscard]] std::string group_path(const group_record& g) const;
    result<std::vector<int>> members(const group_record& g) const;
    bool group_empty(const group_record& g) const;
    result<std::size_t> signal_group(group_record& g, int number, bool stops = false);
    result<void> freeze_group(group_record& g, deadline until);
    result<void> thaw_group(group_record& g);
    result<void> set_group(group_record& g, std::string_view file, std::string_view value);
    result<void> stop_group(std::uint64_t id, stop_ladder ladder);
    void on_group_empty(std::uint64_t id, std::function<void()> handler);
    bool wait_group_empty(std::uint64_t id, deadline until);
    void drop_group(std::uint64_t id);

    // ---- keeping.cc
    result<std::uint64_t> keep(const command& what, const restart_rules& rules, leave policy, keep_handler handler);
    keep_record* find_keeper(std::uint64_t id);
    result<void> stop_keeper(std::uint64_t id, stop_ladder ladder);
    void drop_keeper(std::uint64_t id);

  private:
    enum class token_kind : std::uint64_t { process = 0, output = 1, error = 2, special = 3 };
    enum class special : std::uint64_t { bell, alarm, spawner, child_signals, groups };
    static std::uint64_t token(token_kind kind, std::uint64_t id) { return id * 4 + static_cast<std::uint64_t>(kind); }
    struct timer {
        std::function<void()> handler;
        timer_id id = 0;
        bool of_user = false;
    };

    result<void> set_up();
    std::size_t handle(const kernel::Ready& ready);
    std::size_t handle_special(special what);
    std::size_t run_timers();
    std::size_t tell_outcomes();
    void arm();
    [[nodiscard]] bool has_work() const;

    record& make_record(leave policy, std::string_view label);
    void free_record(process_id id);
    void free_if_done(process_id id);
    std::string_view intern(std::string_view label);

    result<process_id> begin(const command& what, leave policy, exit_handler handler, bool sync);
    result<void> begin_in_group(const command_parts& parts, record& r, kernel::SpawnRequest& request);
    void pump_spawner();
    void took_off(record& r, kernel::SpawnEvent event);
    void settle(record& r, const kernel::SpawnEvent& event);
    void start_failed(record& r);
    void start_done(record& r);
    void lost_number(pid_t pid);

    bool collect(record& r);
    bool collect_foreign(record& r);
    void finish(record& r, const kernel::ExitReport& report, exit_source source);
    void finish_unknown(record& r);
    void close_record(record& r);
    void tell(process_id id);
    void resume_awaiters(process_id id);
    exit_cause judge(const record& r) const;
    void look_later();
    std::size_t look_at_children();
    std::size_t reap_all();
    void tell_orphan(const kernel::ExitReport& report);
    void wait_a_moment(record& r, Mono until, Duration& pause);

    static void note_signal(record& r, int number, bool stops);
    void climb(process_id id);
    void apply_policy(record& r);

    void attach_streams(record& r);
    void read_stream(process_id id, int number, std::size_t bound);
    void watch_stream(record& r, stream& s, bool on);
    void end_stream(record& r, int number);

    result<std::size_t> signal_members(group_record& g, int number);
    std::size_t signal_sessions(const group_record& g, int number);
    result<bool> stands_still(const group_record& g) const;
    void climb_group(std::uint64_t id);
    void finish_group(std::uint64_t id);
    void remove_group(std::uint64_t id);
    void end_if_late(record& r);
    void member_joined(record& r);
    void member_started(record& r);
    void member_left(std::uint64_t group);
    void look_soon(group_record& g, Duration delay);
    void look_at_group(std::uint64_t id);
    void group_emptied(group_record& g);
    void watch_group(group_record& g);
    std::size_t drain_groups();
    [[nodiscard]] std::int64_t oom_kills(const record& r) const;

    void kept_ended(std::uint64_t keeper, const exit_event& event);
    void start_kept(std::uint64_t keeper);
    void kept_failed(std::uint64_t keeper, const error& why);
    void follow(keep_record& k, const exit_event& event, const restart_decision& decision);

    monitor_options options_;
    abide::tier tier_ = abide::tier::sigchld;
    kernel::Epoll epoll_;
    kernel::Bell bell_;
    kernel::AlarmClock alarm_;
    Fd child_signals_, hold_program_;
    bool unblock_at_end_ = false;
    std::unique_ptr<kernel::Spawner> spawner_;

    std::vector<std::unique_ptr<record>> slots_;
    std::vector<std::uint32_t> free_slots_;
    std::uint64_t last_serial_ = 0;
    // Processes whose ends are still to be told; starts without an outcome; failed starts that are not reaped yet.
    std::size_t watched_ = 0, starting_ = 0, failed_ = 0;
    std::unordered_map<pid_t, process_id> by_pid_;  // where pids are looked up: exclusive, or tier sigchld
    std::deque<process_id> outcomes_;               // of asynchronous starts, to be told
    std::deque<process_id> lost_;                   // ends without a status, to be told

    std::map<std::pair<std::int64_t, timer_id>, timer> timers_;
    std::map<timer_id, std::int64_t> timer_times_;
    timer_id last_timer_ = 0;
    std::size_t user_timers_ = 0;

    std::set<std::string, std::less<>> labels_;
    std::shared_ptr<const router> router_;
    std::shared_ptr<const exit_handler> orphan_;

    std::map<std::uint64_t, group_record> groups_;
    std::map<std::uint64_t, keep_record> keepers_;
    std::uint64_t last_group_ = 0, last_keeper_ = 0;
    std::optional<kernel::CgroupTree> tree_;
    bool tree_tried_ = false;

    std::vector<char> buffer_;
    std::atomic<bool> stop_{false}, hint_{false};
    bool dispatching_ = false, silent_ = false;
    timer_id look_timer_ = 0;
};

}  // namespace abide::detail
