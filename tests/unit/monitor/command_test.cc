// What a command can arrange, seen from inside the child; and its output.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <optional>

#include "fixture.hpp"

// Counts allocations, for the test that the way of an end needs none.
namespace {
std::atomic<std::size_t> allocations{0};
}
__attribute__((noinline)) void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::aligned_alloc(16, (size + 15) / 16 * 16)) return memory;
    std::abort();
}
__attribute__((noinline)) void operator delete(void* memory) noexcept {
    std::free(memory);
}
__attribute__((noinline)) void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace abide {
namespace {

class Command : public EachTier {};
INSTANTIATE_TEST_SUITE_P(Tier, Command, kTiers, tier_name);

// Standard output and error of a command that is run to its end.
std::string output_of(monitor& m, command what) {
    auto p = m.spawn(what.out(stdio::buffer()).err(stdio::to_output()), leave::kill);
    EXPECT_TRUE(p) << (p ? "" : p.error().message());
    if (!p) return {};
    EXPECT_TRUE(p->wait(within(10s)));
    return p->take_output(1);
}

TEST_P(Command, Arguments) {
    EXPECT_EQ(output_of(m, command("printf").arg("%s|").args({"a b", "", "c"})), "a b||c|");
    EXPECT_EQ(output_of(m, command("other-name", {"-c", "echo $0"}).executable("/bin/sh")), "other-name\n");
    const command once = shell("echo same");
    command copy = once;
    copy.arg("more");
    EXPECT_EQ(output_of(m, once) + output_of(m, copy), "same\nsame\n");
}

TEST_P(Command, Environment) {
    ::setenv("ABIDE_TEST_INHERITED", "yes", 1);
    EXPECT_EQ(output_of(m, shell("echo $ABIDE_TEST_INHERITED").env("OTHER", "x")), "yes\n");
    EXPECT_EQ(output_of(m, shell("echo $ABIDE_TEST_INHERITED.").env_remove("ABIDE_TEST_INHERITED")), ".\n");
    EXPECT_EQ(output_of(m, command("/usr/bin/env").env("B", "1").env("B", "2").env_clear()), "B=2\n");
    EXPECT_EQ(output_of(m, shell("[ $LISTEN_PID = $$ ] && echo same").env_own_pid("LISTEN_PID")), "same\n");
}

TEST_P(Command, TaskAttributes) {
    EXPECT_EQ(output_of(m, command("/bin/pwd").directory("/usr/bin")), "/usr/bin\n");
    EXPECT_EQ(output_of(m, shell("umask").umask(027)), "0027\n");
    EXPECT_EQ(output_of(m, shell("ulimit -n").limit(RLIMIT_NOFILE, 77, 88)), "77\n");
    EXPECT_EQ(output_of(m, command("/usr/bin/nice").nice(15)), "15\n");
    EXPECT_EQ(output_of(m, shell("grep NoNewPrivs /proc/self/status").no_new_privileges()), "NoNewPrivs:\t1\n");
    EXPECT_EQ(output_of(m, shell("[ $(ps -o sid= -p $$) = $$ ] && echo leader")), "leader\n");
    EXPECT_EQ(output_of(m, shell("[ $(ps -o sid= -p $$) = $$ ] || echo follower").new_session(false)), "follower\n");
    const std::string signals = output_of(m, shell("grep -E 'SigBlk|SigIgn' /proc/self/status"));
    EXPECT_EQ(signals, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_P(Command, UsersAndCapabilities) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    EXPECT_EQ(output_of(m, shell("id -u; id -g; id -G").user("daemon").supplementary_groups({5, 6})), "1\n1\n1 5 6\n");
    EXPECT_EQ(output_of(m, shell("id -g").user("12345").with_group("6")), "6\n");
    EXPECT_EQ(output_of(m, shell("grep CapEff /proc/self/status").user("daemon").capabilities({"net_bind_service"})),
              "CapEff:\t0000000000000400\n");
    const auto p = m.spawn(shell("true").user("no-such-user"), leave::kill);
    ASSERT_FALSE(p);
    EXPECT_NE(p.error().message().find("no-such-user"), std::string::npos);
}

TEST_P(Command, ThroughTheHoldProgram) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    monitor_options options = with_tier(GetParam());
    options.hold_program = ABIDE_BIN_DIR "/abide-hold";
    m = make(options);
    EXPECT_EQ(output_of(m, shell("cat /proc/self/oom_score_adj").oom_score(321)), "321\n");
    EXPECT_EQ(output_of(m, shell("ls -A /tmp").private_tmp()), "");
    EXPECT_EQ(output_of(m, shell("[ $LISTEN_PID = $$ ] && cat /proc/self/oom_score_adj")
                               .env_own_pid("LISTEN_PID")
                               .oom_score(100)
                               .private_tmp()),
              "100\n");
    options.hold_program = "/nonexistent";
    monitor without = make(options);
    EXPECT_FALSE(without.spawn(shell("true").oom_score(1), leave::kill));
}

TEST_P(Command, ControllingTerminal) {
    const int ours = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(ours, 0);
    ASSERT_EQ(::grantpt(ours) + ::unlockpt(ours), 0);
    const int theirs = ::open(::ptsname(ours), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(theirs, 0);
    const command what = shell("(: </dev/tty) 2>/dev/null && echo has || echo lacks").in(stdio::descriptor(theirs));
    EXPECT_EQ(output_of(m, command(what).controlling_terminal()), "has\n");
    EXPECT_EQ(output_of(m, what), "lacks\n");
    EXPECT_FALSE(m.spawn(command(what).controlling_terminal().new_session(false), leave::kill));
    ::close(ours);
    ::close(theirs);
}

// The monitor lives in a process of its own, so that its parent is us: we reap what it starts as its sibling.
int monitor_of_a_sibling(tier which) {
    ::alarm(20);
    monitor m = make(with_tier(which));
    auto p = m.spawn(shell("sleep 0.2; exit 7").as_sibling(), leave::kill);
    if (m.tier() == tier::sigchld) return !p && p.error().number == ENOTSUP ? 0 : 1;
    if (!p) return 2;
    if (parent_of(p->pid()) != ::getppid()) return 3;
    if (!until(m, [&] { return !p->running(); }, 10s)) return 4;
    if (m.tier() == tier::pidfd) return p->exit()->status.how == ended::unknown ? 0 : 5;
    return p->exit()->status.code() == 7 && p->exit()->status.source == exit_source::exit_info ? 0 : 6;
}

TEST_P(Command, AsSibling) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(monitor_of_a_sibling(GetParam()));
    std::optional<int> status;
    bool sibling = m.tier() == tier::sigchld;  // then there is none
    while (!status || !sibling) {
        int some = 0;
        const pid_t pid = ::waitpid(-1, &some, __WALL);
        ASSERT_GT(pid, 0) << "its sibling was not our child";
        if (pid == child) status = some;
        sibling |= pid != child && WIFEXITED(some) && WEXITSTATUS(some) == 7;
    }
    EXPECT_EQ(*status, 0) << WEXITSTATUS(*status);
}

TEST_P(Command, DescriptorsAreExactlyThoseNamed) {
    const int extra = ::open("/etc/passwd", O_RDONLY);  // not close-on-exec
    EXPECT_EQ(output_of(m, shell("ls /proc/$$/fd; true").in(stdio::null())), "0\n1\n2\n");
    EXPECT_EQ(output_of(m, shell("head -c 4 <&7").descriptor(extra, 7)), "root");
    ::close(extra);
    EXPECT_FALSE(m.spawn(shell("true").descriptor(extra, 7), leave::kill));
    EXPECT_FALSE(m.spawn(shell("true").descriptor(0, 1), leave::kill));
    EXPECT_FALSE(m.spawn(shell("true").in(stdio::buffer()), leave::kill));
    auto p = m.spawn(command("/bin/cat").in(stdio::pipe()).out(stdio::pipe()), leave::kill);
    ASSERT_TRUE(p);
    const int in = p->take_pipe(0), out = p->take_pipe(1);
    EXPECT_EQ(p->take_pipe(0), -1);
    EXPECT_EQ(::write(in, "ping", 4), 4);
    ::close(in);
    char answer[8];
    EXPECT_EQ(::read(out, answer, sizeof answer), 4);
    ::close(out);
    EXPECT_TRUE(p->wait(within(5s))->status.success());
}

TEST_P(Command, ReservedDescriptorsDoTheSame) {
    // In a program of its own: it fills the low numbers.
    const pid_t child = ::fork();
    if (child == 0) {
        monitor_options options = with_tier(GetParam());
        options.reserve_low_descriptors = true;
        result<monitor> own = monitor::create(options);
        if (!own) ::_exit(1);
        ::_exit(output_of(*own, shell("ls /proc/$$/fd; true").in(stdio::null())) == "0\n1\n2\n" ? 0 : 2);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST_P(Command, FilesAndErrors) {
    const std::string path = testing::TempDir() + "abide-monitor-output";
    ASSERT_TRUE(m.spawn(shell("echo one").out(stdio::file(path)), leave::wait));
    ASSERT_TRUE(m.spawn(shell("echo two >&2").out(stdio::file(path, true)).err(stdio::to_output()), leave::wait));
    EXPECT_EQ(output_of(m, command("/bin/cat").in(stdio::file(path))), "one\ntwo\n");
    ::unlink(path.c_str());
    const auto p = m.spawn(command("/bin/cat").in(stdio::file("/nonexistent/file")), leave::kill);
    ASSERT_FALSE(p);
    EXPECT_EQ(p.error().number, ENOENT);
}

class Output : public EachTier {};
INSTANTIATE_TEST_SUITE_P(Tier, Output, kTiers, tier_name);

TEST_P(Output, ComesBeforeTheEnd) {
    std::string story;
    auto p = m.spawn(shell("printf out; printf err >&2")
                         .out(stdio::capture([&](std::string_view bytes) {
                             story += bytes.empty() ? "." : bytes;
                             return flow::more;
                         }))
                         .err(stdio::capture([&](std::string_view bytes) {
                             story += bytes.empty() ? "," : bytes;
                             return flow::more;
                         })),
                     leave::kill, [&](const exit_event& e) { story += to_string(e.status); });
    ASSERT_TRUE(p);
    m.run();
    EXPECT_TRUE(story.ends_with("exit 0")) << story;
    EXPECT_NE(story.find("out"), std::string::npos);
    EXPECT_NE(story.find("err"), std::string::npos);
    EXPECT_TRUE(p->output_ended(1) && p->output_ended(2));
}

TEST_P(Output, AFullBufferHoldsTheProgramBack) {
    constexpr std::size_t kTotal = std::size_t{8} << 20, kLimit = 100'000;
    auto p = m.spawn(shell("head -c " + std::to_string(kTotal) + " /dev/zero").out(stdio::buffer(kLimit)), leave::kill);
    ASSERT_TRUE(p);
    EXPECT_FALSE(until(m, [&] { return !p->running(); }, 300ms)) << "nobody took the output, so it must wait";
    std::size_t total = 0, largest = 0;
    EXPECT_TRUE(until(m, [&] {
        const std::size_t some = p->take_output(1).size();
        total += some;
        largest = std::max(largest, some);
        return p->output_ended(1) && some == 0;
    }));
    EXPECT_EQ(total, kTotal);
    EXPECT_EQ(largest, kLimit);
    EXPECT_TRUE(p->wait(within(5s))->status.success());
}

TEST_P(Output, ASinkMayPauseAndGoOn) {
    std::size_t total = 0, calls_while_paused = 0;
    bool paused = false;
    auto p = m.spawn(shell("head -c 1000000 /dev/zero").out(stdio::capture([&](std::string_view bytes) {
        total += bytes.size();
        calls_while_paused += paused ? 1 : 0;
        paused = true;
        return flow::pause;
    })),
                     leave::kill);
    ASSERT_TRUE(p);
    EXPECT_TRUE(until(m, [&] {
        paused = false;
        p->resume(1);
        return p->output_ended(1);
    }));
    EXPECT_EQ(total, 1000000U);
    EXPECT_EQ(calls_while_paused, 0U);
}

TEST(Ending, NeedsNoMemory) {
    monitor m = make();
    for (const int round : {0, 1}) {
        int told = 0;
        std::vector<process> all;
        all.reserve(100);
        for (int i = 0; i < 100; ++i) {
            all.push_back(m.spawn(sleeper(), leave::kill, [&told](const exit_event&) { ++told; }).value());
        }
        for (process& p : all) ASSERT_TRUE(p.kill());
        nap(100ms);
        const std::size_t before = allocations;
        for (int i = 0; i < 20 && told < 100; ++i) m.dispatch();
        const std::size_t used = allocations - before;
        EXPECT_EQ(told, 100);
        if (round == 1) {
            EXPECT_EQ(used, 0U);
        }
    }
}

TEST(Timers, RunInOrderAndCanBeCancelled) {
    monitor m = make();
    std::string story;
    const auto begin = deadline::clock::now();
    m.after(30ms, [&] { story += 'c'; });
    m.after(10ms, [&] {
        story += 'a';
        m.after(5ms, [&] { story += 'b'; });
    });
    const timer_id never = m.after(20ms, [&] { story += 'x'; });
    EXPECT_TRUE(m.cancel(never));
    EXPECT_FALSE(m.cancel(never));
    m.run();
    EXPECT_EQ(story, "abc");
    EXPECT_GE(deadline::clock::now() - begin, 30ms);
    std::thread other([&] {
        nap(20ms);
        m.stop();
    });
    m.after(10s, [] {});
    m.run();
    EXPECT_LT(deadline::clock::now() - begin, 5s);
    other.join();
}

}  // namespace
}  // namespace abide
