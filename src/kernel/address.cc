// kernel/address.cc -- from words to socket addresses, without a name service; see socket.hpp.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>

#include "kernel/files.hpp"
#include "kernel/socket.hpp"

namespace abide::kernel {
namespace {

constexpr std::size_t kHostsBytes = 4u << 20;

std::unexpected<Error> bad(std::string_view text, const char* why) {
    return fail(ErrorKind::usage, "not a socket address: " + std::string(text) + " (" + why + ")");
}

void set_ipv4(Address& out, in_addr ip, std::uint16_t port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr = ip;
    a.sin_port = htons(port);
    std::memcpy(&out.storage, &a, sizeof(a));
    out.size = sizeof(a);
    out.family = AF_INET;
}

void set_ipv6(Address& out, const in6_addr& ip, std::uint16_t port) {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_addr = ip;
    a.sin6_port = htons(port);
    std::memcpy(&out.storage, &a, sizeof(a));
    out.size = sizeof(a);
    out.family = AF_INET6;
}

bool set_numeric(Address& out, const std::string& host, std::uint16_t port) {
    in_addr v4{};
    in6_addr v6{};
    if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) {
        set_ipv4(out, v4, port);
        return true;
    }
    if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
        set_ipv6(out, v6, port);
        return true;
    }
    return false;
}

// The first address of the name in hosts(5).
bool set_from_hosts(Address& out, std::string_view host, std::uint16_t port, const std::string& file) {
    const Result<std::string> text = read_file(file, kHostsBytes);
    if (!text) return false;
    std::string_view rest = *text;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        line = line.substr(0, line.find('#'));
        std::string ip;
        for (std::size_t at = 0; (at = line.find_first_not_of(" \t\r", at)) != std::string_view::npos;) {
            const std::size_t stop = std::min(line.find_first_of(" \t\r", at), line.size());
            const std::string_view word = line.substr(at, stop - at);
            at = stop;
            if (ip.empty()) {
                ip = word;
            } else if (word == host && set_numeric(out, ip, port)) {
                return true;
            }
        }
    }
    return false;
}

Result<Address> parse_host_port(std::string_view text, int type, const std::string& hosts_file) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return bad(text, "no port");
    std::string_view host = text.substr(0, colon);
    const std::string_view digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || end != digits.data() + digits.size())
        return bad(text, "the port is not a number up to 65535");
    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (!bracketed && host.find(':') != std::string_view::npos) return bad(text, "an IPv6 host stands in brackets");
    Address out;
    out.type = type;
    if (host.empty() || host == "*") host = "0.0.0.0";
    if (set_numeric(out, std::string(host), port)) return out;
    if (set_from_hosts(out, host, port, hosts_file)) return out;
    if (host == "localhost" && set_numeric(out, "127.0.0.1", port)) return out;
    return fail(ErrorKind::not_found, "no address of the host " + std::string(host),
                "use a number, or add the name to " + hosts_file + ": no name service is asked");
}

Result<Address> parse_unix(std::string_view path) {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    if (path.empty() || path.find('\0') != std::string_view::npos) return bad(path, "an empty path");
    if (path.size() >= sizeof(a.sun_path)) {
        return fail(ErrorKind::usage, "the path of a unix socket is longer than 107 bytes: " + std::string(path));
    }
    std::memcpy(a.sun_path, path.data(), path.size());
    Address out;
    out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    if (path.front() == '@') {
        a.sun_path[0] = '\0';  // abstract: no file, and no terminating zero in its length
        --out.size;
    }
    std::memcpy(&out.storage, &a, sizeof(a));
    out.family = AF_UNIX;
    out.type = SOCK_STREAM;
    return out;
}

}  // namespace

Result<Address> parse_address(std::string_view text, const std::string& hosts_file) {
    const std::size_t colon = text.find(':');
    const std::string_view kind = text.substr(0, colon == std::string_view::npos ? 0 : colon);
    const std::string_view rest = text.substr(colon == std::string_view::npos ? text.size() : colon + 1);
    Result<Address> out = bad(text, "it starts with tcp:, udp: or unix:");
    if (kind == "tcp") out = parse_host_port(rest, SOCK_STREAM, hosts_file);
    if (kind == "udp") out = parse_host_port(rest, SOCK_DGRAM, hosts_file);
    if (kind == "unix") out = parse_unix(rest);
    if (out) out->text = text;
    return out;
}

Result<Address> parse_tcp(std::string_view host_port, const std::string& hosts_file) {
    Result<Address> out = parse_host_port(host_port, SOCK_STREAM, hosts_file);
    if (out) out->text = "tcp:" + std::string(host_port);
    return out;
}

}  // namespace abide::kernel
