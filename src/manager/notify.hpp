// manager/notify.hpp -- reads the notify sockets: who says what about which run.
//
// Authenticates every datagram: the sender must be a process of the run whose socket it is, by the kernel's credentials
// and its control group (or session and user).  Knows no policy.  Invariant: one run's flood takes at most
// limits::kNotifyPerTurn datagrams of a turn; pings of a watchdog are put together; what was said stays in its socket
// or pipe until it is in the journal, so a successor hears it again (each word may be said twice, stored descriptors
// too).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/engine.hpp"
#include "kernel/socket.hpp"
#include "manager/inbox.hpp"
#include "manager/runs.hpp"
#include "manager/stored.hpp"
#include "manager/tracking.hpp"
#include "protocol/notify.hpp"

namespace abide::manager {

class Notify {
  public:
    Notify(const core::Engine& engine, Inbox& inbox, Tracking& tracking, Runs& runs, AnchorLink& anchor, Stored& stored)
        : engine_(engine), inbox_(inbox), tracking_(tracking), runs_(runs), anchor_(anchor), stored_(stored) {}

    // The notify socket of this run is readable.
    void on_ready(std::uint64_t key);
    // The readiness pipe of this run is readable: a newline means ready.
    void on_ready_pipe(std::uint64_t key);
    // What was looked at in this turn is in the journal: it is taken away.
    void journaled(kernel::Epoll& epoll);
    // Datagrams that were dropped because their sender is not of the run.
    [[nodiscard]] std::uint64_t refused() const { return refused_; }

  private:
    struct Looked {
        std::uint64_t key = 0;
        std::size_t datagrams = 0;
    };
    // Of one run in one turn.
    struct Batch {
        std::int32_t last_pid = 0;
        bool pinged = false;
    };
    bool is_genuine(RunThings& things, const model::Run& run, const kernel::Received& datagram, std::int32_t& last_pid);
    std::uint32_t user_of_run(RunThings& things, const model::Run& run);
    void on_datagram(std::uint64_t key, RunThings& things, kernel::Received datagram, std::string_view bytes,
                     Batch& batch);
    void take(RunThings& things, const model::Run& run, const notify::Message& message, std::vector<kernel::Fd> fds);

    const core::Engine& engine_;
    Inbox& inbox_;
    Tracking& tracking_;
    Runs& runs_;
    AnchorLink& anchor_;
    Stored& stored_;
    std::uint64_t refused_ = 0;
    std::vector<Looked> looked_at_;
    std::vector<std::uint64_t> answered_pipes_;
    std::set<std::uint64_t> complained_;  // runs whose refused senders were told of
};

}  // namespace abide::manager
