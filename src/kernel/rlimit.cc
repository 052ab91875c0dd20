// kernel/rlimit.cc -- see rlimit.hpp.
#include "kernel/rlimit.hpp"

#include <sys/resource.h>

#include <cerrno>

namespace abide::kernel {

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

Result<ResourceLimitValue> raise_descriptor_limit() {
    Result<ResourceLimitValue> before = get_limit(RLIMIT_NOFILE);
    if (!before || before->soft == before->hard) return before;
    if (Status s = set_limit({RLIMIT_NOFILE, before->hard, before->hard}); !s) return std::unexpected(s.error());
    return before;
}

}  // namespace abide::kernel
