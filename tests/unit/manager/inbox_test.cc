// Facts before words before wishes, each in the order of arrival; and numbers that every version computes alike.
#include "manager/inbox.hpp"

#include <gtest/gtest.h>

#include "manager/permissions.hpp"
#include "manager/run_key.hpp"
#include "protocol/anchor.hpp"

using namespace abide;
using namespace abide::manager;

TEST(Inbox, SortsByClassAndKeepsTheOrderOfArrival) {
    Inbox inbox;
    inbox.push(InputClass::request, model::in::Requested{}, {1, 1});
    inbox.push(InputClass::notification, model::in::Notified{});
    inbox.push(InputClass::process, model::in::Spawned{SpawnId{1}, 10, 0});
    inbox.push(InputClass::process, model::in::Exited{SpawnId{1}, {}});
    const auto items = inbox.take();
    ASSERT_EQ(items.size(), 4u);
    EXPECT_TRUE(std::holds_alternative<model::in::Spawned>(items[0].input));
    EXPECT_TRUE(std::holds_alternative<model::in::Exited>(items[1].input));
    EXPECT_TRUE(std::holds_alternative<model::in::Notified>(items[2].input));
    EXPECT_EQ(items[3].ticket.connection, 1u);
    EXPECT_TRUE(inbox.empty());
}

TEST(RunKey, NeverChangesBetweenVersions) {
    EXPECT_EQ(run_key("api", RunNumber{1}), run_key("api", RunNumber{1}));
    EXPECT_NE(run_key("api", RunNumber{1}), run_key("api", RunNumber{2}));
    EXPECT_NE(service_key("a", "bc"), service_key("ab", "c"));
    EXPECT_EQ(fnv1a("a"), 0xaf63dc4c8601ec8cu);  // the published value
    const std::uint64_t key = anchor_key(Keep::notify, run_key("api", RunNumber{9}));
    EXPECT_EQ(keep_of(key), Keep::notify);
    EXPECT_EQ(id_of(key), run_key("api", RunNumber{9}));
    EXPECT_GE(key, anchor::kFirstFreeKey);
}

TEST(Permissions, OwnerAndRootAdministerNobodyElseDoesAnything) {
    Permissions permissions(1000);
    EXPECT_EQ(permissions.of({1000, 1000, 1, {}}), model::Permission::administer);
    EXPECT_EQ(permissions.of({0, 0, 1, {}}), model::Permission::administer);
    EXPECT_EQ(permissions.of({1001, 1001, 1, {4}}), model::Permission::none);
    model::InstanceSpec spec;
    spec.read = {"4"};
    spec.operate = {"27"};
    permissions.configure(spec);
    EXPECT_EQ(permissions.of({1001, 1001, 1, {4}}), model::Permission::read);
    EXPECT_EQ(permissions.of({1001, 27, 1, {4}}), model::Permission::operate);
    EXPECT_EQ(permissions.of({1001, 1001, 1, {}}), model::Permission::none);
}
