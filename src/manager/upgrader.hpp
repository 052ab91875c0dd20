// manager/upgrader.hpp -- another program in the manager's place, or in the anchor's.
//
// Owns the talk with the witness (witness.hpp) and the words to the anchor.  Decides nothing about a program: the
// witness judges, the anchor swaps and takes back.  Invariants: before the witness has said `pass` nothing is changed;
// an operation ends only with what the anchor's own word says about its swap, whoever asks for it and after whatever
// crash.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/time.hpp"
#include "core/engine.hpp"
#include "kernel/epoll.hpp"
#include "kernel/spawn.hpp"
#include "manager/anchor_link.hpp"
#include "manager/inbox.hpp"
#include "manager/journal_store.hpp"
#include "model/effect.hpp"
#include "protocol/control.hpp"

namespace abide::manager {

// The Spawner's token of the witness; no SpawnId has it.
inline constexpr std::uint64_t kWitnessToken = ~std::uint64_t{1};

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
    explicit Upgrader(Uses uses) : uses_(uses) {}

    void set_places(std::string control, std::uint64_t epoch) {
        control_ = std::move(control);
        epoch_ = epoch;
    }
    void begin(const model::out::Upgrade& effect, const Now& now);
    void on_spawn(kernel::SpawnEvent event);
    void on_link();
    // A manager came: what became of the upgrades that are under way?
    void recovered(const anchor::Generation& told, anchor::Start start);
    void vouch(const control::VouchRequest& request);

    // The place is given: this manager ends at once.
    [[nodiscard]] bool handing_over() const { return handing_over_; }
    // True once after this program was committed.
    bool take_committed() { return std::exchange(committed_, false); }
    // True once after the anchor was replaced.
    bool take_committed_anchor() { return std::exchange(committed_anchor_, false); }
    [[nodiscard]] Mono next_deadline() const { return deadline_; }
    void expire(Mono now);

  private:
    void begin_anchor(OperationId operation, const std::string& program);
    Status start_witness(const model::out::Upgrade& effect);
    void passed(kernel::Fd copy);
    void end(OperationId operation, model::Outcome outcome, std::string detail);
    void close_link();
    void committed(OperationId operation);

    Uses uses_;
    std::string control_;
    std::uint64_t epoch_ = 0;
    std::optional<model::out::Upgrade> rehearsing_;
    kernel::Fd program_, link_, witness_;
    Mono deadline_ = kNever;
    bool handing_over_ = false, committed_ = false, committed_anchor_ = false;
};

// "hung", "was not ready in time": why a swap was taken back.
std::string words_of(const anchor::Generation& told);

}  // namespace abide::manager
