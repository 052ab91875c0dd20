// Goal: a pause is told when all of the service stands still and not before, one that can't be done fails and takes
// nothing away, and no manager's death leaves it between.
#include <gtest/gtest.h>

#include "driver.hpp"

namespace abide::test {
namespace {

ServiceSpec watched() {
    ServiceSpec spec = service("a");
    spec.watchdog = seconds(10);
    spec.health = Box(HealthSpec{});
    spec.health->every = seconds(3);
    return spec;
}

struct Paused : testing::Test {
    Driver d{{watched()}};
    OperationId op;

    Paused() {
        d.boot();
        d.freezes = false;
        d.effects.clear();
        op = d.ask(Verb::pause, {"a"});
    }
    const model::Run& run() const { return d.engine.find("a")->runs.back(); }
    void frozen(bool is, std::string error = {}) { d.give(in::Frozen{"a", run().number, is, std::move(error)}); }
    std::vector<EventType> told() {
        std::vector<EventType> types;
        for (const out::Publish& fx : d.take<out::Publish>()) types.push_back(fx.event.type);
        return types;
    }
};

TEST_F(Paused, IsToldWhenTheKernelSaysSo) {
    EXPECT_EQ(d.outcome(op), Outcome::pending);
    EXPECT_EQ(d.state("a"), "running");
    EXPECT_EQ(told(), std::vector<EventType>{});
    const OperationId joined = d.ask(Verb::pause, {"a"});
    EXPECT_EQ(d.outcome(joined), Outcome::pending) << "it waits for the same fact";
    d.effects.clear();
    frozen(true);
    EXPECT_EQ(d.state("a"), "paused");
    EXPECT_EQ(d.outcome(op), Outcome::done);
    EXPECT_EQ(d.outcome(joined), Outcome::done);
    EXPECT_EQ(told(), std::vector<EventType>{EventType::service_paused});
    frozen(true);
    EXPECT_EQ(told(), std::vector<EventType>{}) << "once";
}

TEST_F(Paused, AFailureIsTheOperationsAndTheServiceGoesOn) {
    d.effects.clear();
    frozen(true, "no freezer");
    EXPECT_EQ(d.outcome(op), Outcome::failed);
    EXPECT_NE(d.engine.operation(op)->targets[0].detail.find("no freezer"), std::string::npos);
    EXPECT_EQ(d.state("a"), "running");
    EXPECT_FALSE(run().paused);
    EXPECT_TRUE(run().watchdog_at && run().health_probe_at) << "it is judged again";
    const std::vector<Effect> effects = d.effects;
    EXPECT_EQ(told(), std::vector<EventType>{});
    const auto thaw = [](const Effect& fx) {
        return std::holds_alternative<out::Freeze>(fx) && !std::get<out::Freeze>(fx).frozen;
    };
    EXPECT_TRUE(std::ranges::any_of(effects, thaw)) << "a part of it may stand still";
}

TEST_F(Paused, ItsClocksStandStillMeanwhile) {
    d.pass(seconds(60));
    EXPECT_EQ(d.state("a"), "running");
    frozen(true);
    EXPECT_EQ(d.state("a"), "paused");
}

TEST_F(Paused, AnUnpauseInBetweenEndsIt) {
    d.effects.clear();
    const OperationId back = d.ask(Verb::unpause, {"a"});
    EXPECT_EQ(d.outcome(back), Outcome::done);
    EXPECT_EQ(d.outcome(op), Outcome::cancelled);
    EXPECT_EQ(told(), std::vector<EventType>{}) << "what was not told is not taken back";
    frozen(true);
    EXPECT_EQ(d.state("a"), "running") << "it speaks of the past";
}

TEST_F(Paused, AStopInBetweenEndsIt) {
    d.ask(Verb::stop, {"a"});
    EXPECT_EQ(d.outcome(op), Outcome::cancelled);
    EXPECT_EQ(d.state("a"), "inactive");
}

TEST_F(Paused, AReloadInBetweenIsRefused) {
    ServiceSpec spec = watched();
    spec.reload.ensure();
    Driver other({spec});
    other.boot();
    other.freezes = false;
    other.ask(Verb::pause, {"a"});
    EXPECT_EQ(other.outcome(other.ask(Verb::reload, {"a"})), Outcome::refused);
}

TEST_F(Paused, ALaterManagerAsksAgain) {
    d.engine = core::Engine(d.engine.snapshot());
    d.effects.clear();
    const Process main = run().processes[0];
    in::Recovered recovered;
    recovered.processes = {{main.spawn, true, false, main.pid, main.start_ticks}};
    d.give(recovered);
    const std::vector<out::Freeze> freezes = d.take<out::Freeze>();
    ASSERT_EQ(freezes.size(), 1u);
    EXPECT_TRUE(freezes[0].frozen);
    EXPECT_EQ(d.state("a"), "running");
    frozen(true);
    EXPECT_EQ(d.state("a"), "paused");
    EXPECT_EQ(d.outcome(op), Outcome::done);
}

}  // namespace
}  // namespace abide::test
