// Every event tells which event led to it: along a run, from a dependency to its dependents, from an end to the
// restart, from the end of the instance to every stop.  What a person asked for has no event before it.
#include <gtest/gtest.h>

#include <map>

#include "unit/core/driver.hpp"

namespace abide::test {
namespace {

std::vector<Event> events_of(const Driver& driver) {
    std::vector<Event> out;
    for (const Effect& effect : driver.effects) {
        if (const auto* published = std::get_if<out::Publish>(&effect)) out.push_back(published->event);
    }
    return out;
}

// The newest event of this type about this service.
Event last(const Driver& driver, EventType type, std::string_view subject) {
    Event found;
    for (const Event& event : events_of(driver)) {
        if (event.type == type && event.subject == subject) found = event;
    }
    EXPECT_TRUE(found.id) << subject;
    return found;
}

ServiceSpec api_needs_db() {
    ServiceSpec api = service("api");
    api.dependencies = {needs("db")};
    return api;
}

TEST(Causes, FromTheStartOfTheInstanceToTheLastService) {
    Driver driver({service("db"), api_needs_db()});
    driver.boot();
    const Event begun = last(driver, EventType::supervisor_started, "");
    EXPECT_FALSE(begun.cause);
    const Event starting = last(driver, EventType::service_starting, "db");
    EXPECT_EQ(starting.cause, begun.id);
    EXPECT_EQ(last(driver, EventType::service_started, "db").cause, starting.id);
    const Event ready = last(driver, EventType::service_ready, "db");
    EXPECT_EQ(ready.cause, last(driver, EventType::service_started, "db").id);
    EXPECT_EQ(last(driver, EventType::service_starting, "api").cause, ready.id);
}

TEST(Causes, AnEndLeadsToTheRestart) {
    Driver driver({service("db")});
    driver.boot();
    const SpawnId spawn = driver.engine.find("db")->runs.back().processes.front().spawn;
    driver.give(in::Exited{spawn, {ExitKind::code, 1, false, {}, {}}});
    const Event exited = last(driver, EventType::process_exited, "db");
    EXPECT_EQ(exited.run, RunNumber{1});
    EXPECT_TRUE(exited.cause);
    const Event failed = last(driver, EventType::service_failed, "db");
    EXPECT_GE(failed.cause, exited.id);
    EXPECT_EQ(last(driver, EventType::service_starting, "db").cause, failed.id);
    EXPECT_EQ(last(driver, EventType::service_starting, "db").reason, Reason::restart_policy);
}

TEST(Causes, AnEndThatIsTheFirstWordOfAProcessNamesIt) {
    Driver driver({service("db")});
    driver.tells = false;  // the manager died before it heard of the start
    driver.boot();
    const SpawnId spawn = driver.engine.find("db")->runs.back().processes.front().spawn;
    driver.give(in::Exited{spawn, {ExitKind::code, 1, false, {}, {}}, 4711});
    EXPECT_EQ(last(driver, EventType::process_exited, "db").pid, 4711);
}

TEST(Causes, TheEndOfTheInstanceIsTheCauseOfEveryStop) {
    Driver driver({service("db"), api_needs_db()});
    driver.boot();
    driver.give(in::Signalled{15});
    const Event stopping = last(driver, EventType::supervisor_stopping, "");
    EXPECT_EQ(last(driver, EventType::service_stopping, "api").cause, stopping.id);
    EXPECT_EQ(last(driver, EventType::service_stopping, "db").cause, stopping.id);
}

TEST(Causes, WhatAPersonAskedForHasNone) {
    Driver driver({service("db"), api_needs_db()});
    driver.boot();
    driver.ask(Verb::stop, {"db"});
    const Event asked = last(driver, EventType::service_stopping, "db");
    EXPECT_FALSE(asked.cause);
    EXPECT_EQ(asked.reason, Reason::requested);
    // What leans on it stops because of it.
    const Event leaning = last(driver, EventType::service_stopping, "api");
    EXPECT_EQ(leaning.reason, Reason::dependency_lost);
    EXPECT_FALSE(leaning.cause);  // it stops first, so that nothing has happened yet
    driver.ask(Verb::start, {"db"});
    EXPECT_FALSE(last(driver, EventType::service_starting, "db").cause);
}

TEST(Causes, WhatIsPulledUpIsNotBecauseOfAnEarlierRunOfWhoPullsIt) {
    Driver driver({service("db"), api_needs_db()});
    driver.boot();
    driver.ask(Verb::stop, {"db"});
    driver.ask(Verb::start, {"api"});
    const Event pulled = last(driver, EventType::service_starting, "db");
    EXPECT_EQ(pulled.reason, Reason::dependency);
    EXPECT_FALSE(pulled.cause) << "somebody asked for api: no event led to it";
}

TEST(Causes, ACauseComesBeforeItsEffectAlways) {
    Driver driver({service("db"), api_needs_db()});
    driver.boot();
    driver.ask(Verb::restart, {"db"});
    driver.ask(Verb::stop, {"api", "db"});
    driver.ask(Verb::start, {"api"});
    driver.give(in::Signalled{15});
    std::map<EventId, Event> by_id;
    for (const Event& event : events_of(driver)) {
        EXPECT_LT(event.cause, event.id);
        EXPECT_TRUE(!event.cause || by_id.contains(event.cause));
        by_id.emplace(event.id, event);
    }
    EXPECT_GT(by_id.size(), 12u);
}

TEST(Emit, IsAnEventWithAnOperation) {
    Driver driver({service("db")});
    driver.boot();
    in::Emitted input{"deployed", {{"version", "7"}}, {}, "drawn by the caller"};
    input.requester.permission = Permission::administer;
    driver.give(input);
    const std::vector<Event> all = events_of(driver);
    EXPECT_EQ(all.back().type, EventType::user);
    EXPECT_EQ(all.back().name, "deployed");
    const Operation* operation = driver.engine.operation(driver.engine.instance().last_operation);
    ASSERT_NE(operation, nullptr);
    EXPECT_EQ(operation->outcome, Outcome::done);
    EXPECT_EQ(operation->detail, std::to_string(all.back().id.value));
    EXPECT_EQ(operation->ticket, "drawn by the caller");  // who asks again is told of this one
    input.requester.permission = Permission::operate;
    driver.give(input);
    EXPECT_EQ(events_of(driver).size(), all.size());
    EXPECT_EQ(driver.engine.operation(driver.engine.instance().last_operation)->outcome, Outcome::not_permitted);
}

}  // namespace
}  // namespace abide::test
