// tests/unit/anchor/instance.hpp -- an anchor under test, whose managers are puppets of the test.
//
// The anchor execs this very test program as its manager (argv[0] is "abide-manager"); such a puppet hands its end of
// the socket to the test and then does what the test tells it: spawn children of the anchor, exit, go away.  So the
// test itself speaks the protocol.  Everything dies with the anchor (PR_SET_PDEATHSIG), and the anchor with the
// fixture.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "protocol/anchor.hpp"

namespace abide::test {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

// A descriptor with one owner.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept;
    ~Fd();
    int get() const { return fd_; }
    int release();
    void reset() { *this = Fd(); }

  private:
    int fd_ = -1;
};

struct Packet {
    anchor::Header header;
    std::vector<std::uint8_t> body;
    std::vector<Fd> fds;

    template <class T>
    std::vector<T> items() const {
        const T* first = reinterpret_cast<const T*>(body.data());
        return std::vector<T>(first, first + body.size() / sizeof(T));
    }
};

// The manager's side of one link, and the puppet's strings.
class Puppet {
  public:
    Puppet(Fd link, Fd strings, pid_t pid) : link_(std::move(link)), strings_(std::move(strings)), pid_(pid) {}

    pid_t pid() const { return pid_; }
    int link() const { return link_.get(); }
    void let_go() { link_.reset(); }

    anchor::HelloAnswer hello();
    // Sends one request and returns its answer; pushes that come in between are kept for push().
    template <class T>
    Packet ask(anchor::Verb verb, const std::vector<T>& items, std::uint16_t flags = 0,
               const std::vector<int>& fds = {}) {
        return ask_bytes(verb, items.data(), items.size() * sizeof(T), std::uint32_t(items.size()), flags, fds);
    }
    Packet ask(anchor::Verb verb) { return ask_bytes(verb, nullptr, 0, 0, 0, {}); }
    void tell(anchor::Header header, const void* body, std::size_t bytes, const std::vector<int>& fds = {});
    std::optional<Packet> receive(milliseconds timeout);
    // The next push of this kind.
    std::optional<Packet> push(anchor::Verb verb, milliseconds timeout = 3000ms);
    anchor::Exit exit_of(pid_t pid, milliseconds timeout = 3000ms);  // from pushes; kind unknown if none came
    void reap(const std::vector<std::int32_t>& pids) { ask(anchor::Verb::reap, pids); }

    // A child of the anchor's that ends with this status at once.
    pid_t spawn_exiting(int status) { return pull("e" + std::to_string(status)); }
    pid_t spawn_sleeping() { return pull("s"); }
    pid_t spawn_deaf() { return pull("d"); }       // ignores TERM
    pid_t spawn_outliving() { return pull("n"); }  // likewise, and not bound to the anchor's life: kill it
    pid_t spawn_orphan() { return pull("o"); }     // a grandchild that becomes the anchor's and ends with 9
    pid_t spawn_busy(int ms) { return pull("b" + std::to_string(ms)); }
    std::vector<pid_t> spawn_together(int count);  // children that all end with 3 at the same moment
    int soft_limit() { return pull("l"); }         // of open files, as the manager sees it
    void exit(int status) { pull("x" + std::to_string(status), false); }
    void close_link() { pull("c"); }  // the puppet closes its socket and lives on

  private:
    Packet ask_bytes(anchor::Verb verb, const void* body, std::size_t bytes, std::uint32_t count, std::uint16_t flags,
                     const std::vector<int>& fds);
    int pull(const std::string& word, bool answers = true);

    Fd link_;
    Fd strings_;
    pid_t pid_;
    std::uint32_t tag_ = 0;
    std::deque<Packet> pushes_;
};

struct Setup {
    std::vector<std::string> words;     // after --manager
    bool without_standard_fds = false;  // start with 0-2 closed
    std::string program;                // of the manager; empty: this test program
    bool as_pid1 = false;               // in a pid namespace of its own; pids that puppets tell are of that one
    std::vector<int> inherit;           // descriptors to pass on as they are
};

class Instance {
  public:
    explicit Instance(const Setup& setup = {});
    ~Instance();
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;

    pid_t pid() const { return pid_; }  // with as_pid1, of the process that made the namespace
    // The next manager that was started; throws std::runtime_error if none comes.
    Puppet manager(milliseconds timeout = 5000ms);
    bool starts_manager_within(milliseconds timeout);  // without taking it
    int status(milliseconds timeout = 15000ms);        // waits for the end; wait status, or -1

  private:
    Fd listener_;
    pid_t pid_ = -1;
    std::string link_;
};

std::string abide_program();
std::string proc_file(pid_t pid, const std::string& name);
char process_state(pid_t pid);  // 'Z', 'S', ...; 0 if there is none
int rss_kib(pid_t pid);
Fd memory_file(const std::string& content);
std::string content_of(int fd);

}  // namespace abide::test
