// tests/unit/kernel/spawn_fixture.hpp -- starting processes in tests: requests with usual contents, and waiting for
// outcomes with a bound, so that no test hangs.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "kernel/spawn.hpp"

namespace abide::kernel {

struct Outcome {
    bool started = false, held = false, executed = false, failed = false;
    pid_t pid = 0;
    Fd pidfd;
    std::uint64_t start_ticks = 0;
    SpawnStage stage = SpawnStage::clone;
    int err = 0;

    [[nodiscard]] bool settled() const { return executed || failed; }
};

class SpawnBench {
  public:
    explicit SpawnBench(SpawnerOptions options = {}) {
        Result<std::unique_ptr<Spawner>> made = Spawner::create(options);
        EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().what);
        spawner = std::move(*made);
    }

    std::uint64_t start(SpawnRequest request) {
        const std::uint64_t token = ++last;
        const Status s = spawner->spawn(std::move(request), token);
        EXPECT_TRUE(s.has_value()) << (s ? "" : s.error().what);
        return token;
    }
    void take(std::vector<SpawnEvent> events) {
        for (SpawnEvent& e : events) {
            Outcome& o = outcomes[e.token];
            EXPECT_FALSE(o.settled()) << "an event after the outcome of " << e.token;
            switch (e.kind) {
                case SpawnEventKind::started:
                    o.started = true;
                    o.pid = e.pid;
                    o.pidfd = std::move(e.pidfd);
                    o.start_ticks = e.start_ticks;
                    break;
                case SpawnEventKind::held: o.held = true; break;
                case SpawnEventKind::executed: o.executed = true; break;
                case SpawnEventKind::failed:
                    o.failed = true;
                    o.stage = e.stage;
                    o.err = e.err;
                    break;
            }
        }
    }
    // Sleeps on the spawner's descriptor only, as a manager does.
    template <class Condition>
    bool until(Condition done, Duration bound = seconds(10)) {
        Result<Epoll> epoll = Epoll::create();
        EXPECT_TRUE(epoll->add(spawner->fd(), EPOLLIN, 1));
        const Mono deadline = mono_now() + bound;
        while (!done()) {
            if (mono_now() >= deadline) return false;
            const auto ready = epoll->wait(deadline);
            if (ready && !ready->empty()) take(spawner->drain());
        }
        return true;
    }
    // The same without an epoll of our own, where no watch can be had.
    template <class Condition>
    bool until_polling(Condition done, Duration bound = seconds(10)) {
        const std::array<int, 1> news{spawner->fd()};
        const Mono deadline = mono_now() + bound;
        while (!done()) {
            if (mono_now() >= deadline) return false;
            if (wait_readable(news, deadline).value_or(false)) take(spawner->drain());
        }
        return true;
    }
    Outcome& finish(std::uint64_t token) {
        EXPECT_TRUE(until([&] { return outcomes[token].settled(); })) << "no outcome of " << token;
        return outcomes[token];
    }
    Outcome& run(SpawnRequest request) { return finish(start(std::move(request))); }

    std::unique_ptr<Spawner> spawner;
    std::map<std::uint64_t, Outcome> outcomes;
    std::uint64_t last = 0;
};

inline SpawnRequest command(std::vector<std::string> argv) {
    SpawnRequest request;
    request.candidates = search_candidates(argv[0], "/usr/local/bin:/usr/bin:/bin");
    request.argv = std::move(argv);
    request.envp = {"PATH=/usr/bin:/bin", "LC_ALL=C"};
    return request;
}
inline SpawnRequest shell(const std::string& script) {
    return command({"sh", "-c", script});
}

inline int exit_code(const Outcome& outcome) {
    const Result<Reaped> end = reap(outcome.pidfd.get(), true);
    EXPECT_TRUE(end.has_value()) << (end ? "" : end.error().what);
    if (!end) return -1;
    return end->by_signal ? 128 + end->value : end->value;
}

