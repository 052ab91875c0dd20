// manager/executor.hpp -- carries out what the engine decided: one effect, one thing done to the kernel.
//
// Knows no policy; every kind of effect has its line, and a new one does not compile without.  Invariant: it runs only
// after the change of state that an effect follows from is in the journal.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/engine.hpp"
#include "kernel/epoll.hpp"
#include "manager/anchor_link.hpp"
#include "manager/cursor.hpp"
#include "manager/inbox.hpp"
#include "manager/launcher.hpp"
#include "manager/probes.hpp"
#include "manager/processes.hpp"
#include "manager/runs.hpp"
#include "manager/stored.hpp"
#include "manager/tracking.hpp"
#include "manager/upgrader.hpp"
#include "model/effect.hpp"

namespace abide::manager {

class Executor {
  public:
    struct Uses {
        const core::Engine& engine;
        kernel::Epoll& epoll;
        AnchorLink& anchor;
        Inbox& inbox;
        Processes& processes;
        Runs& runs;
        Tracking& tracking;
        Launcher& launcher;
        Probes& probes;
        Stored& stored;
        Upgrader& upgrader;
        Cursor& cursor;
        const std::int32_t& anchor_pid;
    };
    explicit Executor(Uses uses) : uses_(uses) {}

    void carry_out(const std::vector<model::Effect>& effects, const Now& now);
    // The anchor's answer about a process that has ended, or is lost.  False: ask again in a moment, when its parent
    // has reaped it.
    [[nodiscard]] bool on_peeked(const anchor::Exit& exit, const Now& now);

    // Operations that ended since the last call: to be answered last.
    std::vector<model::Operation> take_replies() { return std::exchange(replies_, {}); }
    [[nodiscard]] std::optional<std::int32_t> ended() const { return ended_; }

  private:
    void run(const model::out::Spawn& effect);
    void run(const model::out::LetGo& effect);
    void run(const model::out::Signal& effect);
    void run(const model::out::KillAll& effect);
    void run(const model::out::KillProcess& effect);
    void run(const model::out::Adopt& effect);
    void run(const model::out::FindMain& effect);
    void run(const model::out::Freeze& effect);
    void run(const model::out::Probe& effect);
    void run(const model::out::WatchEmpty& effect);
    void run(const model::out::Release& effect);
    void run(const model::out::DropStored& effect);
    void run(const model::out::Reply& effect);
    void run(const model::out::Publish& effect);
    void run(const model::out::Upgrade& effect);
    void run(const model::out::EndInstance& effect);

    void refuse(const model::Effect& effect);
    const model::Run* run_of(const std::string& service, RunNumber run) const;
    bool ask_the_kernel(anchor::Exit& exit);
    void signal_known(const model::out::Signal& effect, const model::Run& run);
    void signal_others(const model::out::Signal& effect);
    [[nodiscard]] std::vector<std::int32_t> children_of(const model::Run& run) const;
    void signal_process(SpawnId spawn, int signal, const std::string& service);
    bool is_of_run(const model::in::Probed& question, std::int32_t pid);
    void probe_pid_file(const model::in::Probed& question, const std::string& path, bool health);

    Uses uses_;
    const Now* now_ = nullptr;
    // Signals whose known processes have them, while the others have still to be looked for.
    std::vector<const model::out::Signal*> half_sent_;
    std::vector<model::Operation> replies_;
    std::map<std::int32_t, int> asked_again_;  // by pid
    std::optional<std::int32_t> ended_;
};

}  // namespace abide::manager
