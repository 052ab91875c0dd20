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

// The signal of `kill`, and who asked for it.
class Killed : public testing::Test {
  protected:
    void SetUp() override {
        d.boot();
        d.dies_of_term = false;
    }
    OperationId kill(std::int32_t signal) {
        in::Requested request;
        request.verb = Verb::kill;
        request.names = {"db"};
        request.signal = signal;
        request.requester = {1000, 1000, 1, Permission::operate};
        d.give(request);
        return d.engine.instance().last_operation;
    }
    // The events that its end makes, by their types.
    std::map<EventType, Event> end(ExitKind kind, int value) {
        d.effects.clear();
        d.end("db", {kind, value, false, {}, {}});
        std::map<EventType, Event> events;
        for (const out::Publish& fx : d.take<out::Publish>()) events.emplace(fx.event.type, fx.event);
        return events;
    }
    std::string by(OperationId id) { return "operation " + std::to_string(id.value) + ", by uid 1000"; }
    static ServiceSpec db() {
        ServiceSpec spec = service("db");
        spec.restart = RestartPolicy::never;
        return spec;
    }
    Driver d{{db()}};
};

TEST_F(Killed, IsToldWithTheOperationAndItsCaller) {
    const OperationId id = kill(9);
    const auto events = end(ExitKind::signal, 9);
    const Event& exited = events.at(EventType::process_exited);
    EXPECT_EQ(exited.reason, Reason::signalled);
    EXPECT_EQ(exited.detail, "KILL of " + by(id));
    const Event& failed = events.at(EventType::service_failed);
    EXPECT_EQ(failed.reason, Reason::signalled);
    EXPECT_EQ(failed.detail, "killed by KILL, after KILL of " + by(id));
    const std::vector<std::string> why = d.engine.why(*d.engine.find("db"), d.now);
    EXPECT_TRUE(std::ranges::any_of(why, [&](const std::string& line) { return line.contains(by(id)); }));
    // The journal is read by older programs, which do not know the name.
    EXPECT_EQ(d.engine.find("db")->last_reason, Reason::exited);
}

TEST_F(Killed, ACodeSoonAfterOneThatAsksToEndIsOfIt) {
    const OperationId id = kill(15);
    d.pass(seconds(1));
    const auto events = end(ExitKind::code, 0);
    EXPECT_EQ(events.at(EventType::process_exited).detail, "TERM of " + by(id));
    EXPECT_EQ(events.at(EventType::service_completed).reason, Reason::signalled);
}

TEST_F(Killed, AnotherEndIsNotOfIt) {
    kill(15);
    EXPECT_EQ(end(ExitKind::signal, 11).at(EventType::process_exited).reason, Reason::none);
    d.ask(Verb::start, {"db"});
    kill(15);
    d.pass(seconds(3600));
    EXPECT_EQ(end(ExitKind::code, 1).at(EventType::process_exited).reason, Reason::none);
    d.ask(Verb::start, {"db"});
    kill(1);  // HUP, of which it makes what it likes
    EXPECT_EQ(end(ExitKind::code, 1).at(EventType::process_exited).reason, Reason::none);
    d.ask(Verb::start, {"db"});  // another run
    EXPECT_EQ(end(ExitKind::code, 1).at(EventType::service_failed).reason, Reason::exited);
}

TEST_F(Killed, ByTheNextManagerAsWell) {
    const OperationId id = kill(9);
    d.engine = core::Engine(d.engine.snapshot());
    EXPECT_EQ(end(ExitKind::signal, 9).at(EventType::process_exited).detail, "KILL of " + by(id));
}

TEST_F(Killed, AStopIsAStop) {
    d.ask(Verb::stop, {"db"});
    EXPECT_EQ(end(ExitKind::signal, 15).at(EventType::process_exited).reason, Reason::requested);
}

}  // namespace
}  // namespace abide::test
