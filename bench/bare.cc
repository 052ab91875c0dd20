// bench/bare.cc -- see the header.
#include "bare.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "manager/event_log.hpp"

namespace bench {

using namespace abide;

namespace {

[[noreturn]] void die(const char* what) {
    std::perror(what);
    ::_exit(1);
}

pid_t start(const std::string& tiny, const std::string& slots, std::size_t index) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execl(tiny.c_str(), tiny.c_str(), std::to_string(index).c_str(), slots.c_str(), nullptr);
    ::_exit(127);
}

// As the anchor: a signal, a look at the zombie, a packet; it is reaped afterwards.
[[noreturn]] void be_parent(const std::string& tiny, const std::string& slots, std::size_t count, int socket) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t child;
    ::sigemptyset(&child);
    ::sigaddset(&child, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &child, nullptr);
    const int signals = ::signalfd(-1, &child, SFD_CLOEXEC);
    for (std::size_t i = 0; i < count; ++i) start(tiny, slots, i);
    for (;;) {
        pollfd waits{signals, POLLIN, 0};
        signalfd_siginfo info{};
        if (::poll(&waits, 1, -1) != 1 || ::read(signals, &info, sizeof info) != sizeof info) die("parent");
        siginfo_t status{};
        if (::waitid(P_PID, info.ssi_pid, &status, WEXITED | WNOWAIT | WNOHANG) != 0) die("waitid");
        const std::uint64_t pid = info.ssi_pid;
        if (::send(socket, &pid, sizeof pid, MSG_NOSIGNAL) != sizeof pid) die("send");
        ::waitid(P_PID, info.ssi_pid, &status, WEXITED | WNOHANG);
    }
}

// As the manager, without anything to decide.
[[noreturn]] void be_writer(const std::string& folder, int socket, int ready) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    manager::EventLog log([folder] { return kernel::open_directory(folder); });
    log.set_source("bare", "");
    log.configure({});
    log.take_over({}, {}, kernel::now());
    model::Event event;
    event.type = model::EventType::process_exited;
    event.subject = "bare";
    if (::write(ready, "x", 1) != 1) die("ready");
    for (std::uint64_t pid = 0; ::recv(socket, &pid, sizeof pid, 0) == sizeof pid;) {
        const Now now = kernel::now();
        event.id.value += 1;
        event.pid = static_cast<std::int32_t>(pid);
        event.time = now.wall;
        log.append(event);
        log.flush(now);
    }
    ::_exit(0);
}

}  // namespace

const Slot* map_slots(const std::string& path) {
    const auto file = kernel::open_file(path, O_RDONLY);
    if (!file) return nullptr;
    const auto status = kernel::fd_status(file->get());
    void* map = status ? ::mmap(nullptr, status->size, PROT_READ, MAP_SHARED, file->get(), 0) : MAP_FAILED;
    if (map == MAP_FAILED) return nullptr;
    return reinterpret_cast<const Slot*>(static_cast<const char*>(map) + sizeof(Header));
}

Bare::Bare(const std::string& tiny, const std::string& folder, std::size_t count) : count_(count) {
    if (count == 0) return;
    const std::string slots = folder + "/slots", log = folder + "/events";
    slots_ = map_slots(slots);
    int pair[2], ready[2];
    if (slots_ == nullptr || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 ||
        ::pipe2(ready, O_CLOEXEC) != 0 || ::mkdir(log.c_str(), 0755) != 0) {
        die("bare");
    }
    children_.push_back(::fork());
    if (children_.back() == 0) be_writer(log, pair[1], ready[1]);
    char byte = 0;
    if (::read(ready[0], &byte, 1) != 1) die("writer");
    children_.push_back(::fork());
    if (children_.back() == 0) be_parent(tiny, slots, count, pair[0]);
    for (std::size_t i = 0; i < count; ++i) children_.push_back(start(tiny, slots, count + i));
    for (std::size_t i = 0; i < 2 * count; ++i) {
        while (__atomic_load_n(&slots_[i].starts, __ATOMIC_ACQUIRE) == 0) kernel::sleep_for(milliseconds(1));
    }
    for (const int fd : {pair[0], pair[1], ready[0], ready[1]}) ::close(fd);
    events::Options options;
    options.prompt = true;
    auto reader = events::Reader::open(log, options);
    if (!reader) die("reader");
    reader_ = std::make_unique<events::Reader>(std::move(*reader));
    static_cast<void>(reader_->next());
}

Bare::~Bare() {
    for (const pid_t pid : children_) ::kill(pid, SIGKILL);
    for (const pid_t pid : children_) ::waitpid(pid, nullptr, 0);
}

void Bare::measure() {
    if (next_ >= count_) return;
    end_of_chain(next_);
    kernel::sleep_for(milliseconds(2));
    end_by_pidfd(count_ + next_++);
    kernel::sleep_for(milliseconds(2));
}

void Bare::end_of_chain(std::size_t index) {
    ::kill(slots_[index].pid, SIGUSR1);
    const auto event = reader_->wait(std::chrono::seconds(5));
    const Mono now = kernel::mono_now();
    if (!event || !*event) die("chain");
    chain.push_back(static_cast<double>(now.ns - __atomic_load_n(&slots_[index].ended_ns, __ATOMIC_ACQUIRE)) / 1000);
}

void Bare::end_by_pidfd(std::size_t index) {
    const auto fd = kernel::open_pidfd(slots_[index].pid);
    if (!fd) die("pidfd");
    ::kill(slots_[index].pid, SIGUSR1);
    pollfd waits{fd->get(), POLLIN, 0};
    ::poll(&waits, 1, 5000);
    const Mono now = kernel::mono_now();
    pidfd.push_back(static_cast<double>(now.ns - __atomic_load_n(&slots_[index].ended_ns, __ATOMIC_ACQUIRE)) / 1000);
}

}  // namespace bench
