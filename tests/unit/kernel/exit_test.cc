// How a process ended, from each place where the kernel says so; and the descriptors that wake a loop.
#include "kernel/exit.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <span>

#include "kernel/clock.hpp"
#include "kernel/epoll.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "kernel/wake.hpp"
#include "spawn_fixture.hpp"

namespace abide::kernel {
namespace {

TEST(Exit, DecodesWaitStatuses) {
    EXPECT_EQ(decode_wait_status(42 << 8).value, 42);
    EXPECT_FALSE(decode_wait_status(42 << 8).by_signal);
    EXPECT_EQ(decode_wait_status(SIGKILL).value, SIGKILL);
    EXPECT_TRUE(decode_wait_status(SIGKILL).by_signal);
    EXPECT_FALSE(decode_wait_status(SIGKILL).dumped);
    EXPECT_TRUE(decode_wait_status(SIGABRT | 0x80).dumped);
    EXPECT_EQ(decode_wait_status(SIGABRT | 0x80).value, SIGABRT);
}

TEST(Exit, IsTakenOnce) {
    SpawnBench bench;
    Outcome& o = bench.run(shell("exit 3"));
    ASSERT_TRUE(o.executed);
    const std::array<int, 1> end{o.pidfd.get()};
    ASSERT_TRUE(wait_readable(end, mono_now() + seconds(5)).value_or(false));
    EXPECT_EQ(life_of(o.pidfd.get()), Life::ended);
    EXPECT_FALSE(exit_info(o.pidfd.get()).has_value()) << "it was not reaped yet";
    EXPECT_EQ(find_ended_child(), o.pid);
    EXPECT_EQ(pid_of(o.pidfd.get()).value_or(0), o.pid);
    ExitReport report;
    EXPECT_EQ(take_exit(o.pidfd.get(), report), Taking::taken);
    EXPECT_EQ(report.pid, o.pid);
    EXPECT_EQ(report.value, 3);
    EXPECT_GT(report.max_rss_kib, 0);
    EXPECT_EQ(take_exit(o.pidfd.get(), report), Taking::foreign);
    EXPECT_FALSE(pid_of(o.pidfd.get()).has_value());
    if (probe_exit_info()) {
        EXPECT_EQ(life_of(o.pidfd.get()), Life::reaped);
        EXPECT_EQ(exit_info(o.pidfd.get()).value_or(-1), 3 << 8);
    }
}

TEST(Exit, SignalsGoToTheWholeGroupOrNowhere) {
    ASSERT_TRUE(become_subreaper());  // a zombie that nobody reaps is a member still
    SpawnBench bench;
    Outcome& o = bench.run(shell("sleep 30 & wait"));
    ASSERT_TRUE(o.executed);
    EXPECT_FALSE(send_signal_to_group(o.pidfd.get(), 1, 0)) << "never to everybody";
    EXPECT_TRUE(send_signal_to_group(o.pidfd.get(), o.pid, SIGKILL));
    EXPECT_EQ(exit_code(o), 128 + SIGKILL);
    // The other member is ours to reap.
    bool there = true;
    for (int i = 0; i < 1000 && there; ++i, ::usleep(1000)) {
        static_cast<void>(::waitpid(-1, nullptr, WNOHANG | __WALL));
        there = send_signal_to_group(o.pidfd.get(), o.pid, SIGKILL).has_value();
    }
    EXPECT_FALSE(there);
    EXPECT_FALSE(send_signal_to_child(o.pid, SIGKILL, false));
    // The other member is ours to reap if an earlier test made us a subreaper.
    while (::waitpid(-1, nullptr, __WALL) > 0) {}
}

TEST(Exit, TheProbeIsSeenByNobody) {
    const bool once = probe_exit_info();
    EXPECT_EQ(probe_exit_info(), once);
    EXPECT_TRUE(::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD);
}

TEST(Wake, BellAndAlarm) {
    Result<Bell> bell = Bell::create();
    Result<AlarmClock> alarm = AlarmClock::create();
    ASSERT_TRUE(bell && alarm);
    const std::array<int, 1> bell_fd{bell->fd()}, alarm_fd{alarm->fd()};
    const auto rings = [](std::span<const int> fds, Duration patience) {
        return wait_readable(fds, mono_now() + patience).value_or(false);
    };
    EXPECT_FALSE(rings(bell_fd, Duration{0}));
    bell->ring();
    bell->ring();
    EXPECT_TRUE(rings(bell_fd, Duration{0}));
    bell->silence();
    EXPECT_FALSE(rings(bell_fd, Duration{0}));
    const Mono when = mono_now() + milliseconds(20);
    alarm->set(when);
    EXPECT_FALSE(rings(alarm_fd, Duration{0}));
    EXPECT_TRUE(rings(alarm_fd, seconds(5)));
    EXPECT_GE(mono_now(), when);
    alarm->set(kNever);
    EXPECT_FALSE(rings(alarm_fd, Duration{0}));
    alarm->set(Mono{0});
    EXPECT_TRUE(rings(alarm_fd, Duration{0})) << "a time that has passed";
}

}  // namespace
}  // namespace abide::kernel
