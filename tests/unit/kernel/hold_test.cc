// abide-hold through the Spawner: what a child that shares our memory must not do, and waiting before the exec.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "spawn_fixture.hpp"

namespace abide::kernel {
namespace {

class HoldTest : public testing::Test {
  protected:
    void SetUp() override {
        Result<Fd> program = open_file(std::string(ABIDE_BIN_DIR) + "/abide-hold", O_PATH);
        if (!program) GTEST_SKIP() << "abide-hold isn't built";
        program_ = std::move(*program);
        options_.hold_program = program_.get();
    }
    Fd program_;
    SpawnerOptions options_;
};

TEST_F(HoldTest, ReleasesOnAByte) {
    SpawnBench bench(options_);
    const Scratch scratch;
    Result<Pipe> release = make_pipe();
    SpawnRequest request = shell("umask; ls /proc/self/fd | wc -l > " + scratch / "ran" + "; exit 5");
    request.umask = 077;
    request.hold.release_fd = release->read.get();
    const std::uint64_t token = bench.start(std::move(request));
    ASSERT_TRUE(bench.until([&] { return bench.outcomes[token].held; }));
    EXPECT_EQ(bench.spawner->in_flight(), 0U) << "a held service is not in flight";
    EXPECT_FALSE(file_status(scratch / "ran"));
    ASSERT_TRUE(write_all(release->write.get(), "g", 1));
    Outcome& o = bench.finish(token);
    EXPECT_TRUE(o.executed);
    EXPECT_EQ(exit_code(o), 5);
    EXPECT_EQ(file_status(scratch / "ran")->mode, 0600U);
}

TEST_F(HoldTest, ExitsWhenNobodyIsLeftToReleaseIt) {
    SpawnBench bench(options_);
    Result<Pipe> release = make_pipe();
    SpawnRequest request = command({"true"});
    request.hold.release_fd = release->read.get();
    const std::uint64_t token = bench.start(std::move(request));
    ASSERT_TRUE(bench.until([&] { return bench.outcomes[token].held; }));
    release->write.reset();
    Outcome& o = bench.finish(token);
    EXPECT_TRUE(o.failed);
    EXPECT_EQ(o.stage, SpawnStage::released);
    EXPECT_EQ(exit_code(o), 125);
}

TEST_F(HoldTest, IsReleasedAfterItsManagerIsGone) {
    const Scratch scratch;
    Result<Pipe> release = make_pipe();
    Fd pidfd;
    {
        SpawnBench bench(options_);
        SpawnRequest request = shell("echo yes > " + scratch / "ran");
        request.hold.release_fd = release->read.get();
        const std::uint64_t token = bench.start(std::move(request));
        ASSERT_TRUE(bench.until([&] { return bench.outcomes[token].held; }));
        pidfd = std::move(bench.outcomes[token].pidfd);
    }
    ASSERT_TRUE(write_all(release->write.get(), "g", 1));
    EXPECT_EQ(reap(pidfd.get(), true)->value, 0);
    EXPECT_EQ(read_file(scratch / "ran", 10).value_or(""), "yes\n");
}

TEST_F(HoldTest, KilledWhileHeldIsAFailedSpawn) {
    SpawnBench bench(options_);
    Result<Pipe> release = make_pipe();
    SpawnRequest request = command({"true"});
    request.hold.release_fd = release->read.get();
    const std::uint64_t token = bench.start(std::move(request));
    ASSERT_TRUE(bench.until([&] { return bench.outcomes[token].held; }));
    ASSERT_TRUE(send_signal(bench.outcomes[token].pidfd.get(), SIGKILL));
    Outcome& o = bench.finish(token);
    EXPECT_TRUE(o.failed);
    EXPECT_EQ(o.stage, SpawnStage::killed);
    exit_code(o);
}

TEST_F(HoldTest, FailuresNameStageAndErrno) {
    SpawnBench bench(options_);
    const auto expect = [&](SpawnRequest request, SpawnStage stage, int err) {
        request.hold.has_oom_score = true;
        request.hold.oom_score_adjust = 200;
        Outcome& o = bench.run(std::move(request));
        EXPECT_TRUE(o.failed);
        EXPECT_EQ(spawn_stage_name(o.stage), spawn_stage_name(stage));
        EXPECT_EQ(o.err, err);
        EXPECT_EQ(exit_code(o), 125);
    };
    expect(command({"/nonexistent"}), SpawnStage::exec, ENOENT);
    SpawnRequest request = command({"true"});
    request.directory = "/nonexistent";
    expect(std::move(request), SpawnStage::directory, ENOENT);
}

TEST_F(HoldTest, SetsItsOwnOomScoreAndNotOurs) {
    SpawnBench bench(options_);
    const std::string ours = read_file("/proc/self/oom_score_adj", 100).value();
    SpawnRequest request = command({"cat", "/proc/self/oom_score_adj"});
    request.hold.has_oom_score = true;
    request.hold.oom_score_adjust = 345;
    EXPECT_EQ(output_of(bench, std::move(request)), "345\n");
    EXPECT_EQ(read_file("/proc/self/oom_score_adj", 100).value(), ours);
}

TEST_F(HoldTest, WritesItsPidWhereItWasAskedTo) {
    SpawnBench bench(options_);
    SpawnRequest request = shell("test $LISTEN_PID = $$ && echo $BEFORE-$AFTER");
    request.envp = {"BEFORE=a", "LISTEN_PID=", "AFTER=b", "PATH=/bin:/usr/bin"};
    request.pid_variable = 1;
    request.hold.has_oom_score = true;
    request.hold.oom_score_adjust = 100;
    EXPECT_EQ(output_of(bench, std::move(request)), "a-b\n");
}

TEST_F(HoldTest, GivesAPrivateTmp) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    SpawnBench bench(options_);
    const Scratch scratch;  // lies in /tmp
    // Neither a pipe nor a redirection of the shell's own, which may still have their descriptors.
    SpawnRequest request = shell(
        "ls /tmp | wc -l; echo x > /tmp/inside; id -u; cat /tmp/inside; readlink /proc/$$/fd/9; "
        "(ls /proc/$$/fd > /tmp/descriptors); wc -l < /tmp/descriptors");
    request.hold.private_tmp = true;
    request.credentials = Credentials{1234, 1234, {}};
    EXPECT_EQ(output_of(bench, std::move(request)), "0\n1234\nx\n3\n");
    EXPECT_FALSE(file_status("/tmp/inside"));
    EXPECT_TRUE(file_status(scratch.path));
}

}  // namespace
}  // namespace abide::kernel
