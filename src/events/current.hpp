// events/current.hpp -- what is still so and is told by no segment any more.
//
// A service that has been up for weeks became ready in a segment that was forgotten since.  Before a segment goes, the
// lines in it that tell of a service's newest run are put into the file `current.jsonl`: the last of each type, with
// the ids that they have.  Readers look there for the state of a service (a snapshot, the newest run, a cause), never
// for what happened in between: to whoever follows the log those ids are a gap.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "events/line.hpp"

namespace abide::events {

inline constexpr std::string_view kCurrentFile = "current.jsonl";
inline constexpr std::size_t kCurrentBytes = 64u << 20;

// Is this the newest run of that service?
using IsCurrent = std::function<bool(std::string_view service, std::uint64_t run)>;

class Current {
  public:
    explicit Current(IsCurrent is_current) : is_current_(std::move(is_current)) {}

    // Lines of the log, oldest first.  What was given before and is so no longer goes.
    void add(std::string_view lines);
    // All of it, by id.
    [[nodiscard]] std::string text() const;

  private:
    IsCurrent is_current_;
    std::map<std::pair<std::string, std::string>, std::pair<std::uint64_t, std::string>> last_;  // by service and type
};

// What stands in it, older than the oldest segment; empty: nothing.
Result<std::string> read_current(int folder);
// One whole line after the other.
void each_line(std::string_view bytes, const std::function<void(const Line&, std::string_view text)>& visit);

}  // namespace abide::events
