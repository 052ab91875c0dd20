// manager/anchor_link.hpp -- the manager's end of the talk with the anchor (protocol/anchor.hpp).
//
// Owns the socket, the queue of what is to be said, and the questions that are not answered yet.  Knows no service and
// no policy.  Invariants: requests leave in the order in which they were made; a descriptor that is to be kept stays
// open here until the anchor has it; nothing waits, except the *_now calls, which only the start uses.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "kernel/epoll.hpp"
#include "kernel/fd.hpp"
#include "kernel/socket.hpp"
#include "protocol/anchor.hpp"

namespace abide::manager {

using SharedFd = std::shared_ptr<const kernel::Fd>;
inline SharedFd share(kernel::Fd fd) {
    return std::make_shared<const kernel::Fd>(std::move(fd));
}

class AnchorLink {
  public:
    // What the anchor told by itself, and the answers to peek.
    struct News {
        std::vector<anchor::Exit> exits;   // to be acknowledged by reap()
        std::vector<anchor::Exit> peeked;  // kind running or unknown included
        struct Wished {
            std::uint32_t tag = 0;
            anchor::Wish wish;
        };
        std::vector<Wished> wishes;  // to be acknowledged by took_wish()
        bool closed = false;         // the anchor is gone
    };
    // Descriptors by key; a key that is not kept is missing.
    using Kept = std::map<std::uint64_t, kernel::Fd>;

    explicit AnchorLink(kernel::Fd socket) : socket_(std::move(socket)) {}

    // Blocking, bounded by kStartPatience; only before the loop runs.  Pushes that arrive meanwhile are kept for
    // read().
    Result<anchor::HelloAnswer> hello_now();
    Result<Kept> get_now(const std::vector<std::uint64_t>& keys);
    Result<std::vector<std::uint64_t>> list_now();
    // All zero from an anchor that doesn't know the verb.
    Result<anchor::Generation> generation_now();
    Status put_now(std::uint64_t key, SharedFd fd);

    // Queued; flush() sends them.  `ours`: closing it can't block (memfd, pipe, pidfd).
    void put(std::uint64_t key, SharedFd fd, bool ours);
    void drop(std::uint64_t key, bool ours);
    // An error: they are kept, and can't be passed at the moment (too many descriptors, here or on their way).
    using GotKept = std::function<void(Result<Kept>)>;
    void get(std::vector<std::uint64_t> keys, GotKept done);
    // Any verb: `done` gets the answer's status and body.
    void ask(anchor::Verb verb, std::uint32_t count, std::string body,
             std::function<void(std::uint32_t, std::string_view)> done);
    void reap(std::int32_t pid);
    void peek(std::int32_t pid);
    void mark(std::int32_t pid, std::uint32_t flags);
    void ready();
    void working(std::uint64_t extend_ms);
    void took_wish(const News::Wished& wished);
    void end(std::int32_t status, std::uint32_t grace_ms);

    // Sends what fits.  False: the rest waits for room (EPOLLOUT).
    bool flush();
    [[nodiscard]] bool flushed() const { return queue_.empty(); }
    // Takes what has arrived; answers to get() run their continuation here.
    News read();
    [[nodiscard]] int fd() const { return socket_.get(); }

    // From now on what is not ours (listening sockets, what services stored) is held here as well, for the day on which
    // the anchor is killed; and the output pipes of so many runs, which would have no reader when the logger is killed
    // with it.
    void hold_theirs(std::size_t most_outputs);
    // What the anchor has of that already.
    void hold(Kept kept);
    [[nodiscard]] const std::map<std::uint64_t, SharedFd>& theirs() const { return theirs_; }
    [[nodiscard]] std::size_t room_for_outputs() const {
        return most_outputs_ - std::min(most_outputs_, outputs_.size());
    }
    [[nodiscard]] const std::map<std::uint64_t, SharedFd>& outputs() const { return outputs_; }

  private:
    struct Entry {  // one item of a request
        anchor::Verb verb{};
        std::uint16_t flags = 0;
        std::uint32_t tag = 0;
        std::string body;  // the item's bytes; a get has all its keys in one entry
        SharedFd fd;
        std::uint32_t count = 1;  // of verbs that don't share a frame
        bool alone = false;       // nor does this item
    };
    void hold(std::uint64_t key, SharedFd fd, bool ours);
    bool send_front();
    bool take_frame(News& news);
    void dispatch(const anchor::Header& header, std::string_view body, kernel::Received& got, News& news);
    static Result<Kept> kept_of(const anchor::Header& header, std::string_view body, kernel::Received& got);
    Status pump_until(const bool& done);

    kernel::Fd socket_;
    std::deque<Entry> queue_;
    std::map<std::uint32_t, GotKept> questions_;
    std::map<std::uint32_t, std::function<void(std::uint32_t, std::string_view)>> asked_;
    // The answer to hello or list, for the *_now call that waits for it.
    std::function<void(const anchor::Header&, std::string_view)> now_done_;
    News early_;
    std::map<std::uint64_t, SharedFd> theirs_, outputs_;
    std::size_t most_theirs_ = 0, most_outputs_ = 0;
    std::uint32_t last_tag_ = 0;
    int refusals_ = 0;  // sends that failed in a row
};

}  // namespace abide::manager
