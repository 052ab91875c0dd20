// tests/unit/anchor/instance.cc -- see instance.hpp.
#include "instance.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace abide::test {
namespace {

constexpr char kVariable[] = "ABIDE_TEST_ADDRESS";
constexpr int kWordBytes = 32;

sockaddr_un abstract_address(const std::string& name, socklen_t& bytes) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    bytes = socklen_t(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    return address;
}

bool readable(int fd, milliseconds timeout) {
    pollfd poll_fd{fd, POLLIN, 0};
    return poll(&poll_fd, 1, int(timeout.count())) == 1;
}

void send_packet(int fd, const void* data, std::size_t bytes, const std::vector<int>& fds) {
    iovec part{const_cast<void*>(data), bytes};
    std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
        std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
    }
    for (int attempt = 0; sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0; ++attempt) {
        if (errno != EAGAIN || attempt == 1) throw std::runtime_error(std::string("sendmsg: ") + std::strerror(errno));
        pollfd room{fd, POLLOUT, 0};
        poll(&room, 1, 1000);
    }
}

std::optional<Packet> receive_packet(int fd) {
    std::array<std::uint8_t, 16384> data{};
    std::array<char, CMSG_SPACE(253 * sizeof(int))> control{};
    iovec part{data.data(), data.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < ssize_t(sizeof(anchor::Header))) return std::nullopt;
    Packet packet;
    std::memcpy(&packet.header, data.data(), sizeof packet.header);
    packet.body.assign(data.begin() + sizeof packet.header, data.begin() + got);
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header))
        for (std::size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
            int passed = -1;
            std::memcpy(&passed, CMSG_DATA(header) + i * sizeof(int), sizeof passed);
            packet.fds.emplace_back(passed);
        }
    return packet;
}

// ---- The puppet, running as the anchor's manager.  Raw and small; its children must not return into the test program.
// ----
pid_t clone_sibling() {
    return pid_t(syscall(SYS_clone, CLONE_PARENT, nullptr, nullptr, nullptr, nullptr));
}

void busy(int ms) {
    timespec used{};
    volatile unsigned sink = 0;
    do {
        for (int i = 0; i < 10000; ++i) sink = sink + 1;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    } while (used.tv_sec * 1000 + used.tv_nsec / 1'000'000 < ms);
}

[[noreturn]] void sleep_for_ever() {
    for (;;) pause();
}

pid_t spawn(char kind, int value) {
    int gate[2] = {-1, -1};
    if (kind == 'o' && pipe2(gate, O_CLOEXEC) != 0) _exit(99);
    const bool deaf = kind == 'd' || kind == 'n';
    if (deaf) signal(SIGTERM, SIG_IGN);  // before the clone, so that no TERM can come too early
    const pid_t pid = clone_sibling();
    if (pid != 0) {
        if (deaf) signal(SIGTERM, SIG_DFL);
        if (kind != 'o') return pid;
        pid_t grandchild = -1;
        if (read(gate[0], &grandchild, sizeof grandchild) != sizeof grandchild) grandchild = -1;
        close(gate[0]);
        close(gate[1]);
        return grandchild;
    }
    if (kind != 'n') prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (kind == 'e') _exit(value);
    if (kind == 'b') busy(value), _exit(0);
    if (kind == 'o') {
        const pid_t grandchild = fork();
        if (grandchild == 0) {
            timespec moment{0, 20'000'000};
            nanosleep(&moment, nullptr);
            _exit(9);
        }
        if (write(gate[1], &grandchild, sizeof grandchild) != sizeof grandchild) _exit(98);
        _exit(0);
    }
    sleep_for_ever();
}

void spawn_many(int strings, int count) {
    int gate[2];
    if (pipe2(gate, O_CLOEXEC) != 0) _exit(99);
    std::vector<std::int32_t> pids;
    for (int i = 0; i < count; ++i) {
        const pid_t pid = clone_sibling();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(gate[1]);
            char byte = 0;
            if (read(gate[0], &byte, 1) < 0) _exit(98);
            _exit(3);
        }
        pids.push_back(pid);
    }
    // All of them wake up in one go, while nobody else runs in between on one processor: SIGCHLD coalesces.
    close(gate[1]);
    close(gate[0]);
    if (send(strings, pids.data(), pids.size() * sizeof(std::int32_t), 0) < 0) _exit(97);
}

