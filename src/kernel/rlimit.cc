// kernel/rlimit.cc -- see rlimit.hpp.
#include "kernel/rlimit.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "kernel/fd.hpp"

namespace abide::kernel {

std::string_view limit_name(int resource) {
    switch (resource) {
        case RLIMIT_CPU: return "cpu";
        case RLIMIT_FSIZE: return "fsize";
        case RLIMIT_DATA: return "data";
        case RLIMIT_STACK: return "stack";
        case RLIMIT_CORE: return "core";
        case RLIMIT_RSS: return "rss";
        case RLIMIT_NPROC: return "nproc";
        case RLIMIT_NOFILE: return "nofile";
        case RLIMIT_MEMLOCK: return "memlock";
        case RLIMIT_AS: return "as";
        case RLIMIT_LOCKS: return "locks";
        case RLIMIT_SIGPENDING: return "sigpending";
        case RLIMIT_MSGQUEUE: return "msgqueue";
        case RLIMIT_NICE: return "nice";
        case RLIMIT_RTPRIO: return "rtprio";
        case RLIMIT_RTTIME: return "rttime";
        default: return "limit";
    }
}

// RLIM_INFINITY is all ones, like "unlimited" in the model.
Result<ResourceLimitValue> get_limit(int resource) {
    rlimit64 value{};
    if (::prlimit64(0, static_cast<__rlimit_resource>(resource), nullptr, &value) != 0) {
        return fail_errno(errno, "can't read a resource limit");
    }
    return ResourceLimitValue{resource, value.rlim_cur, value.rlim_max};
}

Status set_limit(const ResourceLimitValue& limit) {
    const rlimit64 value{limit.soft, limit.hard};
    if (::prlimit64(0, static_cast<__rlimit_resource>(limit.resource), &value, nullptr) != 0) {
        return fail_errno(errno, "can't set a resource limit");
    }
    return {};
}

Status check_descriptor_room(std::uint64_t spare) {
    const Result<ResourceLimitValue> limit = get_limit(RLIMIT_NOFILE);
    if (!limit) return std::unexpected(limit.error());
    // The lowest free number: all below it are in use.
    const Fd lowest(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
    const std::uint64_t used = lowest ? static_cast<std::uint64_t>(lowest.get()) : limit->soft;
    if (used + spare <= limit->soft) return {};
    return std::unexpected(Error{ErrorKind::refused,
                                 std::to_string(used) + " of " + std::to_string(limit->soft) +
                                     " descriptors are in use, and " + std::to_string(spare) + " must stay free",
                                 EMFILE, "raise the hard limit of open files"});
}

Result<ResourceLimitValue> raise_descriptor_limit() {
    Result<ResourceLimitValue> before = get_limit(RLIMIT_NOFILE);
    if (!before || before->soft == before->hard) return before;
    if (Status s = set_limit({RLIMIT_NOFILE, before->hard, before->hard}); !s) return std::unexpected(s.error());
    return before;
}

Status reserve_descriptors(std::size_t count) {
    const Result<ResourceLimitValue> limit = get_limit(RLIMIT_NOFILE);
    if (!limit) return std::unexpected(limit.error());
    const Fd any(::open("/", O_PATH | O_CLOEXEC));
    if (!any) return fail_errno(errno, "can't open /");
    const auto last = static_cast<int>(std::min<std::uint64_t>({count, limit->soft, 1u << 20})) - 1;
    const Fd high(::fcntl(any.get(), F_DUPFD_CLOEXEC, last));
    return high ? Status{} : fail_errno(errno, "can't enlarge the descriptor table");
}

}  // namespace abide::kernel
