// kernel/exit_info.cc -- see the header.  The structures stand here, since the headers of Debian 12 are older.
#include "kernel/exit_info.hpp"

#include <sys/ioctl.h>
#include <sys/wait.h>

namespace abide::kernel {

namespace {

struct PidfdInfo {  // struct pidfd_info, up to and with what was added for 6.15
    std::uint64_t mask = 0, cgroup = 0;
    std::uint32_t pid = 0, tgid = 0, ppid = 0, ruid = 0, rgid = 0, euid = 0, egid = 0, suid = 0, sgid = 0, fsuid = 0,
                  fsgid = 0;
    std::int32_t exit_code = 0;
};
static_assert(sizeof(PidfdInfo) == 64);

constexpr std::uint64_t kWantExit = 1u << 3;  // PIDFD_INFO_EXIT
constexpr unsigned long kGetInfo = _IOWR(0xFF, 11, PidfdInfo);

}  // namespace

std::optional<ExitInfo> exit_info(int pidfd) {
    PidfdInfo info;
    info.mask = kWantExit;
    if (::ioctl(pidfd, kGetInfo, &info) != 0 || (info.mask & kWantExit) == 0) return std::nullopt;
    ExitInfo out;
    out.by_signal = WIFSIGNALED(info.exit_code);
    out.core_dumped = out.by_signal && WCOREDUMP(info.exit_code);
    out.value = out.by_signal ? WTERMSIG(info.exit_code) : WEXITSTATUS(info.exit_code);
    return out;
}

}  // namespace abide::kernel
