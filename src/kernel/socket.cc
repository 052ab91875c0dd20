// kernel/socket.cc -- making sockets and speaking through them; see socket.hpp.
#include "kernel/socket.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "kernel/process.hpp"

namespace abide::kernel {
namespace {

// Newer than the C library's headers: socket(7), unix(7).
constexpr int kPassPidfd = 76;  // SO_PASSPIDFD, 6.5
constexpr int kPeerPidfd = 77;  // SO_PEERPIDFD, 6.5
constexpr int kScmPidfd = 4;    // SCM_PIDFD
constexpr int kNotifyBuffer = 1 << 20;

std::unexpected<Error> cannot(const char* verb, const std::string& what) {
    return fail_errno(errno, std::string("can't ") + verb + " " + what);
}

const sockaddr* raw(const Address& a) {
    return reinterpret_cast<const sockaddr*>(&a.storage);
}

std::string unix_path(const Address& a) {
    sockaddr_un u{};
    std::memcpy(&u, &a.storage, sizeof(u));
    return u.sun_path[0] == '\0' ? std::string() : std::string(u.sun_path);
}

// A socket file that nobody listens on is left by a crash; it is replaced.  A live one is not.
Status clear_stale(const Address& address, int type) {
    const std::string path = unix_path(address);
    struct stat info{};
    if (path.empty() || ::lstat(path.c_str(), &info) != 0) return {};
    if (!S_ISSOCK(info.st_mode)) return fail(ErrorKind::refused, path + " is not a socket", "move it away");
    const Fd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe) return cannot("make", "a socket");
    // EPROTOTYPE: a live socket of another type.
    const bool dead = ::connect(probe.get(), raw(address), address.size) != 0 && errno == ECONNREFUSED;
    if (!dead) return fail(ErrorKind::refused, "somebody listens on " + path + " already");
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return cannot("remove", path);
    return {};
}

Result<Fd> bind_socket(const Address& address, int type, int mode) {
    Fd fd(::socket(address.family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return cannot("make", "a socket");
    const int one = 1;
    if (address.family == AF_UNIX) {
        if (Status s = clear_stale(address, type); !s) return std::unexpected(s.error());
        // The file is born with the mode of the socket, less the umask, so that it is never open to more than asked.
        if (mode >= 0 && ::fchmod(fd.get(), static_cast<mode_t>(mode)) != 0) return cannot("protect", address.text);
    } else if (type == SOCK_STREAM) {
        ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    }
    if (::bind(fd.get(), raw(address), address.size) != 0) return cannot("bind", address.text);
    if (address.family == AF_UNIX && mode >= 0 && !unix_path(address).empty()) {
        if (Status open = set_socket_mode(unix_path(address), mode); !open) return std::unexpected(open.error());
    }
    return fd;
}

void take_control(const msghdr& message, Received& out) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(const_cast<msghdr*>(&message), c)) {
        if (c->cmsg_level != SOL_SOCKET) continue;
        const std::size_t size = c->cmsg_len - CMSG_LEN(0);
        if (c->cmsg_type == SCM_RIGHTS) {
            for (std::size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
                int number = -1;
                std::memcpy(&number, CMSG_DATA(c) + at, sizeof(number));
                out.fds.emplace_back(number);
            }
        } else if (c->cmsg_type == SCM_CREDENTIALS && size >= sizeof(ucred)) {
            ucred credentials{};
            std::memcpy(&credentials, CMSG_DATA(c), sizeof(credentials));
            out.sender = Peer{credentials.uid, credentials.gid, credentials.pid, true};
        } else if (c->cmsg_type == kScmPidfd && size >= sizeof(int)) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(c), sizeof(number));
            out.sender_pidfd = Fd(number);
        }
    }
}

}  // namespace

