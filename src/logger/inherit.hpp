// logger/inherit.hpp -- copies lines to the logger's own standard error, `NAME | text`, for containers and read-only
// folders.
//
// Only whole lines go out, so services don't cut into each other; a line that isn't complete is held by its stream.  A
// reader that doesn't read costs at most kPendingBytes of memory; what comes beyond is dropped, counted, and said when
// it reads again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "kernel/log_files.hpp"
#include "logger/lines.hpp"

namespace abide::logger {

class Inherit {
  public:
    static constexpr std::size_t kPendingBytes = 1u << 20;
    using Held = std::unique_ptr<std::string>;  // an incomplete line; none while there is none

    explicit Inherit(int fd) : output_(fd), terminal_(output_.is_terminal()) {}

    void append(const std::string& name, Held& held, LineState& line, std::string_view chunk);
    void end_line(const std::string& name, Held& held, LineState& line);
    // Writes what waits, as far as the reader takes it.
    void flush();
    [[nodiscard]] bool pending() const { return sent_ < pending_.size(); }
    [[nodiscard]] int watch_fd() const { return output_.watch_fd(); }

  private:
    void emit(std::string_view line);

    kernel::BorrowedOutput output_;
    bool terminal_ = false;
    std::string pending_;
    std::size_t sent_ = 0;
    std::uint64_t dropped_lines_ = 0, dropped_bytes_ = 0;
};

}  // namespace abide::logger
