// kernel/spawn_child.hpp -- the way into a child that shares our memory.
#pragma once

#include "kernel/spawn_plan.hpp"

namespace abide::kernel {

// struct clone_args of clone3(2), first version with a cgroup (88 bytes).
struct CloneArguments {
    std::uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
        cgroup;
};

// Both return the child's pid or a negative errno.  The child never returns.
long enter_by_clone3(CloneArguments* arguments, std::size_t size, ChildPlan* plan);
long enter_by_clone(unsigned long flags, std::byte* stack_top, int* pidfd, ChildPlan* plan);
// The same for another child: it runs `run`, which never returns and is as careful as ours (spawn_child.cc).  `pidfd`:
// where CLONE_PIDFD puts it.
long enter_child(unsigned long flags, std::byte* stack_top, int* pidfd, void (*run)(void*), void* what);

}  // namespace abide::kernel
