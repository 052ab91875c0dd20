// kernel/file_writing.hpp -- a file that replaces another one, and is on disk by then.
//
// Theory.  Written beside, synced, renamed: readers see the old or the new content, and so does who comes after a power
// failure.  fsync(2) of a small new file takes 1 to 5 ms; a child that shares our memory and descriptors (CLONE_VM,
// CLONE_FILES) can wait in it while we go on.  It runs on a stack of its own, handles no signal, and makes this one
// call.
//
// Invariant: what is not finished has changed nothing at its place.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "kernel/fd.hpp"

namespace abide::kernel {

class FileWriting {
  public:
    // Writes it beside.
    static Result<std::unique_ptr<FileWriting>> begin(const std::string& path, std::string_view content, mode_t mode);
    // From here on a child waits for the disk.  Where there is none to be had, finish() does.
    void sync_meanwhile();
    // On disk and at its place, or an error; once.
    Status finish();
    // Without finish() nothing is left of it.
    ~FileWriting();
    FileWriting(const FileWriting&) = delete;
    FileWriting& operator=(const FileWriting&) = delete;

    // All that the child knows.
    struct Plan {
        int fd = -1;
        long outcome = 0;  // of fsync(2)
    };

  private:
    FileWriting(const std::string& path, Fd fd, std::string temporary);
    Status sync();
    void wait_for_child();

    static constexpr std::size_t kStackBytes = 4096;
    std::string path_, temporary_;  // temporary_: empty when it is not there any more
    Fd fd_;
    Plan plan_;
    pid_t child_ = 0;
    alignas(16) std::array<std::byte, kStackBytes> stack_;
};

// The same, waiting for the disk.
Status write_file_atomic(const std::string& path, std::string_view content, mode_t mode = 0644);

}  // namespace abide::kernel
