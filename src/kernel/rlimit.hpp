// kernel/rlimit.hpp -- resource limits.  The manager raises its own soft limit of descriptors to the hard one; its
// children get the original back.
#pragma once

#include <sys/resource.h>  // for whoever names a limit

#include <cstdint>

#include <string_view>

#include "base/result.hpp"

namespace abide::kernel {

struct ResourceLimitValue {
    int resource = 0;  // RLIMIT_*
    std::uint64_t soft = 0, hard = 0;
};
// "nofile": as limits.conf(5) and abide.toml call it; "limit" for a number that we don't know.
std::string_view limit_name(int resource);
Result<ResourceLimitValue> get_limit(int resource);
Status set_limit(const ResourceLimitValue& limit);
// Fails (refused), with the numbers, when fewer than `spare` descriptors can still be opened.
Status check_descriptor_room(std::uint64_t spare);
// Returns what was set before, for the children.
Result<ResourceLimitValue> raise_descriptor_limit();
// Makes our descriptor table large enough for numbers below `count`, or as many as the limit allows.  To be called
// while no child shares it: the kernel enlarges a shared table only after a grace period (expand_files() in fs/file.c;
// 8 to 16 ms were seen), in the middle of a start of hundreds.
Status reserve_descriptors(std::size_t count);

}  // namespace abide::kernel
