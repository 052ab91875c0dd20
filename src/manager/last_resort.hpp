// manager/last_resort.hpp -- the anchor was killed (it is not PID 1, so it can be): a new one takes its place.
//
// Holds duplicates of what the anchor keeps for the instance as a whole, from the start on, since they can't be had
// afterwards.  What the anchor kept for single services is found again at the services themselves (their output pipe),
// or is held by this manager too, and the next one inherits it through a socket: listening sockets, with the
// connections that wait on them, what services had stored, and all by which they speak to us (notify sockets, with what
// was said and not taken yet, readiness pipes, the pipes of one that is held before its exec).  The services are not
// the new anchor's children: how one ends is known from its pidfd where the kernel says it (6.15), else it is unknown.
// Invariant: from the start of the new anchor on, this manager does nothing but end.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kernel/spawn.hpp"
#include "manager/anchor_link.hpp"

namespace abide::manager {

// Descriptors by the key under which the anchor kept them.
using Heirlooms = std::vector<std::pair<std::uint64_t, int>>;

class LastResort {
  public:
    // While the anchor lives.  What can't be had is left out.
    // `limit`: of open files, as the anchor was started with.
    void prepare(AnchorLink& anchor, const anchor::HelloAnswer& hello, std::string instance,
                 kernel::ResourceLimitValue limit);
    // The journal as it is now, after a compaction too.
    void set_journal(SharedFd journal) { journal_ = std::move(journal); }
    void set_logger(SharedFd socket, SharedFd pidfd);
    // The anchor's program, as it is now: the anchor may replace itself.
    void look_at_anchor(std::int32_t pid);

    // The anchor is gone.  True: a new one has been started, and will start a manager; this one must end at once.
    // `heirlooms`: what the next manager could neither find again nor make anew; where there is no room for all of it,
    // the first ones.
    bool start(kernel::Spawner& spawner, std::uint64_t epoch, const Heirlooms& heirlooms);
    // The other side of it: everything goes to the new anchor.
    static Status inherit(AnchorLink& anchor);

  private:
    AnchorLink::Kept held_;
    SharedFd journal_, logger_socket_, logger_pidfd_;
    kernel::Fd program_;
    std::string instance_;
    kernel::ResourceLimitValue limit_;
};

}  // namespace abide::manager
