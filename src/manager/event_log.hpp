// manager/event_log.hpp -- the log of events: one line of JSON each, in segments named by their first id.
//
// Owns the open segment and the lines of this turn.  Knows no policy.  Invariants: lines are appended in the order of
// their ids; a line is written whole or not at all (a torn end is cut off before the next write); a log that can't be
// written is counted and reported, and never stops the instance.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "kernel/fd.hpp"
#include "model/event.hpp"

namespace abide::manager {

inline constexpr std::uint64_t kSegmentBytes = 8u << 20;
inline constexpr std::size_t kSegmentsKept = 16;

class EventLog {
  public:
    // The folder of the segments; `instance` names the source of the events.
    Status open(kernel::Fd directory, std::string instance);
    void append(const model::Event& event);
    // Writes what this turn appended.
    void flush();
    [[nodiscard]] std::uint64_t lost() const { return lost_; }

  private:
    Status ensure_segment(EventId first);
    void forget_old_segments();
    void failed(const Error& error);

    kernel::Fd directory_, segment_;
    std::string source_;
    std::string lines_;
    EventId first_;            // of lines_
    std::uint64_t count_ = 0;  // of lines_
    std::uint64_t size_ = 0;   // of the segment
    std::uint64_t lost_ = 0;
    bool complained_ = false;
};

// "00000000000000001842": the cursor, and with ".jsonl" the name of a segment.
std::string cursor_text(EventId id);

}  // namespace abide::manager
