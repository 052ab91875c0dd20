// manager/upgrader.hpp -- another program in the manager's place, or in the anchor's.
//
// Between the engine's operations and what becomes of them: a manager hands over (handover.hpp), the anchor replaces
// itself.  Decides nothing about a program.  Invariant: an operation ends only with what the anchor's own word says
// about its swap, whoever asks for it and after whatever crash.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "core/engine.hpp"
#include "kernel/epoll.hpp"
#include "kernel/spawn.hpp"
#include "manager/anchor_link.hpp"
#include "manager/handover.hpp"
#include "manager/inbox.hpp"
#include "manager/journal_store.hpp"
#include "manager/rescue_upgrade.hpp"
#include "model/effect.hpp"
#include "protocol/control.hpp"

namespace abide::manager {

class Upgrader {
  public:
    struct Uses {
        const core::Engine& engine;
        kernel::Epoll& epoll;
        kernel::Spawner& spawner;
        AnchorLink& anchor;
        Inbox& inbox;
        JournalStore& journal;
    };
    explicit Upgrader(Uses uses);

    void set_places(std::string control, std::uint64_t epoch) {
        control_ = std::move(control);
        epoch_ = epoch;
    }
    void begin(const model::out::Upgrade& effect, const Now& now);
    void on_spawn(kernel::SpawnEvent event) { handover_.on_spawn(std::move(event)); }
    void on_link();
    // A manager came: what became of the upgrades that are under way?
    // `asked`: of managers that could only rescue.
    void recovered(const anchor::Generation& told, anchor::Start start, const std::vector<model::RescueUpgrade>& asked);
    void vouch(const control::VouchRequest& request);

    // The place is given: this manager ends at once.
    [[nodiscard]] bool handing_over() const { return handover_.given(); }
    // True once after this program was committed.
    bool take_committed() { return std::exchange(committed_, false); }
    // True once after the anchor was replaced.
    bool take_committed_anchor() { return std::exchange(committed_anchor_, false); }
    // True once after it was decided what became of all upgrades that were asked of a rescue.
    bool take_told_of_rescue() { return std::exchange(told_of_rescue_, false); }
    [[nodiscard]] Mono next_deadline() const { return handover_.next_deadline(); }
    void expire(Mono now) { handover_.expire(now); }

  private:
    void begin_anchor(OperationId operation, const std::string& program);
    void end(OperationId operation, model::Outcome outcome, std::string detail);
    void committed(OperationId operation);
    void settle(OperationId operation, const anchor::Generation& told);
    void recovered(const anchor::Generation& told, const model::RescueUpgrade& last);

    Uses uses_;
    std::string control_;
    std::uint64_t epoch_ = 0;
    Handover handover_;
    OperationId asked_of_rescue_;
    bool committed_ = false, committed_anchor_ = false, told_of_rescue_ = false;
};

// What became of an upgrade, by what the anchor says of its swap.  Pending: its program is on probation.
struct UpgradeEnd {
    model::Outcome outcome;
    std::string detail;
};
UpgradeEnd end_of(OperationId operation, const anchor::Generation& told);
// "hung", "was not ready in time": why a swap was taken back.
std::string words_of(const anchor::Generation& told);

}  // namespace abide::manager
