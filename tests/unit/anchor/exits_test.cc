// tests/unit/anchor/exits_test.cc -- every exit is told, exactly, until it is acknowledged.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <map>
#include <set>

#include "instance.hpp"

namespace abide::test {
namespace {

using anchor::Ended;
using anchor::Exit;
using anchor::Mark;
using anchor::Verb;
using Pids = std::vector<std::int32_t>;

void pause_ms(int ms) {
    const timespec moment{ms / 1000, (ms % 1000) * 1'000'000L};
    nanosleep(&moment, nullptr);
}

TEST(Exits, PushedPeekedAndReaped) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const pid_t pid = manager.spawn_exiting(42);
    manager.ask(Verb::mark, std::vector<Mark>{{pid, anchor::kManaged}});
    const Exit told = manager.exit_of(pid);
    EXPECT_EQ(told.kind, std::uint32_t(Ended::exited));
    EXPECT_EQ(told.status, 42);
    EXPECT_EQ(process_state(pid), 'Z');
    const Exit peeked = manager.ask(Verb::peek, Pids{pid}).items<Exit>().at(0);
    EXPECT_EQ(peeked.status, 42);
    EXPECT_EQ(peeked.marks, anchor::kManaged);
    manager.reap({pid});
    EXPECT_EQ(process_state(pid), '\0');
    EXPECT_EQ(manager.ask(Verb::peek, Pids{pid}).items<Exit>().at(0).kind, std::uint32_t(Ended::unknown));
}

TEST(Exits, SignalsAndUsageAreExact) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const pid_t sleeper = manager.spawn_sleeping();
    EXPECT_EQ(manager.ask(Verb::peek, Pids{sleeper}).items<Exit>().at(0).kind, std::uint32_t(Ended::running));
    kill(sleeper, SIGUSR1);
    const Exit killed = manager.exit_of(sleeper);
    EXPECT_EQ(killed.kind, std::uint32_t(Ended::killed));
    EXPECT_EQ(killed.status, SIGUSR1);
    const pid_t worker = manager.spawn_busy(60);
    const Exit done = manager.exit_of(worker);
    EXPECT_GE(done.user_us + done.system_us, 50'000u);
    EXPECT_LT(done.user_us + done.system_us, 2'000'000u);
    EXPECT_GT(done.max_rss_kib, 0u);
    EXPECT_GT(done.seen_ns, killed.seen_ns);
    manager.reap({sleeper, worker});
}

TEST(Exits, CoalescedSignalsLoseNothing) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const std::vector<pid_t> pids = manager.spawn_together(300);
    std::map<pid_t, int> told;
    for (int i = 0; i < 400 && told.size() < pids.size(); ++i) {
        const std::optional<Packet> packet = manager.push(Verb::exited, 500ms);
        if (!packet) break;
        Pids seen;
        for (const Exit& exit : packet->items<Exit>()) {
            ++told[exit.pid];
            EXPECT_EQ(exit.status, 3);
            seen.push_back(exit.pid);
        }
        if (i % 2 == 0) manager.reap(seen);  // some are acknowledged at once, some stay
    }
    EXPECT_EQ(told.size(), pids.size());
    for (const pid_t pid : pids) EXPECT_EQ(told[pid], 1) << pid;
}

TEST(Exits, OrphansAreToldToo) {
    Instance instance;
    Puppet manager = instance.manager();
    EXPECT_TRUE((manager.hello().flags & anchor::kIsSubreaper) != 0);
    const pid_t orphan = manager.spawn_orphan();
    ASSERT_GT(orphan, 0);
    EXPECT_EQ(manager.exit_of(orphan).status, 9);
    manager.reap({orphan});
    EXPECT_EQ(process_state(orphan), '\0');
}

