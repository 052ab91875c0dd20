// Goal: what services mean to each other when one is lost, comes back, is restarted, reconfigured or ends the instance.
#include <gtest/gtest.h>

#include "core/graph.hpp"
#include "driver.hpp"

namespace abide::test {
namespace {

using Names = std::vector<std::string>;

TEST(Loss, IsSmoothByDefault) {
    ServiceSpec api = service("api");
    api.dependencies = {needs("db")};
    Driver d({api, service("db")});
    d.boot();
    const RunNumber run = d.engine.find("api")->last_run;
    d.exit("db", 1);
    EXPECT_EQ(d.state("db"), "running");
    EXPECT_EQ(d.engine.find("api")->last_run, run);
}

TEST(Loss, EachRuleInItsWay) {
    ServiceSpec stops = service("stops"), restarts = service("restarts"), pauses = service("pauses"),
                bound = service("bound"), db = service("db");
    db.restart_delay.ensure().min = seconds(1);
    db.ready.ensure().probe.kind = ProbeKind::notify;
    stops.dependencies = {needs("db", Await::ready, OnLoss::stop)};
    restarts.dependencies = {needs("db", Await::ready, OnLoss::restart)};
    pauses.dependencies = {needs("db", Await::ready, OnLoss::pause)};
    bound.dependencies = {{Relation::binds_to, "db", Await::ready, OnLoss::ignore}};
    Driver d({bound, db, pauses, restarts, stops});
    d.boot();
    d.notify_ready("db");
    ASSERT_EQ(d.state("bound"), "running");
    d.exit("db", 1);
    ASSERT_EQ(d.state("db"), "starting");
    EXPECT_EQ(d.state("stops"), "waiting");
    EXPECT_EQ(d.state("bound"), "waiting");
    EXPECT_EQ(d.state("pauses"), "paused");
    EXPECT_EQ(d.state("restarts"), "running");
    EXPECT_EQ(d.engine.find("restarts")->last_run.value, 1u);
    d.notify_ready("db");
    EXPECT_EQ(d.state("stops"), "running");
    EXPECT_EQ(d.state("bound"), "running");
    EXPECT_EQ(d.state("pauses"), "running");
    EXPECT_EQ(d.engine.find("restarts")->last_run.value, 2u);
}

TEST(Loss, APermanentFailureTakesDependentsAlong) {
    ServiceSpec api = service("api"), db = service("db");
    db.restart = RestartPolicy::never;
    api.dependencies = {needs("db")};
    Driver d({api, db});
    d.boot();
    d.exit("db", 1);
    EXPECT_EQ(d.state("db"), "failed");
    EXPECT_EQ(d.state("api"), "failed");
    EXPECT_EQ(d.engine.find("api")->last_cause, "db");
}

TEST(PartOf, RestartsAndStopsTogether) {
    ServiceSpec part = service("part");
    part.dependencies = {{Relation::part_of, "whole", Await::ready, OnLoss::ignore}};
    Driver d({part, service("whole")});
    d.boot();
    d.ask(Verb::restart, {"whole"});
    EXPECT_EQ(d.engine.find("part")->last_run.value, 2u);
    EXPECT_EQ(d.engine.find("whole")->last_run.value, 2u);
    d.ask(Verb::stop, {"whole"});
    EXPECT_EQ(d.state("part"), "inactive");
}

TEST(Conflicts, TheNewOneDisplacesTheOld) {
    ServiceSpec b = service("b");
    b.autostart = false;
    b.dependencies = {{Relation::conflicts, "a", Await::ready, OnLoss::ignore}};
    Driver d({service("a"), b});
    d.boot();
    d.ask(Verb::start, {"b"});
    EXPECT_EQ(d.state("a"), "inactive");
    EXPECT_EQ(d.state("b"), "running");
    d.ask(Verb::start, {"a"});
    EXPECT_EQ(d.state("a"), "running");
    EXPECT_EQ(d.state("b"), "inactive");
}

TEST(Loss, LeavesWhoStopsAlreadyAsItIs) {
    ServiceSpec db = service("db"), api = service("api");
    db.restart = RestartPolicy::never;
    api.dependencies = {needs("db")};
    api.hooks.ensure().post_stop.push_back({{"tidy"}});
    Driver d({api, db});
    d.boot();
    d.dies_of_term = false;
    d.ask(Verb::restart, {"api"});
    ASSERT_EQ(d.state("api"), "stopping");
    d.engine.take_changes();
    d.exit("db", 1);
    EXPECT_EQ(d.state("db"), "failed");
    EXPECT_FALSE(d.engine.find("api")->runs.back().failed);
}

TEST(Wants, AFailureDoesNotStopTheDependent) {
    ServiceSpec a = service("a"), cache = service("cache");
    cache.restart = RestartPolicy::never;
    cache.ready.ensure().probe.kind = ProbeKind::notify;
    a.dependencies = {{Relation::wants, "cache", Await::ready, OnLoss::ignore}};
    Driver d({a, cache});
    d.boot();
    EXPECT_EQ(d.state("a"), "waiting");
    d.exit("cache", 1);
    EXPECT_EQ(d.state("cache"), "failed");
    EXPECT_EQ(d.state("a"), "running");
}

TEST(Groups, AreUpWhenTheirMembersAre) {
    ServiceSpec all = service("all"), a = service("a");
    all.kind = Kind::group;
    all.dependencies = {needs("a")};
    a.ready.ensure().probe.kind = ProbeKind::notify;
    a.autostart = false;
    Driver d({a, all});
    d.boot();
    EXPECT_EQ(d.state("all"), "waiting");
    d.notify_ready("a");
    EXPECT_EQ(d.state("all"), "running");
    d.ask(Verb::stop, {"a"});
    EXPECT_EQ(d.state("all"), "inactive");
}

TEST(Essential, ItsEndEndsTheInstanceWithItsStatus) {
    ServiceSpec a = service("a");
    a.essential = true;
    a.restart = RestartPolicy::never;
    Driver d({a, service("b")});
    d.boot();
    d.exit("a", 7);
    const auto ends = d.take<out::EndInstance>();
    ASSERT_EQ(ends.size(), 1u);
    EXPECT_EQ(ends[0].exit_status, 7);
    EXPECT_EQ(d.state("b"), "inactive");
}

TEST(Shutdown, ASecondSignalShortensIt) {
    Driver d({service("a")});
    d.boot();
    d.dies_of_term = false;
    d.give(in::Signalled{15});
    EXPECT_EQ(d.state("a"), "stopping");
    EXPECT_TRUE(d.take<out::EndInstance>().empty());
    d.give(in::Signalled{15});
    d.pass(milliseconds(1));
    EXPECT_EQ(d.take<out::EndInstance>().size(), 1u);
}

TEST(Permission, IsDecidedHereAndRecorded) {
    Driver d({service("a")});
    d.boot();
    d.permission = Permission::read;
    const OperationId op = d.ask(Verb::stop, {"a"});
    EXPECT_EQ(d.outcome(op), Outcome::not_permitted);
    EXPECT_EQ(d.state("a"), "running");
}

TEST(Operations, SayWhatIsUnknownAndRunOutOfTime) {
    ServiceSpec a = service("a");
    a.ready.ensure().probe.kind = ProbeKind::notify;
    Driver d({a});
    EXPECT_EQ(d.outcome(d.ask(Verb::start, {"nothing"})), Outcome::not_found);
    const OperationId op = d.ask(Verb::start, {"a"}, seconds(2));
    d.pass(seconds(3));
    EXPECT_EQ(d.outcome(op), Outcome::timed_out);
    EXPECT_EQ(d.state("a"), "starting");
}

in::Configured configuration(std::vector<ServiceSpec> specs) {
    in::Configured in;
    in.configuration.instance.name = "test";
    in.configuration.services = std::move(specs);
    in.requester.permission = Permission::administer;
    return in;
}

TEST(Reconfigure, TouchesOnlyWhatChanged) {
    ServiceSpec a = service("a"), b = service("b");
    Driver d({a, b, service("gone")});
    d.boot();
    b.command.argv = {"/bin/other"};
    a.restart = RestartPolicy::always;
    a.source.line = 99;
    d.give(configuration({a, b, service("fresh")}));
    EXPECT_EQ(d.engine.find("a")->last_run.value, 1u);
    EXPECT_EQ(d.engine.find("b")->last_run.value, 2u);
    EXPECT_EQ(d.state("gone"), "gone");
    EXPECT_EQ(d.state("fresh"), "running");
}

TEST(Reconfigure, APlanTellsOfTheInstanceAsWell) {
    const ServiceSpec a = service("a");
    Driver d({a});
    d.boot();
    Configuration same = configuration({a}).configuration;
    same.instance = d.engine.instance().spec;
    EXPECT_EQ(d.engine.plan(same, false)->size(), 0u);
    Configuration other = same;
    other.instance.name = "another";
    other.instance.parallel = 3;
    other.instance.operate = {"staff"};
    other.instance.events.ensure().max_age = seconds(60);
    const auto plan = d.engine.plan(other, false);
    ASSERT_EQ(plan->size(), 3u);
    EXPECT_EQ((*plan)[0].subject, "[project]");
    EXPECT_EQ((*plan)[0].detail, "parallel");
    EXPECT_EQ((*plan)[1].subject, "[control]");
    EXPECT_EQ((*plan)[1].detail, "operate");
    EXPECT_EQ((*plan)[2].subject, "[events]");
    EXPECT_EQ((*plan)[2].detail, "max-age");
    EXPECT_EQ(d.engine.plan(other, true)->size(), 0u) << "what is added at run time says nothing of it";
    in::Configured in = configuration({a});
    in.configuration = other;
    d.give(std::move(in));
    other.instance.name = same.instance.name;
    EXPECT_EQ(d.engine.instance().spec, other.instance) << "the name stays";
    EXPECT_EQ(d.engine.plan(other, false)->size(), 0u);
}

TEST(Reconfigure, WhoLeansOnItNoLongerStaysWhenItIsRemoved) {
    ServiceSpec a = service("a"), b = service("b"), c = service("c");
    b.dependencies = {needs("a")};
    c.dependencies = {needs("b")};
    Driver d({a, b, c});
    d.boot();
    b.dependencies = {needs("x")};
    d.give(configuration({b, c, service("x")}));
    EXPECT_EQ(d.state("a"), "gone");
    b.dependencies = {};
    d.give(configuration({b, c}));
    EXPECT_EQ(d.state("x"), "gone");
    EXPECT_EQ(d.state("b"), "running");
    EXPECT_EQ(d.engine.find("b")->last_run.value, 1u);
    EXPECT_EQ(d.engine.find("c")->last_run.value, 1u);
}

TEST(Remove, IsRefusedForWhatSomebodyNeeds) {
    ServiceSpec a = service("a"), b = service("b");
    b.dependencies = {needs("a")};
    Driver d({a, b});
    d.boot();
    d.ask(Verb::remove, {"a"});
    EXPECT_EQ(d.engine.operation(d.engine.instance().last_operation)->detail, "a: b requires it");
    EXPECT_EQ(d.state("a"), "running");
    EXPECT_EQ(d.state("b"), "running");
    d.ask(Verb::remove, {"a", "b"});
    EXPECT_EQ(d.state("a"), "gone");
    EXPECT_EQ(d.state("b"), "gone");
}

TEST(Reconfigure, IsAllOrNothing) {
    ServiceSpec a = service("a"), b = service("b");
    Driver d({a, b});
    d.boot();
    a.command.argv = {"/bin/other"};
    a.dependencies = {needs("b")};
    b.dependencies = {needs("a")};
    d.give(configuration({a, b}));
    const Operation& op = *d.engine.operation(d.engine.instance().last_operation);
    EXPECT_EQ(op.outcome, Outcome::refused);
    EXPECT_NE(op.detail.find("a requires b"), std::string::npos) << op.detail;
    EXPECT_NE(op.detail.find("b requires a"), std::string::npos) << op.detail;
    EXPECT_EQ(d.engine.find("a")->last_run.value, 1u);
}

model::Configuration of(std::vector<ServiceSpec> specs) {
    Configuration c;
    c.services = std::move(specs);
    return c;
}

TEST(Graph, NamesEveryEdgeOfACycle) {
    ServiceSpec a = service("a"), b = service("b"), c = service("c");
    a.source = {"abide.toml", 3};
    a.dependencies = {needs("b")};
    b.dependencies = {needs("c")};
    c.dependencies = {{Relation::after, "a", Await::ready, OnLoss::ignore}};
    const auto problems = core::validate(of({a, b, c}));
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_EQ(problems[0].text, "dependency cycle: a requires b (abide.toml:3), b requires c, c after a");
}

TEST(Graph, ReportsMissingSelfAndContradiction) {
    ServiceSpec a = service("a");
    a.dependencies = {
        needs("a"), needs("nowhere"), needs("b"), {Relation::conflicts, "b", Await::ready, OnLoss::ignore}};
    EXPECT_EQ(core::validate(of({a, service("b")})).size(), 3u);
}

TEST(Graph, AChainOfTenThousandIsFine) {
    std::vector<ServiceSpec> specs;
    for (int i = 0; i < 10'000; ++i) {
        char name[16];
        std::snprintf(name, sizeof name, "s%05d", i);
        specs.push_back(service(name));
        if (i != 0) specs.back().dependencies = {needs(specs[specs.size() - 2].name)};
    }
    EXPECT_TRUE(core::validate(of(specs)).empty());
    Driver d(specs);
    d.boot();
    EXPECT_EQ(d.state("s09999"), "running");
    d.ask(Verb::stop, {"s00000"});
    EXPECT_EQ(d.state("s00000"), "inactive");
    specs.front().dependencies = {needs("s09999")};
    EXPECT_EQ(core::validate(of(specs)).size(), 1u);
}

TEST(Why, FollowsTheChain) {
    ServiceSpec web = service("web"), api = service("api"), db = service("db");
    db.ready.ensure().probe.kind = ProbeKind::notify;
    api.dependencies = {needs("db")};
    web.dependencies = {needs("api")};
    Driver d({api, db, web});
    d.boot();
    std::string text;
    for (const std::string& line : d.engine.why(*d.engine.find("web"), d.now)) text += line + "\n";
    EXPECT_NE(text.find("web waits for api to be ready"), std::string::npos) << text;
    EXPECT_NE(text.find("api waits for db to be ready"), std::string::npos) << text;
    EXPECT_NE(text.find("db waits for its readiness"), std::string::npos) << text;
}

TEST(Health, FailuresInARowRestart) {
    ServiceSpec a = service("a");
    a.health.ensure().probe.kind = ProbeKind::tcp;
    a.health->every = seconds(1);
    Driver d({a});
    d.boot();
    const auto answer = [&](bool healthy) {
        d.pass(seconds(1));
        const auto probes = d.take<out::Probe>();
        ASSERT_FALSE(probes.empty());
        d.give(in::Probed{"a", probes.back().run, probes.back().probe, healthy, "no answer"});
    };
    answer(true);
    EXPECT_TRUE(d.engine.find("a")->runs.back().healthy);
    answer(false);
    answer(false);
    EXPECT_EQ(d.engine.find("a")->last_run.value, 1u);
    answer(false);
    EXPECT_EQ(d.engine.find("a")->last_run.value, 2u);
    EXPECT_EQ(d.engine.find("a")->last_reason, Reason::unhealthy);
}

TEST(Watchdog, KillsWhoDoesNotFeedIt) {
    ServiceSpec a = service("a");
    a.watchdog = seconds(2);
    Driver d({a});
    d.boot();
    in::Notified ping;
    ping.service = "a";
    ping.run = RunNumber{1};
    ping.watchdog = true;
    for (int i = 0; i < 5; ++i) {
        d.pass(seconds(1));
        d.engine.take_changes();
        d.give(ping);
        EXPECT_TRUE(d.engine.take_changes().empty()) << "pings are not journaled";
    }
    EXPECT_EQ(d.engine.find("a")->last_run.value, 1u);
    d.pass(seconds(3));
    EXPECT_EQ(d.engine.find("a")->last_run.value, 2u);
    EXPECT_EQ(d.engine.find("a")->last_reason, Reason::watchdog);
}

}  // namespace
}  // namespace abide::test
