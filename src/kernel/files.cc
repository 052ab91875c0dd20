// kernel/files.cc -- opening, reading and writing files; see files.hpp.  Trees are in tree.cc.
#include "kernel/files.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>

#include "kernel/cannot.hpp"

namespace abide::kernel {
namespace {

constexpr unsigned kMemoryDevices = 1, kNullDevice = 3;  // admin-guide/devices.txt of the kernel
constexpr unsigned kNoExecSeal = 0x0008U;                // MFD_NOEXEC_SEAL: memfd_create(2), since 6.3

// No absolute path and no "..": what openat2 refuses by RESOLVE_BENEATH.
bool stays_beneath(std::string_view path) {
    if (path.empty() || path.front() == '/' || path.find('\0') != std::string_view::npos) return false;
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        if (path.substr(at, end - at) == "..") return false;
        at = end + 1;
    }
    return true;
}

}  // namespace

Result<Fd> open_file(const std::string& path, int flags, mode_t mode) {
    for (;;) {
        Fd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
        if (fd) return fd;
        if (errno != EINTR) return cannot("open", path);
    }
}

Result<Fd> open_directory(const std::string& path) {
    return open_file(path, O_RDONLY | O_DIRECTORY);
}

Result<Fd> open_beneath(int directory, std::string_view path, int flags, mode_t mode) {
    if (!stays_beneath(path)) return fail(ErrorKind::refused, "not a path below its folder: " + std::string(path));
    const std::string text(path);
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    // O_TMPFILE contains O_DIRECTORY; a mode without a file to be made is EINVAL.
    how.mode = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? mode : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    for (int round = 0; round < 16; ++round) {
        Fd fd(static_cast<int>(::syscall(SYS_openat2, directory, text.c_str(), &how, sizeof(how))));
        if (fd) return fd;
        if (errno == ENOSYS || errno == EPERM) return open_beneath_by_steps(directory, path, flags, mode);
        // EAGAIN: a rename was under way (openat2(2)).
        if (errno != EINTR && errno != EAGAIN) break;
    }
    return cannot("open", path);
}

