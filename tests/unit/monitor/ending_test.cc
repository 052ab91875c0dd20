// Ends that others interfere with: stolen waits, SIGCHLD ignored, processes that are not ours, orphans, bursts, leaks.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace abide {
namespace {

class Ending : public EachTier {};
INSTANTIATE_TEST_SUITE_P(Tier, Ending, kTiers, tier_name);

std::size_t open_descriptors() {
    const std::filesystem::directory_iterator folder("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
}

bool has_children() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

// Waits for everybody's children, as some library in the same program might.
class Thief {
  public:
    Thief() : thread_([this] { loop(); }) {}
    ~Thief() { stop(); }
    // Whom it took; it takes no more.
    std::vector<pid_t> taken() {
        stop();
        return std::move(taken_);
    }

  private:
    void stop() {
        end_ = true;
        if (thread_.joinable()) thread_.join();
    }
    void loop() {
        while (!end_) {
            if (const pid_t pid = ::waitpid(-1, nullptr, WNOHANG); pid > 0) taken_.push_back(pid);
        }
    }
    std::atomic<bool> end_ = false;
    std::vector<pid_t> taken_;  // the thread's until it has ended
    std::thread thread_;
};

TEST_P(Ending, AStolenWaitIsRepairedOrUnknownButNeverWrong) {
    constexpr int kRounds = 300;
    int told = 0, unknown = 0;
    std::map<exit_source, int> sources;
    std::int64_t stolen = 0;
    {
        Thief thief;
        std::vector<process> all;
        std::set<pid_t> ours;
        for (int i = 0; i < kRounds; ++i) {
            const int code = 1 + i % 200;
            auto p = m.spawn(command("/bin/sh", {"-c", "exit " + std::to_string(code)}), leave::kill,
                             [&, code](const exit_event& e) {
                                 ++told;
                                 ++sources[e.status.source];
                                 if (e.status.how == ended::unknown) {
                                     ++unknown;
                                 } else {
                                     EXPECT_EQ(e.status.code(), code);
                                 }
                             });
            ASSERT_TRUE(p) << p.error().message();
            ours.insert(p->pid());
            all.push_back(std::move(*p));
        }
        EXPECT_TRUE(until(m, [&] { return told >= kRounds; }));
        stolen = std::ranges::count_if(thief.taken(), [&](pid_t pid) { return ours.contains(pid); });
    }
    m.run_once(within(0s));
    EXPECT_EQ(told, kRounds);
    EXPECT_GT(stolen, 0) << "the thread stole nothing: this test shows nothing";
    if (m.tier() == tier::exit_info) {
        EXPECT_EQ(unknown, 0);
        EXPECT_EQ(sources[exit_source::exit_info], stolen);
    } else {
        EXPECT_EQ(unknown, stolen);
        EXPECT_EQ(sources[exit_source::exit_info], 0);
    }
}

TEST_P(Ending, IgnoredSigchldLosesNoNotification) {
    const auto before = ::signal(SIGCHLD, SIG_IGN);
    int told = 0;
    auto p = m.spawn(shell("exit 6"), leave::kill, [&](const exit_event&) { ++told; });
    ASSERT_TRUE(p) << p.error().message();
    EXPECT_TRUE(until(m, [&] { return told == 1; }));
    ::signal(SIGCHLD, before);
    if (m.tier() == tier::exit_info) {
        EXPECT_EQ(p->exit()->status.code(), 6);
        EXPECT_EQ(p->exit()->status.source, exit_source::exit_info);
    } else {
        EXPECT_EQ(p->exit()->status.how, ended::unknown);
        EXPECT_FALSE(p->exit()->status.success());
        EXPECT_EQ(to_string(p->exit()->status), "unknown");
    }
}

TEST_P(Ending, OthersChildrenAreLeftAlone) {
    const pid_t other = ::fork();
    if (other == 0) ::_exit(11);
    auto p = m.spawn(shell("exit 0"), leave::kill);
    ASSERT_TRUE(p);
    m.run();
    m.child_hint();
    m.run_once(within(20ms));
    int status = 0;
    EXPECT_EQ(::waitpid(other, &status, 0), other);
    EXPECT_EQ(WEXITSTATUS(status), 11);
}

// A grandchild, and the pidfd of it.
struct Stranger {
    int pidfd = -1;
    pid_t parent = 0;
};
Stranger make_stranger(int life_ms, int code, bool reaped) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const pid_t parent = ::fork();
    if (parent == 0) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::poll(nullptr, 0, life_ms);
            ::_exit(code);
        }
        if (::write(ends[1], &child, sizeof(child)) != sizeof(child)) ::_exit(1);
        if (reaped) {
            ::waitpid(child, nullptr, 0);
        } else {
            ::poll(nullptr, 0, 2000);
        }
        ::_exit(0);
    }
    pid_t child = 0;
    EXPECT_EQ(::read(ends[0], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
    ::close(ends[0]);
    ::close(ends[1]);
    return {static_cast<int>(::syscall(SYS_pidfd_open, child, 0)), parent};
}

TEST_P(Ending, AnAdoptedProcessHasItsTrueStatusOrNone) {
    const Stranger s = make_stranger(50, 23, true);
    ASSERT_GE(s.pidfd, 0);
    int told = 0;
    auto p = m.adopt(s.pidfd, leave::detach, [&](const exit_event&) { ++told; }, "stranger");
    if (m.tier() == tier::sigchld) {
        ASSERT_FALSE(p);
        EXPECT_EQ(p.error().number, ENOTSUP);
    } else {
        ASSERT_TRUE(p) << p.error().message();
        ::close(s.pidfd);  // it has its own
        EXPECT_EQ(p->label(), "stranger");
        EXPECT_FALSE(p->wait(within(1ms)));
        EXPECT_TRUE(until(m, [&] { return told == 1; }));
        if (m.tier() == tier::exit_info) {
            EXPECT_EQ(p->exit()->status.code(), 23);
            EXPECT_EQ(p->exit()->status.source, exit_source::exit_info);
        } else {
            EXPECT_EQ(p->exit()->status.how, ended::unknown);
        }
    }
    ::waitpid(s.parent, nullptr, 0);
    EXPECT_FALSE(m.adopt(0, leave::detach));
}

TEST(Adopting, AZombieThatNobodyReapsIsUnknownAfterAWhile) {
    monitor_options options;
    options.adopt_patience = 100ms;
    monitor m = make(options);
    if (m.tier() != tier::exit_info) GTEST_SKIP() << "no exit info";
    const Stranger s = make_stranger(1, 23, false);
    auto p = m.adopt(s.pidfd, leave::detach);
    ASSERT_TRUE(p);
    const auto begin = deadline::clock::now();
    EXPECT_TRUE(until(m, [&] { return !p->running(); }, 1500ms));
    EXPECT_EQ(p->exit()->status.how, ended::unknown);
    EXPECT_GE(deadline::clock::now() - begin, 90ms);
    ::kill(s.parent, SIGKILL);
    ::waitpid(s.parent, nullptr, 0);
    ::close(s.pidfd);
}

TEST_P(Ending, BurstsAreCountedExactly) {
    constexpr int kChildren = 200, kRounds = 5;
    const std::size_t before = open_descriptors();
    for (int round = 0; round < kRounds; ++round) {
        int ends[2];
        ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        std::map<process_id, int> codes, told;
        for (int i = 0; i < kChildren; ++i) {
            const int code = (i + round) % 250;
            // All wait for the same end of file, and end together.
            auto p =
                m.spawn(command(ABIDE_BIN_DIR "/abide-mortal", {std::to_string(code)}).in(stdio::descriptor(ends[0])),
                        leave::kill, [&](const exit_event& e) {
                            ++told[e.id];
                            EXPECT_EQ(e.status.code(), codes.at(e.id));
                        });
            ASSERT_TRUE(p) << p.error().message();
            codes[p->release()] = code;
        }
        ::close(ends[0]);
        ::close(ends[1]);
        ASSERT_TRUE(until(m, [&] { return told.size() == kChildren; }));
        m.run_once(within(0s));
        for (const auto& [id, count] : told) EXPECT_EQ(count, 1);
    }
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_FALSE(has_children());
}

TEST_P(Ending, NothingLeaks) {
    const std::size_t before = open_descriptors();
    {
        monitor inner = make(with_tier(GetParam()));
        for (int i = 0; i < 20; ++i) {
            auto p = inner.spawn(shell("echo x; exit 1").out(stdio::buffer()).err(stdio::to_output()), leave::kill);
            ASSERT_TRUE(p);
            if (i % 2 == 0) p->release();
            EXPECT_FALSE(inner.spawn(command("/nonexistent").in(stdio::pipe()).out(stdio::pipe()), leave::kill));
        }
        inner.run();
    }
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_FALSE(has_children());
}

TEST_P(Ending, PoliciesOfHandlesAndMonitors) {
    auto killed = m.spawn(sleeper(), leave::kill);
    int told = 0;
    auto asked = m.spawn(shell("trap 'exit 0' TERM; while :; do sleep 0.01; done"), leave::terminate_then_kill,
                         [&](const exit_event& e) { told += e.status.code() == 0 ? 1 : 100; });
    auto waited = m.spawn(shell("sleep 0.1"), leave::wait);
    auto detached = m.spawn(shell("sleep 0.2"), leave::detach, [&](const exit_event&) { told += 1000; });
    ASSERT_TRUE(killed && asked && waited && detached);
    nap(50ms);
    const int pids[] = {killed->pid(), waited->pid(), detached->pid()};
    *killed = process();
    *asked = process();
    EXPECT_FALSE(is_gone(pids[1]));
    *waited = process();  // blocks
    EXPECT_TRUE(is_gone(pids[1]));
    *detached = process();
    EXPECT_FALSE(is_gone(pids[2]));
    m.run();
    EXPECT_TRUE(is_gone(pids[0]));
    EXPECT_EQ(told, 1);
    EXPECT_FALSE(is_gone(pids[2]));
    EXPECT_TRUE(until(m, [&] { return state_of(pids[2]) == '\0'; }));  // reaped without a word
    EXPECT_EQ(told, 1);

    std::optional<monitor> inner(make(with_tier(GetParam())));
    auto last = inner->spawn(sleeper(), leave::kill, [&](const exit_event&) { told += 1; });
    const int pid = last->pid();
    inner.reset();
    EXPECT_EQ(state_of(pid), '\0');
    EXPECT_EQ(told, 1) << "a destructor calls no handler";
    EXPECT_FALSE(last->running());

    inner.emplace(make(with_tier(GetParam())));
    inner->spawn(sleeper(), leave::terminate_then_kill, [&](const exit_event&) { told += 1; }).value().release();
    EXPECT_EQ(inner->close(), 0U);
    EXPECT_EQ(told, 2) << "close() tells";
}

// In a process of its own, since it must be the parent of all.
int orphans_in_a_subreaper(tier which) {
    ::alarm(20);
    monitor_options options = with_tier(which);
    options.reaper = reaper::exclusive;
    monitor m = make(options);
    std::map<int, int> orphans;
    m.on_orphan([&](const exit_event& e) { ++orphans[e.status.code().value_or(-1)]; });
    int own = 0;
    // The grandchildren end after their parent has: 30 of them, and come to us.
    auto p =
        m.spawn(shell("for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 0.1; exit 41) & (sleep 0.1; exit 42) & (exit 43) & "
                      "done; exit 7"),
                leave::kill, [&](const exit_event& e) { own += e.status.code().value_or(100); });
    if (!p) return 2;
    if (!until(m, [&] { return orphans[41] == 10 && orphans[42] == 10 && own != 0; }, 10s)) return 3;
    // A child of somebody else in this program is reaped as well.
    if (::fork() == 0) ::_exit(44);
    if (!until(m, [&] { return orphans[44] == 1; }, 10s)) return 4;
    if (!until(m, [&] { return !has_children(); }, 10s)) return 5;
    return own == 7 ? 0 : 6;
}

TEST_P(Ending, ASubreaperReapsOrphansAndTellsThem) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(orphans_in_a_subreaper(GetParam()));
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

}  // namespace
}  // namespace abide
