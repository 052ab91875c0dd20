// manager/event_feed.hpp -- what one Subscribe call still has to be told.
//
// Owns a place in the event log, and while it is behind an open segment.  Knows no socket.  A feed that keeps up is
// told from memory and holds no descriptor; one that does not is told from the files, in pieces, each when the piece
// before has left: nothing is dropped for it, and nothing is kept in memory for it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
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
    // One event of the log, by which the snapshot is found, or of which it is told.
    void look_at(const events::Tail::Item& item, std::string& out);
    Status end_of_looking();
    Status end_of_files(std::uint64_t last_id, std::string& out);

    // The log is read twice up to where it ended: for which event is the last of each service, then for those.  So that
    // little is kept, and each part is read in pieces like everything else.
    struct Snapshot {
        std::uint64_t end = 0;
        std::map<std::string, std::uint64_t, std::less<>> last;  // id by subject
        std::vector<std::uint64_t> ids;                          // sorted, once they are known
        bool known = false;
    };

    events::Filter filter_;
    std::unique_ptr<Snapshot> snapshot_;
    std::optional<events::Tail> tail_;
    std::uint64_t next_ = 1;  // without a tail: the first id that was not looked at
};

}  // namespace abide::manager
