// manager/control.hpp -- the control server: connections, and whose turn it is on each of them.
//
// Owns the client sockets, their buffers and the calls that wait.  Knows no policy: what a call means is methods.hpp's,
// who may call is permissions.hpp's.  Invariants: replies leave in the order of the calls of a connection (one call at
// a time); nothing that a client does or omits holds memory beyond the bounds of limits.hpp or delays another one; a
// client that leaves changes nothing but its own place.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "core/engine.hpp"
#include "kernel/epoll.hpp"
#include "kernel/fd.hpp"
#include "manager/event_feed.hpp"
#include "manager/inbox.hpp"
#include "manager/methods.hpp"
#include "manager/permissions.hpp"
#include "protocol/varlink.hpp"

namespace abide::manager {

class Control {
  public:
    Control(kernel::Epoll& epoll, const core::Engine& engine, Inbox& inbox)
        : epoll_(epoll), engine_(engine), inbox_(inbox) {}

    // Takes the listening socket that the anchor keeps.
    Status listen(kernel::Fd listener);
    void set_places(Places places) { places_ = std::move(places); }
    void set_vouch(std::function<void(const control::VouchRequest&)> vouch) { vouch_ = std::move(vouch); }

    // While it is not known yet what of the journal is still true: calls that ask for no more than what the journal
    // says are answered, all others wait until this is over.
    void set_comparing(bool comparing, const Now& now);

    void on_listener();
    void on_connection(std::uint64_t id, std::uint32_t events, const Now& now);
    // The engine took the input of this call: `operation` is what it made of it.
    void stepped(const Ticket& ticket, OperationId operation);
    // Something in the engine may have changed: cached answers are stale, progress is worth telling.
    void changed() {
        ++version_;
        if (!cached_status_.empty()) std::string().swap(cached_status_);
    }
    // Its input was not taken, since managers died of it.
    void refuse(const Ticket& ticket);
    // An operation ended, and is perhaps forgotten; after stepped() of the call that made it.
    void ended(const model::Operation& operation);
    // The folder of the event log and its newest id, for those who subscribe; `batch`: what was just written to it.
    void published(int folder, std::uint64_t last_id, std::string_view batch);
    // The end of a turn: progress, and what can be written.
    void flush(const Now& now);

    [[nodiscard]] Mono next_deadline() const;
    void expire(const Now& now);
    // Nothing is waiting to be sent.
    [[nodiscard]] bool drained() const;
    [[nodiscard]] std::size_t clients() const { return connections_.size(); }
    // Bytes that left since the last call.
    std::size_t take_replied() { return std::exchange(replied_, 0); }

  private:
    struct Waiting {
        std::uint64_t call = 0;
        OperationId operation;  // none: the engine has not taken it yet
        Answer answer;
        std::string told;  // the last progress reply
        bool oneway = false;
    };
    struct Connection {
        kernel::Fd socket;
        Caller caller;
        varlink::MessageReader reader;
        std::string out;
        std::size_t sent = 0;
        std::optional<Waiting> waiting;
        std::optional<std::string> held;  // a call that waits for the end of the comparison
        std::unique_ptr<EventFeed> feed;  // its call is a Subscribe: it goes on until the client leaves
        Mono stalled = kNever;            // half a call, or a reply that is not taken: closed then
        std::uint32_t watched = 0;        // as registered with epoll
        bool closing = false;             // after `out` has left
    };
    void serve(std::uint64_t id, Connection& connection, const Now& now);
    void take(std::uint64_t id, Connection& connection, std::string_view message, const Now& now);
    void read_from(Connection& connection, const Now& now);
    void write_to(Connection& connection, const Now& now);
    void settle(Connection& connection, const model::Operation& operation);
    void tell_progress(Connection& connection);
    void subscribe(Connection& connection, const Answer& answer, const Now& now);
    void feed(Connection& connection);
    void update(std::uint64_t id, Connection& connection);
    void close(std::uint64_t id);
    [[nodiscard]] std::uint32_t greediest() const;  // the user with the most connections
    bool close_idle(std::uint32_t uid);
    void accept_again();
    const std::string& status_of_all(const varlink::Call& call, const model::Requester& requester, const Now& now);

    kernel::Epoll& epoll_;
    const core::Engine& engine_;
    Inbox& inbox_;
    kernel::Fd listener_;
    Permissions permissions_;
    Places places_;
    std::function<void(const control::VouchRequest&)> vouch_;
    std::map<std::uint64_t, Connection> connections_;
    std::map<std::uint32_t, std::size_t> per_user_;
    std::uint64_t last_id_ = 0, last_call_ = 0;
    std::uint64_t version_ = 1;           // of the engine's state
    std::uint64_t progress_version_ = 0;  // last told
    std::uint64_t cached_version_ = 0;
    std::string cached_status_;  // the status of all, as long as nothing changed
    bool comparing_ = false;
    bool accepting_ = true;
    Mono accept_again_ = kNever;
    int event_folder_ = -1;
    std::uint64_t last_event_ = 0;  // in the log
    std::size_t feeds_ = 0;         // connections with one
    std::size_t writing_ = 0;       // connections with a stall deadline
    std::size_t replied_ = 0;
};

}  // namespace abide::manager
