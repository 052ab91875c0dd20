// kernel/hold.hpp -- what the set-up program abide-hold is told.  It has memory of its own, so it may do what a child
// that still shares the manager's memory must not: namespaces, its oom score, waiting.  The Spawner uses it by itself
// when a request has a HoldRequest; the wire form is private to the Spawner and abide-hold, which are installed
// together.
#pragma once

#include <cstdint>

namespace abide::kernel {

// Bytes for HoldRequest::release_fd.
inline constexpr char kHoldGo = 'g';
inline constexpr char kHoldAsk = '?';
// What a process is called (/proc/PID/comm) from the start of abide-hold to the exec of its program.
inline constexpr char kHoldComm[] = "abide-hold";

struct HoldRequest {
    bool private_tmp = false;  // a mount namespace with an own /tmp and /var/tmp
    bool has_oom_score = false;
    std::int32_t oom_score_adjust = 0;
    // `create`: set up everything, say `held`, then wait until a byte can be read here.  kHoldGo: exec; kHoldAsk: say
    // `held` once more.  End of file: exit without exec.  Usually the read end of a pipe whose write end is kept by
    // somebody who lives longer than the manager.
    int release_fd = -1;
    // Both ends of the pipe that tells how it went, borrowed; -1: one of the Spawner's own.  Whoever comes after us
    // goes on reading at a kept copy of the read end (Spawner::resume).
    int told_read = -1, told_write = -1;

    [[nodiscard]] bool needed() const { return private_tmp || has_oom_score || release_fd >= 0; }
};

}  // namespace abide::kernel
