// kernel/fd.hpp -- the owner of one file descriptor.  Every descriptor of the program has exactly one owner, which
// closes it exactly once; close(2) is called nowhere else.  All descriptors are close-on-exec from birth.
#pragma once

#include <cstddef>
#include <utility>

#include "base/result.hpp"

namespace abide::kernel {

class Fd {
  public:
    Fd() = default;
    // Takes ownership of a number; -1 means none.
    explicit Fd(int number) : number_(number) {}
    Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) reset(std::exchange(other.number_, -1));
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }

    [[nodiscard]] int get() const { return number_; }
    [[nodiscard]] bool valid() const { return number_ >= 0; }
    explicit operator bool() const { return valid(); }
    // Gives ownership away: to the caller, who hands the number to the kernel or to another owner.
    [[nodiscard]] int release() { return std::exchange(number_, -1); }
    void reset(int number = -1);

    // A second descriptor of the same open file, close-on-exec, with a number of at least `lowest`.
    [[nodiscard]] Result<Fd> duplicate(int lowest = 0) const;

  private:
    int number_ = -1;
};

// Whether two descriptors are of one open file (kcmp(2)); false as well where the kernel does not tell.
bool is_same_file(int a, int b);
// Is it a pipe's end?  Asks no file system, which could take its time (fstat(2) on a FUSE file does).
bool is_pipe(int fd);
// May its other end hang up?  Pipes, sockets and terminals; others are not asked, for the same reason.
bool may_hang_up(int fd);

// Moves a descriptor to a number of 64 or more, below which the Spawner stages what its children need.  With a Spawner
// in place all those numbers are taken, so descriptors that are created later lie above by themselves.
inline constexpr int kStagingEnd = 64;
Status raise_above_staging(Fd& fd);

// Of a number that somebody else owns: whether it is open, and a duplicate of our own.
bool is_open(int number);
Result<Fd> duplicate(int number);

Status set_nonblocking(int fd, bool on = true);
Status set_cloexec(int fd, bool on = true);

// Both ends close-on-exec.  Nonblocking, if wished, for both.
struct Pipe {
    Fd read, write;
};
Result<Pipe> make_pipe(bool nonblocking = false);

// One read: the number of bytes, 0 at end of file, kNothingNow when it would block.  Repeats after EINTR.
inline constexpr std::size_t kNothingNow = static_cast<std::size_t>(-1);
Result<std::size_t> read_some(int fd, void* buffer, std::size_t size);
// Likewise for what a pipe holds, which stays there (tee(2)).
Result<std::size_t> look_into_pipe(int fd, void* buffer, std::size_t size);
// Writes all of it, or fails; for files and blocking descriptors.
Status write_all(int fd, const void* data, std::size_t size);
// One write; 0 when it would block.
Result<std::size_t> write_some(int fd, const void* data, std::size_t size);

}  // namespace abide::kernel
