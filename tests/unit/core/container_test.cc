// Goal: a container goes through created, started and ended in this order however short it lives, and is always
// deleted.
#include <gtest/gtest.h>

#include "driver.hpp"

namespace abide::test {
namespace {

ServiceSpec box() {
    ServiceSpec spec;
    spec.name = "box";
    spec.oci.ensure().bundle = "/srv/box";
    spec.autostart = false;
    spec.restart = RestartPolicy::never;
    return spec;
}

std::vector<Role> roles(const std::vector<Effect>& effects) {
    std::vector<Role> found;
    for (const Effect& effect : effects) {
        if (const auto* fx = std::get_if<out::Spawn>(&effect)) found.push_back(fx->role);
    }
    return found;
}

std::vector<EventType> told(const std::vector<Effect>& effects) {
    std::vector<EventType> found;
    for (const Effect& effect : effects) {
        if (const auto* fx = std::get_if<out::Publish>(&effect)) found.push_back(fx->event.type);
    }
    return found;
}

const Run& run_of(const Driver& d) {
    return d.engine.find("box")->runs.back();
}

TEST(Container, IsCreatedStartedEndedAndDeleted) {
    Driver d({box()});
    const OperationId op = d.ask(Verb::start, {"box"});
    EXPECT_EQ(d.outcome(op), Outcome::done);
    EXPECT_EQ(d.state("box"), "running");
    EXPECT_EQ(run_of(d).processes.size(), 1u) << "no process beside the container's own";
    EXPECT_EQ(run_of(d).processes[0].pid, 5000);
    d.ask(Verb::stop, {"box"});
    EXPECT_EQ(d.state("box"), "inactive");
    EXPECT_EQ(roles(d.effects),
              (std::vector<Role>{Role::container_create, Role::container_start, Role::container_delete}));
    EXPECT_EQ(told(d.effects),
              (std::vector<EventType>{EventType::service_starting, EventType::service_created,
                                      EventType::service_started, EventType::service_ready, EventType::service_stopping,
                                      EventType::process_exited, EventType::service_stopped}));
}

TEST(Container, CreateHoldsItAndStartLetsItGo) {
    Driver d({box()});
    d.ask(Verb::create, {"box"});
    EXPECT_EQ(d.state("box"), "created");
    EXPECT_EQ(run_of(d).processes[0].pid, 5000);
    EXPECT_EQ(roles(d.effects), (std::vector<Role>{Role::container_create}));
    d.ask(Verb::start, {"box"});
    EXPECT_EQ(d.state("box"), "running");
}

TEST(Container, AStopOfACreatedOneKillsAndDeletes) {
    ServiceSpec spec = box();
    spec.stop.ensure().final_ = StopFinal::never;  // is about the program, which has not run
    Driver d({spec});
    d.dies_of_term = false;
    d.ask(Verb::create, {"box"});
    d.effects.clear();
    d.ask(Verb::stop, {"box"});
    EXPECT_EQ(d.state("box"), "inactive");
    EXPECT_EQ(roles(d.effects), (std::vector<Role>{Role::container_delete}));
}

TEST(Container, ItsEndBeforeTheRuntimeSaysThatItWasStartedIsKept) {
    Driver d({box()});
    d.waits_for = Role::container_start;
    d.ask(Verb::start, {"box"});
    d.effects.clear();
    d.exit("box", 7);
    EXPECT_EQ(told(d.effects), std::vector<EventType>{}) << "not ended before it was started";
    d.command_ends("box", Role::container_start, 0);
    EXPECT_EQ(d.state("box"), "failed");
    EXPECT_EQ(d.engine.find("box")->last_exit->value, 7);
    const std::vector<EventType> all = told(d.effects);
    ASSERT_GE(all.size(), 3u);
    EXPECT_EQ(all[0], EventType::service_started);
    EXPECT_EQ(std::count(all.begin(), all.end(), EventType::process_exited), 1);
    EXPECT_EQ(all.back(), EventType::service_failed);
    EXPECT_EQ(roles(d.effects).back(), Role::container_delete);
}

TEST(Container, AFailedCreateFailsTheStartAndIsDeletedAllTheSame) {
    Driver d({box()});
    d.waits_for = Role::container_create;
    d.ask(Verb::start, {"box"});
    d.why_not_created = "no such bundle";
    d.command_ends("box", Role::container_create, 1);
    EXPECT_EQ(d.state("box"), "failed");
    EXPECT_EQ(d.engine.find("box")->last_reason, Reason::spawn_failed);
    EXPECT_EQ(d.engine.find("box")->last_cause, "no such bundle");
    EXPECT_EQ(roles(d.effects).back(), Role::container_delete);
}

TEST(Container, WhyItCouldNotBeCreatedIsAskedAgainByALaterManager) {
    Driver d({box()});
    d.waits_for = Role::container_create;
    d.ask(Verb::start, {"box"});
    core::Engine before = d.engine;
    before.step(in::Exited{run_of(d).processes[0].spawn, {ExitKind::code, 1, false, {}, {}}}, d.now);
    d.engine = core::Engine(before.snapshot());
    d.why_not_created = "no such bundle";
    d.give(in::Recovered{});
    EXPECT_EQ(d.state("box"), "failed");
    EXPECT_EQ(d.engine.find("box")->last_cause, "no such bundle");
}

// One whose delete is under way, by a stop that was asked for.
Driver in_its_delete(ServiceSpec spec) {
    Driver d({std::move(spec)});
    d.ask(Verb::start, {"box"});
    d.waits_for = Role::container_delete;
    d.ask(Verb::stop, {"box"});
    d.effects.clear();
    return d;
}

TEST(Container, WhatItsDeleteLeftBehindIsKilledAndWaitedFor) {
    ServiceSpec spec = box();
    spec.stop.ensure().final_ = StopFinal::never;  // of the service, which is over
    Driver d = in_its_delete(spec);
    d.kills = false;
    d.command_ends("box", Role::container_delete, 0);
    EXPECT_EQ(d.state("box"), "stopping");
    EXPECT_FALSE(run_of(d).killed);
    EXPECT_EQ(d.engine.waiting_for(*d.engine.find("box")),
              std::vector<std::string>{"what its container left behind to end"});
    d.pass(seconds(6));
    EXPECT_EQ(d.take<out::KillAll>().size(), 2u) << "as often as it takes";
    d.give(in::Emptied{"box", run_of(d).number});
    EXPECT_EQ(d.state("box"), "inactive");
    EXPECT_EQ(d.engine.find("box")->last_cause.value().find("delete"), std::string::npos) << "nothing was wrong";
}

TEST(Container, AHangingDeleteIsEndedAskedForAgainAndTold) {
    Driver d = in_its_delete(box());
    d.pass(seconds(61));
    EXPECT_EQ(d.take<out::KillProcess>().size(), 1u);
    d.command_ends("box", Role::container_delete, 137);
    EXPECT_EQ(d.state("box"), "stopping");
    EXPECT_EQ(run_of(d).deletion.or_default().times, 2u);
    EXPECT_EQ(roles(d.effects), (std::vector<Role>{Role::container_delete}));
    d.command_ends("box", Role::container_delete, 0);
    EXPECT_EQ(d.state("box"), "inactive");
    const std::vector<out::Publish> events = d.take<out::Publish>();
    ASSERT_FALSE(events.empty());
    EXPECT_NE(events.back().event.detail.find("hook-timeout"), std::string::npos);
    const std::vector<std::string> why = d.engine.why(*d.engine.find("box"), d.now);
    EXPECT_TRUE(std::ranges::any_of(why, [](const auto& line) { return line.find("hook-timeout") != line.npos; }));
}

TEST(Container, ADeleteThatFailsTwiceIsTheLastAndTold) {
    Driver d = in_its_delete(box());
    d.command_ends("box", Role::container_delete, 1);
    d.command_ends("box", Role::container_delete, 1);
    EXPECT_EQ(d.state("box"), "inactive");
    EXPECT_NE(d.engine.find("box")->past.back().failures.value().find("could not delete"), std::string::npos);
}

TEST(Container, OneThatIsDestroyedWhileItIsDeletedIsDeletedAllTheSame) {
    Driver d = in_its_delete(box());
    d.ask(Verb::force_destroy, {"box"});
    EXPECT_EQ(roles(d.effects), (std::vector<Role>{Role::container_delete}));
    d.command_ends("box", Role::container_delete, 0);
    EXPECT_EQ(d.state("box"), "inactive");
}

TEST(Container, AFailedStartEndsWhatWasCreated) {
    Driver d({box()});
    d.waits_for = Role::container_start;
    d.ask(Verb::start, {"box"});
    d.command_ends("box", Role::container_start, 1);
    EXPECT_EQ(d.state("box"), "failed");
    EXPECT_EQ(d.engine.find("box")->last_reason, Reason::spawn_failed);
    EXPECT_EQ(roles(d.effects).back(), Role::container_delete);
}

TEST(Container, NoFirstProcessIsAFailure) {
    Driver d({box()});
    d.first_pid = 0;
    d.ask(Verb::start, {"box"});
    EXPECT_EQ(d.state("box"), "failed");
    EXPECT_EQ(roles(d.effects).back(), Role::container_delete);
}

TEST(Container, AHangingCreateEndsWithTheTimeOfAStart) {
    Driver d({box()});
    d.waits_for = Role::container_create;
    d.ask(Verb::start, {"box"});
    d.pass(seconds(61));
    EXPECT_EQ(d.state("box"), "failed");
    EXPECT_EQ(d.engine.find("box")->last_reason, Reason::start_timeout);
    EXPECT_EQ(roles(d.effects).back(), Role::container_delete);
}

TEST(Container, TheSignalGoesToItsFirstProcess) {
    Driver d({box()});
    d.ask(Verb::start, {"box"});
    d.ask(Verb::stop, {"box"});
    for (const out::Signal& fx : d.take<out::Signal>()) EXPECT_EQ(fx.scope, StopScope::main);
}

// Whether it was never run, or runs: what takes the container away is not taken for a helper of what is over.
TEST(Container, ItsDeletionIsNotForgottenByALaterManager) {
    for (const bool never_ran : {true, false}) {
        Driver d({box()});
        d.ask(Verb::start, {"box"});
        d.waits_for = Role::container_delete;
        d.ask(Verb::stop, {"box"});
        ASSERT_EQ(run_of(d).stage, Stage::post_stop);
        const Process command = run_of(d).processes[0];
        d.engine = core::Engine(d.engine.snapshot());
        d.effects.clear();
        in::Recovered recovered;
        recovered.processes.push_back({command.spawn, !never_ran, never_ran, command.pid, command.start_ticks});
        d.give(recovered);
        EXPECT_EQ(d.state("box"), "stopping");
        EXPECT_EQ(roles(d.effects).size(), never_ran ? 1u : 0u);
        EXPECT_TRUE(d.take<out::KillProcess>().empty());
        d.command_ends("box", Role::container_delete, 0);
        EXPECT_EQ(d.state("box"), "inactive");
    }
}

TEST(Container, TheQuestionForItsFirstProcessIsAskedAgainByALaterManager) {
    Driver d({box()});
    d.waits_for = Role::container_create;
    d.ask(Verb::start, {"box"});
    core::Engine before = d.engine;
    // The end of the command is journaled, and the manager dies before it reads the pid file.
    const SpawnId spawn = run_of(d).processes[0].spawn;
    before.step(in::Exited{spawn, {ExitKind::code, 0, false, {}, {}}}, d.now);
    d.engine = core::Engine(before.snapshot());
    d.give(in::Recovered{});
    EXPECT_EQ(d.state("box"), "running");
}

}  // namespace
}  // namespace abide::test
