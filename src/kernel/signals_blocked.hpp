// kernel/signals_blocked.hpp -- while this lives no signal is handled here or, before its own set-up, in a child that
// is cloned meanwhile.  By the raw call: the C library's wrapper keeps two signals back.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

namespace abide::kernel {

class AllSignalsBlocked {
  public:
    AllSignalsBlocked() {
        const std::uint64_t all = ~std::uint64_t{0};
        ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before_, sizeof(all));
    }
    ~AllSignalsBlocked() { ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, sizeof(before_)); }
    AllSignalsBlocked(const AllSignalsBlocked&) = delete;
    AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

  private:
    std::uint64_t before_ = 0;
};

}  // namespace abide::kernel
