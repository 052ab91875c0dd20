// kernel/wake.cc -- see wake.hpp.
#include "kernel/wake.hpp"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "base/check.hpp"

namespace abide::kernel {

Result<Bell> Bell::create() {
    Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) return fail_errno(errno, "no eventfd");
    return Bell(std::move(fd));
}

void Bell::ring() const noexcept {
    const int err = errno;
    const std::uint64_t one = 1;
    // Fails only when it has rung very often already.
    static_cast<void>(!::write(fd_.get(), &one, sizeof(one)));
    errno = err;
}

void Bell::silence() const noexcept {
    std::uint64_t count = 0;
    static_cast<void>(!::read(fd_.get(), &count, sizeof(count)));
}

Result<AlarmClock> AlarmClock::create() {
    Fd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!fd) return fail_errno(errno, "no timer");
    return AlarmClock(std::move(fd));
}

void AlarmClock::set(Mono when) {
    if (when == set_) return;
    set_ = when;
    itimerspec spec{};
    if (when != kNever) {
        const std::int64_t ns = std::max<std::int64_t>(when.ns, 1);  // zero would switch it off
        spec.it_value = {ns / 1'000'000'000, ns % 1'000'000'000};
    }
    CHECK(::timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &spec, nullptr) == 0, "our own timer can't be set");
}

}  // namespace abide::kernel
