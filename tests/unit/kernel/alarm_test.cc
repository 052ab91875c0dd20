// A bound for ourselves: each step has nearly all of it, and nothing is left behind.
#include "kernel/alarm.hpp"

#include <gtest/gtest.h>
#include <sys/time.h>

#include "kernel/program.hpp"

using namespace abide;

namespace {

// Until SIGALRM; 0: never.
Duration left() {
    itimerval value{};
    ::getitimer(ITIMER_REAL, &value);
    return {value.it_value.tv_sec * 1'000'000'000 + value.it_value.tv_usec * 1000};
}

}  // namespace

TEST(Alarm, TheNextStepHasNearlyAsLongAndTheLastLeavesNone) {
    constexpr Duration kBound = seconds(32), kNearly = seconds(30);
    {
        kernel::Alarm alarm(kBound);
        while (left() > kNearly) kernel::sleep_for(milliseconds(10));
        alarm.renew();
        EXPECT_GT(left(), kNearly);
    }
    EXPECT_EQ(left(), Duration{});
}
