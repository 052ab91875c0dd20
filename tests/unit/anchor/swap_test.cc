// tests/unit/anchor/swap_test.cc -- another program for the manager: committed, or taken back, whatever it does.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "instance.hpp"

namespace abide::test {
namespace {

using anchor::Commit;
using anchor::Generation;
using anchor::Start;
using anchor::Swap;
using anchor::Verb;
using anchor::Verdict;

constexpr std::uint64_t kTicket = 77;

Generation generation(Puppet& manager) {
    return manager.ask(Verb::generation).items<Generation>().at(0);
}

std::uint32_t commit(Puppet& manager, std::uint32_t flags, std::uint64_t ticket = kTicket) {
    return manager.ask(Verb::commit, std::vector<Commit>{{ticket, flags, 0}}).header.status;
}

// The first manager of an instance asks for `program` and ends.
void swap_to(Puppet& manager, const char* program, std::uint32_t ready_ms = 3000, std::uint32_t commit_ms = 3000) {
    manager.hello();
    manager.ask(Verb::ready);
    const Fd next(open(program, O_PATH | O_CLOEXEC));
    ASSERT_GE(next.get(), 0);
    const std::vector<std::uint64_t> key{std::uint64_t(anchor::Key::next_program)};
    ASSERT_EQ(manager.ask(Verb::put, key, anchor::kOurs, {next.get()}).header.status, 0u);
    ASSERT_EQ(manager.ask(Verb::swap, std::vector<Swap>{{kTicket, ready_ms, commit_ms}}).header.status, 0u);
    manager.exit(0);
}

void expect_rolled_back(Instance& instance, Verdict verdict, milliseconds within = 2000ms) {
    const auto before = std::chrono::steady_clock::now();
    Puppet old = instance.manager();
    EXPECT_LT(std::chrono::steady_clock::now() - before, within);
    const anchor::HelloAnswer hello = old.hello();
    EXPECT_EQ(hello.start, std::uint32_t(Start::rolled_back));
    EXPECT_EQ(hello.failures, 0u);
    const Generation told = generation(old);
    EXPECT_EQ(told.ticket, kTicket);
    EXPECT_EQ(told.verdict, std::uint32_t(verdict));
    EXPECT_EQ(told.rollbacks, 1u);
    EXPECT_EQ(told.swaps, 0u);
    EXPECT_EQ(commit(old, anchor::kFinal), std::uint32_t(ESTALE));
    const std::vector<std::uint64_t> key{std::uint64_t(anchor::Key::next_program)};
    EXPECT_EQ(old.ask(Verb::get, key).header.count, 0u);
}

TEST(Swap, ReadyVouchedCommitted) {
    Instance instance;
    pid_t service = 0;
    {
        Puppet first = instance.manager();
        first.hello();
        service = first.spawn_sleeping();
        swap_to(first, "/proc/self/exe");
    }
    Puppet second = instance.manager();
    EXPECT_EQ(second.hello().start, std::uint32_t(Start::upgraded));
    EXPECT_EQ(second.hello().failures, 0u);
    EXPECT_EQ(commit(second, 0), std::uint32_t(ESTALE)) << "it is not ready";
    second.ask(Verb::ready);
    EXPECT_EQ(commit(second, 0, kTicket + 1), std::uint32_t(ESTALE));
    EXPECT_EQ(commit(second, 0), 0u);
    EXPECT_EQ(generation(second).verdict, std::uint32_t(Verdict::pending));
    EXPECT_EQ(commit(second, anchor::kFinal), 0u);
    const Generation told = generation(second);
    EXPECT_EQ(told.verdict, std::uint32_t(Verdict::committed));
    EXPECT_EQ(told.swaps, 1u);
    EXPECT_GE(told.gone_ns, told.asked_ns);
    EXPECT_GE(told.ready_ns, told.gone_ns);
    kill(second.pid(), SIGKILL);
    Puppet third = instance.manager();
    EXPECT_EQ(third.hello().start, std::uint32_t(Start::killed)) << "after the commit a crash is a crash";
    EXPECT_NE(process_state(service), '\0');
}

TEST(Swap, WithoutAProgramOrTwiceIsRefused) {
    Instance instance;
    Puppet first = instance.manager();
    first.hello();
    EXPECT_EQ(first.ask(Verb::swap, std::vector<Swap>{{kTicket, 10, 10}}).header.status, std::uint32_t(ENOENT));
    const Fd next(open("/proc/self/exe", O_PATH | O_CLOEXEC));
    const std::vector<std::uint64_t> key{std::uint64_t(anchor::Key::next_program)};
    first.ask(Verb::put, key, 0, {next.get()});
    EXPECT_EQ(first.ask(Verb::swap, std::vector<Swap>{{0, 10, 10}}).header.status, std::uint32_t(EINVAL));
    EXPECT_EQ(first.ask(Verb::swap, std::vector<Swap>{{kTicket, 3000, 3000}}).header.status, 0u);
    EXPECT_EQ(first.ask(Verb::swap, std::vector<Swap>{{kTicket, 3000, 3000}}).header.status, std::uint32_t(EBUSY));
    // It asked and does not go: it is helped along.
    ASSERT_TRUE(instance.starts_manager_within(3000ms));
    EXPECT_EQ(instance.manager().hello().start, std::uint32_t(Start::upgraded));
}

TEST(Swap, AProgramThatEndsAtOnceIsTakenBack) {
    for (const char* program : {"/bin/true", "/bin/false", "/etc/passwd"}) {
        Instance instance;
        {
            Puppet first = instance.manager();
            swap_to(first, program);
        }
        expect_rolled_back(instance, Verdict::crashed);
    }
}

TEST(Swap, OneThatIsNotReadyOrNotVouchedForInTimeIsTakenBack) {
    for (const bool ready : {false, true}) {
        Instance instance;
        {
            Puppet first = instance.manager();
            swap_to(first, "/proc/self/exe", 300);
        }
        Puppet second = instance.manager();
        second.hello();
        second.ask(Verb::working, std::vector<anchor::Working>{{60'000}});  // does not help
        if (ready) second.ask(Verb::ready);
        expect_rolled_back(instance, Verdict::late);
    }
}

TEST(Swap, OneThatIsNeverCommittedIsTakenBack) {
    Instance instance;
    {
        Puppet first = instance.manager();
        swap_to(first, "/proc/self/exe", 3000, 300);
    }
    Puppet second = instance.manager();
    second.hello();
    second.ask(Verb::ready);
    ASSERT_EQ(commit(second, 0), 0u);
    expect_rolled_back(instance, Verdict::uncommitted);
}

TEST(Swap, GarbageAndAHangAreTakenBack) {
    {
        Instance instance;
        {
            Puppet first = instance.manager();
            swap_to(first, "/proc/self/exe");
        }
        Puppet second = instance.manager();
        second.hello();
        second.ask(Verb::ready);
        const char garbage[] = "what";
        second.tell({std::uint16_t(Verb::peek), 0, 9, 3, 0}, garbage, sizeof garbage);
        expect_rolled_back(instance, Verdict::garbage);
    }
    Instance instance({.words = {"--hang-ms=200"}});
    {
        Puppet first = instance.manager();
        swap_to(first, "/proc/self/exe");
    }
    Puppet second = instance.manager();  // never says hello
    expect_rolled_back(instance, Verdict::hung);
}

TEST(Swap, ACrashOnProbationIsTakenBackAndTheExitIsTheOldOnes) {
    Instance instance;
    pid_t service = 0;
    {
        Puppet first = instance.manager();
        first.hello();
        service = first.spawn_sleeping();
        first.ask(Verb::mark, std::vector<anchor::Mark>{{service, anchor::kManaged}});
        swap_to(first, "/proc/self/exe");
    }
    Puppet second = instance.manager();
    second.hello();
    second.ask(Verb::ready);
    ASSERT_EQ(commit(second, 0), 0u);
    kill(service, SIGKILL);
    EXPECT_EQ(second.exit_of(service).status, SIGKILL);
    kill(second.pid(), SIGSEGV);  // without having acknowledged it
    Puppet old = instance.manager();
    EXPECT_EQ(old.hello().start, std::uint32_t(Start::rolled_back));
    EXPECT_EQ(generation(old).last_status, SIGSEGV);
    EXPECT_EQ(old.exit_of(service).status, SIGKILL);
}

TEST(Swap, AProgramThatCantBeExecutedHasACopy) {
    Instance instance;
    const Fd copy(memfd_create("copy", MFD_CLOEXEC));
    {
        const Fd self(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
        std::vector<char> bytes(1 << 20);
        for (ssize_t got = 0; (got = read(self.get(), bytes.data(), bytes.size())) > 0;)
            ASSERT_EQ(write(copy.get(), bytes.data(), std::size_t(got)), got);
        Puppet first = instance.manager();
        first.hello();
        const Fd broken(open("/etc/passwd", O_PATH | O_CLOEXEC));
        const std::vector<std::uint64_t> keys{std::uint64_t(anchor::Key::manager_program),
                                              std::uint64_t(anchor::Key::program_copy)};
        ASSERT_EQ(first.ask(Verb::put, keys, 0, {broken.get(), copy.get()}).header.status, 0u);
        first.exit(0);
    }
    EXPECT_EQ(instance.manager().hello().epoch, 2u);
}

}  // namespace
}  // namespace abide::test
