// bench/tool.cc -- what must not be measured through an interpreter.
//
//     tool loop TINY SLOTS N           the bare loop: N services by sequential vfork+exec, restarted when they end,
//     until TERM tool stamp SLOTS CMD...          writes the time to the header of SLOTS, then execs tool ask SOCKET
//     CLIENTS ROUNDS NAME|-   round trips of io.abide.Control.Status in microseconds: median, 99th percentile, longest
//     tool time ROUNDS CMD... [--bench-- CMD...]...  runs each command in turn, ROUNDS times; median wall microseconds
//     of each
// Prints numbers only; bench/bench.py gives them names.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "slots.hpp"

namespace {

[[noreturn]] void die(const char* what) {
    std::perror(what);
    _exit(1);
}

std::int64_t now_ns() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

int to_int(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
        errno = EINVAL;
        die("number");
    }
    return value;
}

// ---- the bare loop -------------------------------------------------------------------------------------------------

class Loop {
  public:
    Loop(const char* tiny, const char* slots, int count) : tiny_(tiny), slots_(slots), count_(count) {
        // Which service a pid is: an array that the kernel fills with zeros, so that looking up takes one load.
        index_of_ = static_cast<std::int32_t*>(mmap(nullptr, kPids * sizeof(std::int32_t), PROT_READ | PROT_WRITE,
                                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        if (index_of_ == MAP_FAILED) die("mmap");
    }

    int run() {
        sigset_t set;
        sigemptyset(&set);
        for (const int signal : {SIGCHLD, SIGTERM}) sigaddset(&set, signal);
        sigprocmask(SIG_BLOCK, &set, &inherited_);
        const int signals = signalfd(-1, &set, SFD_CLOEXEC);
        if (signals < 0) die("signalfd");
        for (int i = 0; i < count_; ++i) start(i);
        signalfd_siginfo info;
        while (alive_ > 0 && read(signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
            if (info.ssi_signo == SIGTERM) stop_all();
            reap();
        }
        return 0;
    }

  private:
    static constexpr std::size_t kPids = 4u << 20;

    void start(int index) {
        char text[16];
        *std::to_chars(text, text + sizeof text - 1, index).ptr = 0;
        char* arguments[] = {const_cast<char*>(tiny_), text, const_cast<char*>(slots_), nullptr};
        const pid_t pid = vfork();
        if (pid == 0) {
            sigprocmask(SIG_SETMASK, &inherited_, nullptr);
            execv(tiny_, arguments);
            _exit(127);
        }
        if (pid < 0) die("vfork");
        index_of_[pid] = index + 1;
        alive_ += 1;
    }
    void reap() {
        int status = 0;
        for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
            const int index = index_of_[pid] - 1;
            index_of_[pid] = 0;
            alive_ -= 1;
            if (!stopping_) start(index);
        }
    }
    void stop_all() {
        stopping_ = true;
        for (std::size_t pid = 0, left = static_cast<std::size_t>(alive_); left > 0 && pid < kPids; ++pid) {
            if (index_of_[pid] == 0) continue;
            kill(static_cast<pid_t>(pid), SIGTERM);
            left -= 1;
        }
    }

    const char *tiny_, *slots_;
    int count_, alive_ = 0;
    bool stopping_ = false;
    std::int32_t* index_of_ = nullptr;
    sigset_t inherited_{};
};

// ---- stamp
// -------------------------------------------------------------------------------------------------------------

int stamp(const char* slots, char** command) {
    const int fd = open(slots, O_RDWR | O_CLOEXEC);
    if (fd < 0) die(slots);
    auto* header = static_cast<bench::Header*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    if (header == MAP_FAILED) die("mmap");
    header->launch_ns = now_ns();
    execvp(command[0], command);
    die(command[0]);
}

// ---- ask
// ---------------------------------------------------------------------------------------------------------------

struct Client {
    int fd = -1;
    std::int64_t asked_ns = 0;
    int left = 0;
};

void send_question(Client& client, std::string_view question) {
    client.asked_ns = now_ns();
    if (write(client.fd, question.data(), question.size()) != static_cast<ssize_t>(question.size())) die("write");
}

// Reads what is there; true when the answer is whole (a zero byte ends it).
bool take_answer(Client& client, std::vector<char>& buffer) {
    const ssize_t got = read(client.fd, buffer.data(), buffer.size());
    if (got <= 0) die("read");
    return buffer[static_cast<std::size_t>(got) - 1] == 0;
}

void print_times(std::vector<std::int64_t>& times_ns) {
    std::sort(times_ns.begin(), times_ns.end());
    const auto at = [&](std::size_t permille) {
        return static_cast<double>(times_ns[(times_ns.size() - 1) * permille / 1000]) / 1000;
    };
    std::printf("%.1f %.1f %.1f\n", at(500), at(990), at(1000));
}

int ask(const char* socket_path, int clients, int rounds, std::string_view name) {
    std::string question = R"({"method":"io.abide.Control.Status","parameters":{"names":[)";
    if (name != "-") question += '"' + std::string(name) + '"';
    question += "]}}";
    question += '\0';
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, socket_path, sizeof to.sun_path - 1);
    std::vector<Client> all(static_cast<std::size_t>(clients));
    std::vector<pollfd> polled;
    for (Client& client : all) {
        client = {socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 0, rounds};
        if (client.fd < 0 || connect(client.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) die(socket_path);
        polled.push_back({client.fd, POLLIN, 0});
    }
    std::vector<std::int64_t> times_ns;
    std::vector<char> buffer(4u << 20);
    for (Client& client : all) send_question(client, question);
    for (int open_clients = clients; open_clients > 0;) {
        if (poll(polled.data(), polled.size(), 10'000) <= 0) die("no answer in 10 s");
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (!(polled[i].revents & (POLLIN | POLLHUP)) || !take_answer(all[i], buffer)) continue;
            times_ns.push_back(now_ns() - all[i].asked_ns);
            if (--all[i].left > 0) {
                send_question(all[i], question);
            } else {
                polled[i].fd = -1;
                open_clients -= 1;
            }
        }
    }
    print_times(times_ns);
    return 0;
}

// ---- time
// --------------------------------------------------------------------------------------------------------------

std::int64_t run_once(char** command) {
    const std::int64_t began = now_ns();
    const pid_t pid = vfork();
    if (pid == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) die("run");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        std::fprintf(stderr, "%s: status %d\n", command[0], status);
        _exit(1);
    }
    return now_ns() - began;
}

int time_commands(int rounds, char** words) {
    std::vector<char**> commands = {words};
    for (char** word = words; *word; ++word) {
        if (std::string_view(*word) != "--bench--") continue;
        *word = nullptr;
        commands.push_back(word + 1);
    }
    std::vector<std::vector<std::int64_t>> times_ns(commands.size());
    for (int round = 0; round < rounds; ++round) {
        for (std::size_t i = 0; i < commands.size(); ++i) times_ns[i].push_back(run_once(commands[i]));
    }
    for (auto& times : times_ns) print_times(times);
    return 0;
}

}  // namespace

int main(int count, char** words) {
    const std::string_view verb = count > 1 ? words[1] : "";
    if (verb == "loop" && count == 5) return Loop(words[2], words[3], to_int(words[4])).run();
    if (verb == "stamp" && count > 3) return stamp(words[2], words + 3);
    if (verb == "ask" && count == 6) return ask(words[2], to_int(words[3]), to_int(words[4]), words[5]);
    if (verb == "time" && count > 3) return time_commands(to_int(words[2]), words + 3);
    std::fputs("usage: tool loop|stamp|ask|time ...; see bench/tool.cc\n", stderr);
    return 2;
}
