// kernel/tree.cc -- folders: making, listing and removing them, through descriptors; see files.hpp.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "kernel/files.hpp"

namespace abide::kernel {
namespace {

constexpr int kDeepest = 128;

// One entry as getdents64(2) gives it; the name follows.
constexpr std::size_t kEntryHeader = 19;

// By the system call: the C library's readdir allocates, and hides errors.
template <class F>
Status each_entry(int directory, F take) {
    alignas(8) std::array<char, 32768> buffer;
    for (;;) {
        const long n = ::syscall(SYS_getdents64, directory, buffer.data(), buffer.size());
        if (n == 0) return {};
        if (n < 0) return fail_errno(errno, "can't read a folder");
        for (long at = 0; at < n;) {
            std::uint16_t length = 0;
            std::memcpy(&length, buffer.data() + at + 16, sizeof(length));
            const char* name = buffer.data() + at + kEntryHeader;
            const auto kind = static_cast<unsigned char>(buffer[static_cast<std::size_t>(at) + 18]);
            at += length;
            if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) continue;
            if (Status s = take(std::string(name), kind); !s) return s;
        }
    }
}

struct Removal {
    std::uint64_t device = 0;
    std::size_t left = 0;  // entries that may still be removed

    Status folder(int parent, const std::string& name, int depth);
    Status entry(int parent, const std::string& name, int depth);
};

Status Removal::entry(int parent, const std::string& name, int depth) {
    if (left == 0) return fail(ErrorKind::refused, "more entries than allowed in a folder to be removed");
    --left;
    if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return fail_errno(errno, "can't remove " + name);
    return folder(parent, name, depth);
}

Status Removal::folder(int parent, const std::string& name, int depth) {
    if (depth > kDeepest) return fail(ErrorKind::refused, "folders too deep to be removed");
    Fd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return fail_errno(errno, "can't open " + name);
    const Result<FileStatus> status = fd_status(fd.get());
    if (!status) return std::unexpected(status.error());
    if (status->device != device) return fail(ErrorKind::refused, "another file system is mounted at " + name);
    std::vector<std::string> names;
    Status listed = each_entry(fd.get(), [&](std::string found, unsigned char) -> Status {
        names.push_back(std::move(found));
        if (names.size() > left) return fail(ErrorKind::refused, "more entries than allowed in a folder to be removed");
        return {};
    });
    if (!listed) return listed;
    for (const std::string& found : names) {
        if (Status s = entry(fd.get(), found, depth + 1); !s) return s;
    }
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
        return fail_errno(errno, "can't remove " + name);
    return {};
}

bool is_single_name(std::string_view name) {
    return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
           name.find('\0') == std::string_view::npos;
}

}  // namespace

Result<Fd> make_private_directory(const std::string& path) {
    const std::size_t slash = path.find_last_not_of('/');
    const std::string clean = slash == std::string::npos ? path : path.substr(0, slash + 1);
    if (::mkdir(clean.c_str(), 0700) != 0 && errno != EEXIST) {
        const std::size_t end = clean.rfind('/');
        if (errno != ENOENT || end == std::string::npos || end == 0)
            return fail_errno(errno, "can't make the folder " + clean);
        // Missing parents are made readable when they are shared places, as with any other program.
        if (Status s = make_directories(clean.substr(0, end)); !s) return std::unexpected(s.error());
        if (::mkdir(clean.c_str(), 0700) != 0 && errno != EEXIST)
            return fail_errno(errno, "can't make the folder " + clean);
    }
    Result<Fd> fd = open_file(clean, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd) return fd;
    const Result<FileStatus> status = fd_status(fd->get());
    if (!status) return std::unexpected(status.error());
    if (status->uid != ::geteuid())
        return fail(ErrorKind::refused, clean + " belongs to somebody else", "use another folder");
    if ((status->mode & 077) != 0) {
        return fail(ErrorKind::refused, clean + " is open to others", "chmod 700 " + clean);
    }
    return fd;
}

Status make_directories(const std::string& path, mode_t mode) {
    for (std::size_t at = 1; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string part = path.substr(0, end);
        struct stat info{};
        if (::mkdir(part.c_str(), mode) != 0) {
            const int err = errno;
            if (::stat(part.c_str(), &info) != 0) return fail_errno(err, "can't make the folder " + part);
            if (!S_ISDIR(info.st_mode)) return fail_errno(ENOTDIR, "can't make the folder " + part);
        }
        at = end + 1;
    }
    return {};
}

Result<Fd> make_directory_beneath(int directory, std::string_view name, mode_t mode) {
    if (!is_single_name(name)) return fail(ErrorKind::refused, "not a name of a folder: " + std::string(name));
    const std::string text(name);
    if (::mkdirat(directory, text.c_str(), mode) != 0 && errno != EEXIST)
        return fail_errno(errno, "can't make the folder " + text);
    return open_beneath(directory, name, O_RDONLY | O_DIRECTORY);
}

Status remove_tree_beneath(int directory, std::string_view name, std::size_t bound) {
    if (!is_single_name(name)) return fail(ErrorKind::refused, "not a name in a folder: " + std::string(name));
    const Result<FileStatus> status = fd_status(directory);
    if (!status) return std::unexpected(status.error());
    Removal removal{status->device, bound};
    return removal.entry(directory, std::string(name), 0);
}

Status unlink_beneath(int directory, std::string_view name) {
    if (!is_single_name(name)) return fail(ErrorKind::refused, "not a name in a folder: " + std::string(name));
    if (::unlinkat(directory, std::string(name).c_str(), 0) != 0 && errno != ENOENT) {
        return fail_errno(errno, "can't remove " + std::string(name));
    }
    return {};
}

Result<std::vector<std::string>> list_directory(int directory, std::size_t bound) {
    // A description of its own, read from the start.
    const Fd own(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!own) return fail_errno(errno, "can't read a folder");
    std::vector<std::string> names;
    const Status listed = each_entry(own.get(), [&](std::string name, unsigned char) -> Status {
        if (names.size() >= bound) return fail(ErrorKind::refused, "too many entries in a folder");
        names.push_back(std::move(name));
        return {};
    });
    if (!listed) return std::unexpected(listed.error());
    std::ranges::sort(names);
    return names;
}

}  // namespace abide::kernel
