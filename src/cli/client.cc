// cli/client.cc -- see client.hpp.
#include "cli/client.hpp"

#include <array>
#include <cerrno>

#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/program.hpp"
#include "kernel/socket.hpp"
#include "kernel/users.hpp"

namespace abide::cli {

namespace {

constexpr Duration kPatience = seconds(30);           // for replies that need no waiting
constexpr Duration kReconnectPatience = seconds(15);  // for a new manager to come
constexpr std::size_t kReadBytes = 64u << 10;

std::unexpected<Error> gone() {
    return fail(ErrorKind::unreachable, "the supervisor went away before it answered",
                "ask `abide status`; what was asked may have happened");
}

// A supervisor that answers like that is on its way out: what comes after it will know.
std::unexpected<Error> nonsense() {
    return fail(ErrorKind::unreachable, "the supervisor's answer makes no sense",
                "it may be of another version: compare `abide version` on both sides");
}

Error unreachable(const std::string& path, const Error& cause) {
    Error out = cause;
    if (cause.err == EACCES || cause.err == EPERM) {
        out.kind = ErrorKind::not_permitted;
        out.what = "the control socket " + path + " is not open to you";
        out.advice = "ask its owner for [control] read or operate";
    } else {
        out.kind = ErrorKind::unreachable;
        out.what = "no supervisor answers on " + path;
        out.advice = "start it with `abide up`, or name another instance with -C, --user or --system";
    }
    return out;
}

// A call that only looks may be repeated as it is; the others have a `request` to be known by.
bool only_reads(control::Method method) {
    return control::info(method).permission == model::Permission::read || method == control::Method::plan ||
           method == control::Method::state || method == control::Method::cancel;
}

constexpr int kAttempts = 1000;  // of one request: 20 seconds, for a supervisor that is rolled back
constexpr Duration kBetweenAttempts = milliseconds(20);

}  // namespace

Result<Connection> Connection::open(const std::string& path) {
    auto fd = kernel::connect_unix(path);
    if (!fd) return std::unexpected(unreachable(path, fd.error()));
    const auto peer = kernel::peer_of(fd->get());
    if (!peer) return std::unexpected(peer.error());
    if (peer->uid != 0 && peer->uid != kernel::effective_uid()) {
        return fail(ErrorKind::not_permitted,
                    "the server on " + path + " is of user " + kernel::user_name(peer->uid) + ", neither root nor you",
                    "check ABIDE_SOCKET and the owner of that folder");
    }
    if (const Status set = kernel::set_nonblocking(fd->get()); !set) return std::unexpected(set.error());
    return Connection(std::move(*fd));
}

Status Connection::send(std::string_view message, Mono deadline) {
    while (!message.empty()) {
        const auto sent = kernel::write_some(fd_.get(), message.data(), message.size());
        if (!sent)
            return sent.error().err == EPIPE || sent.error().err == ECONNRESET ? gone() : std::unexpected(sent.error());
        message.remove_prefix(*sent);
        if (*sent > 0) continue;
        if (kernel::mono_now() >= deadline)
            return fail(ErrorKind::timed_out, "the supervisor does not take the request");
        kernel::sleep_for(milliseconds(2));
    }
    return {};
}

Result<varlink::Reply> Connection::receive(Mono deadline) {
    std::array<char, kReadBytes> buffer;
    for (;;) {
        if (const auto message = reader_.next()) {
            auto reply = varlink::parse_reply(*message);
            return reply ? std::move(reply) : nonsense();
        }
        const auto got = kernel::read_some(fd_.get(), buffer.data(), buffer.size());
        if (!got) return got.error().err == ECONNRESET ? gone() : std::unexpected(got.error());
        if (*got == 0) return gone();
        if (*got != kernel::kNothingNow) {
            if (const Status fed = reader_.feed({buffer.data(), *got}); !fed) return std::unexpected(fed.error());
            continue;
        }
        const int fd = fd_.get();
        const auto ready = kernel::wait_readable({&fd, 1}, deadline);
        if (!ready) return std::unexpected(ready.error());
        if (!*ready && kernel::mono_now() >= deadline)
            return fail(ErrorKind::timed_out, "the supervisor does not answer in time");
    }
}

Result<Connection> Client::reconnect() {
    const Mono deadline = kernel::mono_now() + kReconnectPatience;
    for (;;) {
        auto connection = Connection::open(path_);
        if (connection || connection.error().kind != ErrorKind::unreachable || kernel::mono_now() >= deadline)
            return connection;
        kernel::sleep_for(milliseconds(20));
    }
}

Result<std::string> Client::named(control::Method method, const std::string& parameters) {
    if (only_reads(method) || parameters.size() < 2) return parameters;
    std::array<unsigned char, 16> drawn{};
    if (const Status got = kernel::random_bytes(drawn.data(), drawn.size()); !got) return std::unexpected(got.error());
    std::string out = parameters.substr(0, parameters.size() - 1);
    // Of two members with one name the last counts, and the one that is there is empty.
    out += parameters.size() > 2 ? ",\"request\":\"" : "\"request\":\"";
    for (const unsigned char byte : drawn) {
        out += "0123456789abcdef"[byte >> 4];
        out += "0123456789abcdef"[byte & 15];
    }
    return out + "\"}";
}

Result<varlink::Reply> Client::call_text(control::Method method, const std::string& parameters) {
    const Result<std::string> request = named(method, parameters);
    if (!request) return std::unexpected(request.error());
    const std::string message = varlink::build_call(control::info(method).name, *request == "{}" ? "" : *request);
    for (int attempt = 0;; ++attempt) {
        auto connection = Connection::open(path_);
        if (!connection) return std::unexpected(connection.error());
        const Mono deadline = kernel::mono_now() + kPatience;
        Result<varlink::Reply> reply = varlink::Reply{};
        if (const Status sent = connection->send(message, deadline); !sent)
            reply = std::unexpected(sent.error());
        else
            reply = connection->receive(deadline);
        const bool lost = !reply && reply.error().kind == ErrorKind::unreachable;
        if (lost && attempt < kAttempts) {
            kernel::sleep_for(kBetweenAttempts);
            continue;
        }
        if (!reply) return reply;
        if (!reply->error.empty()) return std::unexpected(control::error_of(*reply));
        return reply;
    }
}

Result<control::OperationReply> Client::follow(Connection& connection, std::int64_t& operation,
                                               const Progress& progress) {
    for (;;) {
        const auto reply = connection.receive(kNever);
        if (!reply) return std::unexpected(reply.error());
        if (!reply->error.empty()) return std::unexpected(control::error_of(*reply));
        auto value = control::read<control::OperationReply>(reply->parameters);
        if (!value || (operation != 0 && value->operation != operation)) return nonsense();
        operation = value->operation;
        if (!reply->continues) return std::move(*value);
        if (progress) progress(*value);
    }
}

Result<control::OperationReply> Client::operate(control::Method method, const std::string& parameters,
                                                const Progress& progress) {
    auto connection = Connection::open(path_);
    if (!connection) return std::unexpected(connection.error());
    const Result<std::string> request = named(method, parameters);
    if (!request) return std::unexpected(request.error());
    std::int64_t operation = 0;
    std::string message = varlink::build_call(control::info(method).name, *request, true);
    for (int attempt = 0;; ++attempt) {
        Result<control::OperationReply> ended{};
        if (const Status sent = connection->send(message, kernel::mono_now() + kPatience); !sent)
            ended = std::unexpected(sent.error());
        else
            ended = follow(*connection, operation, progress);
        const bool lost = !ended && ended.error().kind == ErrorKind::unreachable;
        // After a lost Down there may be nobody to come back: the caller looks at the lock.
        if (!lost || method == control::Method::down || (operation == 0 && attempt >= kAttempts)) return ended;
        kernel::sleep_for(kBetweenAttempts);
        connection = reconnect();
        if (!connection) return std::unexpected(connection.error());
        if (operation != 0) {
            message = varlink::build_call(control::info(control::Method::wait).name,
                                          control::write(control::OperationRequest{operation, {}}), true);
        }
    }
}

bool is_supervised(const Places& places) {
    if (places.forced_socket) return true;
    const auto locked = kernel::is_locked(places.lock_file());
    return locked ? *locked : answers(places.control);
}

bool answers(const std::string& socket_path) {
    Client client(socket_path);
    return client.call<control::PingReply>(control::Method::ping, control::Nothing{}).has_value();
}

}  // namespace abide::cli
