// abide-first: process 1 of a pid namespace, by libabide, among processes that use its numbers again at once.
//
//     abide-first TIER ROUNDS PID_MAX exclusive|cooperative|thief MORTAL
//     abide-first churn SECONDS        only the crowd: prints how many were born, and how many were hit by a signal
//
// A crowd of processes is born and ends all the time, so that each number is somebody else's a moment later; none of it
// may be hit by a signal.  Process 1 starts one after another, and some that leave orphans; of each it knows the code
// with which it ends, and each must be told once.  It signals those that have ended, through handles that it kept.  A
// thief takes the waits of everybody in another thread.  Prints figures; the status is 0 when all of them are as they
// must be.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <abide/monitor.hpp>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr int kCrowd = 24, kInFlight = 8, kCode = 77, kOrphan = 78, kKept = 150;

struct Figures {
    std::atomic<std::uint64_t> born, hit;
    std::atomic<bool> end;
};

Figures* shared_figures() {
    void* page = ::mmap(nullptr, sizeof(Figures), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? nullptr : new (page) Figures{};
}

// Its children live for a moment and hear every signal in the usual way: whoever is hit does not end with kCode.
void churn(Figures& figures) {
    int alive = 0;
    unsigned turn = 0;
    while (!figures.end || alive > 0) {
        while (alive < kCrowd && !figures.end) {
            const pid_t child = ::fork();
            if (child == 0) {
                ::usleep(turn % 4 * 700);
                ::_exit(kCode);
            }
            if (child < 0) break;
            ++alive, ++turn, ++figures.born;
        }
        int status = 0;
        if (alive > 0 && ::wait(&status) > 0) {
            --alive;
            if (!WIFEXITED(status) || WEXITSTATUS(status) != kCode) ++figures.hit;
        }
    }
}

// Ends at once and leaves two that end later and one that has ended.
int parent(int code) {
    for (int i = 0; i < 3; ++i) {
        const pid_t between = ::fork();
        if (between == 0) {
            if (::fork() == 0) {
                ::usleep(i == 2 ? 0 : 2000);
                ::_exit(kOrphan);
            }
            ::_exit(0);
        }
        ::waitpid(between, nullptr, 0);
    }
    return code;
}

struct Told {
    std::vector<int> times, codes;  // by round; a code of -1 is unknown
    int orphans = 0, odd_orphans = 0;
};

// Children of ours that nobody has waited for.
int zombies() {
    int found = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        std::ifstream file(entry.path() / "stat");
        std::string text;
        if (!std::getline(file, text)) continue;
        const std::size_t end = text.rfind(')');
        if (end != text.npos && end + 2 < text.size() && text[end + 2] == 'Z') ++found;
    }
    return found;
}

class Torture {
  public:
    Torture(abide::monitor m, int rounds, bool exclusive, bool thief, std::string mortal, std::string self)
        : m_(std::move(m)),
          rounds_(rounds),
          exclusive_(exclusive),
          thief_(thief),
          mortal_(std::move(mortal)),
          self_(std::move(self)) {
        told_.times.resize(static_cast<std::size_t>(rounds));
        told_.codes.resize(static_cast<std::size_t>(rounds), -2);
    }

    bool run() {
        if (exclusive_) {
            m_.on_orphan([this](const abide::exit_event& e) {
                const int code = e.status.code().value_or(-1);
                if (code == kOrphan)
                    ++told_.orphans;
                else if (code != 0)  // the one between
                    ++told_.odd_orphans;
            });
        }
        for (int round = 0; round < rounds_; ++round) {
            if (!start(round)) return false;
            while (m_.watched() > kInFlight) m_.run_once(abide::within(1s));
            signal_the_dead();
        }
        const auto until = std::chrono::steady_clock::now() + 20s;
        const auto all = [&] { return m_.watched() == 0 && (!exclusive_ || told_.orphans >= 3 * parents_); };
        while (!all() && std::chrono::steady_clock::now() < until) m_.run_once(abide::within(100ms));
        return true;
    }

    // What is left to be reaped, when nobody is born any more.
    int settle() {
        const auto until = std::chrono::steady_clock::now() + 5s;
        while (zombies() != 0 && std::chrono::steady_clock::now() < until) m_.run_once(abide::within(20ms));
        m_.run_once(abide::within(100ms));
        return zombies();
    }

    bool report() const {
        int wrong = 0, unknown = 0, not_once = 0;
        for (int round = 0; round < rounds_; ++round) {
            const auto at = static_cast<std::size_t>(round);
            if (told_.times[at] != 1) ++not_once;
            if (told_.codes[at] == -1) ++unknown;
            if (told_.codes[at] >= 0 && told_.codes[at] != code_of(round)) ++wrong;
        }
        const int missing = exclusive_ ? 3 * parents_ - told_.orphans : 0;
        std::printf(
            "rounds %d not-once %d wrong %d unknown %d orphans %d missing %d odd %d signals %d in-use %d heard %d late "
            "%d\n",
            rounds_, not_once, wrong, unknown, told_.orphans, missing, told_.odd_orphans, signals_, in_use_, heard_,
            late_);
        const bool may_be_unknown = thief_ && m_.tier() != abide::tier::exit_info;
        return not_once == 0 && wrong == 0 && missing == 0 && told_.odd_orphans == 0 && heard_ == 0 &&
               (unknown == 0 || may_be_unknown);
    }

