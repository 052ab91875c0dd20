// Spawning when something is in the way: hangs, kills, fences, a manager that dies in the window, and thousands of
// descriptors.
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "spawn_fixture.hpp"

namespace abide::kernel {
namespace {

class SpawnTrouble : public testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(All, SpawnTrouble, testing::ValuesIn(all_ways()),
                         [](const testing::TestParamInfo<Way>& w) { return std::string(w.param.name); });

std::uint32_t crc32c(const std::byte* from, std::size_t count) {
    std::uint32_t crc = ~0U;
    for (std::size_t i = 0; i < count; ++i) {
        crc ^= static_cast<std::uint32_t>(from[i]);
        for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78U : crc >> 1;
    }
    return ~crc;
}

TEST_P(SpawnTrouble, PidIsRecordedBeforeExec) {
    ASSERT_EQ(crc32c(reinterpret_cast<const std::byte*>("123456789"), 9), 0xE3069283U)
        << "the known check value of CRC-32C";
    SpawnBench bench(GetParam().options);
    const Result<Fd> journal = make_memfd("journal");
    SpawnRequest request = command({"true"});
    request.pid_record = PidRecord{journal->get(), std::vector<std::byte>(24, std::byte{0xAA}), 8, 0, 0, 4, 24};
    Outcome& binary = bench.run(std::move(request));
    ASSERT_TRUE(binary.executed);
    exit_code(binary);
    request = command({"true"});
    const Result<Fd> texts = make_memfd("journal");
    request.pid_record = PidRecord{texts->get(), std::vector<std::byte>(24, std::byte{'-'}), 8, 10, 0, 4, 24};
    Outcome& text = bench.run(std::move(request));
    ASSERT_TRUE(text.executed);
    exit_code(text);

    std::string bytes(24, '\0');
    ASSERT_EQ(::pread(journal->get(), bytes.data(), 24, 0), 24);
    std::uint32_t crc = 0, pid = 0;
    std::memcpy(&crc, bytes.data(), 4);
    std::memcpy(&pid, bytes.data() + 8, 4);
    EXPECT_EQ(pid, static_cast<std::uint32_t>(binary.pid));
    EXPECT_EQ(crc, crc32c(reinterpret_cast<const std::byte*>(bytes.data()) + 4, 20));
    ASSERT_EQ(::pread(texts->get(), bytes.data(), 24, 0), 24);
    std::string padded = std::to_string(text.pid);
    padded.insert(0, 10 - padded.size(), ' ');
    EXPECT_EQ(bytes.substr(4), "----" + padded + "------");
}

TEST_P(SpawnTrouble, ASealedJournalFencesTheChild) {
    SpawnBench bench(GetParam().options);
    const Scratch scratch;
    const Result<Fd> journal = make_memfd("journal");
    ASSERT_TRUE(seal_memfd(journal->get()));
    SpawnRequest request = shell("touch " + scratch / "ran");
    request.pid_record = PidRecord{journal->get(), std::vector<std::byte>(16), 4, 0, 0, 4, 16};
    Outcome& o = bench.run(std::move(request));
    EXPECT_TRUE(o.failed);
    EXPECT_EQ(o.stage, SpawnStage::record);
    EXPECT_EQ(o.err, EPERM);
    EXPECT_EQ(exit_code(o), 77);
    EXPECT_FALSE(file_status(scratch / "ran"));
}

TEST_P(SpawnTrouble, AHangingChildBlocksNobody) {
    SpawnBench bench(GetParam().options);
    FullPipe full;
    SpawnRequest request = command({"true"});
    request.pid_record = full.record();
    const std::uint64_t hanging = bench.start(std::move(request));
    for (int i = 0; i < 50; ++i) {
        const Mono before = mono_now();
        Outcome& o = bench.run(command({"true"}));
        ASSERT_TRUE(o.executed);
        EXPECT_LT((mono_now() - before).ns, seconds(2).ns);
        exit_code(o);
    }
    EXPECT_TRUE(bench.outcomes[hanging].started);
    EXPECT_FALSE(bench.outcomes[hanging].settled());
    full.drain();
    EXPECT_TRUE(bench.finish(hanging).executed);
    EXPECT_EQ(exit_code(bench.outcomes[hanging]), 0);
}

TEST_P(SpawnTrouble, KilledBeforeItsExecIsAFailedSpawn) {
    SpawnBench bench(GetParam().options);
    FullPipe full;
    SpawnRequest request = command({"true"});
    request.pid_record = full.record();
    const std::uint64_t token = bench.start(std::move(request));
    ASSERT_TRUE(bench.until([&] { return bench.outcomes[token].started; }));
    ASSERT_TRUE(send_signal(bench.outcomes[token].pidfd.get(), SIGKILL));
    Outcome& o = bench.finish(token);
    EXPECT_TRUE(o.failed);
    EXPECT_EQ(o.stage, SpawnStage::killed);
    EXPECT_EQ(exit_code(o), 128 + SIGKILL);
    EXPECT_EQ(bench.spawner->in_flight(), 0U);
}

TEST_P(SpawnTrouble, KilledAtAnyInstantEndsInOneOutcome) {
    SpawnBench bench(GetParam().options);
    int failed = 0, executed = 0;
    for (int i = 0; i < 300; ++i) {
        const std::uint64_t token = bench.start(command({"sleep", "100"}));
        bench.take(bench.spawner->drain());
        Outcome& o = bench.outcomes[token];
        ASSERT_TRUE(o.started);
        for (int spin = 0; spin < (i % 30) * 100; ++spin) asm volatile("" ::: "memory");
        ASSERT_TRUE(send_signal(o.pidfd.get(), SIGKILL));
        bench.finish(token);
        if (o.failed) {
            EXPECT_EQ(o.stage, SpawnStage::killed) << spawn_stage_name(o.stage) << o.err;
        }
        (o.failed ? failed : executed)++;
        EXPECT_EQ(exit_code(o), 128 + SIGKILL);
    }
    EXPECT_EQ(failed + executed, 300);
    EXPECT_GT(failed, 0) << "no kill came before an exec, so nothing was tried";
    EXPECT_EQ(bench.spawner->in_flight(), 0U);
}

TEST_P(SpawnTrouble, AChildOutlivesItsManagerInTheWindow) {
    ASSERT_TRUE(become_subreaper());
    FullPipe full;
    const Scratch scratch;
    Result<Pipe> pipe = make_pipe();
    const pid_t manager = ::fork();
    if (manager == 0) {
        SpawnBench bench(GetParam().options);
        SpawnRequest request = shell("echo done > " + scratch / "ran");
        request.as_parents_child = true;
        request.pid_record = full.record();
        const std::uint64_t token = bench.start(std::move(request));
        bench.until([&] { return bench.outcomes[token].started; });
        const pid_t child = bench.outcomes[token].pid;
        static_cast<void>(write_all(pipe->write.get(), &child, sizeof(child)));
        ::pause();
        ::_exit(0);
    }
    pid_t child = 0;
    ASSERT_EQ(read_some(pipe->read.get(), &child, sizeof(child)).value_or(0), sizeof(child));
    ::kill(manager, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(manager, &status, 0), manager);
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    EXPECT_FALSE(file_status(scratch / "ran"));
    full.drain();
    ASSERT_EQ(::waitpid(child, &status, __WALL), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(read_file(scratch / "ran", 100).value_or(""), "done\n");
}

TEST_P(SpawnTrouble, TheSpawnerMayGoWhileAChildIsOnItsWay) {
    // In a process of its own, which ends without looking for leaks: what the child runs on is left behind on purpose.
    const pid_t tester = ::fork();
    if (tester == 0) {
        FullPipe full;
        Fd pidfd;
        {
            SpawnBench bench(GetParam().options);
            SpawnRequest request = command({"true"});
            request.pid_record = full.record();
            const std::uint64_t token = bench.start(std::move(request));
            bench.until([&] { return bench.outcomes[token].started; });
            pidfd = std::move(bench.outcomes[token].pidfd);
        }
        full.drain();
        const Result<Reaped> end = reap(pidfd.get(), true);
        ::_exit(end && !end->by_signal ? end->value : 99);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(tester, &status, 0), tester);
    EXPECT_EQ(status, 0);
}

TEST(SpawnAlone, ADeadFileSystemUnderAnExecBlocksNobody) {
    if (::geteuid() != 0) GTEST_SKIP() << "mounting needs root";
    Fd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    if (!fuse) GTEST_SKIP() << "no /dev/fuse";
    const Scratch scratch;
    const std::string options = "fd=" + std::to_string(fuse.get()) + ",rootmode=40000,user_id=0,group_id=0";
    if (::mount("fuse", scratch.path.c_str(), "fuse", MS_NOSUID, options.c_str()) != 0) {
        GTEST_SKIP() << "mounting is not permitted: " << std::strerror(errno);
    }
    SpawnBench bench;
    const std::uint64_t hanging = bench.start(command({scratch / "program"}));
    for (int i = 0; i < 20; ++i) {
        Outcome& o = bench.run(command({"true"}));
        ASSERT_TRUE(o.executed);
        exit_code(o);
    }
    EXPECT_TRUE(bench.outcomes[hanging].started);
    EXPECT_FALSE(bench.outcomes[hanging].settled());
    fuse.reset();  // the server dies: the kernel gives up
    Outcome& o = bench.finish(hanging);
    EXPECT_TRUE(o.failed);
    EXPECT_EQ(o.stage, SpawnStage::exec);
    EXPECT_EQ(o.err, ENOTCONN) << std::strerror(o.err);
    exit_code(o);
    ::umount2(scratch.path.c_str(), MNT_DETACH);
}

TEST(SpawnAlone, TenThousandDescriptorsStayWithTheParent) {
    const Result<ResourceLimitValue> before = raise_descriptor_limit();
    ASSERT_TRUE(before);
    if (get_limit(RLIMIT_NOFILE)->soft < 11'000) GTEST_SKIP() << "too low a limit of descriptors";
    SpawnBench bench;
    std::vector<Fd> many;
    const Result<Fd> null = open_file("/dev/null", O_RDWR);
    for (int i = 0; i < 10'000; ++i) many.push_back(std::move(*null->duplicate()));
    Result<Pipe> input = make_pipe();
    SpawnRequest request = shell("read line");
    request.descriptors = {{input->read.get(), 0}};
    Outcome& o = bench.run(std::move(request));
    const std::vector<std::string> only{"0"};
    EXPECT_EQ(open_descriptors(o.pid, only), only);
    input->write.reset();
    exit_code(o);
    many.clear();
    ASSERT_TRUE(set_limit(*before));
}

TEST(SpawnAlone, NoLeakOverManySpawns) {
    const auto count = [] { return list_directory(open_directory("/proc/self/fd")->get())->size(); };
    const std::size_t before = count();
    {
        SpawnBench bench;
        const std::size_t with_spawner = count();
        for (int i = 0; i < 100; ++i) {
            Outcome& good = bench.run(command({"true"}));
            exit_code(good);
            Outcome& bad = bench.run(command({"/nonexistent"}));
            exit_code(bad);
            bench.outcomes.clear();
        }
        EXPECT_EQ(count(), with_spawner);
    }
    EXPECT_EQ(count(), before);
}

// In a process of its own.  0: all outcomes were told.
int outcomes_without_watches(SpawnerOptions options) {
    const Result<Fd> program = open_file(ABIDE_BIN_DIR "/abide-hold", O_PATH);
    if (!program) return 2;
    options.hold_program = program->get();
    Result<Pipe> release = make_pipe();
    SpawnBench bench(options);
    if (!take_all_watches()) return 3;
    for (int i = 0; i < 20; ++i) bench.start(command({i % 2 == 0 ? "/nonexistent" : "true"}));
    SpawnRequest held = command({"true"});
    held.hold.release_fd = release->read.get();
    const std::uint64_t last = bench.start(std::move(held));
    if (!bench.until_polling([&] { return bench.outcomes[last].held; })) return 4;
    if (!write_all(release->write.get(), &kHoldGo, 1)) return 5;
    const auto settled = [](const auto& o) { return o.second.settled(); };
    if (!bench.until_polling([&] { return std::ranges::all_of(bench.outcomes, settled); })) return 6;
    for (const auto& [token, o] : bench.outcomes) {
        if (token % 2 == 1 && token != last ? o.err != ENOENT : !o.executed) return 7;
    }
    // And then there is nothing to look at any more.
    bench.take(bench.spawner->drain());
    const std::array<int, 1> news{bench.spawner->fd()};
    return wait_readable(news, mono_now() + milliseconds(100)).value_or(true) ? 8 : 0;
}

TEST(SpawnAlone, OutcomesAreKnownWithoutWatches) {
    for (const Way& way : all_ways()) {
        const pid_t tester = ::fork();
        if (tester == 0) ::_exit(outcomes_without_watches(way.options));
        int status = 0;
        ASSERT_EQ(::waitpid(tester, &status, 0), tester);
        EXPECT_EQ(status, 0) << way.name << " " << (WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
}

TEST(SpawnAlone, NoProcessToBeHadIsAFailureOfTheClone) {
    // In a process of its own: the limit counts all processes of a user.
    const pid_t tester = ::fork();
    if (tester == 0) {
        if (::geteuid() == 0 && (::setresgid(54321, 54321, 54321) != 0 || ::setresuid(54321, 54321, 54321) != 0))
            ::_exit(9);
        if (!set_limit({RLIMIT_NPROC, 1, 1})) ::_exit(8);
        SpawnBench bench;
        const Outcome& o = bench.run(command({"true"}));
        ::_exit(o.failed && !o.started && o.stage == SpawnStage::clone && o.err == EAGAIN ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(tester, &status, 0), tester);
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace abide::kernel
