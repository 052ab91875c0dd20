// Processes that are held before their exec, and let go.
#include <signal.h>
#include <unistd.h>

#include "fixture.hpp"

namespace abide {
namespace {

class Held : public testing::TestWithParam<tier> {
  protected:
    static monitor_options options() {
        monitor_options out = with_tier(GetParam());
        out.hold_program = ABIDE_BIN_DIR "/abide-hold";
        return out;
    }
    // What the process executes now: abide-hold, then the program.
    static std::string name_of(int pid) {
        std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
        std::string name;
        std::getline(file, name);
        return name;
    }
    monitor m = make(options());
    int told = 0;
    const exit_handler count = [this](const exit_event&) { ++told; };
};
INSTANTIATE_TEST_SUITE_P(Tier, Held, kTiers, tier_name);

TEST_P(Held, WaitsUntilItIsReleased) {
    auto p = m.spawn(shell("echo $LIKE; exit 4").env("LIKE", "this").out(stdio::buffer()).held(), leave::kill, count);
    ASSERT_TRUE(p) << p.error().message();
    EXPECT_TRUE(p->held());
    EXPECT_FALSE(until(m, [&] { return !p->running(); }, 50ms));
    EXPECT_EQ(name_of(p->pid()), "abide-hold");
    EXPECT_EQ(p->take_output(1), "");
    const result<void> released = p->release_hold();
    ASSERT_TRUE(released) << released.error().message();
    EXPECT_FALSE(p->held());
    EXPECT_EQ(p->release_hold().error().number, EINVAL);
    m.run();
    EXPECT_EQ(told, 1);
    EXPECT_EQ(p->exit()->status.code(), 4);
    EXPECT_EQ(p->take_output(1), "this\n");
    EXPECT_EQ(p->release_hold().error().number, ESRCH);
    auto plain = m.spawn(sleeper(), leave::kill);
    ASSERT_TRUE(plain);
    EXPECT_FALSE(plain->held());
    EXPECT_EQ(plain->release_hold().error().number, EINVAL);
}

TEST_P(Held, IsToldWhenItIsSetUp) {
    process kept;
    m.spawn_async(
        shell("exit 3").held(), leave::kill,
        [&](result<process> p) {
            ASSERT_TRUE(p) << p.error().message();
            EXPECT_TRUE(p->held());
            kept = std::move(*p);
        },
        count);
    ASSERT_TRUE(until(m, [&] { return bool(kept); }));
    ASSERT_TRUE(kept.release_hold());
    m.run();
    EXPECT_EQ(told, 1);
    EXPECT_EQ(kept.exit()->status.code(), 3);
}

// What goes wrong before the hold fails the start; what goes wrong after it fails the release, and the end is told.
TEST_P(Held, FailuresHaveTheirStage) {
    const auto never = m.spawn(shell("true").directory("/nonexistent").held(), leave::kill, count);
    ASSERT_FALSE(never);
    EXPECT_EQ(never.error().stage, start_stage::directory);
    auto late = m.spawn(command("/nonexistent/program").held(), leave::kill, count);
    ASSERT_TRUE(late) << late.error().message();
    const result<void> released = late->release_hold();
    ASSERT_FALSE(released);
    EXPECT_EQ(released.error().stage, start_stage::exec);
    EXPECT_EQ(released.error().number, ENOENT);
    EXPECT_NE(released.error().message().find("can't start /nonexistent/program"), std::string::npos);
    m.run();
    EXPECT_EQ(told, 1);
    EXPECT_EQ(late->exit()->status.code(), 125);
    EXPECT_FALSE(m.keep(shell("true").held(), {}, leave::kill));
    monitor_options without = options();
    without.hold_program = "/nonexistent";
    monitor other = make(without);
    EXPECT_FALSE(other.spawn(shell("true").held(), leave::kill));
}

TEST_P(Held, ItsEndIsToldOnce) {
    auto killed = m.spawn(sleeper().held(), leave::kill, count);
    auto stopped = m.spawn(sleeper().held(), leave::kill, count);
    ASSERT_TRUE(killed && stopped);
    ASSERT_TRUE(killed->kill());
    ASSERT_TRUE(stopped->stop());
    m.run();
    EXPECT_EQ(told, 2);
    EXPECT_EQ(killed->exit()->status.signal(), SIGKILL);
    EXPECT_EQ(stopped->exit()->status.signal(), SIGTERM);
    EXPECT_EQ(stopped->exit()->cause, exit_cause::asked);
    // Dead, but nobody has looked: no signal of a broken pipe for us, and no program.
    auto unseen = m.spawn(sleeper().held(), leave::kill, count);
    ASSERT_TRUE(unseen);
    ::kill(unseen->pid(), SIGKILL);
    ASSERT_TRUE(until(m, [&] { return is_gone(unseen->pid()); }));
    EXPECT_FALSE(unseen->release_hold());
    m.run();
    EXPECT_EQ(told, 3);
}

// Nobody could let it go any more, so it ends without its program, whatever the policy.
TEST_P(Held, WithoutAHandleItNeverRuns) {
    const std::string path = testing::TempDir() + "abide-held-" + std::to_string(::getpid());
    const command what = shell("touch " + path).held();
    auto waited = m.spawn(what, leave::wait, count), detached = m.spawn(what, leave::detach, count),
         given = m.spawn(what, leave::wait, count);
    ASSERT_TRUE(waited && detached && given);
    const int pid = detached->pid();
    *waited = process();
    EXPECT_EQ(told, 1);
    *detached = process();
    given->release();
    m.run();
    EXPECT_EQ(told, 2);
    EXPECT_TRUE(until(m, [&] { return state_of(pid) == '\0'; }));
    auto last = m.spawn(what, leave::wait);
    ASSERT_TRUE(last);
    m = make();
    EXPECT_FALSE(last->running());
    EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace abide
