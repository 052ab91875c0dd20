// logger/logger.hpp -- the logger process: one loop over all pipes.
//
// Theory.  A pipe that has something stands in a queue; each turn takes one buffer (kReadBytes) from the pipe at the
// front and puts the pipe at the end when there may be more, so a flood delays another service by one round at most.
// Pipes are watched edge-triggered: one without writers (between the processes of a run) costs nothing, and nothing
// wakes an idle logger. The manager's end may close: the pipes are read on until their ends, since a writer without a
// reader would be killed.
//
// The master of a container's terminal is a pipe to it, but for what ends a line.
//
// Owns the pipes' read ends and the files.  May not know why a service runs.  Invariant: nothing here waits for anybody
// but epoll; memory is bounded by the number of pipes.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "kernel/epoll.hpp"
#include "kernel/fd.hpp"
#include "kernel/socket.hpp"
#include "kernel/wake.hpp"
#include "logger/compressor.hpp"
#include "logger/inherit.hpp"
#include "logger/pattern.hpp"
#include "logger/store.hpp"
#include "protocol/log.hpp"

namespace abide::logger {

class Logger {
  public:
    static constexpr std::size_t kReadBytes = 64u << 10;

    // control: our end of the pair.  output: takes inherited lines; stays the caller's.
    static Result<std::unique_ptr<Logger>> create(kernel::Fd control, int output);

    // Until drain-and-exit, SIGTERM, or the end of the manager and of all pipes.
    Status run();

    struct Counters {
        std::uint64_t unknown_verbs = 0;
        std::uint64_t bad_messages = 0;
    };
    [[nodiscard]] const Counters& counters() const { return counters_; }

  private:
    // Of the epoll; those of streams have a generation in the upper half, which is never 0.
    static constexpr std::uint64_t kControlToken = 0, kSignalToken = 1, kOutputToken = 2, kBellToken = 3;

    // A search that was asked for, and the beginning of the line it is in.
    struct Search {
        Matcher matcher;
        std::uint64_t run = 0;
        std::string line;
        bool inside = false;
    };
    struct Stream {
        std::uint64_t key = 0;
        std::uint64_t bytes = 0;  // read so far
        kernel::Fd pipe;
        std::uint32_t service = 0;
        std::uint32_t generation = 0;  // tells events of an earlier user of this slot
        LineState line;
        std::unique_ptr<Search> search;
        Inherit::Held held;
        std::uint8_t turns_left = 0;  // while closing
        bool inherited = false;
        bool resumed = false;
        bool queued = false;
        bool closing = false;
        bool told = true;       // the manager knows of these bytes
        bool ended = false;     // no writer at the last look
        bool terminal = false;  // the master of one: lines end in CR LF (termios(3), ONLCR)
        bool cut = false;       // what was read last ended in CR
        bool silent = false;    // read, so that nobody waits, and kept nowhere
    };

    Logger(kernel::Fd control, kernel::Epoll epoll, kernel::Fd signals, int output);

    void handle_event(const kernel::Ready& ready);
    void read_control();
    void handle(const protocol::log::ToLogger& message, std::vector<kernel::Fd> fds);
    void handle_open(const protocol::log::Open& open, std::vector<kernel::Fd> fds);
    Status open_stream(const protocol::log::OpenItem& item, kernel::Fd pipe);
    Status update_stream(Stream& stream, const protocol::log::OpenItem& item);
    void handle_close(const protocol::log::Close& close);
    void handle_pattern(const protocol::log::Pattern& pattern);
    void configure(std::vector<kernel::Fd> fds);
    static bool take_over(int directory);
    void handle_ring(std::vector<kernel::Fd> fds);
    void begin_exit();

    void enqueue(std::uint32_t slot);
    void turn(std::uint32_t slot);
    void take(Stream& stream, std::uint32_t slot, std::string_view chunk);
    static Status admit(Stream& stream, const protocol::log::OpenItem& item, int pipe);
    void end_of_pipe(Stream& stream, std::uint32_t slot);
    void finish(std::uint32_t slot);
    void end_open_line(Stream& stream, std::uint32_t slot);
    void search(Stream& stream, std::string_view chunk, bool end);
    bool search_past(Stream& stream, std::int64_t since_ns);
    void tell_matched(Stream& stream);

    void tell(const protocol::log::ToManager& message);
    void send_pending();
    void forward_reports();
    void watch_output();
    [[nodiscard]] bool finished() const;
    Stream* find(std::uint64_t key);
    bool goes_to_output(const Stream& stream) const { return stream.inherited || !store_.has_directory(); }

    kernel::Fd control_;
    kernel::Epoll epoll_;
    kernel::Fd signals_;
    Compressor compressor_;
    Store store_{compressor_};
    Inherit inherit_;
    std::deque<Stream> streams_;
    std::vector<std::uint32_t> free_;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> by_key_;  // sorted
    std::deque<std::uint32_t> queue_;
    std::deque<std::string> outgoing_;                              // bounded: a few messages for each stream
    std::vector<char> buffer_ = std::vector<char>(1 + kReadBytes);  // see without_returns()
    std::uint32_t generations_ = 0;
    // Of the event log, and what asks for a ring.
    kernel::Fd doorbell_;
    std::optional<kernel::Bell> bell_;
    bool output_watched_ = false, control_waits_ = false;
    bool orphaned_ = false;  // the manager's end is closed
    bool exiting_ = false;
    Mono exit_deadline_ = kNever;
    Mono rest_at_ = kNever;  // some time after the last pipe came: memory is given back
    Counters counters_;
};

}  // namespace abide::logger
