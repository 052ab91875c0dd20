// kernel/epoll.hpp -- waiting for descriptors.  The one place where a loop sleeps.  A token is the caller's: it is
// given back with the events, and is never a pointer.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/time.hpp"
#include "kernel/fd.hpp"

namespace abide::kernel {

struct Ready {
    std::uint64_t token = 0;
    std::uint32_t events = 0;  // EPOLLIN, EPOLLOUT, EPOLLHUP, ...
};

class Epoll {
  public:
    static Result<Epoll> create();

    Status add(int fd, std::uint32_t events, std::uint64_t token);
    Status modify(int fd, std::uint32_t events, std::uint64_t token);
    // Before the descriptor is closed: a duplicate elsewhere would keep the registration alive.
    Status remove(int fd);

    // Sleeps until something is ready or the deadline has passed (kNever: no deadline; in the past: only looks).  The
    // span is valid until the next call.  An interrupting signal returns an empty span.
    Result<std::span<const Ready>> wait(Mono deadline);

    [[nodiscard]] int fd() const { return fd_.get(); }
    // Test switch: behave as on a kernel before 5.11.
    void forget_pwait2() { have_pwait2_ = false; }

  private:
    explicit Epoll(Fd fd) : fd_(std::move(fd)) {}
    int wait_once(Mono deadline);

    static constexpr int kBatch = 128;
    Fd fd_;
    bool have_pwait2_ = true;
    std::vector<epoll_event> events_ = std::vector<epoll_event>(kBatch);
    std::vector<Ready> ready_ = std::vector<Ready>(kBatch);
};

}  // namespace abide::kernel