[[noreturn]] void be_puppet() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGSEGV, SIG_DFL);  // it is to end by it, also where a sanitizer would catch it
    const char* name = getenv(kVariable);
    socklen_t bytes = 0;
    const int strings = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const sockaddr_un address = abstract_address(name == nullptr ? "" : name, bytes);
    if (connect(strings, reinterpret_cast<const sockaddr*>(&address), bytes) != 0) _exit(96);
    const anchor::Header pid{0, 0, 0, std::uint32_t(getpid()), 0};
    send_packet(strings, &pid, sizeof pid, {anchor::kManagerSocket});
    for (;;) {
        char word[kWordBytes] = {};
        if (recv(strings, word, sizeof word - 1, 0) <= 0) sleep_for_ever();
        const int value = std::stoi(std::string("0") + (word + 1));
        std::int32_t answer = 0;
        if (word[0] == 'x') _exit(value);
        if (word[0] == 'm') {
            spawn_many(strings, value);
            continue;
        }
        if (word[0] == 'c') {
            answer = close(anchor::kManagerSocket);
        } else if (word[0] == 'l') {
            rlimit limit{};
            getrlimit(RLIMIT_NOFILE, &limit);
            answer = int(limit.rlim_cur);
        } else {
            answer = spawn(word[0], value);
        }
        if (send(strings, &answer, sizeof answer, 0) < 0) sleep_for_ever();
    }
}

__attribute__((constructor)) void maybe_be_puppet(int argc, char** argv, char**) {
    if (argc > 0 && std::string(argv[0]) == anchor::kManagerName) be_puppet();
    // Taken for an anchor: one that hangs.
    if (argc > 0 && std::string(argv[0]) == anchor::kAnchorName) sleep_for_ever();
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
    if (this == &other) return *this;
    if (fd_ >= 0) close(fd_);
    fd_ = other.release();
    return *this;
}
Fd::~Fd() {
    if (fd_ >= 0) close(fd_);
}
int Fd::release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
}

anchor::HelloAnswer Puppet::hello() {
    const Packet answer = ask(anchor::Verb::hello, std::vector<anchor::Hello>{{}});
    EXPECT_EQ(answer.body.size(), sizeof(anchor::HelloAnswer));
    return answer.items<anchor::HelloAnswer>().at(0);
}

void Puppet::tell(anchor::Header header, const void* body, std::size_t bytes, const std::vector<int>& fds) {
    std::vector<std::uint8_t> data(sizeof header + bytes);
    std::memcpy(data.data(), &header, sizeof header);
    if (bytes > 0) std::memcpy(data.data() + sizeof header, body, bytes);
    send_packet(link_.get(), data.data(), data.size(), fds);
}

std::optional<Packet> Puppet::receive(milliseconds timeout) {
    if (!readable(link_.get(), timeout)) return std::nullopt;
    return receive_packet(link_.get());
}

Packet Puppet::ask_bytes(anchor::Verb verb, const void* body, std::size_t bytes, std::uint32_t count,
                         std::uint16_t flags, const std::vector<int>& fds) {
    const std::uint32_t tag = ++tag_;
    tell({std::uint16_t(verb), flags, tag, count, 0}, body, bytes, fds);
    while (std::optional<Packet> packet = receive(3000ms)) {
        if ((packet->header.flags & anchor::kAnswer) != 0 && packet->header.tag == tag) return std::move(*packet);
        pushes_.push_back(std::move(*packet));
    }
    throw std::runtime_error("no answer to verb " + std::to_string(int(verb)));
}

std::optional<Packet> Puppet::push(anchor::Verb verb, milliseconds timeout) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    for (;;) {
        for (auto at = pushes_.begin(); at != pushes_.end(); ++at) {
            if (at->header.verb != std::uint16_t(verb)) continue;
            Packet found = std::move(*at);
            pushes_.erase(at);
            return found;
        }
        const auto left = std::chrono::duration_cast<milliseconds>(until - std::chrono::steady_clock::now());
        std::optional<Packet> packet = receive(std::max(left, 0ms));
        if (!packet) return std::nullopt;
        pushes_.push_back(std::move(*packet));
    }
}

anchor::Exit Puppet::exit_of(pid_t pid, milliseconds timeout) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    while (std::chrono::steady_clock::now() < until) {
        const std::optional<Packet> packet = push(anchor::Verb::exited, 100ms);
        if (!packet) continue;
        for (const anchor::Exit& exit : packet->items<anchor::Exit>())
            if (exit.pid == pid) return exit;
    }
    anchor::Exit none;
    none.kind = std::uint32_t(anchor::Ended::unknown);
    return none;
}

