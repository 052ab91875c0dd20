// kernel/log_files.cc -- see log_files.hpp.
#include "kernel/log_files.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace abide::kernel {
namespace {

// Ours or root's, and nobody else may write it.
Status check_owner(const FileStatus& status, const std::string& name) {
    if (status.uid != ::geteuid() && status.uid != 0)
        return fail_errno(EPERM, name + " belongs to somebody else", "remove it");
    if ((status.mode & 022) != 0) return fail_errno(EPERM, name + " may be written by others", "chmod go-w it");
    return {};
}

timespec to_timespec(std::int64_t ns) {
    timespec ts{};
    ts.tv_sec = ns / 1'000'000'000;
    ts.tv_nsec = ns % 1'000'000'000;
    return ts;
}

}  // namespace

Result<Fd> open_log_file(int directory, const std::string& name) {
    // O_NONBLOCK: a pipe or device in its place must not hold us up; it has no effect on a file.
    Result<Fd> file = open_beneath(directory, name,
                                   O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
    if (!file) return file;
    const Result<FileStatus> status = fd_status(file->get());
    if (!status) return std::unexpected(status.error());
    if (!status->is_regular) return fail_errno(EPERM, name + " is no regular file", "remove it");
    if (status->links != 1) return fail_errno(EPERM, name + " has a second name (hard link)", "remove it");
    if (Status ok = check_owner(*status, name); !ok) return std::unexpected(ok.error());
    return file;
}

Result<Fd> open_log_folder(int directory, const std::string& name) {
    if (::mkdirat(directory, name.c_str(), 0750) != 0 && errno != EEXIST) return fail_errno(errno, "mkdir " + name);
    Result<Fd> folder = open_beneath(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (!folder) return folder;
    const Result<FileStatus> status = fd_status(folder->get());
    if (!status) return std::unexpected(status.error());
    if (Status ok = check_owner(*status, name); !ok) return std::unexpected(ok.error());
    return folder;
}

Result<Fd> open_log_for_reading(int directory, const std::string& name) {
    Result<Fd> file = open_beneath(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (!file) return file;
    const Result<FileStatus> status = fd_status(file->get());
    if (!status) return std::unexpected(status.error());
    if (!status->is_regular) return fail_errno(EPERM, name + " is no regular file");
    return file;
}

Result<Fd> create_log_file(int directory, const std::string& name) {
    ::unlinkat(directory, name.c_str(), 0);
    return open_beneath(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
}

Result<std::size_t> read_at(int fd, void* buffer, std::size_t size, std::uint64_t offset) {
    std::size_t done = 0;
    while (done < size) {
        const ssize_t n =
            ::pread(fd, static_cast<char*>(buffer) + done, size - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(errno, "pread");
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
    }
    return done;
}

Status rename_new(int directory, const std::string& from, const std::string& to) {
    if (::renameat2(directory, from.c_str(), directory, to.c_str(), RENAME_NOREPLACE) == 0) return {};
    if (errno != EINVAL && errno != ENOSYS) return fail_errno(errno, "rename " + from + " to " + to);
    if (::linkat(directory, from.c_str(), directory, to.c_str(), 0) != 0)
        return fail_errno(errno, "link " + from + " to " + to);
    if (::unlinkat(directory, from.c_str(), 0) != 0) return fail_errno(errno, "unlink " + from);
    return {};
}

Status rename_over(int directory, const std::string& from, const std::string& to) {
    if (::renameat(directory, from.c_str(), directory, to.c_str()) == 0) return {};
    return fail_errno(errno, "rename " + from + " to " + to);
}

Status set_modified(int fd, std::int64_t ns) {
    const timespec times[2] = {to_timespec(ns), to_timespec(ns)};
    if (::futimens(fd, times) != 0) return fail_errno(errno, "futimens");
    return {};
}

std::string error_words(int err) {
    const char* words = ::strerrordesc_np(err);
    return words != nullptr ? words : "error " + std::to_string(err);
}

Status check_log_directory(int directory) {
    const Result<FileStatus> status = fd_status(directory);
    if (!status) return std::unexpected(status.error());
    if (!status->is_directory) return fail_errno(ENOTDIR, "the log directory is none");
    return check_owner(*status, "the log directory");
}

bool is_read_only(int directory) {
    return ::faccessat(directory, ".", W_OK, AT_EACCESS) != 0 && errno == EROFS;
}

Result<bool> wait_readable(int fd, Duration timeout) {
    pollfd one{fd, POLLIN, 0};
    const timespec ts = to_timespec(std::max<std::int64_t>(timeout.ns, 0));
    const int n = ::ppoll(&one, fd >= 0 ? 1 : 0, timeout == kForever ? nullptr : &ts, nullptr);
    if (n < 0 && errno != EINTR) return fail_errno(errno, "poll");
    return n > 0;
}

Result<Fd> make_signal_fd(const std::vector<int>& signals) {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : signals) ::sigaddset(&set, signal);
    if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return fail_errno(errno, "sigprocmask");
    Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd) return fail_errno(errno, "signalfd");
    return fd;
}

int take_signal(int signal_fd) {
    signalfd_siginfo info{};
    return ::read(signal_fd, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

Result<FolderWatch> FolderWatch::create() {
    Fd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd) return fail_errno(errno, "inotify");
    return FolderWatch(std::move(fd));
}

Result<int> FolderWatch::add(const std::string& path) {
    const std::uint32_t mask = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;
    const int number = ::inotify_add_watch(fd_.get(), path.c_str(), mask);
    if (number < 0) return fail_errno(errno, "watch " + path);
    return number;
}

Result<FolderWatch::Changes> FolderWatch::changed() {
    Changes changes;
    alignas(inotify_event) char buffer[16384];
    for (int round = 0; round < 64; ++round) {
        const ssize_t n = ::read(fd_.get(), buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0) return fail_errno(n < 0 ? errno : EIO, "inotify");
        for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(n);) {
            inotify_event event{};
            std::memcpy(&event, buffer + at, sizeof event);
            at += sizeof event + event.len;
            if ((event.mask & IN_Q_OVERFLOW) != 0)
                changes.lost = true;
            else if ((event.mask & IN_IGNORED) != 0)
                changes.gone.push_back(event.wd);
            else
                changes.folders.push_back(event.wd);
        }
    }
    std::sort(changes.folders.begin(), changes.folders.end());
    changes.folders.erase(std::unique(changes.folders.begin(), changes.folders.end()), changes.folders.end());
    return changes;
}

BorrowedOutput::BorrowedOutput(int fd) : borrowed_(fd) {
    struct stat st{};
    if (::fstat(fd, &st) != 0) return;
    if (S_ISREG(st.st_mode)) {
        kind_ = Kind::file;  // reopened it would have an offset of its own
        return;
    }
    if (S_ISSOCK(st.st_mode)) {
        kind_ = Kind::socket;
        return;
    }
    // An open file description of our own, so that O_NONBLOCK is seen by nobody else.
    if (Result<Fd> own = reopen(fd, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) {
        own_ = std::move(*own);
        kind_ = Kind::own;
    }
}

bool BorrowedOutput::is_terminal() const {
    return ::isatty(borrowed_) == 1;
}

int BorrowedOutput::watch_fd() const {
    return kind_ == Kind::own ? own_.get() : kind_ == Kind::file ? -1 : borrowed_;
}

Result<std::size_t> BorrowedOutput::write(std::string_view bytes) {
    if (bytes.empty()) return 0;
    ssize_t n = -1;
    switch (kind_) {
        case Kind::own: n = ::write(own_.get(), bytes.data(), bytes.size()); break;
        case Kind::file: n = ::write(borrowed_, bytes.data(), bytes.size()); break;
        case Kind::socket: n = ::send(borrowed_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL); break;
        case Kind::polled: {
            // Room for PIPE_BUF bytes is what poll(2) promises for a pipe.
            pollfd one{borrowed_, POLLOUT, 0};
            if (::poll(&one, 1, 0) <= 0) return 0;
            n = ::write(borrowed_, bytes.data(), std::min<std::size_t>(bytes.size(), 512));
            break;
        }
    }
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EAGAIN || errno == EINTR) return 0;
    return fail_errno(errno, "write to standard error");
}

}  // namespace abide::kernel
