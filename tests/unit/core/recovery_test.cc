// A manager that comes back: what was decided and perhaps not done is asked for again by its own rule, and nothing
// else.
#include <gtest/gtest.h>

#include "unit/core/driver.hpp"

namespace abide::test {
namespace {

// The manager dies after the journal and before the effects; what it had asked for never ran, the rest lives.
std::vector<Effect> lose_manager(Driver& d, in::Recovered found = {}) {
    core::Snapshot snapshot = d.engine.snapshot();
    d.engine = core::Engine(std::move(snapshot));
    for (const Service* s : d.engine.services()) {
        for (const Run& run : s->runs) {
            for (const Process& p : run.processes) {
                const bool lives = p.state == ProcessState::alive;
                found.processes.push_back({p.spawn, lives, !lives, p.pid, p.start_ticks});
            }
        }
    }
    return d.engine.step(found, d.now);
}

std::vector<Effect> ask_unanswered(Driver& d, Verb verb, const std::string& name) {
    in::Requested request;
    request.verb = verb;
    request.names = {name};
    request.requester.permission = Permission::administer;
    return d.engine.step(request, d.now);
}

template <class T>
std::vector<T> only(const std::vector<Effect>& effects) {
    std::vector<T> found;
    for (const Effect& effect : effects) {
        if (const T* fx = std::get_if<T>(&effect)) found.push_back(*fx);
    }
    return found;
}

ServiceSpec reloading(std::string name) {
    ServiceSpec spec = service(std::move(name));
    spec.reload = Box(ReloadSpec{.signal = 1, .command = {{"reload"}}, .timeout = seconds(5)});
    return spec;
}

TEST(Recovery, WhatNeverRanIsAskedForAgain) {
    Driver d({reloading("a")});
    d.boot();
    ask_unanswered(d, Verb::reload, "a");
    const std::vector<out::Spawn> again = only<out::Spawn>(lose_manager(d));
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(again[0].role, Role::reload);
}

TEST(Recovery, WhatIsAsItWasIsNotJournaledAgain) {
    Driver d({service("a"), service("b")});
    d.boot();
    lose_manager(d);
    EXPECT_TRUE(d.engine.take_changes().services.empty());
}

TEST(Recovery, WhatNeverRanIsForgottenWhenItsTimeIsOver) {
    Driver d({reloading("a")});
    d.boot();
    ask_unanswered(d, Verb::reload, "a");
    ask_unanswered(d, Verb::force_destroy, "a");
    EXPECT_TRUE(only<out::Spawn>(lose_manager(d)).empty());
}

TEST(Recovery, NoHookOfAStartRunsWhileItStops) {
    ServiceSpec a = service("a");
    a.hooks.ensure().pre_start.push_back({{"prepare"}});
    Driver d({a});
    d.engine.step(in::Recovered{{}, true}, d.now);
    ask_unanswered(d, Verb::restart, "a");
    EXPECT_TRUE(only<out::Spawn>(lose_manager(d)).empty());
}

// Its run went on to another stage before the hook's child was born.
TEST(Recovery, NoHookOfAnEarlierStageRuns) {
    ServiceSpec a = service("a");
    a.hooks.ensure().pre_start.push_back({{"prepare"}});
    a.ready.ensure().probe.kind = ProbeKind::notify;
    Driver d({a});
    d.boot();
    core::Snapshot snapshot = d.engine.snapshot();
    ASSERT_EQ(snapshot.services[0].runs.back().stage, Stage::ready_wait);
    Process late;
    late.role = Role::pre_start;
    late.spawn = SpawnId{900};
    snapshot.services[0].runs.back().processes.push_back(late);
    d.engine = core::Engine(std::move(snapshot));
    const Process main = d.engine.find("a")->runs.back().processes[0];
    in::Recovered found;
    found.processes = {{main.spawn, true, false, main.pid, main.start_ticks}, {late.spawn, false, true, 0, 0}};
    EXPECT_TRUE(only<out::Spawn>(d.engine.step(found, d.now)).empty());
}

TEST(Recovery, AThawThatWasLostIsRepeated) {
    Driver d({service("a")});
    d.boot();
    d.ask(Verb::pause, {"a"});
    d.freezes = false;
    ask_unanswered(d, Verb::unpause, "a");
    std::vector<out::Freeze> freezes = only<out::Freeze>(lose_manager(d));
    ASSERT_EQ(freezes.size(), 1u);
    EXPECT_FALSE(freezes[0].frozen);
    // Once it is confirmed there is nothing to repeat.
    d.give(in::Frozen{"a", d.engine.find("a")->last_run, false, {}});
    EXPECT_TRUE(only<out::Freeze>(lose_manager(d)).empty());
}

std::vector<out::Signal> terms(const std::vector<Effect>& effects) {
    std::vector<out::Signal> found = only<out::Signal>(effects);
    std::erase_if(found, [](const out::Signal& fx) { return fx.signal != 15; });
    return found;
}

in::Recovered signalled(std::uint64_t known, std::uint64_t others) {
    in::Recovered found;
    found.signalled = SignalId{known};
    found.signalled_others = SignalId{others};
    return found;
}

TEST(Recovery, ASignalThatWasCertainlyNotGivenIsGiven) {
    Driver d({service("a"), service("b")});
    d.boot();
    const auto first = terms(ask_unanswered(d, Verb::stop, "a")), second = terms(ask_unanswered(d, Verb::stop, "b"));
    ASSERT_EQ(first.size() + second.size(), 2u);
    EXPECT_LT(first[0].id, second[0].id);
    const auto again = terms(lose_manager(d, signalled(first[0].id.value, first[0].id.value)));
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(again[0].service, "b");
    EXPECT_GT(again[0].id, second[0].id);
    EXPECT_FALSE(again[0].others);
}

TEST(Recovery, ASignalThatMayHaveBeenGivenIsNot) {
    Driver d({service("a")});
    d.boot();
    const auto first = terms(ask_unanswered(d, Verb::stop, "a"));
    ASSERT_EQ(first.size(), 1u);
    Driver unknown = d;
    EXPECT_TRUE(terms(lose_manager(d, signalled(first[0].id.value, first[0].id.value))).empty());
    EXPECT_TRUE(terms(lose_manager(unknown)).empty()) << "nobody knows";
}

TEST(Recovery, OnlyTheOthersOfARunGetWhatTheKnownOnesMayHave) {
    Driver d({service("a")});
    d.boot();
    const auto first = terms(ask_unanswered(d, Verb::stop, "a"));
    ASSERT_EQ(first.size(), 1u);
    const auto again = terms(lose_manager(d, signalled(first[0].id.value, 0)));
    ASSERT_EQ(again.size(), 1u);
    EXPECT_TRUE(again[0].others);
    EXPECT_EQ(again[0].id, first[0].id);
}

TEST(Recovery, AStopThaws) {
    Driver d({service("a")});
    d.boot();
    d.ask(Verb::pause, {"a"});
    ask_unanswered(d, Verb::stop, "a");
    const std::vector<out::Freeze> freezes = only<out::Freeze>(lose_manager(d));
    ASSERT_EQ(freezes.size(), 1u);
    EXPECT_FALSE(freezes[0].frozen);
}

TEST(Recovery, HelpersOfWhatIsOverAreKilledAgain) {
    ServiceSpec a = service("a");
    a.health = Box(HealthSpec{});
    a.health->probe.kind = ProbeKind::exec;
    Driver d({a});
    d.boot();
    const auto due = d.engine.next_deadline();
    d.now.mono = due;
    const std::vector<out::Spawn> probe = only<out::Spawn>(d.engine.step(in::Ticked{}, d.now));
    ASSERT_EQ(probe.size(), 1u);
    d.engine.step(in::Executed{probe[0].spawn}, d.now);
    ask_unanswered(d, Verb::stop, "a");
    const std::vector<out::KillProcess> killed = only<out::KillProcess>(lose_manager(d));
    ASSERT_EQ(killed.size(), 1u);
    EXPECT_EQ(killed[0].spawn, probe[0].spawn);
}

}  // namespace
}  // namespace abide::test
