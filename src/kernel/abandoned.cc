// kernel/abandoned.cc -- see the header.
#include "kernel/abandoned.hpp"

#include <fcntl.h>

#include <cerrno>

#include "kernel/process.hpp"

namespace abide::kernel {

namespace {

// A folder can't be opened for writing, so only a shared lock can be had on it.
struct flock byte_of(short type) {
    struct flock lock{};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_len = 1;
    return lock;
}

Result<pid_t> holder(int folder) {
    struct flock lock = byte_of(F_WRLCK);
    if (::fcntl(folder, F_GETLK, &lock) != 0) return fail_errno(errno, "can't ask for a lock");
    if (lock.l_type == F_UNLCK) return fail(ErrorKind::not_found, "nobody holds the lock");
    if (lock.l_pid <= 0) return fail(ErrorKind::refused, "a process of another pid namespace holds the lock");
    return lock.l_pid;
}

}  // namespace

Status mark_abandoned(int folder) {
    struct flock lock = byte_of(F_RDLCK);
    if (::fcntl(folder, F_SETLK, &lock) != 0) return fail_errno(errno, "can't lock");
    return {};
}

Result<Fd> find_abandoned(int folder) {
    const Result<pid_t> before = holder(folder);
    if (!before) return std::unexpected(before.error());
    Result<Fd> pidfd = open_pidfd(*before);
    if (!pidfd) return pidfd;
    // It may have ended and left its number to another process before the pidfd was open; then it holds no lock now.
    const Result<pid_t> now = holder(folder);
    if (!now) return std::unexpected(now.error());
    if (*now != *before || has_ended(pidfd->get())) return fail(ErrorKind::not_found, "it has just ended");
    return pidfd;
}

}  // namespace abide::kernel
