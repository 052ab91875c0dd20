// protocol/varlink.hpp -- the Varlink wire (varlink.org): JSON objects, each ended by one NUL byte, on a stream.
//
// Owns framing, the envelope of calls and replies, and the service that every Varlink server offers
// (org.varlink.service). Knows no socket, no clock and no method of ours (protocol/control.hpp).  Invariant: whatever
// bytes come in, memory is bounded by the reader's limit, and whatever is built here is valid UTF-8 JSON with exactly
// one NUL, at its end.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/limits.hpp"
#include "base/result.hpp"

namespace abide::varlink {

// Cuts a stream of bytes into messages.  Keeps a half message until the rest comes.  Messages not taken by next() are
// kept too, so a server takes them all, or stops reading, before it feeds more.
class MessageReader {
  public:
    explicit MessageReader(std::size_t limit = limits::kRequestBytes) : limit_(limit) {}

    // Takes bytes as they were read, any cut.  Fails (refused) as soon as one message is known to be longer than the
    // limit; the stream is then useless and the connection should be closed after an error reply.
    Status feed(std::string_view bytes);
    // The next complete message without its NUL, or nullopt.  The view is good until the next call of feed or next.
    std::optional<std::string_view> next();
    // For a peer that turned out to be an administrator.
    void set_limit(std::size_t limit) { limit_ = limit; }
    // Bytes fed and not yet given out: a half message, for handing the connection on, or for a read timeout.
    std::string_view pending() const { return std::string_view(buffer_).substr(start_); }

  private:
    std::string buffer_;
    std::size_t limit_;
    std::size_t start_ = 0;    // of the first message not given out
    std::size_t scanned_ = 0;  // no NUL in [start_, scanned_)
    std::size_t tail_ = 0;     // bytes after the last NUL fed
};

struct Call {
    std::string method;              // "io.abide.Control.Status"
    boost::json::object parameters;  // absent, null and {} are all {}
    bool more = false;               // several replies are welcome
    bool oneway = false;             // no reply at all
    bool upgrade = false;            // never offered by us
};

struct Reply {
    boost::json::object parameters;
    std::string error;       // empty: a success
    bool continues = false;  // another reply follows
};

// A refusal means that the peer does not speak Varlink: close the connection.
Result<Call> parse_call(std::string_view message);
Result<Reply> parse_reply(std::string_view message);

// Messages as they go on the wire, with their NUL.  `parameters` is the text of a JSON object, or empty for none.
std::string build_call(std::string_view method, std::string_view parameters, bool more = false, bool oneway = false);
std::string build_reply(std::string_view parameters, bool continues = false);
std::string build_error(std::string_view error, std::string_view parameters);

// The errors of org.varlink.service, as whole messages.
std::string interface_not_found(std::string_view interface_name);
std::string method_not_found(std::string_view method);
std::string method_not_implemented(std::string_view method);
std::string invalid_parameter(std::string_view parameter);
std::string permission_denied();
std::string expected_more();

inline constexpr std::string_view kInterfaceNotFound = "org.varlink.service.InterfaceNotFound";
inline constexpr std::string_view kMethodNotFound = "org.varlink.service.MethodNotFound";
inline constexpr std::string_view kMethodNotImplemented = "org.varlink.service.MethodNotImplemented";
inline constexpr std::string_view kInvalidParameter = "org.varlink.service.InvalidParameter";
inline constexpr std::string_view kPermissionDenied = "org.varlink.service.PermissionDenied";
inline constexpr std::string_view kExpectedMore = "org.varlink.service.ExpectedMore";

struct Interface {
    std::string_view name;
    std::string_view description;  // the IDL
};
struct ServiceInfo {
    std::string_view vendor, product, version, url;
    std::span<const Interface> interfaces;  // without org.varlink.service
};
// The reply message to a call of org.varlink.service (GetInfo, GetInterfaceDescription), or to one of an interface or
// with a method name that nobody here has (InterfaceNotFound, MethodNotFound, InvalidParameter); nullopt when one of
// info.interfaces is asked: then the caller dispatches.
std::optional<std::string> answer_service(const Call& call, const ServiceInfo& info);

// "io.abide.Control.Status" -> "io.abide.Control"; empty when there is no dot.
std::string_view interface_of(std::string_view method);

// Appends text as a JSON string with quotes.  Bytes that are not UTF-8 become U+FFFD, so the result is always valid.
void append_json_string(std::string& out, std::string_view text);

}  // namespace abide::varlink
