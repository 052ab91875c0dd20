// kernel/stream.cc -- writing to stream sockets, and cutting files.  write(2) to a socket would raise SIGPIPE, whose
// disposition the children would inherit.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "kernel/files.hpp"
#include "kernel/socket.hpp"

namespace abide::kernel {

Result<std::size_t> send_some(int fd, const void* data, std::size_t size) {
    while (true) {
        const ssize_t sent = ::send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) return static_cast<std::size_t>(sent);
        if (errno == EAGAIN) return std::size_t{0};
        if (errno != EINTR) return fail_errno(errno, "send");
    }
}

Status truncate_file(int fd, std::uint64_t size) {
    if (::ftruncate(fd, static_cast<off_t>(size)) == 0) return {};
    return fail_errno(errno, "ftruncate");
}

}  // namespace abide::kernel