Result<Fd> open_beneath_by_steps(int directory, std::string_view path, int flags, mode_t mode) {
    if (!stays_beneath(path)) return fail(ErrorKind::refused, "not a path below its folder: " + std::string(path));
    Fd folder;
    int at = directory;
    std::string_view rest = path;
    for (std::size_t slash = 0; (slash = rest.find('/')) != std::string_view::npos; rest.remove_prefix(slash + 1)) {
        const std::string name(rest.substr(0, slash));
        if (name.empty()) continue;
        Fd next(::openat(at, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!next) return cannot("open", path);
        folder = std::move(next);
        at = folder.get();
    }
    const std::string name(rest.empty() ? "." : rest);
    Fd fd(::openat(at, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!fd) return cannot("open", path);
    return fd;
}

Result<std::string> read_all(int fd, std::size_t bound) {
    std::string out;
    std::size_t piece = 4096;
    struct stat info{};
    if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
        piece = std::min<std::size_t>(static_cast<std::size_t>(info.st_size), bound) + 1;
    }
    for (;;) {
        const std::size_t had = out.size();
        out.resize(had + piece);
        const Result<std::size_t> n = read_some(fd, out.data() + had, piece);
        if (!n) return std::unexpected(n.error());
        if (*n == kNothingNow) return fail_errno(EAGAIN, "nothing to read yet");
        out.resize(had + *n);
        if (*n == 0) return out;
        if (out.size() > bound) return fail(ErrorKind::refused, "larger than " + std::to_string(bound) + " bytes");
        piece = std::max<std::size_t>(4096, std::min<std::size_t>(out.size(), 1u << 20));
    }
}

Result<std::string> read_file(const std::string& path, std::size_t bound) {
    const Result<Fd> fd = open_file(path, O_RDONLY);
    if (!fd) return std::unexpected(fd.error());
    Result<std::string> text = read_all(fd->get(), bound);
    if (!text) text.error().what = path + ": " + text.error().what;
    return text;
}

Result<std::string> read_regular_file(const std::string& path, std::size_t bound, LastLink link) {
    const Result<Fd> place = open_file(path, O_PATH | (link == LastLink::refuse ? O_NOFOLLOW : 0));
    if (!place) return std::unexpected(place.error());
    struct stat info{};
    if (::fstat(place->get(), &info) != 0) return cannot("look at", path);
    const bool is_null = major(info.st_rdev) == kMemoryDevices && minor(info.st_rdev) == kNullDevice;
    if (S_ISCHR(info.st_mode) && is_null) return std::string();
    if (!S_ISREG(info.st_mode)) return fail(ErrorKind::refused, path + ": not a regular file");
    const Result<Fd> fd = reopen(place->get(), O_RDONLY | O_NOCTTY | O_NONBLOCK);
    if (!fd) return std::unexpected(Error{fd.error().kind, "can't open " + path, fd.error().err, {}});
    Result<std::string> text = read_all(fd->get(), bound);
    if (!text) text.error().what = path + ": " + text.error().what;
    return text;
}

Result<std::string> read_file_beneath(int directory, std::string_view path, std::size_t bound) {
    const Result<Fd> fd = open_beneath(directory, path, O_RDONLY);
    if (!fd) return std::unexpected(fd.error());
    return read_all(fd->get(), bound);
}

Result<Fd> replace_beneath(int directory, const std::string& name, std::string_view content, mode_t mode) {
    const std::string temporary = name + ".new";
    if (::unlinkat(directory, temporary.c_str(), 0) != 0 && errno != ENOENT) return cannot("replace", temporary);
    Fd fd(::openat(directory, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, mode));
    if (!fd) return cannot("write", temporary);
    Status written = write_all(fd.get(), content.data(), content.size());
    if (written && ::renameat(directory, temporary.c_str(), directory, name.c_str()) != 0)
        written = cannot("replace", name);
    if (written) return fd;
    ::unlinkat(directory, temporary.c_str(), 0);
    return std::unexpected(written.error());
}

Status write_control_file(int directory, std::string_view path, std::string_view content) {
    const Result<Fd> fd = open_beneath(directory, path, O_WRONLY);
    if (!fd) return std::unexpected(fd.error());
    for (;;) {
        const ssize_t n = ::write(fd->get(), content.data(), content.size());
        if (n == static_cast<ssize_t>(content.size())) return {};
        if (n < 0 && errno == EINTR) continue;
        if (n >= 0) errno = EIO;
        return cannot("write to", path);
    }
}

Result<Fd> make_memfd(const std::string& name, std::string_view content) {
    constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    Fd fd(::memfd_create(name.c_str(), flags | kNoExecSeal));
    if (!fd && errno == EINVAL) fd = Fd(::memfd_create(name.c_str(), flags));  // before 6.3
    if (!fd) return fail_errno(errno, "no memory file");
    if (Status s = write_all(fd.get(), content.data(), content.size()); !s) return std::unexpected(s.error());
    return fd;
}

Status seal_memfd(int fd) {
    constexpr int others = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    // F_SEAL_WRITE would wait for who holds a page just now, a compaction of memory for instance, and then give up.
    if (::fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | others) == 0) return {};
    if (errno != EINVAL || ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | others) != 0)  // before Linux 5.1
        return fail_errno(errno, "can't seal a memory file");
    return {};
}

bool is_sealed(int fd) {
    const int seals = ::fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0;
}

Status share_directory(const std::string& path, std::uint32_t group) {
    const Result<Fd> folder = open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!folder) return std::unexpected(folder.error());
    if (::fchown(folder->get(), static_cast<uid_t>(-1), group) != 0) return cannot("change the group of", path);
    // After the change of the group, which takes the bit away (chown(2)).
    if (::fchmod(folder->get(), S_ISGID | 0750) != 0) return cannot("change the mode of", path);
    return {};
}