// The rest of the mode, which the umask took away at its birth, or another one later.  The folder may be somebody
// else's, who puts another thing in its place.
Status set_socket_mode(const std::string& path, int mode) {
    const Fd file(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info{};
    if (!file || ::fstat(file.get(), &info) != 0) return cannot("look at", path);
    if ((info.st_mode & 07777) == static_cast<mode_t>(mode)) return {};
    const bool ours = S_ISSOCK(info.st_mode) && info.st_nlink == 1 && info.st_uid == ::geteuid();
    if (!ours) return fail(ErrorKind::refused, path + " is not a socket of ours");
    const std::string by_number = "/proc/self/fd/" + std::to_string(file.get());
    if (::chmod(by_number.c_str(), static_cast<mode_t>(mode)) != 0) return cannot("protect", path);
    return {};
}

Result<Fd> listen_on(const Address& address, int backlog, int mode) {
    Result<Fd> fd = bind_socket(address, address.type, mode);
    if (fd && address.type != SOCK_DGRAM && ::listen(fd->get(), backlog) != 0) return cannot("listen on", address.text);
    return fd;
}

Result<Fd> listen_unix(const std::string& path, int mode, int type, int backlog) {
    Result<Address> address = parse_address("unix:" + path);
    if (!address) return std::unexpected(address.error());
    address->type = type;
    return listen_on(*address, backlog, mode);
}

Result<Fd> bind_notify(const std::string& path, int mode) {
    const Result<Address> address = parse_address("unix:" + path);
    if (!address) return std::unexpected(address.error());
    Result<Fd> fd = bind_socket(*address, SOCK_DGRAM, mode);
    if (!fd) return fd;
    if (Status s = enable_credentials(fd->get()); !s) return std::unexpected(s.error());
    // Best effort: without the privilege the buffer is bounded by a system setting.
    if (::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUFFORCE, &kNotifyBuffer, sizeof(kNotifyBuffer)) != 0) {
        ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &kNotifyBuffer, sizeof(kNotifyBuffer));
    }
    return fd;
}

Result<std::optional<Fd>> accept_connection(int listener) {
    for (int round = 0; round < 16; ++round) {
        Fd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (fd) return std::optional<Fd>(std::move(fd));
        if (errno == EAGAIN) return std::optional<Fd>();
        // The client went away in the meantime, or an error of its network: accept(2).
        const bool passing = errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == ENETDOWN;
        if (!passing) return cannot("accept", "a connection");
    }
    return std::optional<Fd>();
}

Result<Fd> connect_nonblocking(const Address& address) {
    Fd fd(::socket(address.family, address.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return cannot("make", "a socket");
    if (::connect(fd.get(), raw(address), address.size) != 0 && errno != EINPROGRESS && errno != EINTR) {
        return cannot("connect to", address.text);
    }
    return fd;
}

int connect_result(int fd) {
    int err = 0;
    socklen_t size = sizeof(err);
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) != 0) return errno;
    return err;
}

Result<Fd> connect_unix(const std::string& path, int type) {
    const Result<Address> address = parse_address("unix:" + path);
    if (!address) return std::unexpected(address.error());
    Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    if (!fd) return cannot("make", "a socket");
    while (::connect(fd.get(), raw(*address), address->size) != 0) {
        if (errno == EINTR) continue;
        const int err = errno;
        const ErrorKind kind = err == EACCES ? ErrorKind::not_permitted : ErrorKind::unreachable;
        return std::unexpected(Error{kind, "can't connect to " + path, err, {}});
    }
    return fd;
}

Result<std::pair<Fd, Fd>> make_socket_pair(int type, bool nonblocking) {
    std::array<int, 2> ends{-1, -1};
    if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0, ends.data()) != 0) {
        return cannot("make", "a pair of sockets");
    }
    return std::pair<Fd, Fd>(Fd(ends[0]), Fd(ends[1]));
}

