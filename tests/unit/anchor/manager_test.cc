// tests/unit/anchor/manager_test.cc -- a manager is always coming back, signals become wishes, and `end` ends.
#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "instance.hpp"

namespace abide::test {
namespace {

using anchor::Mark;
using anchor::Start;
using anchor::Verb;
using anchor::Wish;

TEST(Manager, UnknownVerbIsAnsweredAndGarbageIgnored) {
    Instance instance;
    Puppet manager = instance.manager();
    const std::uint64_t key = 5;
    manager.tell({std::uint16_t(Verb::get), 0, 1, 1, 0}, &key, sizeof key);  // before hello
    manager.hello();
    manager.tell({777, 0, 4242, 0, 0}, "payload", 7);
    const std::optional<Packet> answer = manager.push(Verb::unsupported);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->header.tag, 4242u);
    EXPECT_EQ(answer->header.status, std::uint32_t(ENOSYS));

    const Fd file = memory_file("x");
    const std::vector<char> big(anchor::kMaxFrameBytes + 100, 'x');
    send(manager.link(), "abc", 3, 0);                                                     // shorter than a header
    send(manager.link(), big.data(), big.size(), 0);                                       // longer than any frame
    manager.tell({std::uint16_t(Verb::put), 0, 1, 2, 0}, &key, sizeof key, {file.get()});  // count and bytes differ
    manager.tell({std::uint16_t(Verb::put), 0, 1, 1, 0}, &key, sizeof key, {});            // no descriptor
    manager.tell({std::uint16_t(Verb::peek), 0, 1, 1, 0}, &key, 4, {file.get()});          // one too many
    manager.tell({std::uint16_t(Verb::end), anchor::kAnswer, 1, 1, 0}, &key, sizeof key);  // an answer to nothing
    EXPECT_EQ(manager.hello().ignored_frames, 7u);
    EXPECT_EQ(manager.ask(Verb::get, std::vector<std::uint64_t>{5}).header.count, 0u);
}

TEST(Manager, WishesWaitForHelloAndForAnAnswer) {
    Instance instance;
    Puppet first = instance.manager();
    kill(instance.pid(), SIGTERM);
    EXPECT_FALSE(first.receive(100ms).has_value());
    const anchor::HelloAnswer hello = first.hello();
    EXPECT_EQ(hello.wishes, 1u);
    EXPECT_EQ(hello.last_wish, SIGTERM);
    const std::optional<Packet> wish = first.push(Verb::wish);
    ASSERT_TRUE(wish.has_value());
    EXPECT_EQ(wish->items<Wish>().at(0).signal, SIGTERM);
    EXPECT_EQ(wish->items<Wish>().at(0).sender_pid, getpid());
    first.ask(Verb::ready);
    kill(first.pid(), SIGKILL);  // without having answered

    Puppet second = instance.manager();
    second.hello();
    const std::optional<Packet> again = second.push(Verb::wish);
    ASSERT_TRUE(again.has_value());
    second.tell({std::uint16_t(Verb::wish), anchor::kAnswer, again->header.tag, 0, 0}, nullptr, 0);
    EXPECT_EQ(second.hello().wishes, 0u);
}

// Sends the anchor to an address where nothing is, as a bug of its own would.
void make_it_fault(pid_t pid) {
    ASSERT_EQ(ptrace(PTRACE_ATTACH, pid, nullptr, nullptr), 0) << strerror(errno);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, __WALL), pid);
    user_regs_struct registers{};
    iovec all{&registers, sizeof registers};
    ASSERT_EQ(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all), 0);
#if defined(__x86_64__)
    registers.orig_rax = static_cast<unsigned long long>(-1);  // no system call is to be begun again
    registers.rip = 8;
#else
    registers.pc = 8;
#endif
    ASSERT_EQ(ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &all), 0);
    ASSERT_EQ(ptrace(PTRACE_DETACH, pid, nullptr, nullptr), 0);
}

