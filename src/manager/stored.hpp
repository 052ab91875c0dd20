// manager/stored.hpp -- descriptors that services give away for their next run (FDSTORE=1, sd_notify(3)).
//
// Holds each beside the anchor, which keeps it, to notice a hang-up of its other end.  Knows no policy.  Invariant: a
// descriptor that came from a service is with the anchor before it is closed here, and is closed for good by the
// anchor's short-lived child: the last close of such a thing may take as long as it likes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/engine.hpp"
#include "kernel/epoll.hpp"
#include "kernel/fd.hpp"
#include "manager/anchor_link.hpp"
#include "manager/inbox.hpp"

namespace abide::manager {

class Stored {
  public:
    Stored(kernel::Epoll& epoll, AnchorLink& anchor, Inbox& inbox) : epoll_(epoll), anchor_(anchor), inbox_(inbox) {}
    // Keys are made of it and a counter, so no two managers make the same.
    void set_epoch(std::uint64_t epoch) { epoch_ = epoch; }

    // Gives what came with FDSTORE=1 to the anchor: the keys.  What the service has stored already is not kept twice.
    // `poll`: a descriptor whose other end hangs up is of no use.
    std::vector<FdKey> keep(const std::string& service, std::vector<kernel::Fd> fds, bool poll);
    // What came without being asked for.
    void discard(std::vector<kernel::Fd> fds);
    void drop(FdKey key);
    // It hung up.
    void on_ready(std::uint64_t id);

    // After a manager came back: `kept` are all keys of the anchor.  Those that no service speaks of are dropped.
    Status recover(const core::Engine& engine, const std::vector<std::uint64_t>& kept);

  private:
    struct Entry {
        std::string service;
        SharedFd fd;
        bool polled = false;
    };
    std::uint64_t put(SharedFd fd);
    void watch(std::uint64_t key, const std::string& service, SharedFd fd, bool poll);

    kernel::Epoll& epoll_;
    AnchorLink& anchor_;
    Inbox& inbox_;
    std::uint64_t epoch_ = 0, last_ = 0;
    std::map<std::uint64_t, Entry> watched_;  // by key
};

}  // namespace abide::manager
