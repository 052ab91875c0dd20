// Goal: what fails beside the main process -- probes, checks, commands of a stop -- is kept and told, and a readiness
// that is lost while the service lives comes back.
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "driver.hpp"

namespace abide::test {
namespace {

ServiceSpec checked(HealthAction action) {
    ServiceSpec db = service("db");
    db.health.ensure().probe.kind = ProbeKind::tcp;
    db.health->every = seconds(1);
    db.health->failures = 2;
    db.health->action = action;
    return db;
}

void answer(Driver& d, bool healthy, const std::string& detail = "refused") {
    d.pass(seconds(1));
    const auto probes = d.take<out::Probe>();
    ASSERT_FALSE(probes.empty());
    d.give(in::Probed{"db", probes.back().run, probes.back().probe, healthy, healthy ? "" : detail});
}

// The events about a service, with their details.
std::vector<std::string> told(const Driver& d, const std::string& name) {
    std::vector<std::string> words;
    for (const Effect& effect : d.effects) {
        const auto* fx = std::get_if<out::Publish>(&effect);
        if (fx == nullptr || fx->event.subject != name) continue;
        words.push_back(to_text(fx->event.type));
        if (!fx->event.detail.empty()) words.back() += ": " + fx->event.detail;
    }
    return words;
}
using Words = std::vector<std::string>;

bool says(const std::vector<std::string>& lines, std::string_view what) {
    return std::ranges::any_of(lines, [&](const std::string& line) { return line.find(what) != std::string::npos; });
}

TEST(Failures, TheLastProbeIsBehindAStartThatTookTooLong) {
    ServiceSpec db = service("db");
    db.restart = RestartPolicy::never;
    db.ready.ensure().probe.kind = ProbeKind::tcp;
    db.ready->timeout = seconds(3);
    Driver d({db});
    d.boot();
    const auto probes = d.take<out::Probe>();
    ASSERT_EQ(probes.size(), 1u);
    d.give(in::Probed{"db", probes[0].run, probes[0].probe, false, "refused"});
    EXPECT_TRUE(says(d.engine.waiting_for(*d.engine.find("db")), "its last probe: refused"));
    d.pass(seconds(3));
    EXPECT_EQ(d.engine.find("db")->last_cause, "not ready in time; its last probe: refused");
}

TEST(Failures, ATextThatIsKeptIsBounded) {
    Driver d({checked(HealthAction::none)});
    d.boot();
    std::string text(limits::kFailureBytes - 1, 'x');
    answer(d, false, text + "\xc3\xa9 and more");
    EXPECT_EQ(d.engine.find("db")->runs.back().probe_failure, text) << "and never cut within a character";
}

TEST(Failures, ACheckThatSucceedsIsNoFailure) {
    Driver d({checked(HealthAction::none)});
    d.boot();
    answer(d, false);
    answer(d, true);
    EXPECT_TRUE(d.engine.find("db")->runs.back().probe_failure.empty());
}

TEST(Failures, CommandsOfAStop) {
    ServiceSpec a = service("a");
    a.hooks.ensure().pre_stop = {{{"first"}}, {{"second"}}};
    a.hooks->post_stop = {{{"last"}}};
    a.stop.ensure().command.argv = {"end"};
    Driver d({a});
    d.boot();
    d.hooks_succeed = false;
    d.ask(Verb::stop, {"a"});
    const std::string failures =
        "pre-stop command 1 failed: exited with 1; pre-stop command 2 failed: exited with 1; "
        "stop-command failed: exited with 1; post-stop command 1 failed: exited with 1";
    ASSERT_EQ(d.state("a"), "inactive");
    EXPECT_EQ(told(d, "a").back(), "service-stopped: operation 1, by uid 0; " + failures);
    EXPECT_TRUE(says(d.engine.why(*d.engine.find("a"), d.now), failures));
    EXPECT_EQ(d.engine.find("a")->past.back().failures, failures);
    d.hooks_succeed = true;
    d.ask(Verb::start, {"a"});
    d.ask(Verb::stop, {"a"});
    EXPECT_EQ(told(d, "a").back(), "service-stopped: operation 3, by uid 0");
}

TEST(Failures, ACommandOfAStopThatDoesNotEnd) {
    ServiceSpec a = service("a");
    a.hooks.ensure().pre_stop = {{{"first"}}};
    a.hooks->timeout = seconds(1);
    Driver d({a});
    d.boot();
    d.waits_for = Role::pre_stop;
    d.ask(Verb::stop, {"a"});
    d.pass(seconds(20));
    EXPECT_EQ(d.engine.find("a")->last_failures, "pre-stop command 1 did not end in time");
}

TEST(Readiness, IsLostWithHealthAndComesBack) {
    ServiceSpec plain = service("plain"), bound = service("bound"), paused = service("paused"), late = service("late"),
                started = service("started");
    plain.dependencies = {needs("db")};
    bound.dependencies = {{Relation::binds_to, "db", Await::ready, OnLoss::ignore}};
    paused.dependencies = {needs("db", Await::ready, OnLoss::pause)};
    started.dependencies = {needs("db", Await::started, OnLoss::stop)};
    late.dependencies = {needs("db")};
    late.autostart = false;
    Driver d({bound, checked(HealthAction::none), late, paused, plain, started});
    d.boot();
    d.effects.clear();
    answer(d, false);
    answer(d, false);
    EXPECT_EQ(told(d, "db"), (Words{"service-unhealthy: refused", "service-unready: refused"}));
    EXPECT_FALSE(is_ready(d.engine.find("db")->runs.back()));
    EXPECT_EQ(d.state("paused"), "paused");
    for (const char* name : {"plain", "bound", "started"}) {
        EXPECT_EQ(d.state(name), "running");
        EXPECT_EQ(d.engine.find(name)->last_run.value, 1u) << name;
    }
    d.ask(Verb::start, {"late"});
    EXPECT_EQ(d.state("late"), "waiting");
    EXPECT_TRUE(says(d.engine.why(*d.engine.find("db"), d.now), "db is not ready: its health check failed (refused)"));
    answer(d, true);
    EXPECT_EQ(told(d, "db"), (Words{"service-healthy", "service-ready"}));
    EXPECT_EQ(d.state("late"), "running");
    EXPECT_EQ(d.state("paused"), "running");
    answer(d, true);
    EXPECT_TRUE(told(d, "db").empty()) << "healthy once more is no news";
}

TEST(Readiness, TheFirstGoodAnswerBringsNothingBack) {
    Driver d({checked(HealthAction::none)});
    d.boot();
    answer(d, true);
    EXPECT_EQ(told(d, "db"), Words{"service-healthy"});
}

TEST(Readiness, AnActionEndsTheRunBesides) {
    Driver d({checked(HealthAction::stop)});
    d.boot();
    answer(d, false);
    answer(d, false);
    const Words words = told(d, "db");
    ASSERT_GE(words.size(), 3u);
    EXPECT_EQ((Words{words[0], words[1], words[2]}),
              (Words{"service-unhealthy: refused", "service-unready: refused", "service-stopping: refused"}));
}

}  // namespace
}  // namespace abide::test
