// The main path, in each tier: start, be told of the end once, wait, signal, stop.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "fixture.hpp"

namespace abide {
namespace {

INSTANTIATE_TEST_SUITE_P(Tier, EachTier, kTiers, tier_name);

TEST_P(EachTier, TellsAnEndOnce) {
    EXPECT_LE(static_cast<int>(GetParam()), static_cast<int>(m.tier()));
    std::vector<exit_event> seen;
    auto p = m.spawn(shell("exit 3").label("three"), leave::kill, [&](const exit_event& e) { seen.push_back(e); });
    ASSERT_TRUE(p) << p.error().message();
    EXPECT_TRUE(p->running());
    EXPECT_GT(p->pid(), 0);
    m.run();
    m.run();
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].id, p->id());
    EXPECT_EQ(seen[0].pid, p->pid());
    EXPECT_EQ(seen[0].label, "three");
    EXPECT_EQ(seen[0].status.how, ended::exited);
    EXPECT_EQ(seen[0].status.code(), 3);
    EXPECT_EQ(seen[0].status.source, exit_source::wait);
    EXPECT_EQ(seen[0].cause, exit_cause::itself);
    EXPECT_TRUE(seen[0].used.has_value());
    EXPECT_GT(seen[0].used->max_rss_kib, 0);
    EXPECT_GE(seen[0].seen, seen[0].started);
    EXPECT_FALSE(p->running());
    EXPECT_EQ(p->exit()->status.code(), 3);
    EXPECT_EQ(to_string(seen[0].status), "exit 3");
    EXPECT_EQ(m.watched(), 0U);
}

TEST_P(EachTier, KnowsSignals) {
    auto p = m.spawn(shell("kill -USR1 $$"), leave::kill);
    ASSERT_TRUE(p);
    const auto e = p->wait(within(10s));
    ASSERT_TRUE(e);
    EXPECT_EQ(e->status.how, ended::killed);
    EXPECT_EQ(e->status.signal(), SIGUSR1);
    EXPECT_EQ(to_string(e->status), "SIGUSR1");
    EXPECT_EQ(e->cause, exit_cause::outside);
}

TEST_P(EachTier, WaitReturnsInTimeAndTellsTheHandler) {
    int told = 0;
    auto p = m.spawn(sleeper(), leave::kill, [&](const exit_event&) { ++told; });
    ASSERT_TRUE(p);
    EXPECT_FALSE(p->wait(within(20ms)));
    EXPECT_TRUE(p->running());
    EXPECT_TRUE(p->kill());
    const auto e = p->wait(within(10s));
    ASSERT_TRUE(e);
    EXPECT_EQ(e->status.signal(), SIGKILL);
    EXPECT_EQ(e->cause, exit_cause::asked);
    EXPECT_EQ(e->asked_signal, SIGKILL);
    EXPECT_EQ(told, 1);
    EXPECT_FALSE(p->kill());  // nothing is there any more, whoever has the number now
    EXPECT_EQ(p->kill().error().number, ESRCH);
    m.run_once(within(0ms));
    EXPECT_EQ(told, 1);
    EXPECT_EQ(p->wait()->status.signal(), SIGKILL);
}

TEST_P(EachTier, StartFailuresHaveStageAndErrno) {
    int told = 0;
    const exit_handler count = [&](const exit_event&) { ++told; };
    auto p = m.spawn(command("/nonexistent/program"), leave::kill, count);
    ASSERT_FALSE(p);
    EXPECT_EQ(p.error().stage, start_stage::exec);
    EXPECT_EQ(p.error().number, ENOENT);
    EXPECT_EQ(p.error().message(), "can't start /nonexistent/program: exec: No such file or directory");
    p = m.spawn(command("/etc/passwd"), leave::kill, count);
    ASSERT_FALSE(p);
    EXPECT_EQ(p.error().number, EACCES);
    p = m.spawn(shell("true").directory("/nonexistent"), leave::kill, count);
    ASSERT_FALSE(p);
    EXPECT_EQ(p.error().stage, start_stage::directory);
    EXPECT_FALSE(m.spawn(command(""), leave::kill));
    // The children that came to be are reaped without a word.
    until(m, [&] { return ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD; }, 5s);
    EXPECT_EQ(told, 0);
    EXPECT_EQ(m.watched(), 0U);
}

TEST_P(EachTier, AStopClimbsDownItsLadder) {
    auto deaf = m.spawn(shell("trap '' TERM; while :; do sleep 0.05; done"), leave::kill);
    auto polite = m.spawn(shell("trap 'exit 9' TERM; while :; do sleep 0.01; done"), leave::kill);
    ASSERT_TRUE(deaf && polite);
    nap(100ms);
    EXPECT_TRUE(deaf->stop({{SIGTERM, 100ms}, {SIGKILL, 0s}}));
    EXPECT_TRUE(polite->stop());
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_TRUE(until(m, [&] { return !deaf->running() && !polite->running(); }));
    EXPECT_EQ(deaf->exit()->status.signal(), SIGKILL);
    EXPECT_EQ(deaf->exit()->cause, exit_cause::asked);
    EXPECT_GE(deaf->exit()->seen - begin, 100ms);
    EXPECT_EQ(polite->exit()->status.code(), 9);
    EXPECT_EQ(polite->exit()->cause, exit_cause::asked);
    EXPECT_EQ(polite->exit()->asked_signal, SIGTERM);
}

