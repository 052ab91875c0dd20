// kernel/files.hpp -- files and folders.  Reads are bounded, writes are atomic, and what lies below a folder of ours is
// reached through that folder's descriptor without following symbolic links.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/fd.hpp"

namespace abide::kernel {

Result<Fd> open_file(const std::string& path, int flags, mode_t mode = 0600);
Result<Fd> open_directory(const std::string& path);
// Below `directory` only: no absolute path, no "..", no symbolic link.  openat2(2), else component by component.
Result<Fd> open_beneath(int directory, std::string_view path, int flags, mode_t mode = 0600);
// Test switch for the path without openat2.
Result<Fd> open_beneath_by_steps(int directory, std::string_view path, int flags, mode_t mode = 0600);

// Fails with refused when there is more than `bound`.
Result<std::string> read_file(const std::string& path, std::size_t bound);
Result<std::string> read_all(int fd, std::size_t bound);
// Of a file that somebody else may have put there: refused unless it is a regular file (or the null device, an empty
// one), without an open that could wait (a FIFO) or do something (a device).
enum class LastLink { follow, refuse };
Result<std::string> read_regular_file(const std::string& path, std::size_t bound, LastLink link);
Result<std::string> read_file_beneath(int directory, std::string_view path, std::size_t bound);
// A file of this content in the place of the one of this name, at once; open for appending.  Not synchronized with a
// disk.
Result<Fd> replace_beneath(int directory, const std::string& name, std::string_view content, mode_t mode = 0600);
// One write into an existing file (cgroup and proc files).
Status write_control_file(int directory, std::string_view path, std::string_view content);

// Makes the folder (mode 0700, and its missing parents) or checks the one that is there: a real folder, owned by us,
// closed to others.  Anything else is refused.
Result<Fd> make_private_directory(const std::string& path);
// Makes all missing folders of a path with this mode.
Status make_directories(const std::string& path, mode_t mode = 0755);
// A folder below another one; existing is fine when it is a folder.
Result<Fd> make_directory_beneath(int directory, std::string_view name, mode_t mode);
// Removes a file or a whole tree below `directory`; other file systems are not entered.  Refuses beyond `bound`
// entries.
Status remove_tree_beneath(int directory, std::string_view name, std::size_t bound = 100'000);
Status unlink_beneath(int directory, std::string_view name);
Result<std::vector<std::string>> list_directory(int directory, std::size_t bound = 100'000);

// A memory file that may be sealed.  Not executable where the kernel can say so.
Result<Fd> make_memfd(const std::string& name, std::string_view content = {});
// Nobody writes to it any more, nor changes its size or its seals (F_SEAL_FUTURE_WRITE, fcntl(2)).  Does not wait.
Status seal_memfd(int fd);
bool is_sealed(int fd);  // against writing

// A folder of ours for the members of a group to read: what is made in it later is of that group too (S_ISGID).
Status share_directory(const std::string& path, std::uint32_t group);
// A file that several processes append to through descriptors that can't be changed from outside (their standard
// error): when it has more than `bytes`, its content moves to PATH.1 and it is emptied.  What is written between the
// two is lost. Nothing happens when `fd` is not the regular file `path`.
Status shorten_shared_log(int fd, const std::string& path, std::uint64_t bytes);
// An advisory lock on the open file; refused when another one holds it.
Status lock_exclusive(int fd);
// Anybody has the lock.
Result<bool> is_locked(const std::string& path);

struct FileStatus {
    std::uint64_t device = 0, inode = 0, size = 0, links = 0;
    std::uint32_t uid = 0, gid = 0, mode = 0;  // mode: permission bits only
    std::int64_t modified_ns = 0;
    bool is_directory = false, is_regular = false, is_socket = false, is_symlink = false, is_pipe = false;
};
// Of the name itself: a symbolic link is not followed.
Result<FileStatus> file_status(const std::string& path);
// Likewise of a name below a directory.  Error::err is ENOENT when there is none.
Result<FileStatus> file_status_at(int directory, const std::string& name);
Result<FileStatus> fd_status(int fd);
// Cuts an open file to this size.
Status truncate_file(int fd, std::uint64_t size);
// Reopens what a descriptor refers to, with other flags (/proc/self/fd): the write end of a pipe from its read end.
Result<Fd> reopen(int fd, int flags);
// What a symbolic link says, without asking whether it is there.
Result<std::string> read_link(const std::string& path);
// Absolute, without "." and "..", symbolic links resolved.
Result<std::string> real_path(const std::string& path);
Result<std::string> current_directory();

}  // namespace abide::kernel
