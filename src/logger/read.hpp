// logger/read.hpp -- reads what the logger wrote: last lines, lines since a time, and what comes next.  For the command
// line.
//
// Owns the positions in the files; needs no running logger or manager.  Files are read through a directory descriptor
// and never through symbolic links.  Invariant: over tail() or since(), and then any number of more(), every complete
// line of a service is returned once and in the order of the file, also across rotation and compression.  A line is
// returned when its newline is there.  There is no index file: every line begins with its time and lines of a file are
// in the order of time, so a file is its own index (binary search).
//
// Not thread safe.  Times are wall time, ns.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace abide::logger {

struct LogLine {
    std::string service;  // full name
    Wall time;
    std::string text;  // raw bytes without the newline; escape_for_terminal() before it goes to a terminal
    bool continues =
        false;  // goes on with a line that was longer than limits::kLogLineBytes, or was cut by another's output
    bool operator==(const LogLine&) const = default;
};

// Returns false to stop.
using LineSink = std::function<bool(LogLine&&)>;

class LogReader {
  public:
    // services: full names; empty means all that have a folder, and with more() all that get one.  A service without a
    // folder is no error: it has written nothing yet.  Fails with not_found when the directory is missing.
    static Result<LogReader> open(const std::string& directory, std::vector<std::string> services);
    LogReader(LogReader&&) noexcept;
    LogReader& operator=(LogReader&&) noexcept;
    ~LogReader();

    // The names of all services that have a folder, sorted.
    Result<std::vector<std::string>> known_services() const;

    // The last n lines of all chosen services together, by time (equal times: by name, then by order in the file).
    Result<std::vector<LogLine>> tail(std::size_t n);
    // All lines not older than `from`, by time.  After it (even when the sink stopped it) more() goes on at the end
    // that the files had.
    Status since(Wall from, const LineSink& sink);

    // What was written after the last call of tail(), since() or more(); by time within one call.  Without an earlier
    // call: from the present end.  At most about 4 MiB a call; at_end() says whether there was more.
    Result<std::vector<LogLine>> more();
    bool at_end() const;

    // Readable when more() may have something (inotify): for the caller's poll(2).  -1 where inotify can't be had (a
    // user's instances are used up): call more() every 250 ms then.  Made by the first call.
    int watch_fd();
    // Waits for watch_fd(), or 250 ms without one.  False: the timeout passed.
    Result<bool> wait(Duration timeout);

  private:
    struct Impl;
    explicit LogReader(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace abide::logger