Result<Peer> peer_of(int connection) {
    ucred credentials{};
    socklen_t size = sizeof(credentials);
    if (::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return cannot("ask for", "the peer");
    return Peer{credentials.uid, credentials.gid, credentials.pid, true};
}

Result<std::vector<std::uint32_t>> peer_groups(int connection) {
    std::vector<std::uint32_t> groups(64);
    for (;;) {
        auto size = static_cast<socklen_t>(groups.size() * sizeof(groups[0]));
        if (::getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
            groups.resize(size / sizeof(groups[0]));
            return groups;
        }
        // ERANGE: size says how much is needed; a process has 65536 groups at most (credentials(7)).
        if (errno != ERANGE || size > 65536 * sizeof(groups[0])) return cannot("ask for", "the peer's groups");
        groups.resize(size / sizeof(groups[0]));
    }
}

Result<Fd> peer_pidfd(int connection) {
    int number = -1;
    socklen_t size = sizeof(number);
    if (::getsockopt(connection, SOL_SOCKET, kPeerPidfd, &number, &size) == 0) return Fd(number);
    const Result<Peer> peer = peer_of(connection);
    if (!peer) return std::unexpected(peer.error());
    return open_pidfd(peer->pid);
}

Status enable_credentials(int fd) {
    const int one = 1;
    if (::setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) != 0) return cannot("ask for", "credentials");
    return {};
}

Status enable_pidfds(int fd) {
    const int one = 1;
    if (::setsockopt(fd, SOL_SOCKET, kPassPidfd, &one, sizeof(one)) != 0) return cannot("ask for", "pidfds");
    return {};
}

namespace {

Result<Received> receive_with(int fd, std::span<std::byte> buffer, int flags) {
    constexpr std::size_t kMostPassed = 253;  // SCM_MAX_FD, unix(7)
    constexpr std::size_t kControl =
        CMSG_SPACE(sizeof(int) * kMostPassed) + CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int));
    alignas(cmsghdr) std::array<char, kControl> control;
    iovec piece{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    Received out;
    ssize_t n = 0;
    do {
        n = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT | flags);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        out.nothing_now = true;
        return out;
    }
    if (n < 0) return cannot("receive", "a message");
    // First own what came, so that nothing is left open whatever is wrong with the rest.
    take_control(message, out);
    out.cut = (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0;
    out.size = static_cast<std::size_t>(n);
    if (n == 0) {
        int type = SOCK_STREAM;
        socklen_t size = sizeof(type);
        ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
        out.end_of_stream = type != SOCK_DGRAM;
    }
    return out;
}

}  // namespace

Result<Received> receive_even_cut(int fd, std::span<std::byte> buffer) {
    return receive_with(fd, buffer, 0);
}

Result<Received> look(int fd, std::span<std::byte> buffer, int offset) {
    if (::setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) != 0) return cannot("look into", "a socket");
    return receive_with(fd, buffer, MSG_PEEK);
}

Status drop_message(int fd) {
    ssize_t n = 0;
    do {
        n = ::recv(fd, nullptr, 0, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) return cannot("receive", "a message");
    return {};
}

Result<Received> receive(int fd, std::span<std::byte> buffer) {
    Result<Received> got = receive_even_cut(fd, buffer);
    if (got && got->cut)
        return fail_errno(EMSGSIZE, "a message is longer than allowed, or its descriptors were cut off");
    return got;
}

Result<bool> send(int fd, std::span<const std::byte> data, std::span<const int> fds) {
    if (fds.size() > kFdsPerMessage) return fail(ErrorKind::usage, "too many descriptors for one message");
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kFdsPerMessage)> control{};
    iovec piece{const_cast<std::byte*>(data.data()), data.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
    }
    for (;;) {
        const ssize_t n = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0 && static_cast<std::size_t>(n) == data.size()) return true;
        if (n >= 0) return fail_errno(EMSGSIZE, "a message was sent in part");
        if (errno == EAGAIN || errno == ENOBUFS) return false;
        if (errno != EINTR) return cannot("send", "a message");
    }
}

bool peer_gone(const Error& error) {
    return error.err == EPIPE || error.err == ECONNRESET || error.err == ENOTCONN;
}

}  // namespace abide::kernel
