// What a service's process is told, and what it must not hear from the supervisor's own parent.
#include "manager/environment.hpp"

#include <gtest/gtest.h>

using namespace abide;
using namespace abide::manager;

namespace {

std::string get(const std::vector<model::Variable>& all, std::string_view name) {
    return std::string(config::Environment{&all, {}}.find(name).value_or(""));
}
std::string get(const config::Environment& environment, std::string_view name) {
    return std::string(environment.find(name).value_or(""));
}
const std::vector<model::Variable> kNone;

}  // namespace

TEST(Environment, WhatWasMeantForTheSupervisorAloneIsLeftOut) {
    using namespace std::string_view_literals;
    const auto all = parse_environment("Z=1\0NOTIFY_SOCKET=/run/x\0A=b=c\0LISTEN_FDS=2\0=bad\0odd\0"sv);
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(get(all, "A"), "b=c");
    EXPECT_EQ(get(all, "NOTIFY_SOCKET"), "");
}

TEST(Environment, AServiceMayRefertoItsRunButNotMoveItsNotifySocket) {
    model::ServiceSpec spec;
    spec.name = "api";
    spec.environment = {{"TAG", "${ABIDE_SERVICE}-${ABIDE_RUN}"}, {"NOTIFY_SOCKET", "/elsewhere"}};
    spec.watchdog = seconds(3);
    ProcessFacts facts;
    facts.service = spec.name;
    facts.run = RunNumber{4};
    facts.notify_socket = "/run/notify/1";
    const auto all = process_environment(kNone, spec, facts);
    ASSERT_TRUE(all);
    EXPECT_EQ(get(*all, "TAG"), "api-4");
    EXPECT_EQ(get(*all, "NOTIFY_SOCKET"), "/run/notify/1");
    EXPECT_EQ(get(*all, "WATCHDOG_USEC"), "3000000");
    EXPECT_FALSE(get(*all, "PATH").empty());
}

TEST(Environment, CommandsBesideTheMainProcessHearItsPidAndTheReason) {
    model::ServiceSpec spec;
    ProcessFacts facts;
    facts.service = "api";
    facts.role = model::Role::post_stop;
    facts.main_pid = 77;
    facts.stop_reason = model::Reason::start_timeout;
    const auto all = process_environment(kNone, spec, facts);
    ASSERT_TRUE(all);
    EXPECT_EQ(get(*all, "MAINPID"), "77");
    EXPECT_EQ(get(*all, "ABIDE_REASON"), "start-timeout");
    facts.role = model::Role::main;
    EXPECT_EQ(get(*process_environment(kNone, spec, facts), "MAINPID"), "");
}

TEST(Environment, ListeningSocketsAreNamed) {
    model::ServiceSpec spec;
    ProcessFacts facts;
    facts.service = "web";
    facts.listen_names = {"http", "admin"};
    const auto all = process_environment(kNone, spec, facts);
    ASSERT_TRUE(all);
    EXPECT_EQ(get(*all, "LISTEN_FDS"), "2");
    EXPECT_EQ(get(*all, "LISTEN_FDNAMES"), "http:admin");
}

TEST(Environment, OfANameThatIsInheritedTwiceTheLastOneCounts) {
    using namespace std::string_view_literals;
    const auto inherited = inherited_from(parse_environment("B=1\0A=x\0B=2\0"sv));
    EXPECT_EQ(inherited->words, (std::vector<std::string>{"A=x", "B=2"}));
    EXPECT_EQ(inherited->variables.size(), 2u);
}
