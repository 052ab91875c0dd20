// What a spawned process gets, and what is told of it, in every way in which a kernel lets us spawn.
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "kernel/file_writing.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/rlimit.hpp"
#include "kernel/users.hpp"
#include "spawn_fixture.hpp"

namespace abide::kernel {
namespace {

ErrorKind kind_of(const Status& status) {
    return status ? ErrorKind::rolled_back : status.error().kind;
}

class SpawnWays : public testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(All, SpawnWays, testing::ValuesIn(all_ways()),
                         [](const testing::TestParamInfo<Way>& w) { return std::string(w.param.name); });

TEST_P(SpawnWays, ExitCodesAndSignalsAreExact) {
    SpawnBench bench(GetParam().options);
    for (const auto& [script, code] : {std::pair<const char*, int>{"exit 0", 0},
                                       {"exit 7", 7},
                                       {"exit 255", 255},
                                       {"kill -TERM $$", 128 + SIGTERM},
                                       {"kill -KILL $$", 128 + SIGKILL}}) {
        Outcome& o = bench.run(shell(script));
        ASSERT_TRUE(o.executed) << spawn_stage_name(o.stage) << " " << o.err;
        EXPECT_EQ(exit_code(o), code) << script;
    }
}

TEST_P(SpawnWays, HasOnlyItsOwnDescriptors) {
    SpawnBench bench(GetParam().options);
    Result<Pipe> input = make_pipe();
    SpawnRequest request = shell("read line");
    request.descriptors = {{input->read.get(), 0}, {2, 1}, {2, 2}, {input->read.get(), 7}};
    Outcome& o = bench.run(std::move(request));
    ASSERT_TRUE(o.executed);
    const std::vector<std::string> own{"0", "1", "2", "7"};
    EXPECT_EQ(open_descriptors(o.pid, own), own);
    input->write.reset();
    EXPECT_EQ(exit_code(o), 1);
}

TEST_P(SpawnWays, PlacesDescriptorsInsideTheStagingArea) {
    SpawnBench bench(GetParam().options);
    const Scratch scratch;
    SpawnRequest request = shell(
        "cat /proc/self/fdinfo/3 > /dev/null; for f in /proc/$$/fd/[3-9] /proc/$$/fd/[1-9]?*; do readlink $f; done");
    std::string expected;
    std::vector<Fd> files;
    for (int target = 3; target <= 70; ++target) {
        const std::string path = scratch / ("file" + std::to_string(target));
        files.push_back(std::move(*open_file(path, O_RDWR | O_CREAT)));
        request.descriptors.emplace_back(files.back().get(), target);
        expected += path + "\n";
    }
    EXPECT_EQ(output_of(bench, std::move(request)), expected);
}

TEST_P(SpawnWays, SwapsDescriptorsThatAreEachOthersTargets) {
    SpawnBench bench(GetParam().options);
    const Scratch scratch;
    std::vector<Fd> files;
    SpawnRequest request = shell("readlink /proc/$$/fd/50 /proc/$$/fd/51 /proc/$$/fd/62 /proc/$$/fd/63");
    std::string expected;
    for (const int target : {50, 51, 62, 63}) {
        const std::string path = scratch / std::to_string(target);
        files.push_back(std::move(*open_file(path, O_RDWR | O_CREAT)));
        request.descriptors.emplace_back(files.back().get(), target);
        expected += path + "\n";
    }
    EXPECT_EQ(output_of(bench, std::move(request)), expected);
}

TEST_P(SpawnWays, SignalsAreClean) {
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGHUP, SIG_IGN);
    std::signal(SIGUSR1, [](int) {});
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    SpawnBench bench(GetParam().options);
    const std::string text = output_of(bench, command({"cat", "/proc/self/status"}));
    const std::string zeros = ":\t0000000000000000\n";
    EXPECT_NE(text.find("SigBlk" + zeros + "SigIgn" + zeros + "SigCgt" + zeros), std::string::npos) << text;
    // And ours are as before.
    sigset_t now;
    sigprocmask(SIG_SETMASK, nullptr, &now);
    EXPECT_TRUE(sigismember(&now, SIGTERM));
    EXPECT_FALSE(sigismember(&now, SIGINT));
    struct sigaction action{};
    sigaction(SIGPIPE, nullptr, &action);
    EXPECT_EQ(action.sa_handler, SIG_IGN);
    sigprocmask(SIG_SETMASK, &before, nullptr);
    std::signal(SIGPIPE, SIG_DFL);
    std::signal(SIGHUP, SIG_DFL);
    std::signal(SIGUSR1, SIG_DFL);
}

TEST_P(SpawnWays, SetUpOfTheTaskStaysTheTasks) {
    SpawnBench bench(GetParam().options);
    const mode_t our_umask = ::umask(022);
    SpawnRequest request =
        shell("umask; ulimit -Hn; ulimit -Sn; pwd; nice; test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo leads");
    request.umask = 027;
    request.limits = {{RLIMIT_NOFILE, 100, 200}};
    request.directory = "/usr";
    request.nice = 5;
    EXPECT_EQ(output_of(bench, std::move(request)), "0027\n200\n100\n/usr\n5\nleads\n");
    EXPECT_EQ(::umask(our_umask), 022U);
    EXPECT_GT(get_limit(RLIMIT_NOFILE)->soft, 200U);
    EXPECT_NE(current_directory().value(), "/usr");
    EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), 0 + ::getpriority(PRIO_PROCESS, static_cast<id_t>(::getpid())));
}

