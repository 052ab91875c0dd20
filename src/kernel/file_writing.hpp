// kernel/file_writing.hpp -- a file that replaces another one, and is on disk by then.
//
// Theory.  Written beside, synced, renamed: readers see the old or the new content, and so does who comes after a power
// failure.  fsync(2) of a small new file takes 1 to 5 ms; a side child (side_child.hpp) that shares our descriptors,
// too, can wait in it while we go on.
//
// Invariant: what is not finished has changed nothing at its place.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "kernel/fd.hpp"
#include "kernel/side_child.hpp"

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

    std::string path_, temporary_;  // temporary_: empty when it is not there any more
    Fd fd_;
    Plan plan_;
    SideChild child_;
};

// The same, waiting for the disk.
Status write_file_atomic(const std::string& path, std::string_view content, mode_t mode = 0644);

}  // namespace abide::kernel
