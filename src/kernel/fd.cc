// kernel/fd.cc -- see fd.hpp.
#include "kernel/fd.hpp"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include "base/check.hpp"

namespace abide::kernel {

void Fd::reset(int number) {
    if (number_ >= 0) {
        // EBADF means that somebody else closed what is ours: a bug that hits an innocent descriptor the next time.
        // Other errors come after the number was freed (close(2)), so the call is never repeated.
        const int r = ::close(number_);
        CHECK(r == 0 || errno != EBADF, "a descriptor was closed twice");
    }
    number_ = number;
}

Result<Fd> Fd::duplicate(int lowest) const {
    Fd copy(::fcntl(number_, F_DUPFD_CLOEXEC, lowest));
    if (!copy) return fail_errno(errno, "can't duplicate a descriptor");
    return copy;
}

bool is_same_file(int a, int b) {
    const auto self = static_cast<long>(::getpid());
    return ::syscall(SYS_kcmp, self, self, KCMP_FILE, a, b) == 0;
}

bool is_pipe(int fd) {
    return ::fcntl(fd, F_GETPIPE_SZ) >= 0;
}

bool may_hang_up(int fd) {
    int type = 0;
    socklen_t size = sizeof type;
    if (is_pipe(fd) || ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0) return true;
    std::array<char, 64> name{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t length = ::readlink(link.c_str(), name.data(), name.size());
    const std::string_view target(name.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    return target.starts_with("/dev/pts/") || target == "/dev/ptmx";
}

Status raise_above_staging(Fd& fd) {
    if (fd.get() >= kStagingEnd) return {};
    Result<Fd> high = fd.duplicate(kStagingEnd);
    if (!high) return std::unexpected(high.error());
    fd = std::move(*high);
    return {};
}

Status set_nonblocking(int fd, bool on) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0) return fail_errno(errno, "can't read the flags of a descriptor");
    const int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (wanted != flags && ::fcntl(fd, F_SETFL, wanted) < 0) return fail_errno(errno, "can't set O_NONBLOCK");
    return {};
}

Status set_cloexec(int fd, bool on) {
    if (::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0) return fail_errno(errno, "can't set close-on-exec");
    return {};
}

bool is_open(int number) {
    return ::fcntl(number, F_GETFD) >= 0;
}

Result<Fd> duplicate(int number) {
    Fd copy(::fcntl(number, F_DUPFD_CLOEXEC, 0));
    if (!copy) return fail_errno(errno, "can't duplicate a descriptor");
    return copy;
}

Result<Pipe> make_pipe(bool nonblocking) {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC | (nonblocking ? O_NONBLOCK : 0)) != 0) return fail_errno(errno, "can't make a pipe");
    return Pipe{Fd(ends[0]), Fd(ends[1])};
}

Result<std::size_t> read_some(int fd, void* buffer, std::size_t size) {
    for (;;) {
        const ssize_t n = ::read(fd, buffer, size);
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno == EAGAIN) return kNothingNow;
        if (errno != EINTR) return fail_errno(errno, "can't read");
    }
}

Result<std::size_t> look_into_pipe(int fd, void* buffer, std::size_t size) {
    const Result<Pipe> copy = make_pipe(true);
    if (!copy) return std::unexpected(copy.error());
    const ssize_t n = ::tee(fd, copy->write.get(), size, SPLICE_F_NONBLOCK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return kNothingNow;
    if (n < 0) return fail_errno(errno, "can't look into a pipe");
    return n == 0 ? Result<std::size_t>(std::size_t{0}) : read_some(copy->read.get(), buffer, size);
}

Result<std::size_t> write_some(int fd, const void* data, std::size_t size) {
    for (;;) {
        const ssize_t n = ::write(fd, data, size);
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno == EAGAIN) return std::size_t{0};
        if (errno != EINTR) return fail_errno(errno, "can't write");
    }
}

Status write_all(int fd, const void* data, std::size_t size) {
    const char* from = static_cast<const char*>(data);
    while (size > 0) {
        const ssize_t n = ::write(fd, from, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail_errno(n < 0 ? errno : EIO, "can't write");
        from += n;
        size -= static_cast<std::size_t>(n);
    }
    return {};
}

}  // namespace abide::kernel