TEST_P(SpawnWays, FailuresNameStageAndErrno) {
    const Scratch scratch;
    const auto file = [&](const char* name, const char* content, mode_t mode) {
        const std::string path = scratch / name;
        EXPECT_TRUE(write_file_atomic(path, content, mode));
        EXPECT_EQ(::chmod(path.c_str(), mode), 0);
        return path;
    };
    SpawnBench bench(GetParam().options);
    const auto expect = [&](SpawnRequest request, SpawnStage stage, int err) {
        const std::string name = request.argv[0];
        Outcome& o = bench.run(std::move(request));
        EXPECT_TRUE(o.failed) << name;
        EXPECT_EQ(spawn_stage_name(o.stage), spawn_stage_name(stage)) << name;
        EXPECT_EQ(o.err, err) << name;
        if (o.started) {
            EXPECT_EQ(exit_code(o), 127) << name;
        }
    };
    expect(command({"/nonexistent/program"}), SpawnStage::exec, ENOENT);
    expect(command({"no-such-program-at-all"}), SpawnStage::exec, ENOENT);
    expect(command({file("plain", "not executable", 0644)}), SpawnStage::exec, EACCES);
    expect(command({file("text", "no magic here", 0755)}), SpawnStage::exec, ENOEXEC);
    expect(command({file("interpreter", "#!/nonexistent/interpreter\n", 0755)}), SpawnStage::exec, ENOENT);
    expect(command({scratch.path}), SpawnStage::exec, EACCES);
    expect(command({"/etc/passwd/x"}), SpawnStage::exec, ENOENT);
    expect(command({"true", std::string(300'000, 'x')}), SpawnStage::exec, E2BIG);
    SpawnRequest request = command({"true"});
    request.directory = "/nonexistent";
    expect(std::move(request), SpawnStage::directory, ENOENT);
    request = command({"true"});
    request.directory = "/etc/passwd";
    expect(std::move(request), SpawnStage::directory, ENOTDIR);
    request = command({"true"});
    request.limits = {{RLIMIT_NOFILE, 200, 100}};
    expect(std::move(request), SpawnStage::limits, EINVAL);
    request = command({"true"});
    request.credentials = Credentials{~0U - 1, 0, std::vector<std::uint32_t>(70'000, 1)};
    expect(std::move(request), SpawnStage::groups, ::geteuid() == 0 ? EINVAL : EPERM);
    request = command({"true"});
    request.descriptors = {{999'999, 0}};
    Outcome& o = bench.run(std::move(request));
    EXPECT_TRUE(o.failed);
    EXPECT_EQ(o.stage, SpawnStage::descriptors);
    EXPECT_EQ(o.err, EBADF);
    if (o.started) exit_code(o);
}

TEST_P(SpawnWays, ChangesUserAndCapabilities) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    SpawnBench bench(GetParam().options);
    SpawnRequest request = shell("id -u; id -g; id -G; grep -E 'Cap(Eff|Amb|Bnd)|NoNew' /proc/self/status");
    request.credentials = Credentials{1234, 2345, {2345, 3456}};
    request.capabilities = CapabilitySet{*capability_mask({"CAP_NET_BIND_SERVICE"})};
    request.no_new_privileges = true;
    EXPECT_EQ(
        output_of(bench, std::move(request)),
        "1234\n2345\n2345 "
        "3456\nCapEff:\t0000000000000400\nCapBnd:\t0000000000000400\nCapAmb:\t0000000000000400\nNoNewPrivs:\t1\n");
    EXPECT_EQ(::geteuid(), 0U);
    EXPECT_EQ(::getegid(), 0U);
}

TEST_P(SpawnWays, BecomesTheParentsChild) {
    // We play the anchor: a forked process plays the manager and asks for a child of its parent's.
    ASSERT_TRUE(become_subreaper());
    const Scratch scratch;
    const std::string marker = scratch / "parent";
    const pid_t manager = ::fork();
    if (manager == 0) {
        SpawnBench bench(GetParam().options);
        SpawnRequest request = shell("echo $PPID > " + marker + "; exit 9");
        request.as_parents_child = true;
        const Outcome& o = bench.run(std::move(request));
        ::_exit(o.executed ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(manager, &status, __WALL), manager);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    // An orphan of an earlier test may come first.
    bool ended = false;
    while (!ended && ::waitpid(-1, &status, __WALL) > 0) ended = WIFEXITED(status) && WEXITSTATUS(status) == 9;
    EXPECT_TRUE(ended);
    EXPECT_EQ(read_file(marker, 100).value_or(""), std::to_string(::getpid()) + "\n");
}

TEST_P(SpawnWays, QueuesManyAtOnce) {
    SpawnerOptions options = GetParam().options;
    options.in_flight = 50;
    SpawnBench bench(options);
    std::vector<std::uint64_t> tokens;
    for (int i = 0; i < 200; ++i) tokens.push_back(bench.start(command({"true"})));
    ASSERT_TRUE(
        bench.until([&] { return bench.spawner->queued() == 0 && bench.spawner->in_flight() == 0; }, seconds(30)));
    pid_t last = 0;
    for (const std::uint64_t token : tokens) {
        ASSERT_TRUE(bench.outcomes[token].executed);
        EXPECT_EQ(exit_code(bench.outcomes[token]), 0);
        EXPECT_TRUE(bench.outcomes[token].pid > last || bench.outcomes[token].pid < 1000) << "out of order";
        last = bench.outcomes[token].pid;
    }
}

TEST(Spawn, RefusesBadRequests) {
    SpawnBench bench;
    const auto kind = [&](SpawnRequest r) { return kind_of(bench.spawner->spawn(std::move(r), 1)); };
    EXPECT_EQ(kind(SpawnRequest{}), ErrorKind::usage);
    EXPECT_EQ(kind(command({"a", std::string("b\0c", 3)})), ErrorKind::usage);
    SpawnRequest twice = command({"true"});
    twice.descriptors = {{1, 1}, {2, 1}};
    EXPECT_EQ(kind(std::move(twice)), ErrorKind::usage);
    SpawnRequest record = command({"true"});
    record.pid_record = PidRecord{1, std::vector<std::byte>(8), 6, 0, 0, 0, 8};
    EXPECT_EQ(kind(std::move(record)), ErrorKind::usage);
    SpawnRequest hold = command({"true"});
    hold.hold.private_tmp = true;
    EXPECT_EQ(kind(std::move(hold)), ErrorKind::refused);
    EXPECT_EQ(bench.spawner->in_flight(), 0U);
}

TEST(Spawn, SearchesThePathWithoutTouchingIt) {
    EXPECT_EQ(search_candidates("a", "/x:/y"), (std::vector<std::string>{"/x/a", "/y/a"}));
    EXPECT_EQ(search_candidates("./a", "/x"), (std::vector<std::string>{"./a"}));
    EXPECT_EQ(search_candidates("a", "::/x:"), (std::vector<std::string>{"/x/a"}));
}

TEST(Spawn, StageNamesAreDistinct) {
    std::map<std::string_view, int> names;
    for (int stage = 0; stage <= static_cast<int>(SpawnStage::released); ++stage) {
        ++names[spawn_stage_name(static_cast<SpawnStage>(stage))];
    }
    EXPECT_EQ(names.size(), static_cast<std::size_t>(SpawnStage::released) + 1);
    EXPECT_FALSE(names.contains("unknown"));
}

// The kernel's own word: the size of our descriptor table.
std::size_t table_size() {
    const std::string status = read_file("/proc/self/status", 1u << 20).value_or("");
    const std::size_t at = status.find("FDSize:");
    return at == std::string::npos ? 0 : std::strtoul(status.c_str() + at + 7, nullptr, 10);
}

TEST(DescriptorTable, IsMadeLargeEnoughBeforeAChildSharesIt) {
    const Result<ResourceLimitValue> limit = get_limit(RLIMIT_NOFILE);
    ASSERT_TRUE(limit);
    const std::size_t wanted = std::min<std::size_t>(4 * std::max<std::size_t>(table_size(), 256), limit->soft);
    ASSERT_TRUE(reserve_descriptors(wanted));
    EXPECT_GE(table_size(), wanted);
    EXPECT_TRUE(reserve_descriptors(std::size_t{1} << 40)) << "as many as the limit allows";
}

// Told from the clock, or from /proc when a tick passed: both are what /proc says.
TEST(SpawnAlone, TellsWhenAChildStarted) {
    SpawnBench bench;
    for (int i = 0; i < 20; ++i) {
        Outcome& o = bench.run(command({"sleep", "60"}));
        ASSERT_TRUE(o.executed);
        EXPECT_EQ(o.start_ticks, start_ticks(o.pid).value_or(1));
        ::usleep(700);
        ASSERT_TRUE(send_signal(o.pidfd.get(), SIGKILL));
        exit_code(o);
    }
}

}  // namespace
}  // namespace abide::kernel