TEST(Manager, AFaultOfTheAnchorCostsAManagerAndNothingElse) {
    Instance instance;
    Puppet first = instance.manager();
    first.hello();
    first.ask(Verb::ready);
    const Fd file = memory_file("kept");
    first.ask(Verb::put, std::vector<std::uint64_t>{5000}, 0, {file.get()});
    const pid_t child = first.spawn_sleeping();
    const pid_t gone = first.spawn_exiting(7);
    first.ask(Verb::mark, std::vector<Mark>{{child, anchor::kManaged}, {gone, anchor::kManaged}});
    EXPECT_EQ(first.exit_of(gone).status, 7);  // told, not acknowledged
    make_it_fault(instance.pid());
    Puppet second = instance.manager();
    EXPECT_EQ(second.hello().epoch, 2u);
    EXPECT_EQ(second.exit_of(gone).status, 7);
    EXPECT_EQ(process_state(child), 'S');
    const Packet kept = second.ask(Verb::get, std::vector<std::uint64_t>{5000});
    ASSERT_EQ(kept.fds.size(), 1u);
    EXPECT_EQ(content_of(kept.fds[0].get()), "kept");
}

TEST(Manager, AfterTooManyFaultsItOnlyReapsAndEndsWhenTold) {
    Instance instance({.words = {"--grace-ms=500"}});
    Puppet manager = instance.manager();
    manager.hello();
    const pid_t child = manager.spawn_sleeping();
    // Quickly: a manager that lost its socket has 100 ms before it is killed.
    for (int i = 0; i < 9; ++i) {
        make_it_fault(instance.pid());
        usleep(2000);  // until it has
    }
    const pid_t orphan = manager.spawn_orphan();  // the puppet lives on without the anchor's ear
    for (int i = 0; i < 300 && process_state(orphan) != 0; ++i) usleep(10'000);
    EXPECT_EQ(process_state(orphan), 0) << "still reaped";
    EXPECT_NE(process_state(child), 0);
    kill(instance.pid(), SIGTERM);
    EXPECT_EQ(WEXITSTATUS(instance.status()), 1);
    EXPECT_EQ(process_state(child), 0);
}

TEST(Manager, EverySignalIsSurvived) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    for (int signal = 1; signal <= 64; ++signal) {
        if (signal == SIGKILL || signal == SIGSTOP || signal == SIGCHLD || signal == 32 || signal == 33) continue;
        kill(instance.pid(), signal);
    }
    kill(instance.pid(), SIGCHLD);
    EXPECT_EQ(manager.hello().epoch, 1u);
    int wishes = 0;
    while (manager.push(Verb::wish, 100ms)) ++wishes;
    EXPECT_EQ(wishes, 32);  // the bound; 8 named ones and 31 real-time ones were sent
}

TEST(Manager, CrashLoopPausesGrow) {
    Instance instance;
    std::vector<milliseconds> pauses;
    for (int i = 0; i < 6; ++i) {
        Puppet manager = instance.manager();
        manager.hello();
        EXPECT_EQ(manager.hello().failures, std::uint32_t(i));
        manager.exit(3);
        const auto before = std::chrono::steady_clock::now();
        ASSERT_TRUE(instance.starts_manager_within(3000ms));
        pauses.push_back(std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - before));
    }
    EXPECT_GE(pauses[2], 20ms);
    EXPECT_GE(pauses[4], 80ms);
    EXPECT_GE(pauses[5], 160ms);
    EXPECT_LT(pauses[5], 1000ms);
    Puppet last = instance.manager();
    const anchor::HelloAnswer hello = last.hello();
    EXPECT_EQ(hello.start, std::uint32_t(Start::crashed));
    EXPECT_EQ(hello.last_kind, std::uint32_t(anchor::Ended::exited));
    EXPECT_EQ(hello.last_status, 3);
    EXPECT_EQ(hello.epoch, 7u);
}

TEST(Manager, KilledAgainAndAgainComesBackAtOnce) {
    Instance instance;
    const pid_t service = [&] {
        Puppet manager = instance.manager();
        manager.hello();
        manager.ask(Verb::ready);
        const pid_t pid = manager.spawn_sleeping();
        kill(manager.pid(), SIGKILL);
        return pid;
    }();
    for (int i = 0; i < 30; ++i) {
        Puppet manager = instance.manager(1000ms);
        ASSERT_EQ(manager.hello().epoch, std::uint64_t(i + 2));
        manager.ask(Verb::ready);
        kill(manager.pid(), SIGKILL);
    }
    EXPECT_NE(process_state(service), '\0');
    // Killed before it is ready, after so many that had been: that is chance too, and not the thirtieth time of it.
    for (int i = 0; i < 3; ++i) {
        Puppet manager = instance.manager();
        manager.hello();
        kill(manager.pid(), SIGKILL);
        EXPECT_TRUE(instance.starts_manager_within(200ms)) << i;
    }
}

