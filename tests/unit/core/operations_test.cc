// Goal: however many ask at once, each is answered; only what has ended is forgotten.
#include <gtest/gtest.h>

#include <map>

#include "base/limits.hpp"
#include "driver.hpp"

namespace abide::test {
namespace {

ServiceSpec slow() {
    ServiceSpec spec = service("slow");
    spec.ready.ensure().probe.kind = ProbeKind::notify;
    return spec;
}

std::map<OperationId, Outcome> answers(Driver& d) {
    std::map<OperationId, Outcome> told;
    for (const out::Reply& fx : d.take<out::Reply>()) told.emplace(fx.operation.id, fx.operation.outcome);
    return told;
}

constexpr std::size_t kCrowd = limits::kOperationsKept + 50;

TEST(Operations, ManyThatWaitAreAllAnswered) {
    Driver d({slow()});
    d.boot();
    std::vector<OperationId> asked;
    for (std::size_t i = 0; i < kCrowd; ++i) asked.push_back(d.ask(Verb::start, {"slow"}));
    EXPECT_EQ(d.engine.operations().size(), kCrowd);
    EXPECT_TRUE(answers(d).empty());
    d.notify_ready("slow");
    const std::map<OperationId, Outcome> told = answers(d);
    for (const OperationId id : asked) {
        ASSERT_TRUE(told.contains(id)) << id.value;
        EXPECT_EQ(told.at(id), Outcome::done) << id.value;
    }
    EXPECT_EQ(d.engine.operations().size(), limits::kOperationsKept);
}

TEST(Operations, WhatEndedIsKnownWhileManyOthersWait) {
    Driver d({slow()});
    d.boot();
    for (std::size_t i = 0; i < kCrowd; ++i) d.ask(Verb::start, {"slow"});
    const OperationId id = d.ask(Verb::disable, {"slow"});
    ASSERT_NE(d.engine.operation(id), nullptr);
    EXPECT_EQ(d.outcome(id), Outcome::done);
}

// Also by the next manager: who asked long ago is not forgotten for it.
TEST(Operations, TheFirstThatEndedAreForgottenFirst) {
    Driver d({slow()});
    d.boot();
    const OperationId early = d.ask(Verb::start, {"slow"});
    std::vector<OperationId> quick;
    for (std::size_t i = 0; i < limits::kOperationsKept; ++i) {
        d.pass(seconds(1));
        quick.push_back(d.ask(Verb::disable, {"slow"}));
    }
    d.pass(seconds(1));
    d.notify_ready("slow");
    EXPECT_EQ(d.engine.operation(quick.front()), nullptr);
    ASSERT_NE(d.engine.operation(early), nullptr);
    d.engine = core::Engine(d.engine.snapshot());
    d.ask(Verb::disable, {"slow"});
    EXPECT_EQ(d.engine.operation(quick[1]), nullptr);
    EXPECT_NE(d.engine.operation(early), nullptr);
    EXPECT_NE(d.engine.operation(quick[2]), nullptr);
}

}  // namespace
}  // namespace abide::test
