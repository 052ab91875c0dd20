// kernel/wake.hpp -- two descriptors that make an epoll return: one that anybody may ring, and one that rings at a
// time.
#pragma once

#include "base/time.hpp"
#include "kernel/fd.hpp"

namespace abide::kernel {

// An eventfd.  ring() is async-signal-safe and may be called from any thread.
class Bell {
  public:
    static Result<Bell> create();
    // One that another process has made.
    explicit Bell(Fd fd) : fd_(std::move(fd)) {}
    [[nodiscard]] int fd() const { return fd_.get(); }
    void ring() const noexcept;
    void silence() const noexcept;

  private:
    Fd fd_;
};

// A timerfd at an instant of CLOCK_MONOTONIC; kNever: never.  Readable from then on, until it is set again.
class AlarmClock {
  public:
    static Result<AlarmClock> create();
    [[nodiscard]] int fd() const { return fd_.get(); }
    void set(Mono when);

  private:
    explicit AlarmClock(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;
    Mono set_ = kNever;
};

}  // namespace abide::kernel
