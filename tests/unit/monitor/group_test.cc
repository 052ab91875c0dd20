// Several processes as one, in both tiers of groups; and what is kept running.
#include <signal.h>
#include <unistd.h>

#include "fixture.hpp"

namespace abide {
namespace {

class Groups : public testing::TestWithParam<group_tier> {
  protected:
    void SetUp() override {
        auto made = m.make_group("test", leave::kill, GetParam());
        ASSERT_TRUE(made) << made.error().message();
        g = std::move(*made);
        if (g.tier() != GetParam()) GTEST_SKIP() << "no control groups here";
    }
    result<process> start(const std::string& script) {
        return m.spawn(shell(script).member_of(g).out(stdio::null()), leave::detach);
    }
    monitor m = make();
    group g;
};
INSTANTIATE_TEST_SUITE_P(Tier, Groups, testing::Values(group_tier::cgroup, group_tier::session),
                         [](const auto& tier) { return std::string(to_string(tier.param)); });

TEST_P(Groups, KillTakesDescendantsToo) {
    int empty = 0;
    g.on_empty([&] { ++empty; });
    EXPECT_TRUE(g.empty());
    auto a = start("sleep 30 & sleep 30 & wait");
    auto b = start("sleep 30");
    ASSERT_TRUE(a && b);
    EXPECT_TRUE(until(m, [&] { return g.members()->size() >= 4; }, 5s)) << g.members()->size();
    const std::vector<int> all = *g.members();
    EXPECT_FALSE(g.empty());
    EXPECT_EQ(empty, 0);
    EXPECT_TRUE(g.kill());
    EXPECT_TRUE(until(m, [&] { return empty == 1; }, 5s));
    for (const int pid : all) EXPECT_TRUE(is_gone(pid));
    EXPECT_TRUE(g.empty());
    EXPECT_EQ(a->exit()->status.signal(), SIGKILL);
    EXPECT_EQ(a->exit()->cause, exit_cause::asked);
    // It can be used again.
    auto c = start("exit 0");
    ASSERT_TRUE(c) << c.error().message();
    EXPECT_TRUE(until(m, [&] { return empty == 2; }, 5s));
}

TEST_P(Groups, OnEmptyWaitsForDescendants) {
    bool empty = false, ended = false;
    g.on_empty([&] { empty = true; });
    auto p = m.spawn(shell("sleep 0.3 & exit 0").member_of(g).out(stdio::null()), leave::detach,
                     [&](const exit_event&) { ended = true; });
    ASSERT_TRUE(p);
    EXPECT_TRUE(until(m, [&] { return ended; }));
    EXPECT_FALSE(empty);
    EXPECT_TRUE(until(m, [&] { return empty; }, 5s));
}

TEST_P(Groups, FreezeAndThaw) {
    auto p = start("while :; do :; done");
    ASSERT_TRUE(p);
    const auto work = [&] {
        std::ifstream file("/proc/" + std::to_string(p->pid()) + "/stat");
        std::string word;
        for (int i = 0; i < 14; ++i) file >> word;
        return std::stol(word);
    };
    ASSERT_TRUE(g.freeze());
    nap(100ms);
    const long before = work();
    nap(200ms);
    EXPECT_EQ(work(), before);
    ASSERT_TRUE(g.thaw());
    nap(300ms);
    EXPECT_GT(work(), before);
    EXPECT_TRUE(g.kill());
    EXPECT_TRUE(p->wait(within(5s)));
}

TEST_P(Groups, AStopClimbsDown) {
    auto deaf = start("trap '' TERM; while :; do sleep 0.05; done");
    auto polite = start("trap 'exit 3' TERM; while :; do sleep 0.01; done");
    ASSERT_TRUE(deaf && polite);
    nap(100ms);
    ASSERT_TRUE(g.stop({{SIGTERM, 150ms}, {SIGKILL, 0s}}));
    EXPECT_TRUE(until(m, [&] { return !deaf->running() && !polite->running(); }, 5s));
    EXPECT_EQ(deaf->exit()->status.signal(), SIGKILL);
    EXPECT_EQ(polite->exit()->status.code(), 3);
    EXPECT_EQ(polite->exit()->cause, exit_cause::asked);
}

TEST_P(Groups, PoliciesWhenItGoes) {
    auto p = start("sleep 30 & wait");
    ASSERT_TRUE(p);
    nap(50ms);
    const std::vector<int> all = *g.members();
    EXPECT_GE(all.size(), 2U);
    g = group();
    for (const int pid : all) EXPECT_TRUE(is_gone(pid));
    auto waiting = m.make_group("waiting", leave::wait, GetParam());
    ASSERT_TRUE(waiting);
    auto q = m.spawn(shell("sleep 0.2").member_of(*waiting), leave::detach);
    ASSERT_TRUE(q);
    EXPECT_FALSE(waiting->wait_empty(within(10ms)));
    const int pid = q->pid();
    *waiting = group();
    EXPECT_TRUE(is_gone(pid));
}

TEST_P(Groups, OthersGroupsAreRefused) {
    monitor other = make();
    EXPECT_FALSE(other.spawn(shell("true").member_of(g), leave::kill));
    const auto set = g.set("no.such.file", "1");
    EXPECT_FALSE(set);
    EXPECT_EQ(g.path().empty(), GetParam() == group_tier::session);
}

TEST(Keeper, StartsAgainAndGivesUp) {
    monitor m = make();
    restart_rules rules;
    rules.min = 5ms;
    rules.max = 10ms;
    rules.limit_count = 3;
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

TEST(Keeper, SuccessRestsAndAStopIsFinal) {
    monitor m = make();
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