Status shorten_shared_log(int fd, const std::string& path, std::uint64_t bytes) {
    struct stat ours{}, named{};
    if (::fstat(fd, &ours) != 0 || !S_ISREG(ours.st_mode) || ours.st_size <= static_cast<off_t>(bytes)) return {};
    if (::lstat(path.c_str(), &named) != 0 || named.st_ino != ours.st_ino || named.st_dev != ours.st_dev) return {};
    const Result<Fd> from = open_file(path, O_RDONLY | O_NOFOLLOW);
    if (!from) return std::unexpected(from.error());
    const std::string old = path + ".1";
    if (::unlink(old.c_str()) != 0 && errno != ENOENT) return cannot("remove", old);
    const Result<Fd> to = open_file(old, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, ours.st_mode & 0777);
    if (!to) return std::unexpected(to.error());
    // The newest part of it: one that grew while nobody looked must not hold us up.
    off_t at = std::max<off_t>(0, ours.st_size - static_cast<off_t>(2 * bytes));
    while (at < ours.st_size) {
        const ssize_t n = ::sendfile(to->get(), from->get(), &at, static_cast<std::size_t>(ours.st_size - at));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail_errno(n < 0 ? errno : EIO, "can't copy to " + old);
    }
    if (::ftruncate(fd, 0) != 0) return cannot("empty", path);
    return {};
}

Status lock_exclusive(int fd) {
    while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return fail(ErrorKind::refused, "somebody else holds the lock");
        if (errno != EINTR) return fail_errno(errno, "can't lock");
    }
    return {};
}

Result<bool> is_locked(const std::string& path) {
    const Result<Fd> fd = open_file(path, O_RDONLY | O_NOFOLLOW);
    if (!fd) {
        if (fd.error().err == ENOENT) return false;
        return std::unexpected(fd.error());
    }
    // A shared try doesn't disturb others who only ask.
    if (::flock(fd->get(), LOCK_SH | LOCK_NB) == 0) return false;
    if (errno == EWOULDBLOCK) return true;
    return fail_errno(errno, "can't ask for the lock");
}

namespace {

FileStatus convert(const struct stat& info) {
    FileStatus out;
    out.device = info.st_dev;
    out.inode = info.st_ino;
    out.size = static_cast<std::uint64_t>(info.st_size);
    out.uid = info.st_uid;
    out.gid = info.st_gid;
    out.mode = info.st_mode & 07777;
    out.modified_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
    out.is_directory = S_ISDIR(info.st_mode);
    out.is_regular = S_ISREG(info.st_mode);
    out.is_socket = S_ISSOCK(info.st_mode);
    out.links = info.st_nlink;
    out.is_pipe = S_ISFIFO(info.st_mode);
    out.is_symlink = S_ISLNK(info.st_mode);
    return out;
}

}  // namespace

Result<FileStatus> file_status(const std::string& path) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0) return cannot("look at", path);
    return convert(info);
}

Result<FileStatus> file_status_at(int directory, const std::string& name) {
    struct stat info{};
    if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return cannot("look at", name);
    return convert(info);
}

Result<FileStatus> fd_status(int fd) {
    struct stat info{};
    if (::fstat(fd, &info) != 0) return fail_errno(errno, "can't look at a descriptor");
    return convert(info);
}

Result<Fd> reopen(int fd, int flags) {
    return open_file("/proc/self/fd/" + std::to_string(fd), flags);
}

Result<std::string> read_link(const std::string& path) {
    std::string target(PATH_MAX, '\0');
    const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    if (size < 0) return fail_errno(errno, "can't read " + path);
    target.resize(static_cast<std::size_t>(size));
    return target;
}

Result<std::string> real_path(const std::string& path) {
    struct Free {
        void operator()(char* p) const { std::free(p); }
    };
    const std::unique_ptr<char, Free> real(::realpath(path.c_str(), nullptr));
    if (!real) return cannot("resolve", path);
    return std::string(real.get());
}

Result<std::string> current_directory() {
    return real_path(".");
}

}  // namespace abide::kernel