TEST(Manager, OneThatHasWorkedForTheLengthOfThePauseIsReplacedAtOnce) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "with a sanitizer a program needs longer to begin than a pause takes";
#endif
    Instance instance;
    std::vector<milliseconds> pauses;
    for (int i = 0; i < 8; ++i) {
        Puppet manager = instance.manager(1000ms);
        manager.hello();
        manager.ask(Verb::ready);
        std::this_thread::sleep_for(60ms);
        const auto before = std::chrono::steady_clock::now();
        kill(manager.pid(), SIGKILL);
        ASSERT_TRUE(instance.starts_manager_within(1000ms));
        pauses.push_back(std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - before));
    }
    std::ranges::sort(pauses);
    EXPECT_LT(pauses[4], 20ms);  // half of them, however busy the machine is
}

TEST(Manager, AHangIsOnlyWhatIsOutstanding) {
    Instance instance({.words = {"--hang-ms=200"}});
    Puppet first = instance.manager();
    first.hello();
    EXPECT_FALSE(instance.starts_manager_within(600ms)) << "nothing was outstanding";
    const pid_t pid = first.spawn_exiting(1);
    EXPECT_EQ(first.exit_of(pid).status, 1);  // never acknowledged
    ASSERT_TRUE(instance.starts_manager_within(2000ms));
    Puppet second = instance.manager();
    EXPECT_EQ(second.hello().start, std::uint32_t(Start::hung));
    EXPECT_EQ(second.exit_of(pid).status, 1);
    second.ask(Verb::working, std::vector<anchor::Working>{{1000}});
    EXPECT_FALSE(instance.starts_manager_within(700ms)) << "it said that it works longer";
    second.reap({pid});
    EXPECT_FALSE(instance.starts_manager_within(700ms));
}

TEST(Manager, OneThatWasStoppedIsReplacedUnlessItGoesOn) {
    Instance instance({.words = {"--hang-ms=400"}});
    Puppet first = instance.manager();
    first.hello();
    kill(first.pid(), SIGSTOP);
    EXPECT_FALSE(instance.starts_manager_within(50ms));
    kill(first.pid(), SIGCONT);
    EXPECT_FALSE(instance.starts_manager_within(900ms)) << "it went on in time";
    kill(first.pid(), SIGSTOP);
    ASSERT_TRUE(instance.starts_manager_within(3000ms)) << "nobody asks anything, and it owes us to go on";
    Puppet second = instance.manager();
    EXPECT_EQ(second.hello().start, std::uint32_t(Start::hung));
    EXPECT_FALSE(instance.starts_manager_within(900ms));
}

TEST(Manager, OneWithoutHelloOrSocketIsReplaced) {
    Instance instance({.words = {"--hang-ms=300"}});
    Puppet silent = instance.manager();
    ASSERT_TRUE(instance.starts_manager_within(2000ms));
    Puppet second = instance.manager();
    EXPECT_EQ(second.hello().start, std::uint32_t(Start::hung));
    second.close_link();
    second.let_go();
    ASSERT_TRUE(instance.starts_manager_within(2000ms));
    EXPECT_EQ(instance.manager().hello().start, std::uint32_t(Start::hung));
}

TEST(Manager, TheNextProgramIsADescriptorToo) {
    Instance instance;
    Puppet first = instance.manager();
    first.hello();
    const Fd broken(open("/bin/true", O_PATH | O_CLOEXEC));
    const auto key = std::uint64_t(anchor::Key::manager_program);
    const Fd good(open("/proc/self/exe", O_PATH | O_CLOEXEC));
    ASSERT_EQ(first.ask(Verb::put, std::vector<std::uint64_t>{key}, 0, {good.get()}).header.status, 0u);
    first.exit(0);
    Puppet second = instance.manager();
    EXPECT_EQ(second.hello().start, std::uint32_t(Start::crashed));
    ASSERT_EQ(second.ask(Verb::put, std::vector<std::uint64_t>{key}, 0, {broken.get()}).header.status, 0u);
    second.exit(0);
    EXPECT_FALSE(instance.starts_manager_within(300ms));
    EXPECT_NE(process_state(instance.pid()), '\0');
}

