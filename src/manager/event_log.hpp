// manager/event_log.hpp -- the log of events: one line of JSON each, in segments named by the id of their first line.
//
// Owns the folder's lock, the open segment, the doorbell, and the lines that wait to be written.  Knows no policy.
// Invariants: lines are appended in the order of their ids, and every id is told once, by its event or by a gap; what a
// reader may have seen is never taken back; one manager writes at a time; a log that can't be written never stops the
// instance: its lines wait in bounded memory, and what does not fit becomes a gap.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "events/current.hpp"
#include "kernel/event_watch.hpp"
#include "kernel/fd.hpp"
#include "model/event.hpp"

namespace abide::manager {

inline constexpr std::size_t kEventBytesWaiting = 4u << 20;

class EventLog {
  public:
    // Gives the folder, made anew if it is gone.
    using Folder = std::function<Result<kernel::Fd>()>;
    // Rings for us; another: not the doorbell of its last time.  False: nobody there who could.
    using Ringer = std::function<bool(int doorbell, bool another)>;

    explicit EventLog(Folder folder = {}) : folder_(std::move(folder)) {}

    void set_folder(Folder folder) { folder_ = std::move(folder); }
    // Left to it is what takes longer than `dear`.
    void set_ringer(Ringer ringer, Duration dear = kDearRing) {
        ringer_ = std::move(ringer);
        dear_ring_ = dear;
    }
    // Whose lines are not to be forgotten (events/current.hpp).
    void set_current(events::IsCurrent is_current) { is_current_ = std::move(is_current); }
    // Who is told as the source of the events: "shop" and, if ids had to begin anew, a stream.
    void set_source(const std::string& instance, const std::string& stream);
    // What is kept, and which group may read.  Cheap when nothing changed.
    void configure(const model::InstanceSpec& spec);

    // Takes the log as it lies there: what is torn at its end is cut off, what a predecessor journaled and did not
    // write is written, and ids that nobody can tell of any more become a gap.  Gives the newest id.
    EventId take_over(std::string_view journaled, EventId last_event, const Now& now);

    void append(const model::Event& event);
    // The lines since the last flush(), for the journal, which comes first.
    [[nodiscard]] std::string_view fresh() const { return std::string_view(lines_).substr(fresh_at_); }
    // Writes what waits, and rings.
    void flush(const Now& now);
    // Who rings for us is gone, and may not have done what he was asked.
    void ring_again();
    // When to call flush() although nothing happened: lines wait for room.
    [[nodiscard]] Mono next_deadline() const { return retry_at_; }

    [[nodiscard]] bool all_written() const { return lines_.empty(); }
    // What the last flush() wrote, if it wrote all of it, and the newest id in the log.
    [[nodiscard]] std::string_view batch() const { return batch_; }
    [[nodiscard]] EventId written() const { return written_; }
    // Ids up to this one are ours on disk.  Reserves the next block in the log folder when half of a block is used up,
    // long before it is needed; at the end of the instance gives back what was not used.  Neither waits for the disk.
    void reserve(const std::string& log_folder, const std::string& stream, EventId reserved);
    void give_back(EventId last);

    // What a burst has made large; the last batch is forgotten.
    void release_memory() {
        std::exchange(batch_, {});
        lines_.shrink_to_fit();
    }
    // The folder, for readers in this process; -1: none.
    [[nodiscard]] int folder_fd() const { return directory_.get(); }

  private:
    Status open_folder();
    Status open_doorbell();
    Status adopt_newest();
    void drop_told();
    bool write_reservation(std::uint64_t next) const;
    Status ensure_segment(const Now& now);
    Status write_out(const Now& now);
    void wrote(std::size_t bytes);
    void add_gap(EventId from, EventId to, const Now& now);
    void forget_old_segments(const Now& now);
    void keep_current(const std::vector<std::uint64_t>& forgotten);
    void bound_waiting();
    void put_off(const Error& why, const Now& now);
    void ring();

    Folder folder_;
    Ringer ringer_;
    events::IsCurrent is_current_;
    kernel::Fd directory_, segment_, doorbell_;
    std::string source_, log_folder_, stream_;
    EventId reserved_;
    std::vector<std::string> readers_;  // [control] read
    std::uint32_t group_ = kernel::kNoGroup;
    std::uint64_t max_size_ = model::EventsSpec{}.max_size;
    Duration max_age_ = model::EventsSpec{}.max_age;

    std::string lines_, batch_;  // waiting, in order; written by the last flush()
    std::size_t fresh_at_ = 0;
    EventId first_, last_;       // of lines_
    EventId written_;            // the newest in the log
    EventId gap_from_, gap_to_;  // lost while they waited, in front of lines_

    std::uint64_t size_ = 0;  // of the segment
    Wall begun_{};            // the segment
    Wall looked_{};           // for what is too old
    Mono retry_at_ = kNever;
    Duration pause_ = kFirstRetry;  // before the next try
    bool complained_ = false;
    static constexpr Duration kFirstRetry = milliseconds(2);
    // Watchers are woken within the write to the doorbell: with many of them somebody else does it.
    static constexpr Duration kDearRing{25'000};
    Duration dear_ring_ = kDearRing;
    int dear_ = 0;                  // so many rings are left to the ringer
    bool another_doorbell_ = true;  // than the ringer has seen
};

// "00000000000000001842": the cursor.
std::string cursor_text(EventId id);

}  // namespace abide::manager
