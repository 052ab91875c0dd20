// tests/unit/anchor/renew_test.cc -- the anchor executes itself: nothing that it holds is lost, and what fails changes
// nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "instance.hpp"

namespace abide::test {
namespace {

using anchor::Generation;
using anchor::Mark;
using anchor::Verb;

constexpr std::uint64_t kFirst = anchor::kFirstFreeKey;

std::uint32_t renew(Puppet& manager, const std::string& program) {
    const Fd next(open(program.c_str(), O_PATH | O_CLOEXEC));
    const std::vector<std::uint64_t> key{std::uint64_t(anchor::Key::next_anchor)};
    manager.ask(Verb::put, key, anchor::kOurs, {next.get()});
    return manager.ask(Verb::exec_self).header.status;
}

std::uint32_t execs(Puppet& manager) {
    return manager.ask(Verb::generation).items<Generation>().at(0).execs;
}

int open_descriptors(pid_t pid) {
    int count = 0;
    for (int fd = 0; fd < 256; ++fd)
        if (access(("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd)).c_str(), F_OK) == 0) ++count;
    return count;
}

TEST(Renew, ChildrenZombiesDescriptorsMarksAndSignalsStay) {
    Instance instance({.words = {"--hang-ms=5000", "--", "named"}});
    Puppet manager = instance.manager();
    manager.hello();
    manager.ask(Verb::ready);
    const Fd file = memory_file("kept");
    manager.ask(Verb::put, std::vector<std::uint64_t>{kFirst, kFirst + 9}, 0, {file.get(), file.get()});
    const pid_t service = manager.spawn_sleeping(), ended = manager.spawn_exiting(7);
    manager.ask(Verb::mark, std::vector<Mark>{{service, anchor::kManaged}, {ended, anchor::kManaged}});
    EXPECT_EQ(manager.exit_of(ended).status, 7);  // not acknowledged: a zombie
    kill(instance.pid(), SIGUSR1);
    ASSERT_TRUE(manager.push(Verb::wish).has_value());  // not answered
    const std::string words = proc_file(instance.pid(), "cmdline");
    int descriptors = 0;
    for (std::uint32_t round = 1; round <= 20; ++round) {
        ASSERT_EQ(renew(manager, abide_program()), 0u);
        ASSERT_EQ(execs(manager), round);
        if (round == 1) descriptors = open_descriptors(instance.pid());
    }
    EXPECT_EQ(open_descriptors(instance.pid()), descriptors);
    EXPECT_NE(proc_file(instance.pid(), "cmdline").find("named"), std::string::npos);
    EXPECT_LE(proc_file(instance.pid(), "cmdline").size(), words.size());
    EXPECT_EQ(process_state(ended), 'Z');
    const Packet kept = manager.ask(Verb::get, std::vector<std::uint64_t>{kFirst, kFirst + 9});
    ASSERT_EQ(kept.fds.size(), 2u);
    EXPECT_EQ(content_of(kept.fds[1].get()), "kept");
    const anchor::HelloAnswer hello = manager.hello();
    EXPECT_EQ(hello.epoch, 1u);
    EXPECT_EQ(hello.zombies, 1u);
    EXPECT_EQ(hello.wishes, 1u);
    manager.reap({ended});
    EXPECT_EQ(process_state(ended), '\0');
    kill(service, SIGKILL);
    EXPECT_EQ(manager.exit_of(service).marks & anchor::kMarkBits, anchor::kManaged);
    kill(manager.pid(), SIGKILL);
    Puppet next = instance.manager();
    EXPECT_EQ(next.hello().epoch, 2u);
    EXPECT_EQ(next.exit_of(service).status, SIGKILL);
    EXPECT_TRUE(next.push(Verb::wish).has_value());
}

TEST(Renew, WhatFailsItsRehearsalIsNotExecuted) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const pid_t service = manager.spawn_sleeping();
    for (const char* program : {"/bin/true", "/bin/false", "/etc/passwd"}) {
        EXPECT_EQ(renew(manager, program), std::uint32_t(ENOEXEC)) << program;
        EXPECT_EQ(execs(manager), 0u);
    }
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(renew(manager, "/proc/self/exe"), std::uint32_t(ENOEXEC)) << "it doesn't know what is meant, and hangs";
    EXPECT_LT(std::chrono::steady_clock::now() - before, 5s);
    const std::vector<std::uint64_t> key{std::uint64_t(anchor::Key::next_anchor)};
    manager.ask(Verb::drop, key, anchor::kOurs);
    EXPECT_EQ(manager.ask(Verb::exec_self).header.status, std::uint32_t(ENOENT));
    EXPECT_EQ(renew(manager, abide_program()), 0u);
    EXPECT_EQ(execs(manager), 1u);
    EXPECT_NE(process_state(service), '\0');
}

// Children end, processes are adopted, descriptors come and go, and the anchor is replaced all the time.
TEST(Renew, UnderLoadNoExitIsLost) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    std::vector<pid_t> waiting;
    for (int round = 0; round < 40; ++round) {
        for (int i = 0; i < 10; ++i) {
            const pid_t pid = manager.spawn_exiting(round);
            manager.ask(Verb::mark, std::vector<Mark>{{pid, anchor::kManaged}});
            waiting.push_back(pid);
        }
        manager.spawn_orphan();
        ASSERT_EQ(renew(manager, abide_program()), 0u);
        std::map<pid_t, int> told;
        while (told.size() < waiting.size()) {
            const std::optional<Packet> push = manager.push(Verb::exited);
            ASSERT_TRUE(push.has_value()) << "an exit was not told in round " << round;
            for (const anchor::Exit& exit : push->items<anchor::Exit>()) {
                manager.reap({exit.pid});
                if (std::find(waiting.begin(), waiting.end(), exit.pid) != waiting.end()) told[exit.pid] = exit.status;
            }
        }
        for (const auto& [pid, status] : told) EXPECT_EQ(status, round) << pid;
        waiting.clear();
    }
    EXPECT_EQ(execs(manager), 40u);
    EXPECT_EQ(manager.hello().statuses_lost, 0u);
}

TEST(Renew, AsProcessOne) {
    if (getuid() != 0) GTEST_SKIP() << "needs root for a pid namespace";
    Instance instance({.as_pid1 = true});
    Puppet manager = instance.manager();
    EXPECT_NE(manager.hello().flags & anchor::kIsPid1, 0u);
    ASSERT_EQ(renew(manager, abide_program()), 0u);
    const anchor::HelloAnswer hello = manager.hello();
    EXPECT_NE(hello.flags & anchor::kIsPid1, 0u);
    EXPECT_EQ(hello.anchor_pid, 1);
    const pid_t orphan = manager.spawn_orphan();
    EXPECT_EQ(manager.exit_of(orphan).status, 9);
}

}  // namespace
}  // namespace abide::test
