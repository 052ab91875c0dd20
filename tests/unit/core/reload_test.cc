// Goal: how a reload ends, by what its command, the service and the clock say, and that it is told once.
#include <gtest/gtest.h>

#include "driver.hpp"

namespace abide::test {
namespace {

ServiceSpec by_signal(ProbeKind ready) {
    ServiceSpec spec = service("a");
    spec.reload = Box(ReloadSpec{.signal = 1, .command = {}, .timeout = seconds(5)});
    spec.ready.ensure().probe.kind = ready;
    return spec;
}

ServiceSpec by_command() {
    ServiceSpec spec = service("a");
    spec.reload = Box(ReloadSpec{.signal = 0, .command = {{"reload"}}, .timeout = seconds(5)});
    return spec;
}

void says_reloading(Driver& d, std::int64_t monotonic_us = -1) {
    in::Notified says;
    says.service = "a";
    says.run = d.engine.find("a")->last_run;
    says.reloading = true;
    says.monotonic_us = monotonic_us;
    d.give(says);
}

// "reloading", "reloaded done" and so on, since the last call.
std::vector<std::string> told(Driver& d) {
    std::vector<std::string> words;
    for (const out::Publish& fx : d.take<out::Publish>()) {
        if (fx.event.type == EventType::service_reloading) words.emplace_back("reloading");
        if (fx.event.type != EventType::service_reloaded) continue;
        words.push_back("reloaded " + to_text(fx.event.outcome));
        if (!fx.event.detail.empty()) words.back() += ": " + fx.event.detail;
    }
    return words;
}
using Words = std::vector<std::string>;

class Speaker : public ::testing::Test {
  protected:
    void SetUp() override {
        d.boot();
        d.notify_ready("a");
        told(d);
    }
    Driver d{{by_signal(ProbeKind::notify)}};
};

TEST(Reload, ASignalToOneThatDoesNotSpeakIsAllOfIt) {
    Driver d({by_signal(ProbeKind::exec_success)});
    d.boot();
    EXPECT_EQ(d.outcome(d.ask(Verb::reload, {"a"})), Outcome::done);
    EXPECT_EQ(told(d), (Words{"reloading", "reloaded done"}));
}

TEST_F(Speaker, IsWaitedForUntilItIsReadyAgain) {
    const OperationId op = d.ask(Verb::reload, {"a"});
    says_reloading(d, d.now.mono.ns / 1000);
    d.pass(seconds(3));
    EXPECT_EQ(d.outcome(op), Outcome::pending);
    d.notify_ready("a");
    EXPECT_EQ(d.outcome(op), Outcome::done);
    EXPECT_EQ(told(d), (Words{"reloading", "reloaded done"}));
}

TEST_F(Speaker, WhoSaysNothingIsDoneAfterAMoment) {
    const OperationId op = d.ask(Verb::reload, {"a"});
    d.notify_ready("a");  // not the end of anything
    EXPECT_EQ(d.outcome(op), Outcome::pending);
    d.pass(milliseconds(500));
    EXPECT_EQ(d.outcome(op), Outcome::done);
    EXPECT_EQ(told(d), (Words{"reloading", "reloaded done"}));
}

TEST_F(Speaker, WhatWasBeforeTheSignalAnswersNothing) {
    const OperationId op = d.ask(Verb::reload, {"a"});
    says_reloading(d, d.now.mono.ns / 1000 - 1);
    d.notify_ready("a");
    EXPECT_EQ(d.outcome(op), Outcome::pending);
    says_reloading(d, d.now.mono.ns / 1000);
    d.notify_ready("a");
    EXPECT_EQ(d.outcome(op), Outcome::done);
    EXPECT_EQ(told(d), (Words{"reloading", "reloaded done"}));
}

TEST_F(Speaker, AReloadThatNeverEndsHasFailed) {
    const OperationId op = d.ask(Verb::reload, {"a"});
    says_reloading(d);
    d.pass(seconds(5));
    EXPECT_EQ(d.outcome(op), Outcome::failed);
    EXPECT_EQ(d.state("a"), "running");
    EXPECT_EQ(told(d).back(), "reloaded failed: no READY=1 in time after RELOADING=1");
}

TEST_F(Speaker, AReloadOfItsOwnIsOnePairAsWell) {
    says_reloading(d);
    says_reloading(d);
    EXPECT_EQ(d.state("a"), "reloading");
    d.notify_ready("a");
    EXPECT_EQ(told(d), (Words{"reloading", "reloaded done"}));
}

TEST(Reload, TheEndOfItsCommandDecides) {
    Driver d({by_command()});
    d.boot();
    d.waits_for = Role::reload;
    OperationId op = d.ask(Verb::reload, {"a"});
    d.notify_ready("a");
    EXPECT_EQ(d.outcome(op), Outcome::pending) << "the command goes on";
    d.command_ends("a", Role::reload, 3);
    EXPECT_EQ(d.outcome(op), Outcome::failed);
    EXPECT_EQ(d.engine.operation(op)->detail, "a: its reload failed: exited with 3");
    EXPECT_EQ(told(d), (Words{"reloading", "reloaded failed: exited with 3"}));
    op = d.ask(Verb::reload, {"a"});
    d.command_ends("a", Role::reload, 0);
    EXPECT_EQ(d.outcome(op), Outcome::done);
    EXPECT_TRUE(d.engine.find("a")->runs.back().reload.or_default().failure.empty());
}

TEST(Reload, ACommandThatWasGivenUpDoesNotEndTheNext) {
    Driver d({by_command()});
    d.boot();
    d.waits_for = Role::reload;
    const OperationId first = d.ask(Verb::reload, {"a"});
    d.pass(seconds(5));
    EXPECT_EQ(d.engine.operation(first)->detail, "a: its reload failed: its command did not end in time");
    const OperationId second = d.ask(Verb::reload, {"a"});
    d.command_ends("a", Role::reload, 1);  // the older one
    EXPECT_EQ(d.outcome(second), Outcome::pending);
    d.command_ends("a", Role::reload, 0);
    EXPECT_EQ(d.outcome(second), Outcome::done);
}

TEST(Reload, ACommandWaitsForWhatItSetOff) {
    Driver d({by_command()});
    d.boot();
    d.waits_for = Role::reload;
    const OperationId op = d.ask(Verb::reload, {"a"});
    says_reloading(d);
    d.command_ends("a", Role::reload, 0);
    EXPECT_EQ(d.outcome(op), Outcome::pending);
    d.notify_ready("a");
    EXPECT_EQ(d.outcome(op), Outcome::done);
    EXPECT_EQ(told(d), (Words{"reloading", "reloaded done"}));
}

TEST(Reload, APausedServiceIsNotReloaded) {
    Driver d({by_command()});
    d.boot();
    d.ask(Verb::pause, {"a"});
    EXPECT_EQ(d.outcome(d.ask(Verb::reload, {"a"})), Outcome::refused);
}

}  // namespace
}  // namespace abide::test
