// Control groups: finding our own, and the tree of an instance where this machine lets us have one.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "kernel/cgroup.hpp"
#include "kernel/files.hpp"
#include "spawn_fixture.hpp"

namespace abide::kernel {
namespace {

constexpr const char* kHybrid =
    "30 23 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro\n"
    "31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw\n"
    "32 30 0:28 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,name=systemd\n";

TEST(CgroupHome, IsFoundInPureAndHybridHierarchies) {
    const auto pure = parse_cgroup_home("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/user.slice/a\n");
    ASSERT_TRUE(pure);
    EXPECT_EQ(pure->mount, "/sys/fs/cgroup");
    EXPECT_EQ(pure->group, "/user.slice/a");
    const auto hybrid = parse_cgroup_home(kHybrid, "4:memory:/x\n1:name=systemd:/y\n0::/\n");
    ASSERT_TRUE(hybrid);
    EXPECT_EQ(hybrid->mount, "/sys/fs/cgroup/unified");
    EXPECT_EQ(hybrid->group, "/");
    const auto part =
        parse_cgroup_home("30 23 0:26 /docker/77 /sys/fs/c\\040g rw - cgroup2 cgroup rw\n", "0::/docker/77/in\n");
    ASSERT_TRUE(part);
    EXPECT_EQ(part->mount, "/sys/fs/c g");
    EXPECT_EQ(part->group, "/in");
}

TEST(CgroupHome, RefusesWhatIsNotThere) {
    EXPECT_FALSE(parse_cgroup_home(kHybrid, "4:memory:/x\n"));
    EXPECT_FALSE(parse_cgroup_home("32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw\n", "0::/a\n"));
    EXPECT_FALSE(parse_cgroup_home(kHybrid, "0::/../outside\n"));
    EXPECT_FALSE(parse_cgroup_home("30 23 0:26 /docker/77 /c rw - cgroup2 cgroup rw\n", "0::/docker/78\n"));
    EXPECT_FALSE(parse_cgroup_home("garbage", "garbage"));
}

TEST(CgroupNames, EscapeAndBack) {
    for (const std::string name :
         {"api", "worker@mail", "app/web@1", "abide", "..", ".", "cpu.x", "a.b", "memory.max", "ä b%", "r7.main"}) {
        const std::string escaped = escape_cgroup_name(name);
        EXPECT_EQ(unescape_cgroup_name(escaped), name);
        EXPECT_EQ(escaped.find('/'), std::string::npos);
        EXPECT_EQ(escaped.find('+'), std::string::npos) << "separates service and leaf";
        EXPECT_NE(escaped[0], '.');
    }
    EXPECT_EQ(escape_cgroup_name("r7.main"), "r7.main");
    EXPECT_EQ(escape_cgroup_name("a+b"), "a%2Bb");
}

class CgroupTest : public testing::Test {
  protected:
    void SetUp() override {
        Result<CgroupTree> tree = CgroupTree::create("test-" + std::to_string(::getpid()));
        if (!tree) GTEST_SKIP() << "no writable control groups: " << tree.error().what;
        tree_ = std::make_unique<CgroupTree>(std::move(*tree));
    }
    void TearDown() override {
        if (!tree_) return;
        const auto leaves = tree_->list_leaves();
        for (const auto& l : *leaves) {
            if (const Result<Fd> fd = tree_->open_leaf(l.service, l.leaf))
                static_cast<void>(cgroup_kill_all(fd->get()));
        }
        for (int i = 0; i < 200 && !tree_->remove(); ++i) ::usleep(5000);
        EXPECT_FALSE(file_status("/sys/fs/cgroup/unified" + tree_->path()) &&
                     file_status("/sys/fs/cgroup" + tree_->path()));
    }
    static std::vector<Outcome> start(SpawnBench& bench, const Fd& leaf, int count) {
        std::vector<Outcome> out;
        for (int i = 0; i < count; ++i) {
            SpawnRequest request = command({"sleep", "60"});
            request.cgroup_fd = leaf.get();
            Outcome& o = bench.run(std::move(request));
            EXPECT_TRUE(o.executed) << spawn_stage_name(o.stage) << " " << o.err;
            out.push_back(std::move(o));
        }
        return out;
    }
    std::unique_ptr<CgroupTree> tree_;
};

TEST_F(CgroupTest, AChildIsBornInItsLeafOnEveryWay) {
    for (const Way& way : all_ways()) {
        SpawnBench bench(way.options);
        Result<Fd> leaf = tree_->make_leaf("api", "r7.main");
        ASSERT_TRUE(leaf) << leaf.error().what;
        std::vector<Outcome> all = start(bench, *leaf, 2);
        EXPECT_EQ(cgroup_of(all[0].pid).value_or(""), tree_->leaf_path("api", "r7.main")) << way.name;
        EXPECT_NE(cgroup_of(::getpid()).value_or(""), tree_->leaf_path("api", "r7.main")) << way.name;
        EXPECT_EQ(cgroup_processes(leaf->get())->size(), 2U);
        EXPECT_TRUE(cgroup_populated(leaf->get()).value());
        const Status busy = tree_->remove_leaf("api", "r7.main");
        ASSERT_FALSE(busy);
        EXPECT_EQ(busy.error().kind, ErrorKind::refused);
        ASSERT_TRUE(cgroup_kill_all(leaf->get()));
        for (Outcome& o : all) EXPECT_EQ(exit_code(o), 128 + SIGKILL);
        EXPECT_FALSE(cgroup_populated(leaf->get()).value());
        EXPECT_TRUE(tree_->remove_leaf("api", "r7.main"));
        EXPECT_TRUE(tree_->remove_leaf("api", "r7.main")) << "again is fine";
    }
}

TEST_F(CgroupTest, ANoEntryLeafIsAFailedSpawn) {
    for (const Way& way : all_ways()) {
        SpawnBench bench(way.options);
        const Result<Fd> no_group = open_directory("/tmp");
        SpawnRequest request = command({"true"});
        request.cgroup_fd = no_group->get();
        Outcome& o = bench.run(std::move(request));
        EXPECT_TRUE(o.failed) << way.name;
        if (o.started) exit_code(o);
        // And the spawner is none the worse.
        Outcome& next = bench.run(command({"true"}));
        EXPECT_TRUE(next.executed);
        exit_code(next);
    }
}

TEST_F(CgroupTest, SignalsAndKillsReachAll) {
    SpawnBench bench;
    Result<Fd> leaf = tree_->make_leaf("api", "r1.main");
    std::vector<Outcome> all = start(bench, *leaf, 3);
    EXPECT_EQ(cgroup_signal_all(leaf->get(), SIGTERM).value_or(0), 3U);
    for (Outcome& o : all) EXPECT_EQ(exit_code(o), 128 + SIGTERM);
    all = start(bench, *leaf, 3);
    std::thread reaper([&] {
        for (Outcome& o : all) EXPECT_EQ(exit_code(o), 128 + SIGKILL);
    });
    EXPECT_TRUE(cgroup_kill_by_rounds(leaf->get()));
    reaper.join();
    EXPECT_TRUE(cgroup_processes(leaf->get())->empty());
}

// A service may make groups below its own leaf; a process that has the signal already does not get it twice.
TEST_F(CgroupTest, SignalsReachAllButWhoHasItAndThoseInGroupsBelow) {
    SpawnBench bench;
    Result<Fd> leaf = tree_->make_leaf("api", "r1.main");
    ASSERT_TRUE(leaf);
    Result<Fd> below = make_directory_beneath(leaf->get(), "below", 0755);
    ASSERT_TRUE(below) << below.error().what;
    std::vector<Outcome> here = start(bench, *leaf, 2), deep = start(bench, *below, 1);
    const pid_t has_it = here[0].pid;
    EXPECT_EQ(tree_->signal_leaf("api", "r1.main", SIGTERM, {&has_it, 1}).value_or(0), 2U);
    EXPECT_TRUE(send_signal(here[0].pidfd.get(), SIGTERM));
    for (Outcome& o : here) EXPECT_EQ(exit_code(o), 128 + SIGTERM);
    for (Outcome& o : deep) EXPECT_EQ(exit_code(o), 128 + SIGTERM);
    ASSERT_TRUE(tree_->remove_leaf("api", "r1.main"));
    EXPECT_EQ(tree_->signal_leaf("api", "r1.main", SIGTERM, {&has_it, 1}).value_or(9), 0U) << "gone: nobody is in it";
}

TEST_F(CgroupTest, TellsWhenALeafGetsEmpty) {
    SpawnBench bench;
    Result<Fd> leaf = tree_->make_leaf("api", "r1.main");
    EXPECT_EQ(tree_->watch_empty("api", "r1.main", 41).value_or(true), false) << "empty already";
    EXPECT_EQ(tree_->watch_empty("api", "no-such-leaf", 41).value_or(true), false);
    std::vector<Outcome> all = start(bench, *leaf, 2);
    EXPECT_EQ(tree_->watch_empty("api", "r1.main", 42).value_or(false), true);
    ASSERT_TRUE(cgroup_kill_all(leaf->get()));
    for (Outcome& o : all) exit_code(o);
    Result<Epoll> epoll = Epoll::create();
    ASSERT_TRUE(epoll->add(tree_->watch_fd(), EPOLLIN, 1));
    std::vector<std::uint64_t> told;
    for (int i = 0; i < 20 && told.empty(); ++i) {
        static_cast<void>(epoll->wait(mono_now() + milliseconds(500)));
        told = tree_->drain_empty();
    }
    EXPECT_EQ(told, std::vector<std::uint64_t>{42});
    EXPECT_TRUE(tree_->drain_empty().empty());
}

TEST_F(CgroupTest, FreezesAndThaws) {
    SpawnBench bench;
    Result<Fd> leaf = tree_->make_leaf("api", "r1.main");
    if (!cgroup_get(leaf->get(), "cgroup.freeze")) GTEST_SKIP() << "no freezer";
    std::vector<Outcome> all = start(bench, *leaf, 1);
    ASSERT_TRUE(cgroup_freeze(leaf->get(), true));
    bool frozen = false;
    for (int i = 0; i < 500 && !frozen; ++i, ::usleep(2000)) {
        frozen = cgroup_get(leaf->get(), "cgroup.events").value_or("").find("frozen 1") != std::string::npos;
    }
    EXPECT_TRUE(frozen);
    ASSERT_TRUE(cgroup_freeze(leaf->get(), false));
    ASSERT_TRUE(cgroup_kill_all(leaf->get()));
    exit_code(all[0]);
}

// Born into a frozen group with a copy of our table, a child keeps all that is in the copy.
TEST_F(CgroupTest, AFrozenChildHidesNobodysOutcome) {
    constexpr int kTooManyToStage = 100;
    Result<Fd> leaf = tree_->make_leaf("api", "r1.main");
    if (!cgroup_get(leaf->get(), "cgroup.freeze")) GTEST_SKIP() << "no freezer";
    FullPipe full;
    SpawnBench bench({.reuses_pipes = true});
    // One pipe that was used before, and one child that is on its way.
    Outcome& before = bench.run(command({"true"}));
    exit_code(before);
    before.pidfd.reset();
    const std::uint64_t unseen = bench.start(command({"true"}));  // nobody looks at what becomes of it
    SpawnRequest waits = command({"true"});
    waits.pid_record = full.record();
    const std::uint64_t waiting = bench.start(std::move(waits));
    ::usleep(50'000);  // by then it has a table of its own
    ASSERT_TRUE(cgroup_freeze(leaf->get(), true));
    SpawnRequest request = command({"true"});
    request.cgroup_fd = leaf->get();
    const Result<Fd> null = open_file("/dev/null", O_RDWR);
    std::vector<Fd> copies;
    for (int i = 0; i < kTooManyToStage; ++i) {
        copies.push_back(std::move(*null->duplicate()));
        request.descriptors.emplace_back(copies.back().get(), i);
    }
    const std::uint64_t frozen = bench.start(std::move(request));
    EXPECT_TRUE(bench.run(command({"true"})).executed) << "with the pipe of before";
    full.drain();
    EXPECT_TRUE(bench.finish(waiting).executed);
    EXPECT_TRUE(bench.finish(unseen).executed);
    EXPECT_FALSE(bench.outcomes[frozen].settled());
    ASSERT_TRUE(cgroup_freeze(leaf->get(), false));
    EXPECT_TRUE(bench.finish(frozen).executed);
    for (auto& [token, one] : bench.outcomes) {
        if (one.pidfd) exit_code(one);
    }
}

// What was asked for is told when it is a fact, of the group that was meant, and never after it was taken back.
TEST_F(CgroupTest, AFreezeIsToldWhenAllStandsStill) {
    SpawnBench bench;
    Result<Fd> leaf = tree_->make_leaf("api", "r1.main");
    if (!cgroup_get(leaf->get(), "cgroup.freeze")) GTEST_SKIP() << "no freezer";
    std::vector<Outcome> all = start(bench, *leaf, 1);
    Result<bool> done = tree_->freeze("api", "r1.main", "container", true, 7);
    ASSERT_TRUE(done);
    std::vector<std::uint64_t> told;
    for (int i = 0; i < 500 && !*done && told.empty(); ++i, ::usleep(2000)) {
        static_cast<void>(tree_->drain_empty());
        told = tree_->drain_frozen();
    }
    EXPECT_TRUE(*done || told == std::vector<std::uint64_t>{7});
    EXPECT_TRUE(cgroup_frozen(leaf->get()).value_or(false));
    EXPECT_TRUE(tree_->drain_frozen().empty()) << "once";
    EXPECT_EQ(tree_->freeze("api", "r1.main", "container", false, 7).value_or(false), true);
    EXPECT_FALSE(cgroup_frozen(leaf->get()).value_or(true));
    // With a group below, that one alone; both are thawed.
    ASSERT_TRUE(make_directory_beneath(leaf->get(), "container", 0755));
    const Result<Fd> inner = open_beneath(leaf->get(), "container", O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(inner && tree_->freeze("api", "r1.main", "container", true, 8));
    EXPECT_EQ(cgroup_get(inner->get(), "cgroup.freeze").value_or(""), "1");
    EXPECT_EQ(cgroup_get(leaf->get(), "cgroup.freeze").value_or(""), "0");
    EXPECT_TRUE(tree_->freeze("api", "r1.main", "container", false, 8));
    EXPECT_EQ(cgroup_get(inner->get(), "cgroup.freeze").value_or(""), "0");
    EXPECT_FALSE(tree_->freeze("api", "r9.main", "", true, 9)) << "no such group";
    ASSERT_TRUE(cgroup_kill_all(leaf->get()));
    exit_code(all[0]);
}

TEST_F(CgroupTest, ChildrenOfAFrozenGroupBlockNobody) {
    SpawnBench bench;
    Result<Fd> leaf = tree_->make_leaf("api", "r1.main");
    if (!cgroup_freeze(leaf->get(), true)) GTEST_SKIP() << "no freezer";
    std::vector<std::uint64_t> frozen;
    for (int i = 0; i < 40; ++i) {
        SpawnRequest request = command({"true"});
        request.cgroup_fd = leaf.value().get();
        frozen.push_back(bench.start(std::move(request)));
    }
    Outcome& free_one = bench.run(command({"true"}));
    EXPECT_TRUE(free_one.executed);
    exit_code(free_one);
    for (const std::uint64_t token : frozen) {
        EXPECT_TRUE(bench.outcomes[token].started);
        EXPECT_FALSE(bench.outcomes[token].settled());
    }
    ASSERT_TRUE(cgroup_freeze(leaf->get(), false));
    for (const std::uint64_t token : frozen) EXPECT_EQ(exit_code(bench.finish(token)), 0);
    EXPECT_TRUE(bench.outcomes[frozen.back()].executed);
}

// Born frozen, it still shares our table, and nothing but its death tells that it won't any more.
TEST_F(CgroupTest, ADeathBeforeTheFirstCallIsFoundWithoutWatches) {
    Result<Fd> leaf = tree_->make_leaf("api", "r1.main");
    if (!cgroup_freeze(leaf->get(), true)) GTEST_SKIP() << "no freezer";
    const pid_t tester = ::fork();
    if (tester == 0) {
        SpawnBench bench;
        if (!take_all_watches()) ::_exit(2);
        SpawnRequest request = command({"true"});
        request.cgroup_fd = leaf->get();
        Outcome& o = bench.outcomes[bench.start(std::move(request))];
        if (!bench.until_polling([&] { return o.started; })) ::_exit(3);
        bench.until_polling([&] { return o.settled(); }, milliseconds(100));
        if (o.settled() || !send_signal(o.pidfd.get(), SIGKILL)) ::_exit(4);
        ::_exit(bench.until_polling([&] { return o.settled(); }, seconds(5)) && o.failed ? 0 : 5);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(tester, &status, 0), tester);
    EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

TEST_F(CgroupTest, ListsLeavesAndIsFoundAgain) {
    ASSERT_TRUE(tree_->make_leaf("app/web@1", "r1.main"));
    ASSERT_TRUE(tree_->make_leaf("app/web@1", "r2.main"));
    ASSERT_TRUE(tree_->make_leaf("abide", "r1.main"));
    const Result<CgroupTree> again = CgroupTree::create("test-" + std::to_string(::getpid()));
    ASSERT_TRUE(again);
    std::vector<std::string> names;
    const Result<std::vector<CgroupTree::LeafName>> leaves = again->list_leaves();
    ASSERT_TRUE(leaves);
    for (const auto& l : *leaves) names.push_back(l.service + ":" + l.leaf);
    std::ranges::sort(names);
    EXPECT_EQ(names, (std::vector<std::string>{"abide:r1.main", "app/web@1:r1.main", "app/web@1:r2.main"}));
}

TEST_F(CgroupTest, SaysWhichControllersAreMissing) {
    const std::vector<std::string> absent = tree_->enable_controllers({"memory", "pids", "no-such-controller"});
    EXPECT_TRUE(std::ranges::count(absent, "no-such-controller") == 1);
    Result<Fd> leaf = tree_->make_leaf("api", "r1.main");
    ASSERT_TRUE(leaf);
    const bool has_pids = std::ranges::count(absent, "pids") == 0;
    EXPECT_EQ(cgroup_set(leaf->get(), "pids.max", "100").has_value(), has_pids);
}

}  // namespace
}  // namespace abide::kernel
