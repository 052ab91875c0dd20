// kernel/epoll.cc -- see epoll.hpp.
#include "kernel/epoll.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "kernel/clock.hpp"

namespace abide::kernel {
namespace {

Status control(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t token) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = token;
    if (::epoll_ctl(epoll, operation, fd, &event) != 0) return fail_errno(errno, "can't watch a descriptor");
    return {};
}

// struct __kernel_timespec, which epoll_pwait2(2) takes.
struct KernelTimespec {
    std::int64_t seconds, nanoseconds;
};

}  // namespace

Result<Epoll> Epoll::create() {
    Fd fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!fd) return fail_errno(errno, "no epoll");
    return Epoll(std::move(fd));
}

Status Epoll::add(int fd, std::uint32_t events, std::uint64_t token) {
    return control(fd_.get(), EPOLL_CTL_ADD, fd, events, token);
}
Status Epoll::modify(int fd, std::uint32_t events, std::uint64_t token) {
    return control(fd_.get(), EPOLL_CTL_MOD, fd, events, token);
}
Status Epoll::remove(int fd) {
    return control(fd_.get(), EPOLL_CTL_DEL, fd, 0, 0);
}

int Epoll::wait_once(Mono deadline) {
    const bool forever = deadline == kNever;
    const bool only_look = deadline.ns <= 0;
    const std::int64_t left = forever ? 0 : only_look ? 0 : std::max<std::int64_t>(0, deadline.ns - mono_now().ns);
    if (have_pwait2_ && !only_look) {
        const KernelTimespec timeout{left / 1'000'000'000, left % 1'000'000'000};
        const long n =
            ::syscall(SYS_epoll_pwait2, fd_.get(), events_.data(), kBatch, forever ? nullptr : &timeout, nullptr, 0);
        // A container's profile may answer EPERM for calls that it doesn't know.
        if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(n);
        have_pwait2_ = false;
    }
    // Rounded up: waking before the deadline would make the caller spin.
    const std::int64_t ms = (left + 999'999) / 1'000'000;
    const int timeout = forever ? -1 : static_cast<int>(std::min<std::int64_t>(ms, std::numeric_limits<int>::max()));
    return ::epoll_wait(fd_.get(), events_.data(), kBatch, timeout);
}

Result<std::span<const Ready>> Epoll::wait(Mono deadline) {
    const int n = wait_once(deadline);
    if (n < 0 && errno != EINTR) return fail_errno(errno, "epoll failed");
    const auto count = static_cast<std::size_t>(std::max(n, 0));
    for (std::size_t i = 0; i < count; ++i) ready_[i] = {events_[i].data.u64, events_[i].events};
    return std::span<const Ready>(ready_.data(), count);
}

}  // namespace abide::kernel
