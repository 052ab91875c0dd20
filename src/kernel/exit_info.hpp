// kernel/exit_info.hpp -- how a process ended that is nobody's child of ours, where the kernel keeps that.
#pragma once

#include <cstdint>
#include <optional>

namespace abide::kernel {

struct ExitInfo {
    bool by_signal = false, core_dumped = false;
    std::int32_t value = 0;  // exit code or signal
};
// PIDFD_GET_INFO with PIDFD_INFO_EXIT (Linux 6.15, pidfd_open(2)): the pidfd must have been open when the process was
// reaped, and it must have been.  nullopt: not yet, or not on this kernel.
std::optional<ExitInfo> exit_info(int pidfd);

}  // namespace abide::kernel