TEST(Exits, KeptWhileNoManagerLivesAndToldToTheNext) {
    Instance instance({.words = {"--hang-ms=0"}});
    Puppet first = instance.manager();
    first.hello();
    const pid_t pid = first.spawn_sleeping();
    first.ask(Verb::mark, std::vector<Mark>{{pid, anchor::kManaged | 0x100}});
    const pid_t told_before = first.spawn_exiting(5);
    EXPECT_EQ(first.exit_of(told_before).status, 5);  // but not acknowledged
    kill(first.pid(), SIGKILL);
    kill(pid, SIGINT);

    Puppet second = instance.manager();
    EXPECT_GE(second.hello().zombies, 1u);
    std::map<pid_t, Exit> told;
    for (int i = 0; i < 10 && told.size() < 2; ++i)
        if (const std::optional<Packet> packet = second.push(Verb::exited, 500ms))
            for (const Exit& exit : packet->items<Exit>()) told[exit.pid] = exit;
    EXPECT_EQ(told[pid].status, SIGINT);
    EXPECT_EQ(told[pid].marks, anchor::kManaged | 0x100);
    EXPECT_EQ(told[told_before].status, 5);
}

// In the pauses of a crash loop there is no manager: marked children stay zombies, strangers' statuses go to the table.
TEST(Exits, StrangersAreReapedIntoTheTableWhileNobodyListens) {
    Instance instance;
    std::optional<Puppet> manager;
    pid_t stranger = -1, marked = -1;
    for (int i = 0; i < 6; ++i) {  // the sixth leaves a pause of 160 ms
        manager.emplace(instance.manager());
        manager->hello();
        if (i == 5) {
            stranger = manager->spawn_sleeping();
            marked = manager->spawn_sleeping();
            manager->ask(Verb::mark, std::vector<Mark>{{marked, anchor::kManaged}});
        }
        manager->exit(1);
    }
    pause_ms(30);
    kill(stranger, SIGUSR2);
    kill(marked, SIGUSR2);
    pause_ms(40);
    EXPECT_EQ(process_state(stranger), '\0');
    EXPECT_EQ(process_state(marked), 'Z');
    Puppet last = instance.manager();
    last.hello();
    EXPECT_EQ(last.exit_of(marked).status, SIGUSR2);
    const Exit aside = last.ask(Verb::peek, Pids{stranger}).items<Exit>().at(0);
    EXPECT_EQ(aside.kind, std::uint32_t(Ended::killed));
    EXPECT_EQ(aside.status, SIGUSR2);
    last.reap({stranger, marked});
    EXPECT_EQ(last.ask(Verb::peek, Pids{stranger}).items<Exit>().at(0).kind, std::uint32_t(Ended::unknown));
}

TEST(Exits, ReapingWhatRunsDoesNothing) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const pid_t pid = manager.spawn_sleeping();
    manager.reap({pid, 0, -1, manager.pid(), 1});
    EXPECT_EQ(manager.ask(Verb::peek, Pids{pid}).items<Exit>().at(0).kind, std::uint32_t(Ended::running));
    kill(pid, SIGKILL);
    EXPECT_EQ(manager.exit_of(pid).status, SIGKILL);
}

// A manager that does not read must not stop the anchor, and gets everything once it reads again.
TEST(Exits, AManagerThatDoesNotReadLosesNothing) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    std::set<pid_t> expected;
    for (int round = 0; round < 4; ++round)
        for (const pid_t pid : manager.spawn_together(150)) expected.insert(pid);
    const int before = rss_kib(instance.pid());
    pause_ms(300);
    std::set<pid_t> told;
    while (const std::optional<Packet> packet = manager.push(Verb::exited, 300ms)) {
        Pids seen;
        for (const Exit& exit : packet->items<Exit>()) told.insert(exit.pid), seen.push_back(exit.pid);
        manager.reap(seen);
    }
    EXPECT_EQ(told, expected);
    EXPECT_LT(rss_kib(instance.pid()), before + 256);
}

TEST(Exits, ManyRequestsWithoutReadingAnswers) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const Pids pids(anchor::kBatch, 1);
    int sent = 0;
    try {
        for (; sent < 3000; ++sent)
            manager.tell({std::uint16_t(Verb::peek), 0, 7, anchor::kBatch, 0}, pids.data(), pids.size() * 4);
    } catch (const std::runtime_error&) {
        // the socket is full: the anchor keeps one answer and reads no more
    }
    EXPECT_LT(sent, 3000);
    int answers = 0;
    while (const std::optional<Packet> packet = manager.receive(300ms))
        if (packet->header.tag == 7) ++answers;
    EXPECT_EQ(answers, sent);
}

}  // namespace
}  // namespace abide::test
