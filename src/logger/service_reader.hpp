// logger/service_reader.hpp -- the lines of one service across its files: old, compressed, current, and those that come
// while it reads.
//
// Theory.  A file is named by the time of its first line, and the next file begins later.  So a position is "this open
// file, at this line": when `current` is another file than the open one, the open one is complete; after its last line
// the reader goes to the oldest file that begins later, else to `current`.  The open descriptor keeps a file readable
// that was renamed, compressed or removed meanwhile.
//
// Invariant: a line is returned once, in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "logger/line_file.hpp"
#include "logger/names.hpp"
#include "logger/read.hpp"

namespace abide::logger {

class ServiceReader {
  public:
    // root: the log directory; stays the caller's.
    ServiceReader(int root, std::string service, std::string folder)
        : root_(root), service_(std::move(service)), folder_(std::move(folder)) {}

    // Positions.
    Status to_start_of_last(std::uint64_t lines);
    Status to_time(std::int64_t since_ns);
    Status to_end();

    // False: nothing more now.
    Result<bool> next(LogLine& line);
    // Gives a line back; the next call of next() returns it.
    void put_back(LogLine line) { ahead_ = std::move(line); }

    [[nodiscard]] const std::string& service() const { return service_; }
    [[nodiscard]] const std::string& folder() const { return folder_; }

  private:
    struct OldFile {
        std::int64_t first_ns = 0;
        bool compressed = false;
    };
    Result<std::vector<OldFile>> old_files() const;  // by time; one entry a file, whatever its form
    void reset();
    Result<std::vector<OldFile>> open_and_list();
    Status skip_to_last_newline();
    Result<std::uint64_t> start_in_old(const OldFile& file, std::uint64_t wanted);
    Status open_old(const OldFile& file);
    Status open_current();
    Result<bool> advance();
    // Another file has that name now.  Goes back to the start of one that was truncated.
    Result<bool> current_changed();
    std::int64_t first_time() const;
    void fill_line(std::string_view raw, LogLine& line);

    int root_;
    std::string service_, folder_;
    std::optional<LineFile> file_;
    bool is_current_ = false;
    std::uint64_t inode_ = 0;
    std::int64_t first_ns_ = 0;         // of an old file, by its name
    std::int64_t done_ns_ = INT64_MIN;  // first times of the files that were read, the last of them
    std::int64_t time_ns_ = 0;          // of the last line
    std::int64_t skip_before_ns_ = 0;   // after to_time()
    std::uint64_t skip_lines_ = 0;      // after to_start_of_last() in a compressed file
    std::optional<LogLine> ahead_;
};

}  // namespace abide::logger
