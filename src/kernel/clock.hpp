// kernel/clock.hpp -- the only place where clocks are read.
#pragma once

#include <string>

#include "base/result.hpp"
#include "base/time.hpp"

namespace abide::kernel {

Now now();
Mono mono_now();
// The kernel's id of this boot (36 characters); deadlines in CLOCK_MONOTONIC mean something only within one boot.
Result<std::string> boot_id();
// Fills with random bytes of the kernel; never blocks once the machine has booted.
Status random_bytes(void* out, std::size_t size);

}  // namespace abide::kernel
