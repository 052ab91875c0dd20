// manager/probe_target.cc -- see the header.  Invariant: nothing that could be read as a second header gets into a
// request.
#include "manager/probe_target.hpp"

#include <algorithm>
#include <charconv>

namespace abide::manager {

namespace {

constexpr std::string_view kHttpScheme = "http://";
constexpr std::size_t kStatusLineBytes = 12;  // "HTTP/1.1 200"

bool is_printable(std::string_view text) {
    return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; });
}

bool has_port(std::string_view authority) {
    const std::size_t colon = authority.rfind(':');
    const std::size_t bracket = authority.rfind(']');
    return colon != std::string_view::npos && (bracket == std::string_view::npos || bracket < colon);
}

}  // namespace

Result<HttpTarget> parse_http_target(std::string_view text) {
    if (!text.starts_with(kHttpScheme)) {
        return fail(ErrorKind::usage, "'" + std::string(text) + "' is not an http:// URL",
                    "use an exec probe for others");
    }
    const std::string_view rest = text.substr(kHttpScheme.size());
    const std::size_t end = rest.find_first_of("/?#");
    const std::string_view authority = rest.substr(0, end);
    if (authority.empty() || authority.find('@') != std::string_view::npos || !is_printable(rest)) {
        return fail(ErrorKind::usage, "'" + std::string(text) + "' is not a URL that a probe can ask");
    }
    std::string path(end == std::string_view::npos ? "/" : rest.substr(end));
    if (!path.starts_with('/')) path.insert(path.begin(), '/');
    if (const std::size_t fragment = path.find('#'); fragment != std::string::npos) path.resize(fragment);
    std::string host_port(authority);
    if (!has_port(authority)) host_port += ":80";
    return HttpTarget{std::move(host_port), std::string(authority), std::move(path)};
}

std::string http_request(const HttpTarget& target) {
    return "GET " + target.path + " HTTP/1.1\r\nHost: " + target.authority +
           "\r\nUser-Agent: abide\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}

std::optional<int> http_status(std::string_view head) {
    constexpr std::string_view kStart = "HTTP/1.";
    const std::size_t shared = std::min(head.size(), kStart.size());
    if (head.substr(0, shared) != kStart.substr(0, shared)) return 0;
    if (head.size() < kStatusLineBytes) return std::nullopt;
    int status = 0;
    const char* const digits = head.data() + kStatusLineBytes - 3;
    const auto [end, error] = std::from_chars(digits, digits + 3, status);
    if (head[kStart.size() + 1] != ' ' || error != std::errc{} || end != digits + 3) return 0;
    return status;
}

}  // namespace abide::manager