int Puppet::pull(const std::string& word, bool answers) {
    send_packet(strings_.get(), word.data(), word.size(), {});
    std::int32_t answer = -1;
    if (answers &&
        (!readable(strings_.get(), 3000ms) || recv(strings_.get(), &answer, sizeof answer, 0) != sizeof answer))
        throw std::runtime_error("the puppet does not answer");
    return answer;
}

std::vector<pid_t> Puppet::spawn_together(int count) {
    const std::string word = "m" + std::to_string(count);
    send_packet(strings_.get(), word.data(), word.size(), {});
    std::vector<pid_t> pids(std::size_t(count), -1);
    if (!readable(strings_.get(), 5000ms) || recv(strings_.get(), pids.data(), pids.size() * sizeof(pid_t), 0) <= 0)
        throw std::runtime_error("the puppet does not answer");
    return pids;
}

Instance::Instance(const Setup& setup) {
    static int count = 0;
    const std::string name = "abide-test-" + std::to_string(getpid()) + "-" + std::to_string(++count);
    socklen_t bytes = 0;
    const sockaddr_un address = abstract_address(name, bytes);
    listener_ = Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), bytes) != 0 ||
        listen(listener_.get(), 64) != 0)
        throw std::runtime_error("can't listen");

    const std::string program = setup.program.empty() ? "/proc/self/exe" : setup.program;
    const Fd manager(open(program.c_str(), O_PATH));  // NOLINT: inherited on purpose
    std::vector<std::string> words{"abide-anchor", "--manager=" + std::to_string(manager.get())};
    words.insert(words.end(), setup.words.begin(), setup.words.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const std::string path = abide_program();
    std::string link;
    if (setup.as_pid1) {
        link = "/tmp/" + name + "-abide-anchor";
        unlink(link.c_str());
        if (symlink(path.c_str(), link.c_str()) != 0) throw std::runtime_error("can't make a link");
        argv[0] = link.data();
        static char unshare[] = "unshare", flags[] = "-pf", proc[] = "--mount-proc", bound[] = "--kill-child";
        argv.insert(argv.begin(), {unshare, flags, proc, bound});
    }
    link_ = link;
    setenv(kVariable, name.c_str(), 1);
    pid_ = fork();
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (const int fd : setup.inherit) fcntl(fd, F_SETFD, 0);
        for (int fd = 0; setup.without_standard_fds && fd <= 2; ++fd) close(fd);
        if (setup.as_pid1) execvp(argv[0], argv.data());
        execv(path.c_str(), argv.data());
        _exit(127);
    }
}

Instance::~Instance() {
    if (!link_.empty()) unlink(link_.c_str());
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

Puppet Instance::manager(milliseconds timeout) {
    if (!readable(listener_.get(), timeout)) throw std::runtime_error("no manager was started");
    Fd strings(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!readable(strings.get(), 3000ms)) throw std::runtime_error("the manager says nothing");
    std::optional<Packet> packet = receive_packet(strings.get());
    if (!packet || packet->fds.size() != 1) throw std::runtime_error("the manager has no socket");
    return Puppet(std::move(packet->fds[0]), std::move(strings), pid_t(packet->header.count));
}

bool Instance::starts_manager_within(milliseconds timeout) {
    return readable(listener_.get(), timeout);
}

int Instance::status(milliseconds timeout) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    int status = -1;
    while (waitpid(pid_, &status, WNOHANG) == 0) {
        if (std::chrono::steady_clock::now() > until) return -1;
        const timespec moment{0, 2'000'000};
        nanosleep(&moment, nullptr);
    }
    pid_ = -1;
    return status;
}

std::string abide_program() {
    return std::string(ABIDE_BIN_DIR) + "/abide";
}

std::string proc_file(pid_t pid, const std::string& name) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/" + name);
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
}

char process_state(pid_t pid) {
    const std::string stat = proc_file(pid, "stat");
    const std::size_t end = stat.rfind(')');
    return end == std::string::npos ? '\0' : stat.at(end + 2);
}

int rss_kib(pid_t pid) {
    std::istringstream lines(proc_file(pid, "status"));
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("VmRSS:")) return std::stoi(line.substr(6));
    return -1;
}

Fd memory_file(const std::string& content) {
    Fd fd(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(pwrite(fd.get(), content.data(), content.size(), 0), ssize_t(content.size()));
    return fd;
}

std::string content_of(int fd) {
    std::array<char, 256> data{};
    const ssize_t got = pread(fd, data.data(), data.size(), 0);
    return got < 0 ? "unreadable" : std::string(data.data(), std::size_t(got));
}

}  // namespace abide::test
