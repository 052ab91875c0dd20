// manager/launcher.hpp -- carries out out::Spawn, and says what became of it: Spawned, then Executed or SpawnFailed.
//
// Owns the way from an effect to a child: what must first be asked of the anchor, what the child gets, and the order of
// the news about it.  Knows no policy.  Invariant: each Spawn is answered exactly once with a failure or with Spawned
// and an outcome.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/engine.hpp"
#include "kernel/spawn.hpp"
#include "manager/anchor_link.hpp"
#include "manager/cursor.hpp"
#include "manager/inbox.hpp"
#include "manager/journal_store.hpp"
#include "manager/launch_request.hpp"
#include "manager/logger_keeper.hpp"
#include "manager/processes.hpp"
#include "manager/runs.hpp"
#include "manager/tracking.hpp"
#include "manager/upgrader.hpp"
#include "model/effect.hpp"

namespace abide::manager {

inline constexpr std::string_view kManagersDied = "managers have died of it";

class Launcher {
  public:
    struct Uses {
        const core::Engine& engine;
        kernel::Epoll& ends;  // of the processes that it starts
        kernel::Spawner& spawner;
        AnchorLink& anchor;
        Inbox& inbox;
        Processes& processes;
        Runs& runs;
        Tracking& tracking;
        LoggerKeeper& logger;
        JournalStore& journal;
        Upgrader& upgrader;
        Cursor& cursor;
    };
    explicit Launcher(Uses uses) : uses_(uses) {}
    // /dev/null, the inherited environment, and the descriptor limit that children get back.
    Status prepare(std::vector<model::Variable> environment, kernel::ResourceLimitValue descriptor_limit);

    // Makes what the anchor must have before the child is there; spawn_prepared() starts it.
    void launch(const model::out::Spawn& effect, const Now& now);
    // Not again: managers died of it.
    void refuse(const model::out::Spawn& effect);
    // Starts what is prepared, after what it needs is with the anchor.  Also called by launch(), when the anchor needs
    // nothing or much.
    void spawn_prepared();
    // Something is prepared and not started: it has the descriptors that it will need by their numbers.
    [[nodiscard]] bool prepares() const { return !prepared_.empty(); }
    // The Spawner's descriptor is readable.
    void on_spawner(const Now& now);
    void end_turn() { identities_.forget(); }
    // A text of a run's configuration, expanded from the environment its main process has.
    Result<std::string> expanded(const model::ServiceSpec& spec, const std::string& text, std::string_view service,
                                 RunNumber run);

  private:
    void note(const model::out::Spawn& effect);
    void launch_with(const model::out::Spawn& effect, AnchorLink::Kept kept);
    void spawn_those();
    Result<kernel::Fd> log_output(RunThings& things, AnchorLink::Kept& kept);
    Result<std::vector<kernel::Fd>> listeners(const model::ServiceSpec& spec, const model::out::Spawn& effect,
                                              AnchorLink::Kept& kept);
    void take_stored(const model::Service& service, AnchorLink::Kept& kept, std::vector<kernel::Fd>& fds,
                     std::vector<std::string>& names);
    Result<kernel::Fd> console_way(const model::out::Spawn& effect, RunThings& things,
                                   const core::Engine::Owner& owner);
    [[nodiscard]] std::size_t at_once() const;
    void make_room();
    static void set_cgroup_limits(int leaf, const model::ServiceSpec& spec, bool tell);
    void fail(const model::out::Spawn& effect, std::string stage, const Error& error);
    // One sentence about why a start failed; it is also complained of.
    std::string failure(SpawnId spawn, const kernel::SpawnEvent& event) const;
    void started(SpawnId spawn, kernel::SpawnEvent& event);
    bool drop_hold(SpawnId spawn);
    std::optional<model::Command> runtime_command(const core::Engine::Owner& owner) const;

    Uses uses_;
    kernel::Fd null_;
    std::shared_ptr<const Inherited> inherited_;
    std::size_t room_ = 0;  // descriptors that our table has been made for
    kernel::ResourceLimitValue descriptor_limit_;
    Identities identities_;
    struct Prepared {
        model::out::Spawn effect;
        kernel::SpawnRequest request;
    };
    std::vector<model::out::Spawn> launching_;
    std::vector<Prepared> prepared_;
};

}  // namespace abide::manager
