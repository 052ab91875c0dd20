// kernel/socket.hpp -- sockets.  Hosts are numeric, "localhost", or names of /etc/hosts: nothing here asks a name
// service. Descriptors that arrive are close-on-exec; a truncated message is an error and leaves none behind.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/fd.hpp"

namespace abide::kernel {

inline constexpr std::size_t kFdsPerMessage = 128;

// A parsed "tcp:HOST:PORT", "udp:HOST:PORT" or "unix:PATH" ("unix:@NAME" is abstract).
struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
    int family = 0;
    int type = 0;  // SOCK_STREAM or SOCK_DGRAM
    std::string text;
};
Result<Address> parse_address(std::string_view text, const std::string& hosts_file = "/etc/hosts");
// "HOST:PORT" with the same hosts; an IPv6 host stands in brackets.  An empty host or "*" is every address.
Result<Address> parse_tcp(std::string_view host_port, const std::string& hosts_file = "/etc/hosts");

// A listening or bound socket; nonblocking.  A stale unix socket file (nobody listens) is replaced, a live one is
// refused. mode: permission bits of a unix socket, -1 by umask.
Result<Fd> listen_on(const Address& address, int backlog = 4096, int mode = -1);
// The mode of a socket's file from now on: who may connect (unix(7)).  Refused, when what stands there is not a socket
// of ours that has no second name.
Status set_socket_mode(const std::string& path, int mode);
Result<Fd> listen_unix(const std::string& path, int mode, int type = SOCK_STREAM, int backlog = 4096);
// A datagram socket that receives sd_notify messages, with SO_PASSCRED and a receive buffer of its own.
Result<Fd> bind_notify(const std::string& path, int mode);
// Not refused, only "would block": nullopt.
Result<std::optional<Fd>> accept_connection(int listener);

// Starts to connect; EINPROGRESS is success, ask connect_result when it is writable.
Result<Fd> connect_nonblocking(const Address& address);
// 0, or the errno of the connection attempt.
int connect_result(int fd);
// Blocking, for the command line.
Result<Fd> connect_unix(const std::string& path, int type = SOCK_STREAM);
Result<std::pair<Fd, Fd>> make_socket_pair(int type = SOCK_SEQPACKET, bool nonblocking = false);

struct Peer {
    std::uint32_t uid = 0, gid = 0;
    pid_t pid = 0;
    bool known = false;
};
Result<Peer> peer_of(int connection);
Result<std::vector<std::uint32_t>> peer_groups(int connection);
// A pidfd of the peer where the kernel has SO_PEERPIDFD (6.5); else opened by pid, which may name a successor.
Result<Fd> peer_pidfd(int connection);
Status enable_credentials(int fd);
Status enable_pidfds(int fd);  // SCM_PIDFD with each message; fails where the kernel has none

struct Received {
    std::size_t size = 0;      // bytes; 0 with end_of_stream false is an empty datagram
    bool nothing_now = false;  // would block
    bool end_of_stream = false;
    bool cut = false;  // the message was longer than the buffer, or some descriptors could not be taken
    std::vector<Fd> fds;
    Peer sender;      // when credentials came along
    Fd sender_pidfd;  // when a pidfd came along
};
// A message that doesn't fit the buffer, or whose control data was cut, is an error.
Result<Received> receive(int fd, std::span<std::byte> buffer);
// Likewise, but such a message is given with `cut`: for senders whose descriptors must not be closed here.
Result<Received> receive_even_cut(int fd, std::span<std::byte> buffer);
// A message of a datagram socket, which stays there: the one after so many bytes of others, or the first (-1), whatever
// was looked at before.  Fails where the kernel has no SO_PEEK_OFF.
Result<Received> look(int fd, std::span<std::byte> buffer, int offset);
// Takes the first message away, unread.
Status drop_message(int fd);
// Sends one message; false when it would block.  At most kFdsPerMessage descriptors.
Result<bool> send(int fd, std::span<const std::byte> data, std::span<const int> fds = {});
// The other side is not there any more: nothing that was to be said will ever be heard.
bool peer_gone(const Error& error);
// One write to a stream socket, without a signal when nobody reads; 0 when it would block.
Result<std::size_t> send_some(int fd, const void* data, std::size_t size);

}  // namespace abide::kernel
