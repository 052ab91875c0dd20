// logger/line_file.hpp -- one file of a log, line by line, plain or compressed.  Owns the descriptor and a buffer.
//
// Invariant: next() returns a line once, when its newline is there; reading goes on where it stopped when a plain file
// has grown.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "kernel/fd.hpp"

namespace abide::logger {

class LineFile {
  public:
    LineFile(kernel::Fd file, bool compressed);
    LineFile(LineFile&&) noexcept;
    LineFile& operator=(LineFile&&) noexcept;
    ~LineFile();

    // Plain files only: the next line begins here.
    void seek(std::uint64_t offset);
    // Where the next line begins; in a compressed file, as if it were not.
    [[nodiscard]] std::uint64_t offset() const { return offset_; }
    // The next line without its newline, valid until the next call.  False: no complete line now.
    Result<bool> next(std::string_view& line);
    // What stands after the last newline, for a file that nobody writes any more.
    std::string_view rest() const { return std::string_view(buffer_).substr(start_); }
    [[nodiscard]] int fd() const { return file_.get(); }
    [[nodiscard]] bool compressed() const { return inflate_ != nullptr; }

  private:
    struct Inflate;
    Result<bool> fill();
    Result<std::size_t> read_plain(char* to, std::size_t size);
    Result<std::size_t> read_compressed(char* to, std::size_t size);

    kernel::Fd file_;
    std::unique_ptr<Inflate> inflate_;
    std::string buffer_;
    std::size_t start_ = 0, searched_ = 0;  // in the buffer: the next line, and how far there is no newline
    std::uint64_t offset_ = 0;              // of start_
    std::uint64_t raw_ = 0;                 // next byte of the file
};

// The offset of the first line of a plain file that is not older than since_ns; its size when there is none.  Lines are
// in the order of time, so this looks at a few places only.
Result<std::uint64_t> find_since(int file, std::uint64_t size, std::int64_t since_ns);
// The offset at which the last n complete lines begin, and how many there are (at most n).
struct LastLines {
    std::uint64_t offset = 0, lines = 0;
};
Result<LastLines> find_last(int file, std::uint64_t size, std::uint64_t n);

}  // namespace abide::logger
