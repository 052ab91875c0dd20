// kernel/alarm.cc -- see the header.
#include "kernel/alarm.hpp"

#include <sys/time.h>

namespace abide::kernel {

namespace {

void set(Duration bound) {
    constexpr std::int64_t kSecond = 1'000'000'000, kMicrosecond = 1000;
    const itimerval value{{}, {bound.ns / kSecond, bound.ns % kSecond / kMicrosecond}};
    ::setitimer(ITIMER_REAL, &value, nullptr);  // it fails for wrong values only
}

}  // namespace

Alarm::Alarm(Duration bound) : bound_(bound) {
    set(bound_);
}
Alarm::~Alarm() {
    set({});
}
void Alarm::renew() const {
    set(bound_);
}

}  // namespace abide::kernel
