// manager/hold_pipes.hpp -- the ends that a main process is given when it is to be held before its exec
// (kernel/hold.hpp). The others are a run's things, and are kept by the anchor as well, so that any later manager can
// let it go.
#pragma once

#include "kernel/fd.hpp"

namespace abide::manager {

struct HoldEnds {
    kernel::Fd release_read;
    kernel::Fd told_read, told_write;
};

}  // namespace abide::manager
