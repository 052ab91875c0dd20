// manager/event_feed.hpp -- what one Subscribe call still has to be told.
//
// Owns a place in the event log, and while it is behind an open segment.  Knows no socket.  A feed that keeps up is
// told from memory and holds no descriptor; one that does not is told from the files, in pieces, each when the piece
// before has left: nothing is dropped for it, and nothing is kept in memory for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "events/filter.hpp"
#include "events/tail.hpp"
#include "protocol/control.hpp"

namespace abide::manager {

// What was written to the log in this turn.
struct EventBatch {
    struct Told {
        events::Line line;
        std::string_view text;
    };
    std::vector<Told> lines;
    std::uint64_t first = 0, last = 0;  // ids; a batch may tell of a gap
};
EventBatch make_batch(std::string_view lines);

class EventFeed {
  public:
    // folder: of the event log, the caller's.  last_id: the newest in it.
    static Result<EventFeed> make(const control::SubscribeRequest& request, int folder, std::uint64_t last_id,
                                  std::int64_t now_ns);

    // Appends the replies for a batch, if this feed stands just before it.
    void take(const EventBatch& batch, std::string& out);
    [[nodiscard]] bool behind(std::uint64_t last_id) const { return tail_ || next_ <= last_id; }
    // Appends the next piece from the files.
    Status catch_up(int folder, std::uint64_t last_id, std::string& out);

  private:
    void tell(std::string_view text, std::string& out) const;

    events::Filter filter_;
    std::optional<events::Tail> tail_;
    std::uint64_t next_ = 1;  // without a tail: the first id that was not looked at
};

}  // namespace abide::manager
