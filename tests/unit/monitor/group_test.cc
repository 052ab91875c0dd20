// Several processes as one: in both tiers of groups, whatever ends are seen by.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <tuple>

#include "fixture.hpp"

namespace abide {
namespace {

// The folder of the cgroup2 mount; empty: there is none.
std::string cgroup_mount() {
    std::ifstream mounts("/proc/self/mounts");
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream words(line);
        std::string device, folder, type;
        if (words >> device >> folder >> type && type == "cgroup2") return folder;
    }
    return {};
}
std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

class Groups : public testing::TestWithParam<std::tuple<tier, group_tier>> {
  protected:
    void SetUp() override {
        auto made = m.make_group("test", leave::kill, kind());
        ASSERT_TRUE(made) << made.error().message();
        g = std::move(*made);
        if (g.tier() != kind()) GTEST_SKIP() << "no control groups here";
    }
    static tier ends() { return std::get<0>(GetParam()); }
    static group_tier kind() { return std::get<1>(GetParam()); }
    // One of its files, as the kernel shows it.
    static std::string file_of(const group& of, const std::string& name) {
        return cgroup_mount() + of.path() + "/" + name;
    }
    result<process> start(const std::string& script) {
        return m.spawn(shell(script).member_of(g).out(stdio::null()), leave::detach);
    }
    result<process> start_ready_in(group& where, const std::string& script) {
        return start_ready(m, shell(script).member_of(where), leave::detach);
    }
    monitor m = make(with_tier(ends()));
    group g;
};
std::string case_name(const testing::TestParamInfo<std::tuple<tier, group_tier>>& info) {
    return tier_name({std::get<0>(info.param), 0}) + "_" + to_string(std::get<1>(info.param));
}
INSTANTIATE_TEST_SUITE_P(Tier, Groups,
                         testing::Combine(kTiers, testing::Values(group_tier::cgroup, group_tier::session)), case_name);

TEST_P(Groups, KillTakesDescendantsToo) {
    int empty = 0;
    g.on_empty([&] { ++empty; });
    EXPECT_TRUE(g.empty());
    auto a = start("sleep 30 & sleep 30 & wait");
    auto b = start("sleep 30");
    ASSERT_TRUE(a && b);
    EXPECT_TRUE(until(m, [&] { return g.members()->size() >= 4; }, 5s)) << g.members()->size();
    const std::vector<int> all = *g.members();
    EXPECT_FALSE(g.empty());
    EXPECT_EQ(empty, 0);
    EXPECT_TRUE(g.kill());
    EXPECT_TRUE(until(m, [&] { return empty == 1; }, 5s));
    for (const int pid : all) EXPECT_TRUE(is_gone(pid));
    EXPECT_TRUE(g.empty());
    EXPECT_EQ(a->exit()->status.signal(), SIGKILL);
    EXPECT_EQ(a->exit()->cause, exit_cause::asked);
    // It can be used again.
    auto c = start("exit 0");
    ASSERT_TRUE(c) << c.error().message();
    EXPECT_TRUE(until(m, [&] { return empty == 2; }, 5s));
}

TEST_P(Groups, OnEmptyWaitsForDescendants) {
    bool empty = false, ended = false;
    g.on_empty([&] { empty = true; });
    auto p = m.spawn(shell("sleep 0.3 & exit 0").member_of(g).out(stdio::null()), leave::detach,
                     [&](const exit_event&) { ended = true; });
    ASSERT_TRUE(p);
    EXPECT_TRUE(until(m, [&] { return ended; }));
    EXPECT_FALSE(empty);
    EXPECT_TRUE(until(m, [&] { return empty; }, 5s));
}

TEST_P(Groups, FreezeAndThaw) {
    auto p = start("while :; do :; done");
    ASSERT_TRUE(p);
    const auto work = [&] {
        std::ifstream file("/proc/" + std::to_string(p->pid()) + "/stat");
        std::string word;
        for (int i = 0; i < 14; ++i) file >> word;
        return std::stol(word);
    };
    ASSERT_TRUE(g.freeze());
    const long before = work();
    nap(200ms);
    EXPECT_EQ(work(), before);
    ASSERT_TRUE(g.thaw());
    nap(300ms);
    EXPECT_GT(work(), before);
    EXPECT_TRUE(g.kill());
    EXPECT_TRUE(p->wait(within(5s)));
}

TEST_P(Groups, FreezeReturnsWhenAllStandStill) {
    auto p = start("(while :; do :; done) & while :; do :; done");
    ASSERT_TRUE(p);
    ASSERT_TRUE(until(m, [&] { return g.members()->size() == 2; }));
    for (int round = 0; round < 50; ++round) {
        const result<void> frozen = g.freeze();
        ASSERT_TRUE(frozen) << frozen.error().message();
        if (kind() == group_tier::cgroup) {
            ASSERT_NE(text_of(file_of(g, "cgroup.events")).find("frozen 1"), std::string::npos) << round;
        } else {
            const std::vector<int> all = *g.members();
            for (const int pid : all) ASSERT_EQ(state_of(pid), 'T') << round;
        }
        ASSERT_TRUE(g.thaw());
    }
    // No time to wait: said, and done all the same.
    if (const result<void> hasty = g.freeze(within(0s)); !hasty) {
        EXPECT_EQ(hasty.error().number, ETIMEDOUT);
    }
    EXPECT_TRUE(g.freeze());
    EXPECT_TRUE(g.thaw());
}

TEST_P(Groups, AStopClimbsDown) {
    auto deaf = start_ready_in(g, "trap '' TERM; echo ready; while :; do sleep 0.05; done");
    auto polite = start_ready_in(g, "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done");
    ASSERT_TRUE(deaf && polite);
    ASSERT_TRUE(g.stop({{SIGTERM, 150ms}, {SIGKILL, 0s}}));
    EXPECT_TRUE(until(m, [&] { return !deaf->running() && !polite->running(); }, 5s));
    EXPECT_EQ(deaf->exit()->status.signal(), SIGKILL);
    EXPECT_EQ(polite->exit()->status.code(), 3);
    EXPECT_EQ(polite->exit()->cause, exit_cause::asked);
}

// What is stopped was asked to end, whatever the ladder's signals; a signal asks for it only when it means that.
TEST_P(Groups, TheCauseOfAnEndIsThatOfAProcess) {
    const std::string script = "trap 'exit 0' HUP TERM; echo ready; while :; do sleep 0.01; done";
    const auto cause_after = [&](const auto& ask) {
        auto p = start_ready_in(g, script);
        if (!p) return exit_cause::unknown;
        EXPECT_TRUE(ask(*p));
        EXPECT_TRUE(until(m, [&] { return !p->running(); }));
        EXPECT_EQ(p->exit()->status.code(), 0);
        return p->exit()->cause;
    };
    const stop_ladder hangup{{SIGHUP, 10s}, {SIGKILL, 0s}};
    EXPECT_EQ(cause_after([&](process& p) { return p.stop(hangup); }), exit_cause::asked);
    EXPECT_EQ(cause_after([&](process&) { return g.stop(hangup); }), exit_cause::asked);
    EXPECT_EQ(cause_after([&](process& p) { return p.signal(SIGHUP); }), exit_cause::itself);
    EXPECT_EQ(cause_after([&](process&) { return g.signal(SIGHUP); }), exit_cause::itself);
    EXPECT_EQ(cause_after([&](process& p) { return p.signal(SIGTERM); }), exit_cause::asked);
    EXPECT_EQ(cause_after([&](process&) { return g.signal(SIGTERM); }), exit_cause::asked);
}

TEST_P(Groups, PoliciesWhenItGoes) {
    auto p = start("sleep 30 & wait");
    ASSERT_TRUE(p);
    nap(50ms);
    const std::vector<int> all = *g.members();
    EXPECT_GE(all.size(), 2U);
    g = group();
    EXPECT_TRUE(until(m, [&] { return std::ranges::all_of(all, is_gone); }, 5s));
    auto waiting = m.make_group("waiting", leave::wait, kind());
    ASSERT_TRUE(waiting);
    auto q = m.spawn(shell("sleep 0.2").member_of(*waiting), leave::detach);
    ASSERT_TRUE(q);
    EXPECT_FALSE(waiting->wait_empty(within(10ms)));
    const int pid = q->pid();
    *waiting = group();
    EXPECT_TRUE(is_gone(pid));
}

// A group of one that has to be killed, in a monitor that waits `grace` for it.
struct Deaf {
    group its;
    process member;
    std::string folder;  // empty: its group has none
};
class DeafGroups : public Groups {
  protected:
    std::optional<Deaf> make_deaf(std::chrono::milliseconds grace) {
        monitor_options options = with_tier(ends());
        options.grace = grace;
        m = make(options);
        auto made = m.make_group("deaf", leave::terminate_then_kill, kind());
        if (!made) return std::nullopt;
        auto member = start_ready_in(*made, "trap '' TERM; echo ready; while :; do sleep 0.05; done");
        if (!member) return std::nullopt;
        std::string folder = kind() == group_tier::cgroup ? file_of(*made, "") : std::string();
        return Deaf{std::move(*made), std::move(*member), std::move(folder)};
    }
};

INSTANTIATE_TEST_SUITE_P(Tier, DeafGroups,
                         testing::Combine(kTiers, testing::Values(group_tier::cgroup, group_tier::session)), case_name);

// Only leave::wait blocks: the rest of a stop is a matter of dispatch().
TEST_P(DeafGroups, GoingBlocksNobody) {
    auto deaf = make_deaf(1s);
    ASSERT_TRUE(deaf);
    const int pid = deaf->member.pid();
    const deadline begin = deadline::clock::now();
    deaf->its = group();
    EXPECT_LT(deadline::clock::now() - begin, 700ms);
    EXPECT_FALSE(is_gone(pid));
    m.run();
    EXPECT_GE(deadline::clock::now() - begin, 990ms);
    EXPECT_TRUE(is_gone(pid));
    EXPECT_EQ(deaf->member.exit()->status.signal(), SIGKILL);
    EXPECT_EQ(deaf->member.exit()->cause, exit_cause::asked);
    EXPECT_TRUE(deaf->folder.empty() || !std::filesystem::exists(deaf->folder)) << deaf->folder;
}

TEST_P(DeafGroups, AMonitorFinishesWhatWasDropped) {
    auto deaf = make_deaf(100ms);
    ASSERT_TRUE(deaf);
    const int pid = deaf->member.pid();
    deaf->its = group();
    m = make();
    EXPECT_TRUE(is_gone(pid));
    EXPECT_TRUE(deaf->folder.empty() || !std::filesystem::exists(deaf->folder)) << deaf->folder;
}

// A start that waits for its turn while its group goes ends like the other members.
TEST_P(Groups, AMemberThatComesLateEndsToo) {
    monitor_options options = with_tier(ends());
    options.in_flight = 1;
    m = make(options);
    auto frozen = m.make_group("frozen", leave::kill), late = m.make_group("late", leave::kill, kind());
    ASSERT_TRUE(frozen && late);
    if (frozen->tier() != group_tier::cgroup) GTEST_SKIP() << "no child is born frozen here";
    ASSERT_TRUE(frozen->freeze());
    int started = 0;
    const auto count = [&](result<process> p) {
        ++started;
        if (p) p->release();
    };
    m.spawn_async(shell("exit 5").member_of(*frozen), leave::kill, count);
    m.spawn_async(sleeper().member_of(*late), leave::kill, count);
    m.run_once(within(20ms));
    EXPECT_EQ(started, 0) << "the first holds the only place";
    *late = group();
    ASSERT_TRUE(frozen->thaw());
    EXPECT_TRUE(until(m, [&] { return started == 2 && m.watched() == 0; }, 10s));
}

TEST_P(Groups, ItsFilesCanBeSet) {
    if (kind() == group_tier::session) {
        const result<void> set = g.set("cgroup.max.descendants", "7");
        ASSERT_FALSE(set);
        EXPECT_EQ(set.error().number, ENOTSUP);
        return;
    }
    ASSERT_TRUE(g.set("cgroup.max.descendants", "7"));
    EXPECT_EQ(text_of(file_of(g, "cgroup.max.descendants")), "7\n");
}

TEST_P(Groups, ControllersAreSwitchedOn) {
    if (kind() == group_tier::session) GTEST_SKIP() << "no files there";
    std::istringstream offered(text_of(cgroup_mount() + "/cgroup.controllers"));
    std::string controller;
    // Inside a group of its own the kernel refuses: the group has a process, us.
    if (!(offered >> controller) || text_of("/proc/self/cgroup").find("0::/\n") == std::string::npos) {
        GTEST_SKIP() << "no controller to be had";
    }
    monitor_options options = with_tier(ends());
    options.controllers = {controller};
    options.name = "controllers";
    monitor with = make(options);
    auto made = with.make_group("set", leave::kill);
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_NE(text_of(file_of(*made, "cgroup.controllers")).find(controller), std::string::npos);
    EXPECT_EQ(text_of(file_of(g, "cgroup.controllers")).find(controller), std::string::npos) << "only if asked for";
}

TEST_P(Groups, OthersGroupsAreRefused) {
    monitor other = make();
    EXPECT_FALSE(other.spawn(shell("true").member_of(g), leave::kill));
    const auto set = g.set("no.such.file", "1");
    EXPECT_FALSE(set);
    EXPECT_EQ(g.path().empty(), kind() == group_tier::session);
}

}  // namespace
}  // namespace abide