  private:
    static int code_of(int round) { return round % 70 + 1; }

    bool start(int round) {
        const bool leaves_orphans = exclusive_ && round % 8 == 0;
        if (leaves_orphans) ++parents_;
        const std::string code = std::to_string(code_of(round));
        const abide::command what =
            leaves_orphans ? abide::command(self_, {"parent", code}) : abide::command(mortal_, {code});
        auto p = m_.spawn(abide::command(what).in(abide::stdio::null()), abide::leave::wait,
                          [this, round](const abide::exit_event& e) {
                              const auto at = static_cast<std::size_t>(round);
                              ++told_.times[at];
                              // One that we hit ourselves has no code, but is not unknown.
                              told_.codes[at] = e.status.how == abide::ended::killed && e.status.signal() == SIGUSR1
                                                    ? code_of(round)
                                                    : e.status.code().value_or(-1);
                          });
        if (!p) {
            std::printf("can't start: %s\n", p.error().message().c_str());
            return false;
        }
        kept_.push_back(std::move(*p));
        if (kept_.size() > kKept) kept_.pop_front();
        return true;
    }

    // A handle whose process is gone reaches nobody, though its number is in use.
    void signal_the_dead() {
        for (abide::process& p : kept_) {
            if (p.running() || ++looked_ % 16 != 0) continue;
            if (::kill(p.pid(), 0) == 0) ++in_use_;
            ++signals_;
            if (p.signal(SIGTERM)) ++heard_;
            if (p.kill()) ++heard_;
            static_cast<void>(p.signal(SIGKILL, abide::scope::process_group));
            static_cast<void>(p.stop({{SIGKILL, 0s}}));
        }
        // One of which nobody knows yet whether it has ended, and whether its number is taken.
        if (thief_ && m_.tier() != abide::tier::sigchld && kept_.size() > kInFlight / 2) {
            abide::process& late = kept_[kept_.size() - kInFlight / 2];
            if (late.running() && late.signal(SIGUSR1)) ++late_;
        }
    }

    abide::monitor m_;
    int rounds_;
    bool exclusive_, thief_;
    std::string mortal_, self_;
    Told told_;
    std::deque<abide::process> kept_;
    int parents_ = 0, signals_ = 0, in_use_ = 0, heard_ = 0, late_ = 0;
    unsigned looked_ = 0;
};

int torture(char** words) {
    const std::string tier = words[1], mode = words[4];
    const bool exclusive = mode == "exclusive", thief = mode == "thief";
    if (::getpid() != 1) return std::fputs("abide-first: is for process 1\n", stderr), 2;
    if (const int most = std::atoi(words[3]); most > 0) {
        std::ofstream file("/proc/sys/kernel/pid_max");
        file << most << std::flush;
        if (!file) return std::fputs("abide-first: pid_max is not this namespace's own\n", stderr), 3;
    }
    Figures* figures = shared_figures();
    if (figures == nullptr) return 2;
    const pid_t crowd = ::fork();
    if (crowd == 0) {
        churn(*figures);
        ::_exit(0);
    }
    abide::monitor_options options;
    options.reaper = exclusive ? abide::reaper::exclusive : abide::reaper::cooperative;
    options.best_tier = tier == "sigchld" ? abide::tier::sigchld
                        : tier == "pidfd" ? abide::tier::pidfd
                                          : abide::tier::exit_info;
    auto m = abide::monitor::create(options);
    if (!m) return std::printf("no monitor: %s\n", m.error().message().c_str()), 2;
    std::printf("tier %s ", abide::to_string(m->tier()));
    std::atomic<bool> over = false;
    std::thread thread;
    if (thief) {
        thread = std::thread([&] {
            while (!over) {
                if (::waitpid(-1, nullptr, WNOHANG) <= 0) ::usleep(50);
            }
        });
    }
    Torture torture(std::move(*m), std::atoi(words[2]), exclusive, thief, words[5], "/proc/self/exe");
    const bool ran = torture.run();
    figures->end = true;
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (!exclusive && !thief && ::waitpid(crowd, nullptr, WNOHANG) == 0 && std::chrono::steady_clock::now() < until)
        ::usleep(1000);
    const int left = torture.settle();
    over = true;
    if (thread.joinable()) thread.join();
    const bool good = torture.report();
    std::printf("born %llu hit %llu zombies %d\n", static_cast<unsigned long long>(figures->born),
                static_cast<unsigned long long>(figures->hit), left);
    return ran && good && figures->hit == 0 && left == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    if (argc == 3 && std::strcmp(argv[1], "parent") == 0) return parent(std::atoi(argv[2]));
    if (argc == 3 && std::strcmp(argv[1], "churn") == 0) {
        Figures* figures = shared_figures();
        if (figures == nullptr) return 2;
        std::thread clock([&] {
            std::this_thread::sleep_for(std::chrono::seconds(std::atoi(argv[2])));
            figures->end = true;
        });
        churn(*figures);
        clock.join();
        std::printf("born %llu hit %llu\n", static_cast<unsigned long long>(figures->born),
                    static_cast<unsigned long long>(figures->hit));
        return figures->hit == 0 ? 0 : 1;
    }
    return argc == 6 ? torture(argv) : 2;
}
