// manager/logger_keeper.hpp -- keeps one logger alive and tells it which pipes to read (protocol/log.hpp).
//
// Owns the manager's end of the pair, the logger's pidfd, and what is still to be said.  Knows no policy.  The anchor
// keeps duplicates of both, so a logger survives the manager and the next manager finds it again.  Invariants: a pipe
// that is open here is told to every new logger, with the descriptor that the anchor keeps; the anchor has a pipe
// before the logger does, and as long as it does, so what the logger has can be read off the anchor's list; nothing
// waits for the logger.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/box.hpp"
#include "base/time.hpp"
#include "kernel/epoll.hpp"
#include "kernel/fd.hpp"
#include "kernel/spawn.hpp"
#include "manager/anchor_link.hpp"
#include "manager/lent_doorbell.hpp"
#include "protocol/anchor.hpp"
#include "protocol/log.hpp"

namespace abide::manager {

// The Spawner's token of the logger; no SpawnId has it.
inline constexpr std::uint64_t kLoggerToken = ~std::uint64_t{0};

class LoggerKeeper {
  public:
    LoggerKeeper(kernel::Epoll& epoll, AnchorLink& anchor, kernel::Spawner& spawner)
        : epoll_(epoll), anchor_(anchor), spawner_(spawner) {}

    // Takes over a living logger, if `kept` (descriptors of Keep::logger) has one.
    void adopt(AnchorLink::Kept& kept);
    void set_directory(std::string path) { directory_ = std::move(path); }

    // Starts a logger if there should be one and is none.
    void ensure(Mono now);
    // A pipe to be read; its read end goes to the anchor under item.key first.  Starts the logger when it is the first
    // one.
    void open(protocol::log::OpenItem item, SharedFd read_end);
    // A pipe of a predecessor's time: the living logger has it, or gets it from the anchor; in doubt it gets it again.
    void reopen(const protocol::log::OpenItem& item, bool in_doubt);
    void watch_for(protocol::log::Pattern pattern);
    // Whether or not it is open here: it may be of a predecessor's time.  The anchor gives it up once the logger is
    // told.
    void close(std::uint64_t key);

    // News of the Spawner and of the anchor about the logger's process.
    void on_spawn(kernel::SpawnEvent event);
    [[nodiscard]] bool is_logger(std::int32_t pid) const { return pid != 0 && pid == pid_; }
    void on_exit(Mono now);
    // The socket is ready: lines that matched.
    std::vector<protocol::log::Matched> on_ready(std::uint32_t events);
    void flush();
    // Has the logger ring the doorbell of the event log.  False: there is none, or it is busy.
    bool ring(int doorbell, bool another);

    // Duplicates of what the next manager finds it by.
    std::pair<SharedFd, SharedFd> share_link() const;

    // At the end of the instance: write everything, then exit.
    void drain();
    [[nodiscard]] bool running() const { return pid_ != 0 || starting_; }
    [[nodiscard]] std::int32_t pid() const { return pid_; }
    [[nodiscard]] Mono next_deadline() const { return std::min({restart_at_, silent_until_, open_again_at_}); }
    // What a burst has made large.
    void release_memory() { opening_.shrink_to_fit(); }

  private:
    void start();
    void tell_all();
    void open_from_anchor(const std::vector<std::uint64_t>& keys);
    void open_later(const std::vector<std::uint64_t>& keys, const Error& why);
    void say(std::string packet, std::vector<SharedFd> fds);
    void say_closed();
    void drop_closed();
    void hang_up();
    // Its socket has ended and is watched no longer; that it has ended is not told yet.
    [[nodiscard]] bool has_hung_up() const { return silent_until_ != kNever; }

    struct Packet {
        std::string bytes;
        std::vector<SharedFd> fds;
    };
    // What its item says, without what nearly all have alike.
    struct Pipe {
        std::uint64_t run = 0;
        std::string service;
        bool resumed = false;
        Box<model::LogSpec> spec;                         // absent: the defaults
        std::unique_ptr<protocol::log::Pattern> pattern;  // few have one
    };
    static Pipe pipe_of(const protocol::log::OpenItem& item);
    static protocol::log::OpenItem item_of(std::uint64_t key, const Pipe& pipe);

    kernel::Epoll& epoll_;
    AnchorLink& anchor_;
    kernel::Spawner& spawner_;
    std::string directory_;
    kernel::Fd socket_, pidfd_;
    LentDoorbell doorbell_;
    std::int32_t pid_ = 0;
    bool starting_ = false, ending_ = false;
    bool watches_out_ = false;
    Mono started_{};
    Mono restart_at_ = kNever;
    Mono silent_until_ = kNever;           // its socket has ended; when to look whether it has, too
    std::map<std::uint64_t, Pipe> pipes_;  // by key
    std::vector<std::pair<protocol::log::OpenItem, SharedFd>> opening_;
    std::set<std::uint64_t> unopened_;  // what the anchor could not pass, and when to ask again
    Mono open_again_at_ = kNever;
    std::vector<std::uint64_t> closing_, closed_;  // to be told to the logger; told to it, and still with the anchor
    std::deque<Packet> queue_;
};

}  // namespace abide::manager
