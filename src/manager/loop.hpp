// manager/loop.hpp -- the manager: one loop that carries inputs into the engine and effects out of it.
//
// Theory.  A turn takes what is ready from every descriptor, gives it to the engine in the order process, notification,
// request, writes what changed to the journal with one write, and only then acts: effects, then events, then replies.
// What an effect answers at once is an input of the next turn, which then does not sleep.  Nothing in a turn waits for
// anybody.
//
// Owns every part of the manager.  Knows no policy.  Invariant: no effect, event, reply or acknowledgement leaves
// before the change that it follows from is in the journal.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "core/engine.hpp"
#include "kernel/alarm.hpp"
#include "kernel/epoll.hpp"
#include "kernel/spawn.hpp"
#include "manager/anchor_link.hpp"
#include "manager/control.hpp"
#include "manager/cursor.hpp"
#include "manager/event_log.hpp"
#include "manager/executor.hpp"
#include "manager/inbox.hpp"
#include "manager/journal_store.hpp"
#include "manager/last_resort.hpp"
#include "manager/launcher.hpp"
#include "manager/logger_keeper.hpp"
#include "manager/notify.hpp"
#include "manager/probes.hpp"
#include "manager/processes.hpp"
#include "manager/runs.hpp"
#include "manager/stored.hpp"
#include "manager/tracking.hpp"
#include "manager/upgrader.hpp"

namespace abide::manager {

class Loop {
  public:
    // Greets the anchor, and takes from it what a manager needs.
    static Result<std::unique_ptr<Loop>> create(kernel::Fd anchor_socket);

    // Reads the journal, the one way in which state is loaded, and compares it with the kernel.
    Status start();
    // Until the instance has ended or the anchor is gone.
    int run();
    // What is left to do when start() failed, or is not to be tried any more: see rescue.hpp.
    int rescue(const std::string& why);
    // start() failed because the kernel refused something (memory, a descriptor): that may pass, so the next manager
    // tries it again.  False when enough of them have tried.
    bool leave_to_next(const Error& error);
    // A program on probation doesn't rescue anything: the one before it comes back.
    [[nodiscard]] bool on_probation() const {
        return static_cast<anchor::Start>(hello_.start) == anchor::Start::upgraded;
    }

  private:
    Loop(kernel::Epoll epoll, kernel::Epoll ends, std::unique_ptr<kernel::Spawner> spawner, AnchorLink anchor);

    Status take_places();
    Status take_tracking();
    Status take_runtime();
    void take_event_log();
    void begin_mirror();
    void share_control();
    Status recover();
    Status hold_theirs(const std::vector<std::uint64_t>& keys);
    void hold_outputs(const std::vector<std::uint64_t>& keys);
    void answer_meanwhile();
    void note_rederived(const model::in::Recovered::Found& found);
    void note_commit();
    void describe_generation(const anchor::Generation& told);

    void turn();
    Mono deadline() const;
    void on_ready(const kernel::Ready& ready, const Now& now);
    void on_anchor(const Now& now);
    void look_for_more_ends(const Now& now);
    void on_process(SpawnId spawn, kernel::Epoll& watched, const Now& now);
    void ask_about_unheard();
    void on_exit(const anchor::Exit& exit, const Now& now);
    void look_at_clocks(const Now& now);
    void decide_and_act(kernel::Alarm& bound);
    void decide(const Now& now);
    void act(const Now& now);
    void speak(const Now& now);
    void watch_anchor_room();
    void note_work(std::size_t amount, const Now& now);
    void give_back_memory();
    void shorten_own_log();
    void wait_for_orphanhood() const;

    void begin_end(std::int32_t status, const Now& now);
    void go_on_ending(const Now& now);

    kernel::Epoll epoll_;
    kernel::Epoll ends_;  // of children; nobody sleeps on it, so that the anchor alone is woken by an end
    std::unique_ptr<kernel::Spawner> spawner_;
    AnchorLink anchor_;
    Inbox inbox_;
    core::Engine engine_;
    Cursor cursor_;
    JournalStore journal_;
    EventLog events_;
    Processes processes_;
    Tracking tracking_;
    LoggerKeeper logger_;
    Runs runs_;
    Probes probes_;
    Stored stored_;
    Notify notify_;
    Upgrader upgrader_;
    LastResort last_resort_;
    Launcher launcher_;
    Executor executor_;
    Control control_;

    anchor::HelloAnswer hello_;
    AnchorLink::Kept kept_;  // as taken from the anchor, until each has its owner; the hold program stays
    Places places_;
    kernel::Fd home_;  // the control group that the instance was started in
    kernel::Fd runtime_;
    std::optional<bool> shared_;  // the control socket, with groups of [control]; not known before the start
    EventId newest_event_;        // in the log, when this manager came
    std::vector<model::Effect> effects_;
    std::vector<std::pair<Ticket, OperationId>> stepped_;
    std::vector<SpawnId> unheard_;  // ended, and the anchor has not said how
    Mono peek_at_ = kNever;
    bool told_of_ends_ = false;            // in this turn
    std::size_t taken_ = 0;                // inputs, and KiB of replies, since memory was given back
    std::size_t complained_ = kLookAfter;  // bytes since the supervisor's own log was looked at: the first turn looks
    Mono trim_at_ = kNever;
    Mono worked_at_{};  // the last turn that took inputs
    bool mirror_begun_ = false;
    bool anchor_wants_room_ = false;
    bool anchor_gone_ = false;

    static constexpr std::size_t kLookAfter = 64u << 10;

    enum class Ending : std::uint8_t { no, draining, told };
    Ending ending_ = Ending::no;
    std::int32_t end_status_ = 0;
    Mono end_deadline_ = kNever;
};

}  // namespace abide::manager
