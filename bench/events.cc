// bench/events.cc -- measures the event log: how fast the manager's own writer appends, what readers cost it, and how
// long it takes from the end of a process to the line in a reader that follows.
//
//   abide-bench-events append FOLDER COUNT         events/s, one a batch and 100 a batch
//   abide-bench-events paced FOLDER COUNT READERS  us of one append: median, 99 %, longest; with nobody that
//                                                  follows, and with so many, one of which is stopped and some killed
//                                                  meanwhile; how many were killed, and how many saw the log exactly
//   abide-bench-events exits FOLDER COUNT SLOTS    us from exit_group(2) of an abide-bench-tiny to its process.exited:
//                                                  median, 99 %, longest; the same until the anchor saw it, and until
//                                                  the manager's turn began
//   ... exits FOLDER COUNT SLOTS TINY OWN-FOLDER   beside it, in turns: the bare chain of bench/bare.hpp and a bare
//   pidfd
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "abide/events.hpp"
#include "bare.hpp"
#include "events/line.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "kernel/socket.hpp"
#include "logger/logger.hpp"
#include "manager/event_log.hpp"
#include "manager/lent_doorbell.hpp"
#include "slots.hpp"

namespace {

using namespace abide;

constexpr Duration kPace = milliseconds(4);
constexpr std::chrono::milliseconds kRest{8};
constexpr std::size_t kBare = 250;  // of each kind
constexpr std::uint64_t kInTurn = 50;
constexpr std::uint64_t kFirst = 1;   // the event that is there before anybody follows
constexpr std::uint64_t kKilled = 8;  // of the readers
constexpr Duration kCatchUp = seconds(10);

model::Event event(std::uint64_t id, Wall now) {
    model::Event out;
    out.id = {id};
    out.type = model::EventType::service_ready;
    out.subject = "service-" + std::to_string(id % 1000);
    out.time = now;
    out.run = {id};
    out.pid = 4711;
    out.cause = {id == 1 ? 0 : id - 1};
    return out;
}

manager::EventLog open_log(const std::string& folder) {
    manager::EventLog log([folder] { return kernel::open_directory(folder); });
    log.set_source("bench", "");
    log.configure({});
    log.take_over({}, {}, kernel::now());
    return log;
}

double us(Duration duration) {
    return static_cast<double>(duration.ns) / 1000;
}

void print_parts(std::vector<double>& times) {
    std::sort(times.begin(), times.end());
    const auto part = [&](std::size_t percent) {
        return times[std::min(times.size() - 1, times.size() * percent / 100)];
    };
    std::printf("%.1f %.1f %.1f\n", part(50), part(99), times.back());
}

// The lines are made by the manager's code for each effect and written by one write a batch.
int append(const std::string& folder, std::uint64_t count) {
    manager::EventLog log = open_log(folder);
    std::uint64_t id = 0;
    for (const std::uint64_t batch : {std::uint64_t{1}, std::uint64_t{100}}) {
        const Mono begin = kernel::mono_now();
        for (std::uint64_t done = 0; done < count; done += batch) {
            const Now now = kernel::now();
            for (std::uint64_t i = 0; i < batch; ++i) log.append(event(++id, now.wall));
            log.flush(now);
        }
        const double seconds = static_cast<double>((kernel::mono_now() - begin).ns) / 1e9;
        std::printf("%.0f\n", static_cast<double>(count) / seconds);
    }
    return 0;
}

// Follows from now on, and ends with 0 when each event up to `last` came once and in its turn.
[[noreturn]] void follow(const std::string& folder, int ready, std::uint64_t last) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    auto reader = events::Reader::open(folder);
    if (!reader || ::write(ready, "x", 1) != 1) ::_exit(1);
    for (std::uint64_t id = kFirst + 1; id <= last; ++id) {
        const auto event = reader->wait(std::chrono::hours(1));
        if (!event || !*event || (*event)->id != id || (*event)->is_gap()) ::_exit(1);
    }
    ::_exit(0);
}

[[noreturn]] void be_logger(kernel::Fd socket) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const auto made = logger::Logger::create(std::move(socket), STDERR_FILENO);
    ::_exit(made && (*made)->run() ? 0 : 1);
}

// The manager's side of it.
class Lender {
  public:
    explicit Lender(int logger) : logger_(logger) {}
    bool ring(int doorbell, bool another) {
        if (!told_) listen();
        return lent_.ring(logger_, doorbell, another);
    }

  private:
    // All that it says here is that it listens.
    void listen() {
        std::byte buffer[64];
        const auto got = kernel::receive(logger_, buffer);
        told_ = got && !got->nothing_now;
        if (told_) lent_.listens();
    }

    int logger_;
    bool told_ = false;
    manager::LentDoorbell lent_;
};

// One append, as the manager makes it.
double append_one(manager::EventLog& log, std::uint64_t id) {
    const Now now = kernel::now();
    const Mono begin = kernel::mono_now();
    log.append(event(id, now.wall));
    log.flush(now);
    return us(kernel::mono_now() - begin);
}

// How many of them end well; who is not done in time is killed.
int ended_well(const std::vector<pid_t>& readers) {
    const Mono until = kernel::mono_now() + kCatchUp;
    int well = 0;
    for (const pid_t pid : readers) {
        int status = 0;
        pid_t ended = ::waitpid(pid, &status, WNOHANG);
        for (; ended == 0 && kernel::mono_now() < until; ended = ::waitpid(pid, &status, WNOHANG))
            kernel::sleep_for(milliseconds(1));
        if (ended == 0) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, &status, 0);
        }
        well += ended != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 1 : 0;
    }
    return well;
}

