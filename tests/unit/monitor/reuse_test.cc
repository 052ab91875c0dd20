// Numbers that are used again at once, in a pid namespace where the next number can be chosen: no signal may reach the
// process that got the number later, and no end may be told of the wrong one.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "fixture.hpp"

namespace abide {
namespace {

constexpr const char* kInside = "ABIDE_TEST_PID_NAMESPACE";
constexpr int kNumber = 1000;

bool choose_next(int pid) {
    std::ofstream file("/proc/sys/kernel/ns_last_pid");
    file << pid - 1 << std::flush;
    return file.good();
}

class Mortal {
  public:
    Mortal(monitor& m, int code) {
        int ends[2];
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        auto started =
            m.spawn(command(ABIDE_BIN_DIR "/abide-mortal", {std::to_string(code)}).in(stdio::descriptor(ends[0])),
                    leave::kill, [this](const exit_event&) { ++told; });
        EXPECT_TRUE(started) << started.error().message();
        p = std::move(*started);
        ::close(ends[0]);
        out = ends[1];
    }
    ~Mortal() { end(); }
    void end() {
        if (out >= 0) ::close(out);
        out = -1;
    }
    process p;
    int out = -1, told = 0;
};

class Reuse : public EachTier {};
INSTANTIATE_TEST_SUITE_P(Tier, Reuse, kTiers, tier_name);

// Runs inside the namespace; started by the test below.
TEST_P(Reuse, Inside) {
    if (::getenv(kInside) == nullptr) GTEST_SKIP() << "run by NoSignalGoesAstray";
    constexpr int kRounds = 1000;
    int reused = 0;
    for (int round = 0; round < kRounds; ++round) {
        ASSERT_TRUE(choose_next(kNumber));
        Mortal first(m, 9);
        const int pid = first.p.pid();
        first.end();
        // Somebody else takes the wait, so the number is free, and the monitor has not looked.
        int status = 0;
        ASSERT_EQ(::waitpid(pid, &status, 0), pid);
        ASSERT_TRUE(choose_next(kNumber));
        Mortal second(m, 5);
        reused += second.p.pid() == pid ? 1 : 0;
        // None of these may hit the second one.
        static_cast<void>(first.p.kill());
        static_cast<void>(first.p.signal(SIGKILL, scope::process_group));
        static_cast<void>(first.p.stop({{SIGKILL, 0s}}));
        m.dispatch();
        EXPECT_TRUE(second.p.running());
        second.end();
        const auto end = second.p.wait(within(5s));
        ASSERT_TRUE(end);
        ASSERT_EQ(end->status.code(), 5) << "round " << round;
        const auto before = first.p.wait(within(5s));
        ASSERT_TRUE(before);
        if (before->status.how != ended::unknown) {
            EXPECT_EQ(before->status.code(), 9);
        }
        EXPECT_EQ(before->status.how == ended::unknown, m.tier() != tier::exit_info);
        EXPECT_EQ(first.told + second.told, 2);
    }
    EXPECT_GT(reused, kRounds / 2) << "the number was hardly ever used again: this test shows nothing";
}

TEST(ReuseOfNumbers, NoSignalGoesAstray) {
    if (::geteuid() != 0 || ::getenv(kInside) != nullptr) GTEST_SKIP() << "needs root, for a pid namespace";
    monitor m = make();
    char self[4096];
    const ssize_t size = ::readlink("/proc/self/exe", self, sizeof self - 1);
    ASSERT_GT(size, 0);
    const std::string program(self, static_cast<std::size_t>(size));
    auto inside = m.spawn(command("unshare", {"--pid", "--fork", "--kill-child", "--mount-proc", program,
                                              "--gtest_filter=*Reuse.Inside*"})
                              .env(kInside, "1")
                              .env_remove("GTEST_OUTPUT")
                              .out(stdio::buffer())
                              .err(stdio::to_output()),
                          leave::kill);
    ASSERT_TRUE(inside) << inside.error().message();
    std::string output;
    ASSERT_TRUE(until(
        m,
        [&] {
            output += inside->take_output(1);
            return !inside->running();
        },
        60s));
    output += inside->take_output(1);
    EXPECT_TRUE(inside->exit()->status.success()) << output;
    EXPECT_NE(output.find("PASSED  ] 3 tests"), std::string::npos) << output;
}

}  // namespace
}  // namespace abide
