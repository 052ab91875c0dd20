// What is kept running, in each tier; and the arithmetic of its rules.
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.hpp"

namespace abide {
namespace {

class Keeper : public EachTier {};
INSTANTIATE_TEST_SUITE_P(Tier, Keeper, kTiers, tier_name);

restart_rules quick_rules() {
    restart_rules rules;
    rules.min = 5ms;
    rules.max = 10ms;
    rules.limit_count = 3;
    return rules;
}

TEST_P(Keeper, StartsAgainAndGivesUp) {
    const restart_rules rules = quick_rules();
    std::vector<restart_decision::action> story;
    auto k = m.keep(shell("exit 1"), rules, leave::kill, [&](const exit_event& e, const restart_decision& d) {
        EXPECT_EQ(e.status.code(), 1);
        story.push_back(d.what);
    });
    ASSERT_TRUE(k) << k.error().message();
    EXPECT_GT(k->pid(), 0);
    m.run();
    using enum restart_decision::action;
    EXPECT_EQ(story, (std::vector{restart, restart, restart, give_up}));
    EXPECT_EQ(k->restarts(), 3U);
    EXPECT_TRUE(k->resting());
    EXPECT_FALSE(m.keep(command("/nonexistent"), rules, leave::kill));
}

// A start that can't be executed is told like an end, and the last of them that nothing will come any more.
TEST_P(Keeper, TellsOfStartsThatFail) {
    const std::string path = testing::TempDir() + "abide-keeper-" + std::to_string(::getpid());
    std::ofstream(path) << "#!/bin/sh\nrm -- \"$0\"\nexit 4\n";
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
    using enum restart_decision::action;
    std::vector<restart_decision::action> story;
    auto k = m.keep(command(path).label("shy"), quick_rules(), leave::kill,
                    [&](const exit_event& e, const restart_decision& d) {
                        EXPECT_EQ(e.label, "shy");
                        EXPECT_EQ(d.failure.has_value(), !story.empty());
                        if (d.failure) {
                            EXPECT_EQ(d.failure->stage, start_stage::exec);
                            EXPECT_EQ(d.failure->number, ENOENT);
                            EXPECT_NE(d.failure->message().find(path), std::string::npos);
                            EXPECT_EQ(e.pid, 0);
                            EXPECT_EQ(e.status.how, ended::unknown);
                        } else {
                            EXPECT_EQ(e.status.code(), 4);
                        }
                        story.push_back(d.what);
                    });
    ASSERT_TRUE(k) << k.error().message();
    m.run();
    EXPECT_EQ(story, (std::vector{restart, restart, restart, give_up}));
    EXPECT_TRUE(k->resting());
    EXPECT_EQ(k->restarts(), 3U);
}

// Refused before there is a process at all: its group has gone.
TEST_P(Keeper, TellsOfStartsThatAreRefused) {
    auto g = m.make_group("short", leave::kill, group_tier::session);
    ASSERT_TRUE(g);
    std::vector<std::string> failures;
    auto k = m.keep(shell("exit 1").member_of(*g), quick_rules(), leave::kill,
                    [&](const exit_event&, const restart_decision& d) {
                        if (d.failure) failures.push_back(d.failure->what);
                        *g = group();
                    });
    ASSERT_TRUE(k) << k.error().message();
    m.run();
    EXPECT_EQ(failures, (std::vector<std::string>(3, "no such group")));
    EXPECT_TRUE(k->resting());
}

TEST_P(Keeper, SuccessRestsAndAStopIsFinal) {
    auto done = m.keep(shell("exit 0"), {}, leave::kill);
    restart_rules always;
    always.when = restart_when::always;
    auto stopped = m.keep(sleeper(), always, leave::kill);
    ASSERT_TRUE(done && stopped);
    const int pid = stopped->pid();
    ASSERT_TRUE(stopped->stop());
    m.run();
    EXPECT_TRUE(done->resting() && stopped->resting());
    EXPECT_EQ(done->restarts() + stopped->restarts(), 0U);
    EXPECT_TRUE(is_gone(pid));
    auto dropped = m.keep(sleeper(), always, leave::kill);
    ASSERT_TRUE(dropped);
    const int last = dropped->pid();
    *dropped = keeper();
    m.run();
    EXPECT_TRUE(is_gone(last));
}

TEST(RestartPolicy, GrowsResetsAndLimits) {
    restart_rules rules;
    rules.jitter = 0;
    rules.min = 100ms;
    rules.max = 1s;
    rules.factor = 3;
    rules.limit_count = 0;
    restart_policy policy(rules);
    const exit_status failure{ended::exited, 1, exit_source::wait};
    const std::chrono::steady_clock::time_point start{1h};
    std::vector<std::chrono::nanoseconds> delays;
    for (int i = 0; i < 6; ++i) delays.push_back(policy.next(failure, start, start + 1ms).delay);
    EXPECT_EQ(delays, (std::vector<std::chrono::nanoseconds>{0ms, 100ms, 300ms, 900ms, 1s, 1s}));
    // A long run forgets the past.
    EXPECT_EQ(policy.next(failure, start, start + 1min).delay, 0ms);
    EXPECT_EQ(policy.next(failure, start, start + 1ms).delay, 100ms);
    EXPECT_EQ(policy.next({ended::exited, 0, exit_source::wait}, start, start).what, restart_decision::action::rest);
    EXPECT_EQ(policy.next({}, start, start).what, restart_decision::action::restart) << "unknown is a failure";

    rules.limit_count = 2;
    restart_policy limited(rules);
    EXPECT_EQ(limited.next(failure, start, start).what, restart_decision::action::restart);
    EXPECT_EQ(limited.next(failure, start, start).what, restart_decision::action::restart);
    EXPECT_EQ(limited.next(failure, start, start).what, restart_decision::action::give_up);
    EXPECT_EQ(limited.next(failure, start + 61s, start + 61s).what, restart_decision::action::restart);

    rules.limit_count = 0;
    rules.jitter = 0.5;
    restart_policy one(rules, 7), same(rules, 7), other(rules, 8);
    bool differs = false;
    for (int i = 0; i < 10; ++i) {
        const auto a = one.next(failure, start, start), b = same.next(failure, start, start);
        differs |= a.delay != other.next(failure, start, start).delay;
        EXPECT_EQ(a.delay, b.delay);
        EXPECT_LE(a.delay, 1500ms);
    }
    EXPECT_TRUE(differs);
}

}  // namespace
}  // namespace abide
