// manager/clients.hpp -- who is connected to a listening socket: connections are taken within bounds, calls read,
// replies written, and those that stall are found.
//
// Owns sockets and buffers, and knows no method: what a connection waits for is its server's, whose type C of them is a
// Client that also says whether it is_idle().  Invariants: nobody has more than a user's share; at a bound the oldest
// idle connection of whoever has the most gives way to the next one; while there is no room or no descriptor for
// another one, the listener is not looked at.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "kernel/epoll.hpp"
#include "kernel/fd.hpp"
#include "manager/complain.hpp"
#include "manager/permissions.hpp"
#include "manager/token.hpp"
#include "protocol/varlink.hpp"

namespace abide::manager {

struct Client {
    kernel::Fd socket;
    Caller caller;
    varlink::MessageReader reader;
    std::string out;
    std::size_t sent = 0;
    Mono stalled = kNever;      // half a call, or a reply that is not taken: to be closed then
    std::uint32_t watched = 0;  // as registered with epoll
    bool closing = false;       // after `out` has left

    void read(const Now& now);
    // Tells how many bytes left.
    std::size_t write(const Now& now);
    // Neither half a call nor half a reply.
    [[nodiscard]] bool is_quiet() const { return out.empty() && reader.pending().empty(); }
};

// Bytes of one call of somebody who may do so much.
std::size_t message_limit(model::Permission permission);

struct Arrived {
    kernel::Fd socket;
    Caller caller;
};
// The next one that waits at a listener; nothing when nobody does.
Result<std::optional<Arrived>> next_arrived(int listener);
// In one line, to one who is not let in.
void refuse(const Arrived& arrived);

struct ClientBounds {
    std::size_t all = 0, per_user = 0;
};

template <class C>
class ClientTable {
  public:
    ClientTable(kernel::Epoll& epoll, ClientBounds bounds) : epoll_(epoll), bounds_(bounds) {}

    Status listen(kernel::Fd listener) {
        listener_ = std::move(listener);
        return epoll_.add(listener_.get(), EPOLLIN, token_of(Watched::control));
    }

    // Takes those who wait; `limit_of` tells how long a call of a Caller may be.
    template <class LimitOf>
    void accept(const Now& now, LimitOf limit_of) {
        for (std::size_t n = 0; n < kAcceptAtOnce; ++n) {
            // Those who wait stay in the queue of the socket until somebody leaves.
            if (is_full() && !idle_of(greediest())) return shut(kNever);
            Result<std::optional<Arrived>> arrived = next_arrived(listener_.get());
            if (!arrived) {
                // No descriptor or memory for it: they wait in the queue, and we do not run in a circle.
                shut(now.mono + kAcceptPause);
                return complain("control: " + describe(arrived.error()));
            }
            if (!*arrived) return;
            take(std::move(**arrived), limit_of);
        }
    }

    C* find(std::uint64_t id) {
        const auto it = clients_.find(id);
        return it == clients_.end() ? nullptr : &it->second;
    }

    void close(std::uint64_t id) {
        const auto it = clients_.find(id);
        if (it == clients_.end()) return;
        static_cast<void>(epoll_.remove(it->second.socket.get()));
        if (--per_user_[it->second.caller.uid] == 0) per_user_.erase(it->second.caller.uid);
        clients_.erase(it);
        open();
    }

    // What to be woken for, and whether the client must hurry.  False: it can't be listened to.
    [[nodiscard]] bool watch(std::uint64_t id, C& client, bool reads, bool hurries) {
        const std::uint32_t wanted = !client.out.empty() ? EPOLLOUT : reads ? EPOLLIN : 0u;
        if (wanted != client.watched) {
            if (!epoll_.modify(client.socket.get(), wanted, token_of(Watched::connection, id))) return false;
            client.watched = wanted;
        }
        if (!hurries) client.stalled = kNever;
        return true;
    }

    // When the listener is looked at again.
    [[nodiscard]] Mono accepts_at() const { return accepts_at_; }
    // Looks at it again when that time has come, and tells who has stalled: to be closed.
    [[nodiscard]] std::vector<std::uint64_t> expire(const Now& now) {
        if (accepts_at_ <= now.mono) open();
        std::vector<std::uint64_t> stalled;
        for (const auto& [id, client] : clients_) {
            if (client.stalled <= now.mono) stalled.push_back(id);
        }
        return stalled;
    }

    [[nodiscard]] std::size_t size() const { return clients_.size(); }
    auto begin() { return clients_.begin(); }
    auto end() { return clients_.end(); }
    auto begin() const { return clients_.begin(); }
    auto end() const { return clients_.end(); }

  private:
    static constexpr std::size_t kAcceptAtOnce = 64;
    static constexpr Duration kAcceptPause = milliseconds(500);

    template <class LimitOf>
    void take(Arrived arrived, LimitOf limit_of) {
        const std::uint32_t uid = arrived.caller.uid;
        const auto share = per_user_.find(uid);
        if (share != per_user_.end() && share->second >= bounds_.per_user) {
            const std::optional<std::uint64_t> idle = idle_of(uid);
            if (!idle) return refuse(arrived);
            close(*idle);
        }
        if (is_full()) close(*idle_of(greediest()));  // looked for before somebody was let in
        const std::uint64_t id = ++last_id_;
        if (!epoll_.add(arrived.socket.get(), EPOLLIN, token_of(Watched::connection, id))) return;
        per_user_[uid] += 1;
        C client;
        client.reader = varlink::MessageReader(limit_of(arrived.caller));
        client.socket = std::move(arrived.socket);
        client.caller = std::move(arrived.caller);
        client.watched = EPOLLIN;
        clients_.emplace(id, std::move(client));
    }

    [[nodiscard]] std::uint32_t greediest() const {
        const auto most = std::ranges::max_element(per_user_, {}, [](const auto& one) { return one.second; });
        return most == per_user_.end() ? 0 : most->first;
    }

    // The oldest of this user that nothing is done on; nothing when all are in use.
    [[nodiscard]] std::optional<std::uint64_t> idle_of(std::uint32_t uid) const {
        const auto idle = std::ranges::find_if(
            clients_, [&](const auto& one) { return one.second.caller.uid == uid && one.second.is_idle(); });
        return idle == clients_.end() ? std::nullopt : std::optional(idle->first);
    }

    [[nodiscard]] bool is_full() const { return clients_.size() >= bounds_.all; }

    void shut(Mono until) {
        accepting_ = false;
        accepts_at_ = until;
        static_cast<void>(epoll_.modify(listener_.get(), 0, token_of(Watched::control)));  // else we come in vain
    }

    void open() {
        if (std::exchange(accepting_, true)) return;
        accepts_at_ = kNever;
        must(epoll_.modify(listener_.get(), EPOLLIN, token_of(Watched::control)), "control socket");
    }

    kernel::Epoll& epoll_;
    const ClientBounds bounds_;
    kernel::Fd listener_;
    std::map<std::uint64_t, C> clients_;
    std::map<std::uint32_t, std::size_t> per_user_;
    std::uint64_t last_id_ = 0;
    bool accepting_ = true;
    Mono accepts_at_ = kNever;
};

}  // namespace abide::manager
