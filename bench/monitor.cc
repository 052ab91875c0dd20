// bench/monitor.cc -- the process monitor beside libuv and Boost.Process on the same job.  Prints numbers only;
// section `monitor` of bench/bench.py gives them names.
//
//     monitor exits KIND MORTAL WATCHED EXITS   microseconds of our processor time for each exit, told one by one
//                                               while WATCHED other children live
//     monitor bursts KIND MORTAL TOTAL BURST    children told, told wrongly, microseconds of wall time for each
//     monitor spawn ours|fork MIB ROUNDS TRUE   median microseconds of spawn-to-exec, with so much memory in use
#include "monitor.hpp"

#include <sys/mman.h>
#include <sys/wait.h>

#include <abide/monitor.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <string_view>
#include <thread>

namespace bench {
namespace {

class Ours : public Subject {
  public:
    Ours() : monitor_(make()) {}
    void start(const char* program, int code, int input) override {
        auto p = monitor_.spawn(
            abide::command(program, {std::to_string(code)}).in(abide::stdio::descriptor(input)).env_clear(),
            abide::leave::kill, [this, code](const abide::exit_event& e) {
                ++told;
                wrong += e.status.code() == code ? 0 : 1;
            });
        if (!p) {
            std::fprintf(stderr, "%s\n", p.error().message().c_str());
            std::exit(1);
        }
        p->release();
    }
    void turn() override { monitor_.run_once(abide::within(std::chrono::milliseconds(100))); }

  private:
    static abide::monitor make() {
        abide::monitor_options options;
        options.reserve_low_descriptors = true;
        return abide::monitor::create(options).value();
    }
    abide::monitor monitor_;
};

int number(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
        errno = EINVAL;
        die("number");
    }
    return value;
}

Subject* make(std::string_view kind) {
    if (kind == "ours") return make_ours();
    if (kind == "libuv") return make_libuv();
    if (kind == "boost") return make_boost();
    errno = EINVAL;
    die("kind");
}

void until_told(Subject& subject, int count) {
    const double end = seconds_of(CLOCK_MONOTONIC) + 60;
    while (subject.told < count) {
        subject.turn();
        if (seconds_of(CLOCK_MONOTONIC) > end) {
            std::fprintf(stderr, "told %d of %d\n", subject.told, count);
            std::exit(1);
        }
    }
}

void exits(Subject& subject, const char* mortal, int watched, int count) {
    const Pipe background;
    for (int i = 0; i < watched; ++i) subject.start(mortal, 0, background.in);
    std::vector<Pipe> measured(static_cast<std::size_t>(count));
    for (const Pipe& pipe : measured) subject.start(mortal, 3, pipe.in);
    for (const Pipe& pipe : measured) ::close(pipe.in);
    double used = 0;
    int told = 0;
    for (const Pipe& pipe : measured) {
        ::close(pipe.out);
        const double before = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        until_told(subject, ++told);
        used += seconds_of(CLOCK_PROCESS_CPUTIME_ID) - before;
    }
    std::printf("%.3f %d\n", used / count * 1e6, subject.wrong);
    std::fflush(stdout);
    background.shut();
    until_told(subject, told + watched);
}

void bursts(Subject& subject, const char* mortal, int total, int burst) {
    double used = 0;
    for (int begun = 0; begun < total; begun += burst) {
        const Pipe pipe;
        for (int i = 0; i < burst; ++i) subject.start(mortal, i % 250, pipe.in);
        const double before = seconds_of(CLOCK_MONOTONIC);
        pipe.shut();
        until_told(subject, begun + burst);
        used += seconds_of(CLOCK_MONOTONIC) - before;
    }
    subject.turn();
    const bool zombies = ::waitpid(-1, nullptr, WNOHANG) >= 0 || errno != ECHILD;
    std::printf("%d %d %d %.3f\n", subject.told, subject.wrong, zombies ? 1 : 0, used / total * 1e6);
}

void spawn(std::string_view kind, int mib, int rounds, const char* program) {
    const std::size_t size = static_cast<std::size_t>(mib) << 20;
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) die("mmap");
    // In small pages, as a heap that has grown over time is.
    ::madvise(memory, size, MADV_NOHUGEPAGE);
    std::memset(memory, 1, size);
    // For a second or so after 2 GiB were written everything of this kind is slower, also in a program that has given
    // them back and is small: it is the machine that is measured then, and not this program's size.
    std::this_thread::sleep_for(std::chrono::seconds(2));
    auto monitor = abide::monitor::create().value();
    std::vector<double> times;
    for (int i = 0; i < rounds; ++i) {
        const double before = seconds_of(CLOCK_MONOTONIC);
        if (kind == "ours") {
            auto p = monitor.spawn(abide::command(program), abide::leave::wait);
            times.push_back(seconds_of(CLOCK_MONOTONIC) - before);
            if (!p || !p->wait()->status.success()) die("spawn");
        } else {
            // The end of file of this pipe is the exec.
            const Pipe pipe;
            const pid_t pid = ::fork();
            if (pid == 0) {
                ::execl(program, program, nullptr);
                ::_exit(127);
            }
            ::close(pipe.out);
            char byte = 0;
            if (::read(pipe.in, &byte, 1) != 0) die("read");
            ::close(pipe.in);
            times.push_back(seconds_of(CLOCK_MONOTONIC) - before);
            int status = 1;
            if (::waitpid(pid, &status, 0) != pid || status != 0) die("fork");
        }
    }
    std::ranges::sort(times);
    std::printf("%.1f\n", times[times.size() / 2] * 1e6);
}

}  // namespace

Subject* make_ours() {
    static Ours ours;
    return &ours;
}

}  // namespace bench

int main(int argc, char** argv) {
    const std::vector<std::string_view> words(argv + 1, argv + argc);
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    if (words.size() == 5 && words[0] == "exits") {
        bench::exits(*bench::make(words[1]), argv[3], bench::number(words[3]), bench::number(words[4]));
    } else if (words.size() == 5 && words[0] == "bursts") {
        bench::bursts(*bench::make(words[1]), argv[3], bench::number(words[3]), bench::number(words[4]));
    } else if (words.size() == 5 && words[0] == "spawn") {
        bench::spawn(words[1], bench::number(words[2]), bench::number(words[3]), argv[5]);
    } else {
        std::fprintf(stderr, "usage: see bench/monitor.cc\n");
        return 2;
    }
    return 0;
}