TEST_P(EachTier, WhatIsStoppedByJobControlHearsTheStop) {
    auto p = m.spawn(sleeper(), leave::kill);
    ASSERT_TRUE(p && p->signal(SIGSTOP) && p->stop());
    const auto e = p->wait(within(5s));
    ASSERT_TRUE(e);
    EXPECT_EQ(e->status.signal(), SIGTERM);
}

TEST_P(EachTier, TheWholeProcessGroupCanBeSignalled) {
    auto p = m.spawn(shell("sleep 30 & echo $!; wait").out(stdio::buffer()), leave::kill);
    ASSERT_TRUE(p);
    std::string pid;
    EXPECT_TRUE(until(m, [&] { return (pid += p->take_output(1)).ends_with('\n'); }));
    EXPECT_TRUE(p->signal(SIGKILL, scope::process_group));
    EXPECT_TRUE(p->wait(within(5s)));
    EXPECT_TRUE(until(m, [&] { return is_gone(std::stoi(pid)); }, 5s));
}

TEST_P(EachTier, TheRouterTakesThoseWithoutAHandler) {
    std::map<std::string, int> told;
    m.route(router()
                .on("worker/*", [&](const exit_event& e) { told["worker"] += e.status.code().value_or(-1); })
                .on("worker/9", [&](const exit_event&) { ++told["nine"]; })
                .on("*", [&](const exit_event&) { ++told["other"]; }));
    int own = 0;
    for (const auto& [label, script] : std::map<std::string, std::string>{
             {"worker/1", "exit 1"}, {"worker/2", "exit 2"}, {"worker/9", "exit 9"}, {"web", "exit 0"}}) {
        auto p = m.spawn(shell(script).label(label), leave::kill);
        ASSERT_TRUE(p);
        p->release();
    }
    auto p = m.spawn(shell("exit 0").label("worker/3"), leave::kill, [&](const exit_event&) { ++own; });
    ASSERT_TRUE(p);
    m.run();
    EXPECT_EQ(told, (std::map<std::string, int>{{"worker", 3}, {"nine", 1}, {"other", 1}}));
    EXPECT_EQ(own, 1);
}

TEST_P(EachTier, AsynchronousStartsAreToldInOrder) {
    std::vector<std::string> story;
    m.spawn_async(
        shell("exit 4"), leave::kill,
        [&](result<process> p) {
            story.push_back(p ? "started" : "failed");
            if (p) p->release();
        },
        [&](const exit_event& e) { story.push_back(to_string(e.status)); });
    EXPECT_TRUE(story.empty());
    m.run();
    EXPECT_EQ(story, (std::vector<std::string>{"started", "exit 4"}));
    story.clear();
    m.spawn_async(command("/nonexistent"), leave::kill,
                  [&](result<process> p) { story.push_back(p.error().message()); });
    m.spawn_async(command(""), leave::kill, [&](result<process> p) { story.push_back(p ? "started" : "refused"); });
    m.run();
    EXPECT_EQ(story.size(), 2U);
    EXPECT_EQ(m.watched(), 0U);
}

TEST_P(EachTier, HandlersMayStartAndDropAnything) {
    int left = 20;
    std::vector<process> kept;
    std::function<void(const exit_event&)> next = [&](const exit_event&) {
        kept.clear();
        if (--left == 0) return;
        auto p = m.spawn(shell("exit 0"), leave::kill, next);
        ASSERT_TRUE(p);
        if (left % 2 == 0) {
            p->release();
        } else {
            kept.push_back(std::move(*p));
        }
    };
    m.spawn(shell("exit 0"), leave::kill, next).value().release();
    m.run();
    EXPECT_EQ(left, 0);
}

fire_and_forget watch(process& p, std::vector<int>& codes) {
    const exit_event e = co_await p.exited();
    codes.push_back(e.status.code().value_or(-1));
    const exit_event again = co_await p.exited();  // over already: not suspended
    codes.push_back(again.status.code().value_or(-1));
}

TEST_P(EachTier, CanBeAwaited) {
    auto p = m.spawn(shell("exit 5"), leave::kill);
    ASSERT_TRUE(p);
    std::vector<int> codes;
    watch(*p, codes);
    watch(*p, codes);
    EXPECT_TRUE(codes.empty());
    m.run();
    EXPECT_EQ(codes, (std::vector<int>{5, 5, 5, 5}));
}

}  // namespace
}  // namespace abide
