// manager/control.cc -- see the header.
#include "manager/control.hpp"

#include <algorithm>
#include <array>

#include "base/limits.hpp"
#include "kernel/clock.hpp"
#include "kernel/socket.hpp"
#include "manager/complain.hpp"
#include "manager/token.hpp"

namespace abide::manager {

namespace {

constexpr Duration kStallPatience = seconds(60);
constexpr Duration kAcceptPause = milliseconds(500);
constexpr std::size_t kReadAtOnce = 64u << 10;
constexpr std::size_t kAcceptAtOnce = 64;
constexpr std::size_t kStrangerBytes = 4096;  // a call of somebody who may do nothing
constexpr int kWriteRounds = 64;

// What these answer was true when the last record was written, and is not asked of the kernel.
bool is_in_journal(std::string_view method) {
    constexpr std::array kMethods = {control::Method::ping, control::Method::status, control::Method::why,
                                     control::Method::where, control::Method::operations};
    return std::ranges::any_of(kMethods, [&](control::Method one) { return control::info(one).name == method; });
}

// The status of every service, without their detail: what whoever watches asks for again and again.
bool asks_for_all(const varlink::Call& call) {
    if (call.method != control::info(control::Method::status).name) return false;
    const auto request = control::read<control::StatusRequest>(call.parameters);
    return request && request->names.empty() && !request->detail;
}

std::size_t message_limit(model::Permission permission) {
    switch (permission) {
        case model::Permission::administer: return limits::kMessageBytes;
        case model::Permission::operate:
        case model::Permission::read_logs:
        case model::Permission::read: return limits::kRequestBytes;
        case model::Permission::none: break;
    }
    return kStrangerBytes;
}

}  // namespace

Status Control::listen(kernel::Fd listener) {
    listener_ = std::move(listener);
    return epoll_.add(listener_.get(), EPOLLIN, token_of(Watched::control));
}

void Control::set_comparing(bool comparing, const Now& now) {
    comparing_ = comparing;
    if (comparing) return;
    for (auto it = connections_.begin(); it != connections_.end();) {
        const std::uint64_t id = it->first;
        Connection& connection = it->second;
        ++it;  // serve may close it
        if (!connection.held) continue;
        const std::string message = *std::exchange(connection.held, std::nullopt);
        take(id, connection, message, now);
        write_to(connection, now);
        serve(id, connection, now);
    }
}

void Control::on_listener() {
    for (std::size_t n = 0; n < kAcceptAtOnce; ++n) {
        if (connections_.size() >= limits::kClients && !close_idle(greediest())) {
            // Those who wait stay in the queue of the socket until somebody leaves.
            accepting_ = false;
            must(epoll_.modify(listener_.get(), 0, token_of(Watched::control)), "control socket");
            return;
        }
        Result<std::optional<kernel::Fd>> accepted = kernel::accept_connection(listener_.get());
        if (!accepted) {
            // No descriptor or memory for it: they wait in the queue, and we do not run in a circle.
            accepting_ = false;
            accept_again_ = kernel::mono_now() + kAcceptPause;
            static_cast<void>(epoll_.modify(listener_.get(), 0, token_of(Watched::control)));
            return complain("control: " + describe(accepted.error()));
        }
        if (!*accepted) return;
        kernel::Fd socket = std::move(**accepted);
        Result<Caller> caller = caller_of(socket.get());
        if (!caller) continue;
        permissions_.configure(engine_.instance().spec);
        if (per_user_[caller->uid] >= limits::kClientsPerUser && !close_idle(caller->uid)) {
            const std::string refusal = control::error_message(
                {ErrorKind::refused, "too many connections of user " + std::to_string(caller->uid), 0,
                 "close some first"});
            static_cast<void>(kernel::send(socket.get(), std::as_bytes(std::span(refusal))));
            continue;
        }
        const std::uint64_t id = ++last_id_;
        if (!epoll_.add(socket.get(), EPOLLIN, token_of(Watched::connection, id))) continue;
        per_user_[caller->uid] += 1;
        Connection connection;
        connection.reader = varlink::MessageReader(message_limit(permissions_.of(*caller)));
        connection.socket = std::move(socket);
        connection.caller = std::move(*caller);
        connection.watched = EPOLLIN;
        connections_.emplace(id, std::move(connection));
    }
}

std::uint32_t Control::greediest() const {
    const auto most = std::ranges::max_element(per_user_, {}, [](const auto& one) { return one.second; });
    return most == per_user_.end() ? 0 : most->first;
}

// At the bound the oldest connection of this user that nothing is done on gives way; false when all are in use.
bool Control::close_idle(std::uint32_t uid) {
    for (const auto& [id, connection] : connections_) {
        const bool idle =
            !connection.waiting && !connection.held && connection.out.empty() && connection.reader.pending().empty();
        if (!idle || connection.caller.uid != uid) continue;
        close(id);
        return true;
    }
    return false;
}

void Control::close(std::uint64_t id) {
    const auto it = connections_.find(id);
    if (it == connections_.end()) return;
    static_cast<void>(epoll_.remove(it->second.socket.get()));
    if (it->second.stalled != kNever) --writing_;
    if (it->second.feed) --feeds_;
    if (--per_user_[it->second.caller.uid] == 0) per_user_.erase(it->second.caller.uid);
    connections_.erase(it);
    if (!accepting_) accept_again();
}

void Control::accept_again() {
    accepting_ = true;
    accept_again_ = kNever;
    must(epoll_.modify(listener_.get(), EPOLLIN, token_of(Watched::control)), "control socket");
}

void Control::on_connection(std::uint64_t id, std::uint32_t events, const Now& now) {
    const auto it = connections_.find(id);
    if (it == connections_.end()) return;
    Connection& connection = it->second;
    if ((events & (EPOLLHUP | EPOLLERR)) != 0 && (events & EPOLLIN) == 0) {
        // What was asked before it left is still to be done, once it can be.
        if (!connection.held) close(id);
        return;
    }
    if ((events & EPOLLIN) != 0) read_from(connection, now);
    if ((events & EPOLLOUT) != 0) write_to(connection, now);
    serve(id, connection, now);
}

void Control::read_from(Connection& connection, const Now& now) {
    std::array<char, kReadAtOnce> buffer;
    const Result<std::size_t> got = kernel::read_some(connection.socket.get(), buffer.data(), buffer.size());
    if (got && *got == kernel::kNothingNow) return;
    if (!got || *got == 0) {
        connection.closing = true;
        connection.out.clear();
        connection.sent = 0;
        return;
    }
    if (connection.stalled == kNever) ++writing_;
    connection.stalled = now.mono + kStallPatience;
    if (const Status fed = connection.reader.feed({buffer.data(), *got}); !fed) {
        connection.out += control::error_message(fed.error());
        connection.closing = true;
    }
}

// Takes calls as long as none of them waits and the replies leave.
void Control::serve(std::uint64_t id, Connection& connection, const Now& now) {
    while (!connection.closing && !connection.waiting && !connection.held && !connection.feed &&
           connection.out.empty()) {
        const std::optional<std::string_view> message = connection.reader.next();
        if (!message) break;
        take(id, connection, *message, now);
        write_to(connection, now);
    }
    if (connection.closing && connection.out.empty()) return close(id);
    update(id, connection);
}

void Control::take(std::uint64_t id, Connection& connection, std::string_view message, const Now& now) {
    const Result<varlink::Call> call = varlink::parse_call(message);
    if (!call) {
        connection.out += control::error_message(call.error());
        connection.closing = true;
        return;
    }
    if (comparing_ && !is_in_journal(call->method)) {
        connection.held.emplace(message);
        return;
    }
    permissions_.configure(engine_.instance().spec);
    const model::Requester requester = permissions_.requester(connection.caller);
    if (requester.permission >= model::Permission::read && asks_for_all(*call) && !call->oneway) {
        connection.out += status_of_all(*call, requester, now);
        return;
    }
    Answer given = answer(*call, requester, engine_, places_, now);
    if (given.vouch && vouch_) vouch_(*given.vouch);
    if (given.subscribe && !call->oneway) return subscribe(connection, given, now);
    if (given.inputs.empty() && !given.operation) {
        if (!call->oneway) connection.out += given.message;
        return;
    }
    Waiting waiting;
    waiting.call = ++last_call_;
    waiting.operation = given.operation;
    waiting.oneway = call->oneway;
    for (std::size_t i = 0; i < given.inputs.size(); ++i) {
        const bool last = i + 1 == given.inputs.size();
        inbox_.push(InputClass::request, std::move(given.inputs[i]), last ? Ticket{id, waiting.call} : Ticket{});
    }
    given.inputs.clear();
    waiting.answer = std::move(given);
    connection.waiting = std::move(waiting);
    if (const model::Operation* operation = engine_.operation(connection.waiting->operation);
        operation != nullptr && (operation->outcome != model::Outcome::pending || !connection.waiting->answer.wait)) {
        settle(connection, *operation);
    }
}

const std::string& Control::status_of_all(const varlink::Call& call, const model::Requester& requester,
                                          const Now& now) {
    if (cached_version_ != version_) {
        cached_status_ = answer(call, requester, engine_, places_, now).message;
        cached_version_ = version_;
    }
    return cached_status_;
}

void Control::stepped(const Ticket& ticket, OperationId operation) {
    const auto it = connections_.find(ticket.connection);
    if (it == connections_.end()) return;
    Connection& connection = it->second;
    if (!connection.waiting || connection.waiting->call != ticket.call) return;
    connection.waiting->operation = operation;
    const model::Operation* made = engine_.operation(operation);
    if (made == nullptr) return;  // ended in the same turn, and forgotten: ended() tells
    if (made->outcome != model::Outcome::pending || !connection.waiting->answer.wait) settle(connection, *made);
}

void Control::refuse(const Ticket& ticket) {
    const auto it = connections_.find(ticket.connection);
    if (it == connections_.end() || !it->second.waiting || it->second.waiting->call != ticket.call) return;
    const bool oneway = it->second.waiting->oneway;
    it->second.waiting.reset();
    if (oneway) return;
    it->second.out += control::error_message({ErrorKind::refused,
                                              "managers have died of this request, so it is not carried out any more",
                                              0, "`abide generation` says what is quarantined; upgrading forgets it"});
}

// The last reply to the call that waits.
void Control::settle(Connection& connection, const model::Operation& operation) {
    const Waiting waiting = std::move(*connection.waiting);
    connection.waiting.reset();
    if (waiting.oneway) return;
    connection.out += waiting.answer.is_apply ? apply_message(operation, waiting.answer.changes)
                                              : operation_message(engine_, operation, true);
}

void Control::ended(const model::Operation& operation) {
    for (auto& [id, connection] : connections_) {
        if (connection.waiting && connection.waiting->operation == operation.id) settle(connection, operation);
    }
}

void Control::tell_progress(Connection& connection) {
    Waiting& waiting = *connection.waiting;
    if (!waiting.answer.progress || waiting.oneway || !connection.out.empty()) return;
    const model::Operation* operation = engine_.operation(waiting.operation);
    if (operation == nullptr || operation->outcome != model::Outcome::pending) return;
    std::string message = operation_message(engine_, *operation, false);
    if (message == waiting.told) return;
    connection.out += message;
    waiting.told = std::move(message);
}

void Control::flush(const Now& now) {
    const bool progress = progress_version_ != version_;
    progress_version_ = version_;
    for (auto it = connections_.begin(); it != connections_.end();) {
        const std::uint64_t id = it->first;
        Connection& connection = it->second;
        ++it;  // serve may close it
        if (progress && connection.waiting && connection.waiting->operation) tell_progress(connection);
        if (connection.feed) feed(connection);
        if (connection.out.empty()) continue;
        write_to(connection, now);
        serve(id, connection, now);
    }
}

void Control::subscribe(Connection& connection, const Answer& answer, const Now& now) {
    Result<EventFeed> made = event_folder_ < 0
                                 ? fail(ErrorKind::failed, "the event log can't be read at the moment")
                                 : EventFeed::make(*answer.subscribe, event_folder_, last_event_, now.wall.ns);
    if (!made) {
        connection.out += control::error_message(made.error());
        return;
    }
    connection.feed = std::make_unique<EventFeed>(std::move(*made));
    ++feeds_;
}

// The next piece for one that is behind; it waits until the piece before has left.
void Control::feed(Connection& connection) {
    if (!connection.out.empty() || connection.closing || !connection.feed->behind(last_event_)) return;
    if (const Status fed = connection.feed->catch_up(event_folder_, last_event_, connection.out); !fed) {
        connection.out += control::error_message(fed.error());
        connection.closing = true;
    }
}

void Control::published(int folder, std::uint64_t last_id, std::string_view lines) {
    event_folder_ = folder;
    last_event_ = last_id;
    if (feeds_ == 0 || lines.empty()) return;
    const EventBatch batch = make_batch(lines);
    for (auto& [id, connection] : connections_) {
        if (connection.feed && connection.out.empty()) connection.feed->take(batch, connection.out);
    }
}

void Control::write_to(Connection& connection, const Now& now) {
    for (int round = 0; round < kWriteRounds && connection.sent < connection.out.size(); ++round) {
        const std::string_view rest = std::string_view(connection.out).substr(connection.sent);
        const Result<std::size_t> sent = kernel::send_some(connection.socket.get(), rest.data(), rest.size());
        if (!sent) {
            connection.closing = true;
            connection.out.clear();
            connection.sent = 0;
            return;
        }
        if (*sent == 0) break;
        connection.sent += *sent;
        replied_ += *sent;
        if (connection.stalled == kNever) ++writing_;
        connection.stalled = now.mono + kStallPatience;
    }
    if (connection.sent < connection.out.size()) return;
    connection.out.clear();
    connection.out.shrink_to_fit();
    connection.sent = 0;
}

// What to be woken for, and whether somebody must hurry.
void Control::update(std::uint64_t id, Connection& connection) {
    std::uint32_t wanted = 0;
    if (!connection.out.empty()) wanted |= EPOLLOUT;
    // While a call waits nothing more is read: EPOLLHUP still tells when the client leaves.
    else if (!connection.waiting && !connection.held && !connection.feed && !connection.closing)
        wanted |= EPOLLIN;
    if (wanted != connection.watched) {
        // One that can't be listened to is closed: its client comes again.
        if (!epoll_.modify(connection.socket.get(), wanted, token_of(Watched::connection, id))) return close(id);
        connection.watched = wanted;
    }
    // Who subscribed may read as slowly as he likes: what he has not read yet lies in the files.
    const bool hurries = !connection.feed && !connection.held &&
                         (!connection.out.empty() || (!connection.waiting && !connection.reader.pending().empty()));
    if (!hurries && connection.stalled != kNever) {
        connection.stalled = kNever;
        --writing_;
    }
}

Mono Control::next_deadline() const {
    Mono next = accept_again_;
    for (const auto& [id, connection] : connections_) {
        if (connection.feed && connection.out.empty() && connection.feed->behind(last_event_)) return Mono{};
        next = std::min(next, connection.stalled);
        if (connection.waiting && connection.waiting->answer.until)
            next = std::min(next, *connection.waiting->answer.until);
    }
    return next;
}

void Control::expire(const Now& now) {
    if (accept_again_ <= now.mono) accept_again();
    for (auto it = connections_.begin(); it != connections_.end();) {
        const std::uint64_t id = it->first;
        Connection& connection = it->second;
        ++it;
        if (connection.stalled <= now.mono) {
            close(id);
            continue;
        }
        if (!connection.waiting || !connection.waiting->answer.until || *connection.waiting->answer.until > now.mono)
            continue;
        const bool oneway = connection.waiting->oneway;
        connection.waiting.reset();
        if (!oneway) connection.out += control::error_message({ErrorKind::timed_out, "the operation goes on", 0, {}});
    }
}

bool Control::drained() const {
    for (const auto& [id, connection] : connections_) {
        if (!connection.out.empty()) return false;
    }
    return true;
}

}  // namespace abide::manager
