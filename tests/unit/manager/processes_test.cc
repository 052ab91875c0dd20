// The order of news about a process: an exit that is told early waits, and is acknowledged exactly once.
#include "manager/processes.hpp"

#include <gtest/gtest.h>

using namespace abide;
using manager::Processes;

namespace {

anchor::Exit exit_of(std::int32_t pid, std::int32_t status) {
    anchor::Exit exit;
    exit.pid = pid;
    exit.kind = static_cast<std::uint32_t>(anchor::Ended::exited);
    exit.status = status;
    return exit;
}

}  // namespace

TEST(Processes, AnExitOfASettledProcessIsToldAtOnceAndAcknowledged) {
    Processes processes;
    processes.add(SpawnId{7}, 100, {}, true, true);
    const auto ended = processes.ended(exit_of(100, 3), false);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->spawn, SpawnId{7});
    EXPECT_EQ(ended->exit.status, 3);
    EXPECT_EQ(processes.take_acknowledged(), std::vector<std::int32_t>{100});
    EXPECT_EQ(processes.size(), 0u);
}

TEST(Processes, AnExitBeforeTheExecIsKnownWaitsForIt) {
    Processes processes;
    processes.add(SpawnId{7}, 100, {}, true, false);
    EXPECT_FALSE(processes.ended(exit_of(100, 0), true));
    EXPECT_TRUE(processes.take_acknowledged().empty());
    const auto ended = processes.settle(SpawnId{7}, false);
    ASSERT_TRUE(ended);
    EXPECT_EQ(processes.take_acknowledged().size(), 1u);
}

TEST(Processes, TheExitOfAFailedStartSaysNothingNewButIsAcknowledged) {
    Processes processes;
    processes.add(SpawnId{7}, 100, {}, true, false);
    EXPECT_FALSE(processes.settle(SpawnId{7}, true));
    EXPECT_FALSE(processes.ended(exit_of(100, 127), false));
    EXPECT_EQ(processes.take_acknowledged().size(), 1u);
}

TEST(Processes, AnExitBeforeItsStartIsKeptWhileChildrenMayBeUnderWay) {
    Processes processes;
    EXPECT_FALSE(processes.ended(exit_of(100, 5), true));
    processes.add(SpawnId{9}, 100, {}, true, false);
    processes.spawner_idle();
    EXPECT_TRUE(processes.take_acknowledged().empty());
    const auto ended = processes.settle(SpawnId{9}, false);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->exit.status, 5);
}

TEST(Processes, AStrangersExitIsAcknowledged) {
    Processes processes;
    EXPECT_FALSE(processes.ended(exit_of(100, 0), false));
    EXPECT_EQ(processes.take_acknowledged(), std::vector<std::int32_t>{100});
    EXPECT_FALSE(processes.ended(exit_of(101, 0), true));
    processes.spawner_idle();
    EXPECT_EQ(processes.take_acknowledged(), std::vector<std::int32_t>{101});
}

TEST(Processes, AnUnknownExitIsNeverACode) {
    anchor::Exit exit;
    exit.kind = static_cast<std::uint32_t>(anchor::Ended::unknown);
    exit.status = 0;
    EXPECT_EQ(manager::exit_status_of(exit, {}).kind, model::ExitKind::unknown);
    exit.kind = static_cast<std::uint32_t>(anchor::Ended::dumped);
    exit.status = 11;
    const model::ExitStatus dumped = manager::exit_status_of(exit, {});
    EXPECT_EQ(dumped.kind, model::ExitKind::signal);
    EXPECT_TRUE(dumped.core_dumped);
    EXPECT_EQ(dumped.value, 11);
}

TEST(Processes, TheFirstProcessOfAContainerMayEndBeforeItIsKnown) {
    Processes processes;
    processes.add(SpawnId{1}, 100, {}, true, true);
    processes.expect_child_of(SpawnId{1});
    EXPECT_FALSE(processes.ended(exit_of(101, 9), false)) << "a stranger, for now";
    EXPECT_TRUE(processes.take_acknowledged().empty()) << "its zombie stays: it is the record";
    ASSERT_TRUE(processes.ended(exit_of(100, 0), false));
    processes.claim(101);  // in the turn of that end the pid file is read
    processes.end_turn(false);
    EXPECT_EQ(processes.take_acknowledged(), std::vector<std::int32_t>{100});
    processes.unclaim(101);
    processes.add(SpawnId{2}, 101, {}, false, true);
    const auto ended = processes.settle(SpawnId{2}, false);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->exit.status, 9);
    EXPECT_EQ(processes.take_acknowledged(), std::vector<std::int32_t>{101});
}

TEST(Processes, StrangersThatNobodyClaimsAreAcknowledgedWhenTheirParentIsGone) {
    Processes processes;
    processes.add(SpawnId{1}, 100, {}, true, true);
    processes.expect_child_of(SpawnId{1});
    EXPECT_FALSE(processes.ended(exit_of(101, 9), false));
    ASSERT_TRUE(processes.ended(exit_of(100, 0), false));
    processes.end_turn(false);
    EXPECT_EQ(processes.take_acknowledged(), (std::vector<std::int32_t>{100, 101}));
    EXPECT_FALSE(processes.ended(exit_of(102, 9), false));
    EXPECT_EQ(processes.take_acknowledged(), std::vector<std::int32_t>{102}) << "and from then on at once";
}
