// cli/client.hpp -- one connection to a supervisor, for one call after the other.
//
// Owns the socket and the talk.  Speaks only to a server that is root or ourselves.  A supervisor whose manager is
// replaced in mid-call is asked again: by the operation's number once that is known, else by the name that the client
// gave its request, so that nothing is done twice.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"
#include "cli/places.hpp"
#include "kernel/fd.hpp"
#include "protocol/control.hpp"

namespace abide::cli {

// One message on its way to a supervisor and its replies; no second chances.
class Connection {
  public:
    // unreachable: nobody listens; not_permitted: the socket is closed to us, or the server is somebody else.
    static Result<Connection> open(const std::string& path);
    Status send(std::string_view message, Mono deadline);
    // The next reply.  unreachable: the server hung up; timed_out.
    Result<varlink::Reply> receive(Mono deadline);
    // Readable when a reply, or the end, has come.
    [[nodiscard]] int fd() const { return fd_.get(); }
    // A complete reply has been read already.
    bool buffered() const { return reader_.pending().find('\0') != std::string_view::npos; }

  private:
    explicit Connection(kernel::Fd fd) : fd_(std::move(fd)), reader_(limits::kMessageBytes) {}
    kernel::Fd fd_;
    varlink::MessageReader reader_;
};

using Progress = std::function<void(const control::OperationReply&)>;

class Client {
  public:
    explicit Client(std::string socket_path) : path_(std::move(socket_path)) {}

    // A call with one reply.  An error of the supervisor comes back as its Error.
    template <class Reply, class Request>
    Result<Reply> call(control::Method method, const Request& request) {
        auto reply = call_text(method, control::write(request));
        if (!reply) return std::unexpected(reply.error());
        auto value = control::read<Reply>(reply->parameters);
        if (!value) return fail(ErrorKind::failed, "the supervisor's reply has a wrong `" + value.error() + "`");
        return std::move(*value);
    }
    // The raw reply, for --json.
    Result<varlink::Reply> call_text(control::Method method, const std::string& parameters);
    // A call that waits for an operation; `progress` hears what it waits for meanwhile.
    Result<control::OperationReply> operate(control::Method method, const std::string& parameters,
                                            const Progress& progress);

    const std::string& path() const { return path_; }

  private:
    // With a name of its own, so that it may be asked again: see UpgradeRequest::request and the others.
    static Result<std::string> named(control::Method method, const std::string& parameters);
    Result<control::OperationReply> follow(Connection& connection, std::int64_t& operation, const Progress& progress);
    Result<Connection> reconnect();

    std::string path_;
};

// Somebody listens there and answers Ping.
bool answers(const std::string& socket_path);
// There is a supervisor of that instance, even one that does not answer just now.
bool is_supervised(const Places& places);

}  // namespace abide::cli
