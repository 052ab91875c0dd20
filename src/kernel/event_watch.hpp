// kernel/event_watch.hpp -- waits for the doorbell of an event log: one file whose content changes with every batch.
//
// Owns an epoll descriptor over inotify and a timer.  Invariant: after something was rung the descriptor becomes
// readable, at once where the file can be watched, else within kSlow; a ring that was never made (its ringer died) is
// made up for within kSafety.
#pragma once

#include <string>

#include "base/time.hpp"
#include "kernel/fd.hpp"

namespace abide::kernel {

class EventWatch {
  public:
    static constexpr Duration kSlow = milliseconds(250);  // where nothing can be watched
    static constexpr Duration kSafety = seconds(2);

    // `folder` and the file in it need not exist yet.
    static Result<EventWatch> create(std::string folder, std::string file);

    // Readable when there may be news.
    [[nodiscard]] int fd() const { return epoll_.get(); }
    // Takes what was rung so far, and watches a file that came, or came back, meanwhile.
    void drain();
    // Nothing can be watched: every look is by the clock.  Why, in one line; empty: the file is watched.
    [[nodiscard]] const std::string& polling() const { return polling_; }

  private:
    enum class Watched { nothing, folder, file };
    void watch();
    void set_timer(Duration every);

    std::string folder_, path_, polling_;
    Fd epoll_, timer_, inotify_;
    Watched watched_ = Watched::nothing;
    int number_ = -1;  // of the watch
};

// The end of a file that cannot be read any further, and whether somebody unlinked it.
struct OpenFileStatus {
    std::uint64_t size = 0;
    std::uint64_t links = 0;
};
Result<OpenFileStatus> open_file_status(int fd);
// Gives the file to a group with these permission bits, as far as we may.
Status set_group_and_mode(int fd, std::uint32_t group, unsigned mode);
inline constexpr std::uint32_t kNoGroup = ~std::uint32_t{0};
// One byte at the start of the file: everybody who watches it is woken.
Status ring(int fd);

}  // namespace abide::kernel