// Two logs in turns of 50, one of them followed: whatever else the machine does, it does to both.
int paced(const std::string& folder, std::uint64_t count, std::uint64_t readers) {
    if (readers <= kKilled || count % kInTurn != 0) return 2;
    const std::string alone_folder = folder + "/alone", followed_folder = folder + "/followed";
    if (::mkdir(alone_folder.c_str(), 0755) != 0 || ::mkdir(followed_folder.c_str(), 0755) != 0) return 1;
    manager::EventLog alone = open_log(alone_folder), followed = open_log(followed_folder);
    append_one(alone, kFirst);
    append_one(followed, kFirst);
    auto pair = kernel::make_socket_pair(SOCK_SEQPACKET);
    int ready[2];
    if (!pair || ::pipe2(ready, O_CLOEXEC) != 0) return 1;
    std::vector<pid_t> children;
    for (std::uint64_t i = 0; i <= readers; ++i) {
        const pid_t pid = ::fork();
        if (pid == 0 && i == readers) be_logger(std::move(pair->second));
        if (pid == 0) follow(followed_folder, ready[1], kFirst + count);
        children.push_back(pid);
    }
    for (std::uint64_t i = 0; i < readers; ++i) {
        char byte = 0;
        if (::read(ready[0], &byte, 1) != 1) return 1;
    }
    Lender lender(pair->first.get());
    followed.set_ringer([&](int doorbell, bool another) { return lender.ring(doorbell, another); });
    std::vector<double> times[2];
    Mono next = kernel::mono_now();
    std::uint64_t killed = 0;
    for (std::uint64_t done = 0; done < 2 * count; ++done) {
        std::vector<double>& of = times[done / kInTurn % 2];
        next = next + kPace;
        kernel::sleep_for(next - kernel::mono_now());
        of.push_back(append_one(&of == times ? alone : followed, of.size() + 1 + kFirst));
        // The first one is stopped for half of the time; some others are killed on the way.
        if (done == count) ::kill(children.front(), SIGSTOP);
        const std::uint64_t next_killed = done * (kKilled + 1) / (2 * count);
        if (next_killed > killed && next_killed <= kKilled) ::kill(children[killed = next_killed], SIGKILL);
    }
    ::kill(children.front(), SIGCONT);
    ::kill(children.back(), SIGKILL);
    ::waitpid(children.back(), nullptr, 0);
    children.pop_back();
    const int well = ended_well(children);
    print_parts(times[0]);
    print_parts(times[1]);
    std::printf("%llu %d\n", static_cast<unsigned long long>(kKilled), well);
    return 0;
}

int exits(const std::string& folder, std::uint64_t count, const std::string& slots_path, const std::string& tiny,
          const std::string& own) {
    const bench::Slot* slots = bench::map_slots(slots_path);
    bench::Bare bare(tiny, own, tiny.empty() ? 0 : kBare);
    events::Options options;
    options.start = events::Start::beginning;
    options.prompt = true;
    auto reader = events::Reader::open(folder, options);
    if (slots == nullptr || !reader) return 1;
    std::map<std::string, pid_t> pids;
    for (auto event = reader->next(); event && *event; event = reader->next()) {
        if ((*event)->type == "abide.service.started") pids[(*event)->subject] = static_cast<pid_t>((*event)->pid);
    }
    std::vector<double> whole, seen, turned;
    for (const auto& [service, pid] : pids) {
        if (whole.size() >= count) break;
        // What the last round still does has an end.
        for (auto event = reader->wait(kRest); event && *event;) event = reader->wait(kRest);
        bare.measure();
        std::uint64_t index = 0;
        std::from_chars(service.data() + 1, service.data() + service.size(), index);
        const auto pidfd = kernel::open_pidfd(pid);
        if (!pidfd || !kernel::send_signal(pidfd->get(), SIGUSR1)) return 1;
        for (;;) {
            const auto event = reader->wait(std::chrono::seconds(5));
            if (!event || !*event) return 1;
            if ((*event)->type != "abide.process.exited" || (*event)->subject != service) continue;
            const Now now = kernel::now();
            const std::int64_t ended = __atomic_load_n(&slots[index].ended_ns, __ATOMIC_ACQUIRE);
            const std::int64_t offset = now.wall.ns - now.mono.ns;
            const auto line = events::parse_line((*event)->line);
            const auto exit_time =
                events::parse_time(events::unescape(events::member(events::member(line->data, "exit"), "time")));
            whole.push_back(us({now.mono.ns - ended}));
            if (exit_time) seen.push_back(us({*exit_time - offset - ended}));
            turned.push_back(us({(*event)->time_ns - offset - ended}));
            break;
        }
    }
    if (whole.empty() || seen.empty()) return 1;
    print_parts(whole);
    print_parts(seen);
    print_parts(turned);
    if (!bare.chain.empty()) print_parts(bare.chain);
    if (!bare.pidfd.empty()) print_parts(bare.pidfd);
    return 0;
}

}  // namespace

int main(int count, char** words) {
    const std::vector<std::string> arguments(words + 1, words + count);
    const auto number = [&](std::size_t at) {
        std::uint64_t value = 0;
        if (at < arguments.size())
            std::from_chars(arguments[at].data(), arguments[at].data() + arguments[at].size(), value);
        return value;
    };
    if (arguments.size() >= 3 && arguments[0] == "append") return append(arguments[1], number(2));
    if (arguments.size() >= 4 && arguments[0] == "paced") return paced(arguments[1], number(2), number(3));
    if (arguments.size() >= 4 && arguments[0] == "exits") {
        const bool beside = arguments.size() >= 6;
        return exits(arguments[1], number(2), arguments[3], beside ? arguments[4] : "", beside ? arguments[5] : "");
    }
    std::fputs("usage: abide-bench-events append|paced|exits FOLDER COUNT [READERS|SLOTS [TINY FOLDER]]\n", stderr);
    return 2;
}
