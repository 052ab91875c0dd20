// Goal: the life of one service and of a few that lean on each other, told as users would tell it.
#include <gtest/gtest.h>

#include "driver.hpp"

namespace abide::test {
namespace {

using Names = std::vector<std::string>;

ServiceSpec notifying(std::string name) {
    ServiceSpec spec = service(std::move(name));
    spec.ready.ensure().probe.kind = ProbeKind::notify;
    return spec;
}

TEST(Start, IsReadyWhenTheExecSucceeded) {
    Driver d({service("a")});
    d.boot();
    EXPECT_EQ(d.state("a"), "running");
}

TEST(Start, WaitsForWhatIsRequired) {
    ServiceSpec api = service("api");
    api.dependencies = {needs("db")};
    Driver d({api, notifying("db")});
    d.boot();
    EXPECT_EQ(d.started(), Names{"db"});
    EXPECT_EQ(d.state("api"), "waiting");
    EXPECT_EQ(d.engine.waiting_for(*d.engine.find("api")), Names{"db to be ready"});
    d.notify_ready("db");
    EXPECT_EQ(d.started(), Names{"api"});
    EXPECT_EQ(d.state("api"), "running");
}

TEST(Start, IndependentOnesStartAtOnce) {
    Driver d({notifying("a"), notifying("b"), notifying("c")});
    d.boot();
    EXPECT_EQ(d.started(), (Names{"a", "b", "c"}));
}

TEST(Start, NoMoreAtOnceThanAllowed) {
    std::vector<ServiceSpec> specs{notifying("a"), notifying("b"), notifying("c")};
    Driver d(specs);
    in::Configured configured;
    configured.configuration.instance.parallel = 1;
    configured.configuration.services = specs;
    configured.requester.permission = Permission::administer;
    d.give(configured);
    EXPECT_EQ(d.started(), Names{"a"});
    d.notify_ready("a");
    EXPECT_EQ(d.started(), Names{"b"});
    d.notify_ready("b");
    EXPECT_EQ(d.started(), Names{"c"});
}

TEST(Start, ATaskIsAwaitedToItsEnd) {
    ServiceSpec migrate = service("migrate"), api = service("api");
    migrate.kind = Kind::task;
    api.dependencies = {needs("migrate", Await::succeeded)};
    Driver d({api, migrate});
    d.boot();
    EXPECT_EQ(d.state("api"), "waiting");
    d.exit("migrate", 0);
    EXPECT_EQ(d.state("migrate"), "completed");
    EXPECT_EQ(d.state("api"), "running");
}

TEST(Start, AFailedTaskFailsWhoNeedsItsSuccess) {
    ServiceSpec migrate = service("migrate"), api = service("api");
    migrate.kind = Kind::task;
    migrate.restart = RestartPolicy::never;
    api.dependencies = {needs("migrate", Await::succeeded)};
    Driver d({api, migrate});
    d.boot();
    d.exit("migrate", 3);
    EXPECT_EQ(d.state("migrate"), "failed");
    EXPECT_EQ(d.state("api"), "failed");
    EXPECT_EQ(d.engine.find("api")->last_reason, Reason::dependency_failed);
    EXPECT_EQ(d.engine.find("api")->last_cause, "migrate");
}

TEST(Start, NotReadyInTimeIsAFailure) {
    ServiceSpec a = notifying("a");
    a.restart = RestartPolicy::never;
    Driver d({a});
    d.boot();
    d.pass(seconds(61));
    EXPECT_EQ(d.state("a"), "failed");
    EXPECT_EQ(d.engine.find("a")->last_reason, Reason::start_timeout);
}

TEST(Start, JoinsOneUnderWay) {
    Driver d({notifying("a")});
    d.boot();
    d.take<out::Spawn>();
    const OperationId one = d.ask(Verb::start, {"a"}), two = d.ask(Verb::start, {"a"});
    EXPECT_TRUE(d.started().empty());
    EXPECT_EQ(d.outcome(one), Outcome::pending);
    d.notify_ready("a");
    EXPECT_EQ(d.outcome(one), Outcome::done);
    EXPECT_EQ(d.outcome(two), Outcome::done);
}

TEST(Start, CanBeCancelled) {
    Driver d({notifying("a")});
    const OperationId start = d.ask(Verb::start, {"a"});
    in::Requested cancel;
    cancel.verb = Verb::cancel;
    cancel.operation = start;
    cancel.requester.permission = Permission::administer;
    d.give(cancel);
    EXPECT_EQ(d.outcome(start), Outcome::cancelled);
    EXPECT_EQ(d.state("a"), "inactive");
}

TEST(Start, PullsUpWhatItNeedsAndNotMore) {
    ServiceSpec a = service("a"), b = service("b"), c = service("c");
    for (ServiceSpec* s : {&a, &b, &c}) s->autostart = false;
    a.dependencies = {needs("b")};
    Driver d({a, b, c});
    d.boot();
    d.ask(Verb::start, {"a"});
    EXPECT_EQ(d.started(), (Names{"b", "a"}));
    EXPECT_EQ(d.state("c"), "inactive");
}

TEST(Start, AMissingProgramFailsAndIsTriedAgainWithADelay) {
    Driver d({service("a")});
    d.execs = false;
    const OperationId op = d.ask(Verb::start, {"a"});
    EXPECT_EQ(d.state("a"), "backoff");
    EXPECT_EQ(d.outcome(op), Outcome::failed);
    d.execs = true;
    d.pass(seconds(1));
    EXPECT_EQ(d.state("a"), "running");
}

TEST(Hooks, RunInOrderAroundMain) {
    ServiceSpec a = service("a");
    Hooks& hooks = a.hooks.ensure();
    hooks.pre_start = {{{"x"}}, {{"y"}}};
    hooks.post_start = {{{"z"}}};
    hooks.pre_stop = {{{"p"}}};
    hooks.post_stop = {{{"q"}}};
    Driver d({a});
    d.boot();
    d.ask(Verb::stop, {"a"});
    std::vector<Role> roles;
    for (const out::Spawn& fx : d.take<out::Spawn>()) roles.push_back(fx.role);
    EXPECT_EQ(roles, (std::vector<Role>{Role::pre_start, Role::pre_start, Role::main, Role::post_start, Role::pre_stop,
                                        Role::post_stop}));
    EXPECT_EQ(d.state("a"), "inactive");
}

TEST(Hooks, AFailedOneFailsTheStart) {
    ServiceSpec a = service("a");
    a.hooks.ensure().pre_start = {{{"x"}}};
    a.restart = RestartPolicy::never;
    Driver d({a});
    d.hooks_succeed = false;
    d.boot();
    EXPECT_EQ(d.state("a"), "failed");
    EXPECT_EQ(d.engine.find("a")->last_reason, Reason::hook_failed);
}

TEST(Restart, TheFirstIsImmediateThenTheDelayGrows) {
    ServiceSpec a = service("a");
    a.restart_delay.ensure().jitter_milli = 0;
    Driver d({a});
    d.boot();
    d.exit("a", 1);
    EXPECT_EQ(d.state("a"), "running");
    d.exit("a", 1);
    EXPECT_EQ(d.state("a"), "backoff");
    EXPECT_EQ(d.engine.find("a")->backoff_delay, milliseconds(100));
    d.pass(milliseconds(150));
    d.exit("a", 1);
    EXPECT_EQ(d.engine.find("a")->backoff_delay, milliseconds(200));
}

TEST(Restart, AHealthyPeriodForgetsThePast) {
    Driver d({service("a")});
    d.boot();
    for (int i = 0; i < 3; ++i) {
        d.exit("a", 1);
        d.pass(seconds(61));
        EXPECT_EQ(d.state("a"), "running");
    }
    d.exit("a", 1);
    EXPECT_EQ(d.state("a"), "running");
}

TEST(Restart, StopsAtTheLimit) {
    ServiceSpec a = service("a");
    a.restart_delay.ensure().limit_count = 3;
    Driver d({a});
    d.boot();
    for (int i = 0; i < 10; ++i) {
        d.exit("a", 1);
        d.pass(seconds(2));
    }
    EXPECT_EQ(d.state("a"), "failed");
    EXPECT_EQ(d.engine.find("a")->last_reason, Reason::restart_limit);
    EXPECT_EQ(d.engine.find("a")->last_run.value, 4u);
}

TEST(Restart, FollowsThePolicyAndTheCause) {
    ServiceSpec clean = service("clean"), prevented = service("prevented"), forced = service("forced");
    prevented.restart_delay.ensure().prevent = {{false, 7}};
    forced.restart = RestartPolicy::never;
    forced.restart_delay.ensure().force = {{true, 11}};
    Driver d({clean, forced, prevented});
    d.boot();
    d.exit("clean", 0);
    EXPECT_EQ(d.state("clean"), "completed");
    d.exit("prevented", 7);
    EXPECT_EQ(d.state("prevented"), "failed");
    d.end("forced", {ExitKind::signal, 11, false, {}, {}});
    EXPECT_EQ(d.state("forced"), "running");
}

// It writes its byte, or its line, and the news of its exec waits behind another child's birth.
TEST(Ready, BeforeTheExecWasReportedIsReady) {
    for (const ProbeKind kind : {ProbeKind::fd, ProbeKind::log}) {
        ServiceSpec a = service("a");
        a.ready.ensure().probe.kind = kind;
        Driver d({a});
        SpawnId spawn;
        for (const Effect& effect : d.engine.step(in::Recovered{{}, true}, d.now)) {
            if (const auto* fx = std::get_if<out::Spawn>(&effect)) spawn = fx->spawn;
        }
        ASSERT_TRUE(spawn);
        d.engine.step(in::Spawned{spawn, 100, 1}, d.now);
        d.engine.step(in::BecameReady{"a", d.engine.find("a")->last_run, 0, 0}, d.now);
        EXPECT_EQ(d.state("a"), "running");
        d.engine.step(in::Executed{spawn}, d.now);
        EXPECT_EQ(d.state("a"), "running");
        EXPECT_EQ(d.engine.find("a")->runs.back().processes.front().state, ProcessState::alive);
    }
}

TEST(Strays, OfAPastRunChangeNothing) {
    Driver d({notifying("a")});
    d.boot();
    d.notify_ready("a");
    d.ask(Verb::restart, {"a"});
    ASSERT_EQ(d.engine.find("a")->last_run.value, 2u);
    const RunNumber past{1};
    in::Notified ready;
    ready.service = "a";
    ready.run = past;
    ready.ready = true;
    const Input strays[] = {in::Emptied{"a", past}, ready, in::Probed{"a", past, 1, true, ""},
                            in::BecameReady{"a", past, 77, 1}};
    for (const Input& stray : strays) {
        const core::Snapshot before = d.engine.snapshot();
        d.give(stray);
        EXPECT_EQ(d.engine.snapshot().services, before.services) << "input " << stray.index();
        EXPECT_EQ(d.engine.instance().strays, before.instance.strays + 1);
    }
}

TEST(Restart, TheWindowOfTheLimitPasses) {
    ServiceSpec a = service("a");
    a.restart_delay.ensure().limit_count = 3;
    a.restart_delay->reset_after = seconds(3600);
    Driver d({a});
    d.boot();
    for (int i = 0; i < 10; ++i) {
        d.exit("a", 1);
        d.pass(seconds(100));
        EXPECT_EQ(d.state("a"), "running") << i;
    }
}

TEST(Restart, AnUnknownStatusIsNeverASuccess) {
    Driver d({service("a")});
    d.boot();
    d.end("a", {});
    EXPECT_EQ(d.state("a"), "running");
    EXPECT_EQ(d.engine.find("a")->restarts, 1u);
    EXPECT_EQ(d.engine.find("a")->last_exit->kind, ExitKind::unknown);
}

TEST(Stop, RunsAgainstTheOrderOfTheStart) {
    ServiceSpec api = service("api"), web = service("web");
    api.dependencies = {needs("db")};
    web.dependencies = {needs("api")};
    Driver d({api, service("db"), web});
    d.boot();
    d.effects.clear();
    const OperationId op = d.ask(Verb::stop, {"db"});
    Names order;
    for (const out::Signal& fx : d.take<out::Signal>()) {
        if (fx.signal == 15) order.push_back(fx.service);
    }
    EXPECT_EQ(order, (Names{"web", "api", "db"}));
    EXPECT_EQ(d.outcome(op), Outcome::done);
}

TEST(Stop, IsForGoodUntilAskedAgain) {
    Driver d({service("a")});
    d.boot();
    d.ask(Verb::stop, {"a"});
    d.pass(seconds(100));
    EXPECT_EQ(d.state("a"), "inactive");
    EXPECT_TRUE(d.engine.find("a")->held);
    d.ask(Verb::start, {"a"});
    EXPECT_EQ(d.state("a"), "running");
    EXPECT_FALSE(d.engine.find("a")->held);
}

TEST(Stop, WaitsForAPidToSignal) {
    Driver d({service("a")});
    d.tells = d.kills = false;
    d.boot();
    const SpawnId spawn = d.take<out::Spawn>().at(0).spawn;
    d.ask(Verb::stop, {"a"});
    EXPECT_TRUE(d.take<out::Signal>().empty()) << "nobody could be reached";
    d.give(in::Spawned{spawn, 1000, 1, true});
    const std::vector<out::Signal> given = d.take<out::Signal>();
    ASSERT_EQ(given.size(), 2u);
    EXPECT_EQ(given[0].signal, 15);
    d.give(in::Spawned{spawn, 1000, 1, true});
    EXPECT_TRUE(d.take<out::Signal>().empty());
}

TEST(Stop, KillsWhatIgnoresTheSignal) {
    Driver d({service("a")});
    d.boot();
    d.dies_of_term = false;
    d.ask(Verb::stop, {"a"});
    EXPECT_EQ(d.state("a"), "stopping");
    d.pass(seconds(11));
    EXPECT_EQ(d.state("a"), "inactive");
    EXPECT_EQ(d.engine.find("a")->last_exit->value, 9);
}

TEST(Stop, NeverKillsWhatMustNotBeKilled) {
    ServiceSpec a = service("a");
    a.stop.ensure().final_ = StopFinal::never;
    Driver d({a});
    d.boot();
    d.dies_of_term = false;
    d.ask(Verb::stop, {"a"});
    d.pass(seconds(1000));
    EXPECT_EQ(d.state("a"), "stopping");
    EXPECT_TRUE(d.take<out::KillAll>().empty());
}

TEST(Stop, OfAllInSoLongDoesNotWaitForWhatMustNotBeKilled) {
    ServiceSpec a = service("a");
    a.stop.ensure().final_ = StopFinal::never;
    Driver d({a, service("b")});
    d.boot();
    d.dies_of_term = false;
    const OperationId down = d.ask(Verb::shutdown, {}, seconds(1));
    d.pass(seconds(2));
    EXPECT_EQ(d.engine.operation(down)->outcome, Outcome::timed_out);
    EXPECT_NE(d.engine.operation(down)->detail.find("stop.final = never: a"), std::string::npos);
    EXPECT_EQ(d.state("a"), "stopping");
    EXPECT_EQ(d.state("b"), "inactive");
    d.ask(Verb::force_destroy, {"a"});
    EXPECT_TRUE(d.engine.instance().ended);
}

TEST(Stop, OfARestartingServiceEndsItsBackoff) {
    Driver d({service("a")});
    d.boot();
    d.exit("a", 1);
    d.exit("a", 1);
    ASSERT_EQ(d.state("a"), "backoff");
    d.ask(Verb::stop, {"a"});
    EXPECT_EQ(d.state("a"), "inactive");
    d.pass(seconds(100));
    EXPECT_EQ(d.state("a"), "inactive");
}

TEST(ForceDestroy, AnswersWhenTheDependentsHaveEndedToo) {
    ServiceSpec web = service("web");
    web.dependencies = {needs("db")};
    Driver d({service("db"), web});
    d.boot();
    ASSERT_EQ(d.state("web"), "running");
    d.kills = false;
    const OperationId op = d.ask(Verb::force_destroy, {"db"});
    d.kills = true;
    d.end("db", {ExitKind::signal, 9, false, {}, {}});
    d.give(in::Emptied{"db", RunNumber{1}});
    EXPECT_EQ(d.state("db"), "inactive");
    EXPECT_EQ(d.outcome(op), Outcome::pending) << "web still dies";
    d.end("web", {ExitKind::signal, 9, false, {}, {}});
    d.give(in::Emptied{"web", RunNumber{1}});
    EXPECT_EQ(d.outcome(op), Outcome::done);
}

in::Notified gives(const Driver& d, std::vector<FdKey> keys, const std::string& name = {}) {
    in::Notified said;
    said.service = "a";
    said.run = d.engine.find("a")->last_run;
    said.fds = std::move(keys);
    said.fd_name = name;
    return said;
}

std::vector<std::uint64_t> held(const Driver& d) {
    std::vector<std::uint64_t> keys;
    for (const StoredDescriptor& one : d.engine.find("a")->stored) keys.push_back(one.key.value);
    return keys;
}

TEST(Stored, LastsOverRestartsAndNotOverAStop) {
    ServiceSpec a = service("a");
    a.fd_store_max = 2;
    Driver d({a});
    d.boot();
    d.give(gives(d, {FdKey{1}, FdKey{2}, FdKey{3}}, "x"));
    EXPECT_EQ(held(d), (std::vector<std::uint64_t>{1, 2}));
    EXPECT_EQ(d.take<out::DropStored>().at(0).key, FdKey{3}) << "more than it may have";
    d.exit("a", 1);
    EXPECT_EQ(held(d), (std::vector<std::uint64_t>{1, 2})) << "an end that is followed by a restart";
    d.ask(Verb::restart, {"a"});
    EXPECT_EQ(held(d).size(), 2u);
    d.ask(Verb::stop, {"a"});
    EXPECT_TRUE(held(d).empty());
    EXPECT_EQ(d.take<out::DropStored>().size(), 2u);
}

TEST(Stored, GoesByNameOrWhenItsOtherEndIsGone) {
    ServiceSpec a = service("a");
    a.fd_store_max = 8;
    Driver d({a});
    d.boot();
    d.give(gives(d, {FdKey{1}}, "x"));
    d.give(gives(d, {FdKey{2}}, "y"));
    d.give(gives(d, {FdKey{3}}));
    EXPECT_EQ(d.engine.find("a")->stored.back().name, "stored");
    in::Notified removes = gives(d, {}, "x");
    removes.fd_store_remove = true;
    d.give(removes);
    EXPECT_EQ(held(d), (std::vector<std::uint64_t>{2, 3}));
    d.give(in::StoredLost{"a", {FdKey{3}}});
    EXPECT_EQ(held(d), (std::vector<std::uint64_t>{2}));
    in::Notified late = gives(d, {FdKey{9}});
    late.run = RunNumber{77};
    d.take<out::DropStored>();
    d.give(late);
    EXPECT_EQ(d.take<out::DropStored>().size(), 1u) << "what came for a past run is not forgotten at the anchor";
}

TEST(Stored, NothingIsHeldByDefault) {
    Driver d({service("a")});
    d.boot();
    d.give(gives(d, {FdKey{1}}));
    EXPECT_TRUE(held(d).empty());
    EXPECT_EQ(d.take<out::DropStored>().size(), 1u);
}

TEST(Sessions, AreInTheJournalWhereThereIsNoControlGroup) {
    ServiceSpec a = service("a");
    a.health.ensure().probe.kind = ProbeKind::exec;
    Driver d({a});
    d.boot();
    d.pass(seconds(100));
    const model::Run& run = d.engine.find("a")->runs.back();
    ASSERT_EQ(run.sessions.size(), 1u) << "the health check's commands do not pile up";
    EXPECT_EQ(run.sessions[0].id, run.processes[0].pid);
}

// Without control groups whom a process forked is found by its session, which nobody knows before the process is told.
TEST(Stop, KillsAgainWhenItLearnsOfASession) {
    Driver d({service("a")});
    d.tells = d.kills = false;
    d.boot();
    const SpawnId spawn = d.take<out::Spawn>().at(0).spawn;
    d.ask(Verb::force_destroy, {"a"});
    EXPECT_EQ(d.take<out::KillAll>().size(), 1u);
    d.give(in::Spawned{spawn, 1000, 1, false});
    EXPECT_EQ(d.take<out::KillAll>().size(), 1u);
    d.give(in::Spawned{spawn, 1000, 1, false});
    EXPECT_TRUE(d.take<out::KillAll>().empty()) << "it is known";
}

TEST(Stop, EndsWhatAPostStopCommandLeftBehind) {
    ServiceSpec a = service("a");
    a.hooks.ensure().post_stop.push_back({{"tidy"}});
    Driver d({a});
    d.boot();
    d.leaves_children = true;
    d.ask(Verb::stop, {"a"});
    EXPECT_EQ(d.state("a"), "stopping");
    d.take<out::KillAll>();
    d.pass(seconds(1));
    EXPECT_EQ(d.take<out::KillAll>().size(), 1u);
    d.leaves_children = false;
    d.give(in::Emptied{"a", d.engine.find("a")->last_run});
    EXPECT_EQ(d.state("a"), "inactive");
}

TEST(ForceDestroy, EndsAStuckStartAndItsDependents) {
    ServiceSpec web = service("web");
    web.dependencies = {needs("db", Await::started)};
    Driver d({notifying("db"), web});
    d.dies_of_term = false;
    d.boot();
    EXPECT_EQ(d.state("db"), "starting");
    d.ask(Verb::force_destroy, {"db"});
    EXPECT_EQ(d.state("db"), "inactive");
    EXPECT_EQ(d.state("web"), "inactive");
}

}  // namespace
}  // namespace abide::test
