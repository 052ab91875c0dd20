// kernel/log_files.hpp -- what logger and log reader need of the kernel beyond files.hpp: positions in files, names
// that change, notices of change, and writing to a standard error that isn't ours.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "kernel/fd.hpp"
#include "kernel/files.hpp"

namespace abide::kernel {

// Opens or makes a file that we append to: a real file with one name, owned by us or root, nobody else may write it.
// Anything planted in its place (link, pipe, device, second name) is refused; err is then EPERM, ELOOP or EEXIST.
Result<Fd> open_log_file(int directory, const std::string& name);
// Opens or makes (mode 0750) a folder with the same demands.
Result<Fd> open_log_folder(int directory, const std::string& name);
// Opens for reading a real file; never blocks on a planted pipe.
Result<Fd> open_log_for_reading(int directory, const std::string& name);
// Makes a file, which must be new; what is left of an earlier attempt is removed.
Result<Fd> create_log_file(int directory, const std::string& name);

// Less than `size` only at the end of the file.
Result<std::size_t> read_at(int fd, void* buffer, std::size_t size, std::uint64_t offset);
// Fails with EEXIST when the new name is taken; where the file system can't say so (EINVAL), link and unlink do it.
Status rename_new(int directory, const std::string& from, const std::string& to);
Status rename_over(int directory, const std::string& from, const std::string& to);
Status set_modified(int fd, std::int64_t ns);

// The words for an errno, the same in every locale.
std::string error_words(int err);
// Ours or root's, and nobody else may write it; EPERM else.
Status check_log_directory(int directory);
// The directory lies on a file system that is mounted read-only.
bool is_read_only(int directory);

// True: readable, or at its end.  False: the timeout passed.
Result<bool> wait_readable(int fd, Duration timeout);
// A descriptor that is readable when one of these signals is pending; they are blocked from now on.
Result<Fd> make_signal_fd(const std::vector<int>& signals);
// The next pending signal of such a descriptor; 0: none.
int take_signal(int signal_fd);

// Notices of change in folders (inotify).
class FolderWatch {
  public:
    static Result<FolderWatch> create();
    // Tells of: content changed, names made, moved or removed.  Returns a number that names the folder in changed().
    Result<int> add(const std::string& path);
    // The numbers of the folders in which something happened, without waiting; each once.  lost: the queue overflowed,
    // anything may have happened.
    struct Changes {
        std::vector<int> folders;
        std::vector<int> gone;  // these folders were removed; their numbers mean nothing any more
        bool lost = false;
    };
    Result<Changes> changed();
    [[nodiscard]] int fd() const { return fd_.get(); }

  private:
    explicit FolderWatch(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;
};

// Somebody else's descriptor (standard error), written without ever waiting for its reader and without changing its
// flags, which are shared with others.
class BorrowedOutput {
  public:
    explicit BorrowedOutput(int fd);
    // The bytes that were taken; 0: nothing now.  Fails when nobody reads any more.
    Result<std::size_t> write(std::string_view bytes);
    // To be watched for EPOLLOUT; a regular file can't be, and never needs it.
    [[nodiscard]] int watch_fd() const;
    [[nodiscard]] bool is_terminal() const;

  private:
    enum class Kind { own, socket, polled, file };
    int borrowed_ = -1;
    Fd own_;
    Kind kind_ = Kind::polled;
};

}  // namespace abide::kernel