TEST(Manager, LimitsAreHandedOnAsTheyWere) {
    Instance instance;
    Puppet manager = instance.manager();
    rlimit own{};
    getrlimit(RLIMIT_NOFILE, &own);
    EXPECT_EQ(manager.soft_limit(), int(own.rlim_cur));
}

TEST(End, WithStatusAndGrace) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const pid_t polite = manager.spawn_sleeping(), deaf = manager.spawn_deaf();
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(manager.ask(Verb::end, std::vector<anchor::End>{{17, 300}}).header.status, 0u);
    const int status = instance.status();
    const auto took = std::chrono::steady_clock::now() - before;
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 17);
    EXPECT_GE(took, 290ms);
    EXPECT_LT(took, 2000ms);
    EXPECT_EQ(process_state(polite), '\0');
    EXPECT_EQ(process_state(deaf), '\0');
}

TEST(End, SparesWhatIsMarkedNever) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    const pid_t spared = manager.spawn_outliving(), other = manager.spawn_outliving();
    manager.ask(Verb::mark, std::vector<Mark>{{spared, anchor::kManaged | anchor::kNeverKill}});
    manager.ask(Verb::end, std::vector<anchor::End>{{0, 100}});
    EXPECT_EQ(WEXITSTATUS(instance.status(5000ms)), 0);
    EXPECT_EQ(process_state(other), '\0');
    EXPECT_EQ(process_state(spared), 'S');
    kill(spared, SIGKILL);
}

TEST(End, WithoutAnyManager) {
    Instance instance({.words = {"--grace-ms=200"}, .program = "/bin/false"});
    const timespec moment{0, 400'000'000};  // five failures: 0 + 10 + 20 + 40 + 80 ms
    nanosleep(&moment, nullptr);
    EXPECT_NE(process_state(instance.pid()), '\0');
    kill(instance.pid(), SIGTERM);
    const int status = instance.status(2000ms);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST(End, ASecondTermShortens) {
    Instance instance;
    Puppet manager = instance.manager();
    manager.hello();
    manager.spawn_deaf();
    manager.ask(Verb::end, std::vector<anchor::End>{{0, 60'000}});
    const auto before = std::chrono::steady_clock::now();
    const timespec moment{0, 50'000'000};
    nanosleep(&moment, nullptr);
    kill(instance.pid(), SIGTERM);
    nanosleep(&moment, nullptr);
    kill(instance.pid(), SIGTERM);
    EXPECT_EQ(WEXITSTATUS(instance.status(5000ms)), 0);
    EXPECT_LT(std::chrono::steady_clock::now() - before, 3000ms);
}

// As PID 1 of a namespace: the kernel protects it, it reaps without being a subreaper, and all end with it.
TEST(Pid1, WishesOrphansAndEnd) {
    if (getuid() != 0) GTEST_SKIP() << "needs root for a pid namespace";
    Instance instance({.as_pid1 = true});
    Puppet manager = instance.manager();
    const anchor::HelloAnswer hello = manager.hello();
    EXPECT_EQ(hello.anchor_pid, 1);
    EXPECT_EQ(hello.flags, anchor::kIsPid1);
    const pid_t orphan = manager.spawn_orphan();
    EXPECT_EQ(manager.exit_of(orphan).status, 9);
    manager.reap({orphan});
    const std::string children = proc_file(instance.pid(), "task/" + std::to_string(instance.pid()) + "/children");
    const pid_t outside = std::stoi(children);
    for (const int signal : {SIGINT, SIGSEGV, SIGABRT, SIGALRM}) kill(outside, signal);
    EXPECT_EQ(manager.push(Verb::wish)->items<Wish>().at(0).signal, SIGINT);
    for (int i = 0; i < 20; ++i) manager.spawn_deaf();
    const auto before = std::chrono::steady_clock::now();
    manager.ask(Verb::end, std::vector<anchor::End>{{33, 150}});
    EXPECT_EQ(WEXITSTATUS(instance.status(5000ms)), 33);
    EXPECT_LT(std::chrono::steady_clock::now() - before, 2000ms);
}

}  // namespace
}  // namespace abide::test
