// kernel/hold.hpp -- what the set-up program abide-hold is told.  It has memory of its own, so it may do what a child
// that still shares the manager's memory must not: namespaces, its oom score, waiting.  The Spawner uses it by itself
// when a request has a HoldRequest; the wire form is private to the Spawner and abide-hold, which are installed
// together.
#pragma once

#include <cstdint>

namespace abide::kernel {

struct HoldRequest {
    bool private_tmp = false;  // a mount namespace with an own /tmp and /var/tmp
    bool has_oom_score = false;
    std::int32_t oom_score_adjust = 0;
    // `create`: set up everything, say `held`, then wait until a byte can be read here.  End of file: exit without
    // exec. Usually the read end of a pipe whose write end is kept by somebody who lives longer than the manager.
    int release_fd = -1;

    [[nodiscard]] bool needed() const { return private_tmp || has_oom_score || release_fd >= 0; }
};

}  // namespace abide::kernel
