// manager/control.hpp -- the control server: connections, and whose turn it is on each of them.
//
// Owns the calls that wait; sockets and buffers are clients.hpp's.  Knows no policy: what a call means is
// methods.hpp's, who may call is permissions.hpp's.  Invariants: replies leave in the order of the calls of a
// connection (one call at a time); nothing that a client does or omits holds memory beyond the bounds of limits.hpp or
// delays another one; a client that leaves changes nothing but its own place.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"
#include "core/engine.hpp"
#include "kernel/epoll.hpp"
#include "kernel/fd.hpp"
#include "manager/clients.hpp"
#include "manager/event_feed.hpp"
#include "manager/inbox.hpp"
#include "manager/methods.hpp"
#include "manager/permissions.hpp"
#include "protocol/varlink.hpp"

namespace abide::manager {

class Control {
  public:
    Control(kernel::Epoll& epoll, const core::Engine& engine, Inbox& inbox,
            ClientBounds bounds = {limits::kClients, limits::kClientsPerUser})
        : engine_(engine), inbox_(inbox), connections_(epoll, bounds) {}

    // Takes the listening socket that the anchor keeps.
    Status listen(kernel::Fd listener) { return connections_.listen(std::move(listener)); }
    void set_places(Places places) { places_ = std::move(places); }
    void set_vouch(std::function<void(const control::VouchRequest&)> vouch) { vouch_ = std::move(vouch); }

    // While it is not known yet what of the journal is still true: calls that ask for no more than what the journal
    // says are answered, all others wait until this is over.
    void set_comparing(bool comparing, const Now& now);

    void on_listener(const Now& now);
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
        Manner manner;
        std::string told;  // the last progress reply
        bool oneway = false;
    };
    struct Connection : Client {
        std::optional<Waiting> waiting;
        std::optional<std::string> held;  // a call that waits for the end of the comparison
        std::unique_ptr<EventFeed> feed;  // its call is a Subscribe: it goes on until the client leaves
        // No call of it is under way.
        [[nodiscard]] bool is_free() const { return !waiting && !held && !feed; }
        [[nodiscard]] bool is_idle() const { return is_free() && is_quiet(); }
    };
    void serve(std::uint64_t id, Connection& connection, const Now& now);
    void take(std::uint64_t id, Connection& connection, std::string_view message, const Now& now);
    void write_to(Connection& connection, const Now& now);
    Connection* waits_for(const Ticket& ticket);
    void settle(Connection& connection, const model::Operation& operation);
    void tell_progress(Connection& connection);
    // What is done about the call that somebody has just made.
    struct Asker {
        std::uint64_t id = 0;
        Connection& connection;
        bool oneway = false;
        const Now& now;
    };
    void on(const Asker& asker, Say&& say);
    void on(const Asker& asker, Ask&& ask);
    void on(const Asker& asker, Join&& join);
    void on(const Asker& asker, Follow&& follow);
    void on(const Asker& asker, Vouch&& vouch);
    Waiting& wait(const Asker& asker, Manner manner);
    void feed(Connection& connection);
    void update(std::uint64_t id, Connection& connection);
    void close(std::uint64_t id);
    const std::string& status_of_all(const varlink::Call& call, const model::Requester& requester, const Now& now);

    const core::Engine& engine_;
    Inbox& inbox_;
    Permissions permissions_;
    Places places_;
    std::function<void(const control::VouchRequest&)> vouch_;
    ClientTable<Connection> connections_;
    std::uint64_t last_call_ = 0;
    std::uint64_t version_ = 1;           // of the engine's state
    std::uint64_t progress_version_ = 0;  // last told
    std::uint64_t cached_version_ = 0;
    std::string cached_status_;  // the status of all, as long as nothing changed
    bool comparing_ = false;
    int event_folder_ = -1;
    std::uint64_t last_event_ = 0;  // in the log
    std::size_t feeds_ = 0;         // connections with one
    std::size_t replied_ = 0;
};

}  // namespace abide::manager
