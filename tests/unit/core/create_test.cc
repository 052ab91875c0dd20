// Goal: created is a state of its own: everything is prepared, nothing runs, and anybody may let it go or take it back,
// also after the manager was gone.
#include <gtest/gtest.h>

#include "driver.hpp"

namespace abide::test {
namespace {

ServiceSpec by_hand(std::string name) {
    ServiceSpec spec = service(std::move(name));
    spec.autostart = false;
    return spec;
}

std::size_t count(const std::vector<Effect>& effects, EventType type) {
    return static_cast<std::size_t>(std::count_if(effects.begin(), effects.end(), [&](const Effect& effect) {
        const auto* fx = std::get_if<out::Publish>(&effect);
        return fx != nullptr && fx->event.type == type;
    }));
}

// What a later manager makes of the journal.
core::Engine reborn(const core::Engine& engine) {
    core::Snapshot snapshot = engine.snapshot();
    for (Service& s : snapshot.services) {
        std::string text;
        encode(text, s);
        s = *decode<Service>(text);
    }
    return core::Engine(std::move(snapshot));
}

in::Recovered found_alive(const core::Engine& engine) {
    in::Recovered recovered;
    for (const Service* s : engine.services()) {
        for (const Run& run : s->runs) {
            for (const Process& p : run.processes)
                recovered.processes.push_back({p.spawn, true, false, p.pid, p.start_ticks});
        }
    }
    return recovered;
}

TEST(Create, PreparesAndHolds) {
    ServiceSpec a = by_hand("a");
    a.hooks.ensure().pre_start = {{{"x"}}};
    a.dependencies = {needs("db")};
    Driver d({a, by_hand("db")});
    d.boot();
    const OperationId op = d.ask(Verb::create, {"a"});
    EXPECT_EQ(d.state("db"), "running");
    EXPECT_EQ(d.state("a"), "created");
    EXPECT_EQ(d.outcome(op), Outcome::done);
    EXPECT_EQ(count(d.effects, EventType::service_created), 1u);
    EXPECT_EQ(count(d.effects, EventType::service_started), 1u) << "of db alone";
    EXPECT_FALSE(d.engine.waiting_for(*d.engine.find("a")).empty());
    d.pass(seconds(1000));
    EXPECT_EQ(d.state("a"), "created") << "no deadline of a start runs";
}

TEST(Create, AStartLetsItGo) {
    Driver d({by_hand("a")});
    d.ask(Verb::create, {"a"});
    const RunNumber run = d.engine.find("a")->last_run;
    d.effects.clear();
    const OperationId op = d.ask(Verb::start, {"a"});
    EXPECT_EQ(d.state("a"), "running");
    EXPECT_EQ(d.outcome(op), Outcome::done);
    EXPECT_EQ(d.engine.find("a")->last_run, run);
    EXPECT_EQ(d.take<out::LetGo>().size(), 1u);
}

TEST(Create, WhatNeedsItLetsItGo) {
    ServiceSpec b = by_hand("b");
    b.dependencies = {needs("a")};
    Driver d({by_hand("a"), b});
    d.ask(Verb::create, {"a"});
    d.ask(Verb::start, {"b"});
    EXPECT_EQ(d.state("a"), "running");
    EXPECT_EQ(d.state("b"), "running");
}

TEST(Create, AStartThatComesBeforeItIsHeldIsNotLost) {
    Driver d({by_hand("a")});
    d.holds = false;
    d.ask(Verb::create, {"a"});
    const SpawnId spawn = d.engine.find("a")->runs.back().processes[0].spawn;
    const OperationId op = d.ask(Verb::start, {"a"});
    EXPECT_EQ(d.state("a"), "starting");
    d.holds = true;
    d.give(in::Held{spawn});
    EXPECT_EQ(d.state("a"), "running");
    EXPECT_EQ(d.outcome(op), Outcome::done);
    EXPECT_EQ(count(d.effects, EventType::service_created), 1u);
}

TEST(Create, AStopUndoesIt) {
    Driver d({by_hand("a")});
    d.dies_of_term = false;  // a stub has no handler of the service's stop signal
    d.ask(Verb::create, {"a"});
    d.effects.clear();
    const OperationId op = d.ask(Verb::stop, {"a"});
    EXPECT_EQ(d.take<out::KillProcess>().size(), 1u);
    d.end("a", {ExitKind::signal, 9, false, {}, {}});
    EXPECT_EQ(d.state("a"), "inactive");
    EXPECT_EQ(d.outcome(op), Outcome::done);
    d.ask(Verb::start, {"a"});
    EXPECT_EQ(d.state("a"), "running") << "created once is not created for ever";
}

TEST(Create, ARemovalUndoesIt) {
    Driver d({by_hand("a")});
    d.ask(Verb::create, {"a"});
    d.ask(Verb::remove, {"a"});
    EXPECT_EQ(d.state("a"), "gone");
}

TEST(Create, IsRefusedForWhatIsUpAndJoinedForWhatIsCreated) {
    Driver d({by_hand("a"), service("b")});
    d.boot();
    EXPECT_EQ(d.outcome(d.ask(Verb::create, {"b"})), Outcome::refused);
    EXPECT_EQ(d.state("b"), "running");
    d.ask(Verb::create, {"a"});
    EXPECT_EQ(d.outcome(d.ask(Verb::create, {"a"})), Outcome::done);
    EXPECT_EQ(d.engine.find("a")->last_run.value, 1u);
}

TEST(Create, AProgramThatCannotBePreparedFailsTheOperation) {
    ServiceSpec a = by_hand("a");
    a.restart = RestartPolicy::never;
    Driver d({a});
    d.execs = false;
    EXPECT_EQ(d.outcome(d.ask(Verb::create, {"a"})), Outcome::failed);
    EXPECT_EQ(d.state("a"), "failed");
}

TEST(Create, OneThatIsKilledWhileHeldWasNeverStarted) {
    ServiceSpec a = by_hand("a");
    a.restart = RestartPolicy::never;
    Driver d({a});
    d.ask(Verb::create, {"a"});
    d.effects.clear();
    d.end("a", {ExitKind::signal, 9, false, {}, {}});
    EXPECT_EQ(d.state("a"), "failed");
    EXPECT_EQ(count(d.effects, EventType::service_started), 0u);
}

TEST(Create, IsLetGoByALaterManager) {
    Driver d({by_hand("a")});
    d.ask(Verb::create, {"a"});
    d.engine = reborn(d.engine);
    d.give(found_alive(d.engine));
    EXPECT_EQ(d.state("a"), "created");
    d.ask(Verb::start, {"a"});
    EXPECT_EQ(d.state("a"), "running");
}

TEST(Create, ALetGoThatMayBeLostIsRepeated) {
    Driver d({by_hand("a")});
    d.ask(Verb::create, {"a"});
    d.goes = false;
    d.ask(Verb::start, {"a"});
    d.engine = reborn(d.engine);
    d.effects.clear();
    d.goes = true;
    d.give(found_alive(d.engine));
    EXPECT_EQ(d.take<out::LetGo>().size(), 1u);
    EXPECT_EQ(d.state("a"), "running");
}

TEST(Create, ARestartGoesOnToTheEnd) {
    Driver d({by_hand("a")});
    d.ask(Verb::create, {"a"});
    d.ask(Verb::restart, {"a"});
    d.end("a", {ExitKind::signal, 9, false, {}, {}});
    EXPECT_EQ(d.state("a"), "running");
}

TEST(Create, AStartAfterAStopThatStillWaitsLetsItGo) {
    // The stop of `a` waits for that of `b`, which takes its time.
    ServiceSpec b = by_hand("b");
    b.dependencies = {{Relation::after, "a", Await::ready, OnLoss::ignore}};
    Driver d({by_hand("a"), b});
    d.ask(Verb::create, {"a"});
    d.ask(Verb::start, {"b"});
    d.dies_of_term = false;
    d.ask(Verb::stop, {"a", "b"});
    d.ask(Verb::start, {"a"});
    EXPECT_EQ(d.state("a"), "running");
}

// It was said to be done, and the service stayed down.
TEST(Start, WhileStoppingStartsAgain) {
    Driver d({by_hand("a")});
    d.ask(Verb::start, {"a"});
    d.dies_of_term = false;
    d.ask(Verb::stop, {"a"});
    const OperationId op = d.ask(Verb::start, {"a"});
    d.end("a", {ExitKind::signal, 15, false, {}, {}});
    EXPECT_EQ(d.state("a"), "running");
    EXPECT_EQ(d.outcome(op), Outcome::done);
}

}  // namespace
}  // namespace abide::test
