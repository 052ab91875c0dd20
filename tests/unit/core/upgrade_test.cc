// An upgrade is an operation: one at a time, ended by what is found out about it, and told as an event.
#include <gtest/gtest.h>

#include "unit/core/driver.hpp"

namespace abide::test {
namespace {

struct Upgrades : Driver {
    Upgrades() : Driver({service("a")}) { boot(); }

    OperationId upgrade(const std::string& program, Permission who = Permission::administer, bool anchor = false) {
        in::Requested request;
        request.verb = anchor ? Verb::upgrade_anchor : Verb::upgrade;
        request.program = program;
        request.ticket = "ticket of " + program;
        request.requester.permission = who;
        give(request);
        return engine.instance().last_operation;
    }
    const Operation& operation(OperationId id) const { return *engine.operation(id); }
    std::vector<EventType> supervisor_events() {
        std::vector<EventType> types;
        for (const out::Publish& published : take<out::Publish>()) {
            if (published.event.subject.empty()) types.push_back(published.event.type);
        }
        return types;
    }
};

TEST(Upgrade, IsAskedForAndEndsWithWhatWasFoundOut) {
    Upgrades d;
    d.supervisor_events();
    const OperationId id = d.upgrade("/new");
    EXPECT_EQ(d.operation(id).outcome, Outcome::pending);
    EXPECT_EQ(d.operation(id).ticket, "ticket of /new");
    const auto effects = d.take<out::Upgrade>();
    ASSERT_EQ(effects.size(), 1u);
    EXPECT_EQ(effects[0].program, "/new");
    d.give(in::UpgradeEnded{id, Outcome::rolled_back, "it hung"});
    EXPECT_EQ(d.operation(id).outcome, Outcome::rolled_back);
    EXPECT_EQ(d.operation(id).detail, "it hung");
    EXPECT_EQ(d.supervisor_events(), std::vector<EventType>{EventType::supervisor_rolled_back});
    ASSERT_TRUE(d.engine.instance().last_upgrade);
    EXPECT_EQ(d.engine.instance().last_upgrade->outcome, Outcome::rolled_back);
    const std::uint64_t strays = d.engine.instance().strays;
    d.give(in::UpgradeEnded{id, Outcome::done, ""});
    EXPECT_EQ(d.operation(id).outcome, Outcome::rolled_back) << "told twice, the first word stands";
    EXPECT_EQ(d.engine.instance().strays, strays + 1);
}

TEST(Upgrade, WhatWasRefusedIsTold) {
    Upgrades d;
    const OperationId id = d.upgrade("/new");
    d.take<out::Publish>();
    d.give(in::UpgradeEnded{id, Outcome::refused, "is no program"});
    const auto published = d.take<out::Publish>();
    ASSERT_EQ(published.size(), 1u);
    const Event& event = published[0].event;
    EXPECT_EQ(event.type, EventType::supervisor_rolled_back);
    EXPECT_EQ(event.outcome, Outcome::refused) << "nothing had been swapped";
    EXPECT_EQ(event.program, "/new");
    EXPECT_EQ(event.detail, "is no program");
    const core::Engine next(d.engine.snapshot());
    ASSERT_TRUE(next.instance().last_upgrade) << "a later manager knows it too";
    EXPECT_EQ(next.instance().last_upgrade->program, "/new");
    EXPECT_EQ(next.instance().last_upgrade->detail, "is no program");
    d.upgrade("/new", Permission::operate);
    EXPECT_TRUE(d.take<out::Publish>().empty()) << "what was never begun is nobody's upgrade";
}

TEST(Upgrade, OneAtATimeAndOnlyByWhoAdministers) {
    Upgrades d;
    EXPECT_EQ(d.operation(d.upgrade("/x", Permission::operate)).outcome, Outcome::not_permitted);
    const OperationId first = d.upgrade("/new");
    const OperationId joined = d.upgrade("/new");
    EXPECT_EQ(d.operation(joined).outcome, Outcome::pending);
    EXPECT_EQ(d.operation(d.upgrade("/other")).outcome, Outcome::refused);
    EXPECT_EQ(d.operation(d.upgrade("/anchor", Permission::administer, true)).outcome, Outcome::refused);
    in::Requested cancel;
    cancel.verb = Verb::cancel;
    cancel.operation = first;
    cancel.requester.permission = Permission::administer;
    d.give(cancel);
    EXPECT_EQ(d.operation(d.engine.instance().last_operation).outcome, Outcome::refused);
    d.give(in::UpgradeEnded{first, Outcome::refused, "rehearsal"});
    EXPECT_EQ(d.operation(joined).outcome, Outcome::refused);
    EXPECT_EQ(d.operation(joined).detail, "rehearsal");
    EXPECT_EQ(d.take<out::Upgrade>().size(), 1u);
    EXPECT_EQ(d.operation(d.upgrade("/anchor", Permission::administer, true)).outcome, Outcome::pending);
    EXPECT_TRUE(d.take<out::Upgrade>().at(0).anchor);
}

TEST(Upgrade, SurvivesTheManagerThatWasAsked) {
    Upgrades d;
    const OperationId id = d.upgrade("/new");
    d.engine = core::Engine(d.engine.snapshot());
    d.give(in::Recovered{{}, false});
    EXPECT_EQ(d.operation(id).outcome, Outcome::pending);
    d.give(in::UpgradeEnded{id, Outcome::done, ""});
    EXPECT_EQ(d.operation(id).outcome, Outcome::done);
}

// Two of the same program do not end together: what was refused before was an upgrade of its own.
TEST(Upgrade, WhatARescueWasAskedForIsToldOnce) {
    Upgrades d;
    in::Recovered recovered;
    recovered.rescue = true;
    for (const std::uint64_t id : {901, 902, 903}) {
        RescueUpgrade& asked = recovered.upgrades.emplace_back();
        asked.operation.id = OperationId{id};
        asked.operation.verb = Verb::upgrade;
        asked.operation.detail = "/new";
        if (id != 903) asked.outcome = Outcome::refused;
        if (id != 903) asked.detail = "try " + std::to_string(id);
    }
    d.take<out::Publish>();
    d.give(recovered);
    EXPECT_EQ(d.supervisor_events(), (std::vector{EventType::supervisor_rescue, EventType::supervisor_rolled_back,
                                                  EventType::supervisor_rolled_back, EventType::supervisor_recovered}));
    EXPECT_EQ(d.operation(OperationId{901}).detail, "try 901");
    EXPECT_EQ(d.operation(OperationId{902}).detail, "try 902");
    EXPECT_EQ(d.operation(OperationId{903}).outcome, Outcome::pending);
    d.give(recovered);  // it died before it could say that it knows them
    EXPECT_EQ(d.supervisor_events(), (std::vector{EventType::supervisor_rescue, EventType::supervisor_recovered}));
    // It was lost on probation, and then there was a rescue again, which saw what became of it.
    recovered.upgrades.back().outcome = Outcome::rolled_back;
    d.give(recovered);
    EXPECT_EQ(d.operation(OperationId{903}).outcome, Outcome::rolled_back);
}

TEST(Upgrade, NotWhileTheInstanceStops) {
    Upgrades d;
    d.ask(Verb::shutdown, {});
    EXPECT_EQ(d.operation(d.upgrade("/new")).outcome, Outcome::refused);
}

}  // namespace
}  // namespace abide::test
