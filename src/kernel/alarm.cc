// kernel/alarm.cc -- see the header.
#include "kernel/alarm.hpp"

#include <sys/time.h>

#include "kernel/clock.hpp"

namespace abide::kernel {

namespace {

void set(Duration bound) {
    constexpr std::int64_t kSecond = 1'000'000'000, kMicrosecond = 1000;
    const itimerval value{{}, {bound.ns / kSecond, bound.ns % kSecond / kMicrosecond}};
    ::setitimer(ITIMER_REAL, &value, nullptr);  // it fails for wrong values only
}

}  // namespace

Alarm::Alarm(Duration bound) : bound_(bound), set_(mono_now()) {
    set(bound_);
}
Alarm::~Alarm() {
    set({});
}
void Alarm::renew() {
    constexpr std::int64_t kParts = 16;
    const Mono now = mono_now();
    if ((now - set_).ns < bound_.ns / kParts) return;
    set_ = now;
    set(bound_);
}

}  // namespace abide::kernel
