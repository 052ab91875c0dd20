// abide/events.hpp -- reads the event log of an Abide instance: what happened, what happens, nothing missed.
//
// The log is a folder of files that the supervisor appends to.  A reader opens them for itself: it asks no supervisor,
// needs none, and can't slow one down, however slow it is itself.  Every event has an id; ids have one order for the
// whole instance and are never used again.  A reader gets each event that passes its filters once and in order; where
// events are missing (older than what is kept, or damaged) it gets an event of the type "abide.stream.gap" in their
// place, whatever the filters.
//
//     auto reader = abide::events::Reader::open("/run/abide/events", {.services = {"web*"}});
//     while (auto event = reader->wait(std::chrono::minutes(1))) {      // an Error ends the loop
//         if (*event) std::puts((*event)->line.c_str());
//     }
//
// Threads: an object is used by one thread at a time; different readers are independent.  Nothing here throws but
// std::bad_alloc.  Descriptors are close-on-exec.  C++23; only the
// standard library in this header.  CMake: abide::events; pkg-config: abide.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <abide/api.hpp>

namespace abide::events {

enum class ErrorCode {
    unreadable,      // the folder or a file can't be read: see `err`
    unknown_type,    // a filter names an event type that does not exist
    bad_filter,      // an empty service pattern
    bad_cursor,      // the text is no cursor
    other_instance,  // the cursor is of another instance
    future_cursor,   // the cursor is beyond the newest event
};

struct ReadError {
    ErrorCode code = ErrorCode::unreadable;
    std::string message;  // one line
    std::string advice;   // one clause; may be empty
    int err = 0;          // errno, or 0
};

template <class T>
using ReadResult = std::expected<T, ReadError>;

// A place in a log: just after the event with this id.
struct ABIDE_API Cursor {
    std::uint64_t id = 0;
    std::string source;  // of the instance ("/abide/shop"); empty: of whatever instance is read

    // "00000000000000001842", or with a source "00000000000000001842@/abide/shop".  parse() takes ids without the
    // zeros.
    [[nodiscard]] std::string text() const;
    static ReadResult<Cursor> parse(std::string_view text);
};

struct Event {
    std::uint64_t id = 0;
    std::string type;            // "abide.service.ready"
    std::string subject;         // the service; empty for the supervisor's own events
    std::string source;          // "/abide/shop", with "#STREAM" when ids had to begin anew
    std::int64_t time_ns = 0;    // wall clock, ns since 1970
    std::uint64_t run = 0;       // which start of the service; 0: of none
    std::int64_t pid = 0;        // of the main process; 0: none
    std::uint64_t cause = 0;     // id of the event that led to this one; 0: none
    std::uint64_t gap_from = 0;  // of a gap: the first id that is missing, up to `id`; else 0
    std::string line;            // the whole event: one JSON object (CloudEvents 1.0) without a line end

    [[nodiscard]] bool is_gap() const { return gap_from != 0; }
};

enum class Start {
    now,        // only what happens from now on
    beginning,  // everything that is kept
    after,      // what follows Options::after
    ago,        // what happened since Options::ago before now, by the wall clock
};

struct Options {
    Start start = Start::now;
    Cursor after;
    std::chrono::nanoseconds ago{0};
    // Alternatives; empty: all.  "service", "abide.process.exited", "ready", "user.NAME": whole words of a type.
    std::vector<std::string> types;
    // Names of services with * and ?; empty: all events, also those of no service.
    std::vector<std::string> services;
    // First the last event of each service that passes the filters, then what follows, without a hole.  `start` is not
    // looked at.
    bool snapshot = false;
    // For a program that only follows: the thread that opens the reader asks the kernel to run it soon after it is
    // woken, also where the supervisor that woke it is at work (a short time slice, sched_setattr(2), Linux 6.12).  The
    // thread stays so, and so begin the threads and processes that it starts.
    bool prompt = false;
};

class ABIDE_API Reader {
  public:
    // A folder that does not exist yet is no error: it is waited for.
    static ReadResult<Reader> open(const std::string& folder, Options options = {});
    Reader(Reader&&) noexcept;
    Reader& operator=(Reader&&) noexcept;
    ~Reader();

    // The next event; nullopt: none at the moment.  Does not wait.
    ReadResult<std::optional<Event>> next();
    // The same, and waits for one; nullopt: the time passed.
    ReadResult<std::optional<Event>> wait(std::chrono::nanoseconds timeout);

    // For the caller's own loop (poll, epoll): readable when next() may have something.  Then call next() until it
    // gives nothing.  It becomes readable every two seconds in any case.  Lives as long as the reader.
    [[nodiscard]] int fd() const;
    // Empty: woken by the kernel.  Else why not, in one line: the files are looked at four times a second.
    [[nodiscard]] std::string polling() const;
    // After the last event that next() or wait() looked at, also those that did not pass: where to go on another time.
    [[nodiscard]] Cursor cursor() const;

  private:
    struct Impl;
    explicit Reader(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace abide::events