// What a process has open, as soon as that is all of `wanted`: the dynamic linker has files open for a moment.
inline std::vector<std::string> open_descriptors(pid_t pid, const std::vector<std::string>& wanted) {
    const Result<Fd> folder = open_directory("/proc/" + std::to_string(pid) + "/fd");
    if (!folder) return {folder.error().what};
    const Mono end = mono_now() + seconds(5);
    std::vector<std::string> open;
    while ((open = list_directory(folder->get()).value_or(open)) != wanted && mono_now() < end) ::usleep(1000);
    return open;
}

// What the program writes to its descriptor 1.
inline std::string output_of(SpawnBench& bench, SpawnRequest request) {
    Result<Pipe> pipe = make_pipe();
    const Result<Fd> null = open_file("/dev/null", O_RDWR);
    request.descriptors.insert(request.descriptors.end(), {{null->get(), 0}, {pipe->write.get(), 1}, {2, 2}});
    Outcome& outcome = bench.run(std::move(request));
    pipe->write.reset();
    EXPECT_TRUE(outcome.executed) << spawn_stage_name(outcome.stage) << " " << outcome.err;
    if (!outcome.started) return {};
    const Result<std::string> text = read_all(pipe->read.get(), 1u << 20);
    exit_code(outcome);
    return text.value_or("");
}

// A pipe with no room left: a child that writes its record there stays between clone and exec for as long as we like.
class FullPipe {
  public:
    FullPipe() : pipe_(std::move(*make_pipe(true))) {
        const std::string block(4096, 'x');
        while (write_some(pipe_.write.get(), block.data(), block.size()).value_or(0) > 0) {}
        while (write_some(pipe_.write.get(), "x", 1).value_or(0) > 0) {}
        EXPECT_TRUE(set_nonblocking(pipe_.write.get(), false));
    }
    void drain() {
        std::string bytes(1u << 20, '\0');
        while (true) {
            const Result<std::size_t> n = read_some(pipe_.read.get(), bytes.data(), bytes.size());
            if (!n || *n == kNothingNow || *n == 0) return;
        }
    }
    [[nodiscard]] PidRecord record() const {
        return PidRecord{pipe_.write.get(), std::vector<std::byte>(16), 4, 0, 0, 4, 16};
    }

  private:
    Pipe pipe_;
};

// The paths that a kernel of any age, or a container's filter, leaves us.
struct Way {
    const char* name;
    SpawnerOptions options;
};
inline std::vector<Way> all_ways() {
    return {{"newest", {}},
            {"reuses_pipes", {.reuses_pipes = true}},
            {"without_clone3", {.without_clone3 = true}},
            {"without_close_range", {.without_close_range = true}},
            {"without_into_cgroup", {.without_into_cgroup = true}},
            {"without_clone_pidfd", {.without_clone_pidfd = true}},
            {"guest", {.without_staging = true}},
            {"guest_that_joins_its_cgroup", {.without_into_cgroup = true, .without_staging = true}},
            {"guest_without_close_range", {.without_close_range = true, .without_staging = true}},
            {"oldest",
             {.without_clone3 = true,
              .without_close_range = true,
              .without_into_cgroup = true,
              .without_clone_pidfd = true}}};
}

// From now on epoll_ctl(2) says ENOSPC in this process, as it does when all watches of its user are taken.
inline bool take_all_watches() {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_ctl, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// A folder that is removed at the end.
class Scratch {
  public:
    Scratch() {
        std::string pattern = "/tmp/abide-kernel-test-XXXXXX";
        path = ::mkdtemp(pattern.data());
    }
    ~Scratch() {
        const Result<Fd> tmp = open_directory("/tmp");
        static_cast<void>(remove_tree_beneath(tmp->get(), path.substr(5)));
    }
    Scratch(const Scratch&) = delete;
    [[nodiscard]] std::string operator/(const std::string& name) const { return path + "/" + name; }
    std::string path;
};

}  // namespace abide::kernel
