// manager/control.cc -- see the header.
#include "manager/control.hpp"

#include <algorithm>
#include <array>

namespace abide::manager {

namespace {

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

}  // namespace

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

void Control::on_listener(const Now& now) {
    permissions_.configure(engine_.instance().spec);
    connections_.accept(now, [this](const Caller& caller) { return message_limit(permissions_.of(caller)); });
}

void Control::close(std::uint64_t id) {
    const Connection* connection = connections_.find(id);
    if (connection != nullptr && connection->feed) --feeds_;
    connections_.close(id);
}

void Control::on_connection(std::uint64_t id, std::uint32_t events, const Now& now) {
    Connection* const found = connections_.find(id);
    if (found == nullptr) return;
    Connection& connection = *found;
    if ((events & (EPOLLHUP | EPOLLERR)) != 0 && (events & EPOLLIN) == 0) {
        // What was asked before it left is still to be done, once it can be.
        if (!connection.held) close(id);
        return;
    }
    if ((events & EPOLLIN) != 0) connection.read(now);
    if ((events & EPOLLOUT) != 0) write_to(connection, now);
    serve(id, connection, now);
}

// Takes calls as long as none of them waits and the replies leave.
void Control::serve(std::uint64_t id, Connection& connection, const Now& now) {
    while (!connection.closing && connection.is_free() && connection.out.empty()) {
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
    const Asker asker{id, connection, call->oneway, now};
    std::visit([&](auto&& one) { on(asker, std::forward<decltype(one)>(one)); },
               answer(*call, requester, engine_, places_, now));
}

void Control::on(const Asker& asker, Say&& say) {
    if (!asker.oneway) asker.connection.out += say.message;
}

void Control::on(const Asker& asker, Vouch&& vouch) {
    if (vouch_) vouch_(vouch.word);
    if (!asker.oneway) asker.connection.out += vouch.message;
}

Control::Waiting& Control::wait(const Asker& asker, Manner manner) {
    Waiting& waiting = asker.connection.waiting.emplace();
    waiting.call = ++last_call_;
    waiting.manner = std::move(manner);
    waiting.oneway = asker.oneway;
    return waiting;
}

void Control::on(const Asker& asker, Ask&& ask) {
    const Ticket ticket{asker.id, wait(asker, std::move(ask.manner)).call};
    for (std::size_t i = 0; i < ask.inputs.size(); ++i) {
        const bool last = i + 1 == ask.inputs.size();
        inbox_.push(InputClass::request, std::move(ask.inputs[i]), last ? ticket : Ticket{});
    }
}

void Control::on(const Asker& asker, Join&& join) {
    Waiting& waiting = wait(asker, std::move(join.manner));
    waiting.operation = join.operation;
    const model::Operation* operation = engine_.operation(join.operation);
    if (operation != nullptr && (operation->outcome != model::Outcome::pending || !waiting.manner.wait))
        settle(asker.connection, *operation);
}

const std::string& Control::status_of_all(const varlink::Call& call, const model::Requester& requester,
                                          const Now& now) {
    if (cached_version_ != version_) {
        cached_status_ = std::get<Say>(answer(call, requester, engine_, places_, now)).message;
        cached_version_ = version_;
    }
    return cached_status_;
}

// Whoever made this call, if he is there and still waits for its answer.
Control::Connection* Control::waits_for(const Ticket& ticket) {
    Connection* const connection = connections_.find(ticket.connection);
    const bool waits = connection != nullptr && connection->waiting && connection->waiting->call == ticket.call;
    return waits ? connection : nullptr;
}

void Control::stepped(const Ticket& ticket, OperationId operation) {
    Connection* const connection = waits_for(ticket);
    if (connection == nullptr) return;
    connection->waiting->operation = operation;
    const model::Operation* made = engine_.operation(operation);
    if (made == nullptr) return;  // ended in the same turn, and forgotten: ended() tells
    if (made->outcome != model::Outcome::pending || !connection->waiting->manner.wait) settle(*connection, *made);
}

void Control::refuse(const Ticket& ticket) {
    Connection* const connection = waits_for(ticket);
    if (connection == nullptr) return;
    const bool oneway = connection->waiting->oneway;
    connection->waiting.reset();
    if (oneway) return;
    connection->out += control::error_message({ErrorKind::refused,
                                               "managers have died of this request, so it is not carried out any more",
                                               0, "`abide generation` says what is quarantined; upgrading forgets it"});
}

// The last reply to the call that waits.
void Control::settle(Connection& connection, const model::Operation& operation) {
    const Waiting waiting = std::move(*connection.waiting);
    connection.waiting.reset();
    if (waiting.oneway) return;
    const auto& changes = waiting.manner.changes;
    connection.out += changes ? apply_message(operation, *changes) : operation_message(engine_, operation, true);
}

void Control::ended(const model::Operation& operation) {
    for (auto& [id, connection] : connections_) {
        if (connection.waiting && connection.waiting->operation == operation.id) settle(connection, operation);
    }
}

void Control::tell_progress(Connection& connection) {
    Waiting& waiting = *connection.waiting;
    if (!waiting.manner.progress || waiting.oneway || !connection.out.empty()) return;
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
        // A call that wanted no reply is over without one: the next is listened for.
        const bool over = connection.is_free() && connection.watched == 0;
        if (connection.out.empty() && !over) continue;
        write_to(connection, now);
        serve(id, connection, now);
    }
}

void Control::on(const Asker& asker, Follow&& follow) {
    if (asker.oneway) return;
    Connection& connection = asker.connection;
    Result<EventFeed> made = event_folder_ < 0
                                 ? fail(ErrorKind::failed, "the event log can't be read at the moment")
                                 : EventFeed::make(follow.events, event_folder_, last_event_, asker.now.wall.ns);
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
    replied_ += connection.write(now);
}

// What to be woken for, and whether somebody must hurry.
void Control::update(std::uint64_t id, Connection& connection) {
    // While a call waits nothing more is read: EPOLLHUP still tells when the client leaves.
    const bool reads = connection.is_free() && !connection.closing;
    // Who subscribed may read as slowly as he likes: what he has not read yet lies in the files.
    const bool hurries = !connection.feed && !connection.held &&
                         (!connection.out.empty() || (!connection.waiting && !connection.reader.pending().empty()));
    // One that can't be listened to is closed: its client comes again.
    if (!connections_.watch(id, connection, reads, hurries)) close(id);
}

Mono Control::next_deadline() const {
    Mono next = connections_.accepts_at();
    for (const auto& [id, connection] : connections_) {
        if (connection.feed && connection.out.empty() && connection.feed->behind(last_event_)) return Mono{};
        next = std::min(next, connection.stalled);
        if (connection.waiting && connection.waiting->manner.until)
            next = std::min(next, *connection.waiting->manner.until);
    }
    return next;
}

void Control::expire(const Now& now) {
    for (const std::uint64_t id : connections_.expire(now)) close(id);
    for (auto& [id, connection] : connections_) {
        if (!connection.waiting || !connection.waiting->manner.until || *connection.waiting->manner.until > now.mono)
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
