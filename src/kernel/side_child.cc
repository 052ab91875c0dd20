// kernel/side_child.cc -- see side_child.hpp.
#include "kernel/side_child.hpp"

#include <sched.h>
#include <sys/wait.h>

#include <cerrno>

#include "kernel/signals_blocked.hpp"
#include "kernel/spawn_child.hpp"

namespace abide::kernel {

bool SideChild::start(unsigned long flags, void (*run)(void*), void* what) {
    if (runs()) return false;
    const AllSignalsBlocked blocked;
    const long pid = enter_child(CLONE_VM | flags, stack_.data() + kStackBytes, nullptr, run, what);
    if (pid > 0) pid_ = static_cast<pid_t>(pid);
    return runs();
}

void SideChild::wait() {
    if (!runs()) return;
    // Without an exit signal: only __WALL finds it.
    while (::waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {}
    pid_ = 0;
}

}  // namespace abide::kernel
