// Signal names are part of the configuration and of the journal: the same word must always mean the same number.
#include "model/signal.hpp"

#include <gtest/gtest.h>
#include <signal.h>

namespace abide::model {
namespace {

TEST(Signal, NamesAndNumbersAgreeWithTheKernels) {
    EXPECT_EQ(parse_signal("TERM"), SIGTERM);
    EXPECT_EQ(parse_signal("SIGHUP"), SIGHUP);
    EXPECT_EQ(parse_signal("15"), 15);
    EXPECT_EQ(parse_signal("USR1"), SIGUSR1);
    EXPECT_EQ(parse_signal("USR2"), SIGUSR2);
    EXPECT_EQ(parse_signal("CHLD"), SIGCHLD);
    EXPECT_EQ(parse_signal("WINCH"), SIGWINCH);
    EXPECT_EQ(parse_signal("STKFLT"), SIGSTKFLT);
    EXPECT_EQ(parse_signal("SYS"), SIGSYS);
    EXPECT_EQ(parse_signal("IOT"), SIGABRT);
    EXPECT_EQ(parse_signal("POLL"), SIGIO);
    EXPECT_EQ(parse_signal("RTMIN+3"), 37);
    EXPECT_EQ(parse_signal("SIGRTMAX"), 64);
    EXPECT_EQ(parse_signal("RTMAX-1"), 63);
}

TEST(Signal, EveryNumberRoundTrips) {
    for (int number = 1; number <= 64; ++number)
        EXPECT_EQ(parse_signal(signal_name(number)), number) << signal_name(number);
    EXPECT_EQ(signal_name(15), "TERM");
    EXPECT_EQ(signal_name(37), "RTMIN+3");
    EXPECT_EQ(signal_name(32), "32");
    EXPECT_EQ(signal_name(65), "65");
}

TEST(Signal, RefusesEverythingElse) {
    for (const char* bad : {"", "0", "65", "-1", "term", "SIG", "SIGSIGTERM", "RTMIN+31", "RTMIN+", "RTMIN-1",
                            "RTMAX-31", "15 ", "TERMX", "+15"}) {
        EXPECT_EQ(parse_signal(bad), std::nullopt) << bad;
    }
}

}  // namespace
}  // namespace abide::model
