// manager/probe_target.hpp -- what an HTTP probe asks, and what the server answered.  Pure text; knows no socket.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace abide::manager {

struct HttpTarget {
    std::string host_port;  // "HOST:PORT"
    std::string authority;  // as written, for the Host header
    std::string path;       // begins with '/'
    bool operator==(const HttpTarget&) const = default;
};

// "http://HOST[:PORT][/PATH][?QUERY]"; other schemes and user names are refused.
Result<HttpTarget> parse_http_target(std::string_view text);
// The request that asks for it and closes.
std::string http_request(const HttpTarget& target);
// The status code of a reply whose first bytes are `head`; nullopt while the status line is not complete, 0 when it is
// no HTTP.
std::optional<int> http_status(std::string_view head);

}  // namespace abide::manager
