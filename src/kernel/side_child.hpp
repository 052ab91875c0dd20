// kernel/side_child.hpp -- a child that shares our memory (CLONE_VM) and does one slow thing while we go on.
//
// It runs on a stack of its own and handles no signal; nobody but us is told of its end.  What it runs is as careful as
// a child before its exec (spawn_child.cc): raw system calls only, nothing of the C library.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>

namespace abide::kernel {

class SideChild {
  public:
    SideChild() = default;
    ~SideChild() { wait(); }
    SideChild(const SideChild&) = delete;
    SideChild& operator=(const SideChild&) = delete;

    // `run` never returns.  `what` and we stay where we are until wait(); `flags` beside CLONE_VM, such as CLONE_FILES.
    // False: there is none to be had, or one runs already.
    bool start(unsigned long flags, void (*run)(void*), void* what);
    [[nodiscard]] bool runs() const { return pid_ != 0; }
    // Until it has ended; at once when there is none.
    void wait();

  private:
    static constexpr std::size_t kStackBytes = 4096;
    pid_t pid_ = 0;
    alignas(16) std::array<std::byte, kStackBytes> stack_;
};

}  // namespace abide::kernel
