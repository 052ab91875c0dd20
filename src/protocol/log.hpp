// protocol/log.hpp -- the messages between manager and logger, on a SOCK_SEQPACKET pair (descriptor 3 of the logger).
//
// Owns the encoding only: bytes <-> values, no system calls, no clock.  One message is one packet; descriptors travel
// beside it (SCM_RIGHTS) and are matched to the items by position.  Invariants: decode() never reads past the packet,
// whatever is in it; an unknown verb is a value (Unknown), never an error; an item may grow at its end in later
// versions.
//
// A pipe is named by its 64-bit key, the key under which the anchor keeps it.  Several keys may write to one service
// (an old run drains while a new one runs).  The life of a key, as the manager sees it:
//     open -> (pattern)* -> drained* -> close -> drained{final}
// The logger treats end of file as "no writer now": processes of one run may come and go on the same pipe.
// After the death of the logger the manager sends configure, open and pattern again, with the descriptors the anchor
// keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/spec.hpp"

namespace abide::protocol::log {

inline constexpr int kLoggerControlFd = 3;               // the logger's end of the pair
inline constexpr std::size_t kMessageBytes = 32u << 10;  // one packet
inline constexpr std::size_t kItems = 64;                // of one message; also the most descriptors beside it
inline constexpr std::size_t kPatternBytes = 512;        // of one pattern
inline constexpr std::size_t kMatchedLineBytes = 1024;   // of the line that matched; the rest is cut

// ---- manager -> logger ---------------------------------------------------------------------------------------------

// One pipe, or the master of a terminal.  Its read end is the descriptor at the item's position; the logger sets
// O_NONBLOCK on it (the read end has an open file description of its own, so no writer notices).
struct OpenItem {
    std::uint64_t key = 0;
    std::uint64_t run = 0;
    std::string service;  // full name, SCOPE/NAME@INSTANCE
    model::LogSpec spec;  // mode none is only for the master of a terminal, which has to be read by somebody
    // An earlier logger read this pipe: a line that the file ends with in the middle goes on.  Else it is ended first.
    bool resumed = false;
    bool operator==(const OpenItem&) const = default;
};
// At most kItems items, as many descriptors.  A key that is open already keeps its pipe and takes the new run and spec.
struct Open {
    std::vector<OpenItem> items;
    bool operator==(const Open&) const = default;
};
// Read what is in these pipes (at most one pipe buffer each), then forget them; each is answered by drained{final}.
struct Close {
    std::vector<std::uint64_t> keys;
    bool operator==(const Close&) const = default;
};
// Look for a line, once: the first match is told by `matched`, then the pattern is forgotten.  An empty text withdraws.
struct Pattern {
    std::uint64_t key = 0;
    std::uint64_t run = 0;
    bool literal = false;  // a substring; else a regular expression (syntax: base/pattern.hpp)
    std::string text;
    // Wall time in ns; not 0: first search what the service's current file holds since then.  For a manager or logger
    // that came back and can't know whether the line was seen.
    std::int64_t since_ns = 0;
    bool operator==(const Pattern&) const = default;
};
// The log directory is the one descriptor beside this message; without one everything is inherited (read-only project).
struct Configure {
    bool operator==(const Configure&) const = default;
};
// Read what is in the pipes now, answer drained{final} for each, exit with status 0.
struct DrainAndExit {
    bool operator==(const DrainAndExit&) const = default;
};
// Ring the doorbell of the event log, which is the first descriptor beside this message: its watchers are woken within
// the write, and with many of them the manager has no time for it.  The second one, if any, is an eventfd: keep both,
// say `listening`, and ring the doorbell again each time the eventfd was written.  A packet for each ring costs the
// manager several times as much.
struct Ring {
    bool operator==(const Ring&) const = default;
};

// ---- logger -> manager ---------------------------------------------------------------------------------------------

struct Matched {
    std::uint64_t key = 0;
    std::uint64_t run = 0;
    std::string line;  // raw bytes, at most kMatchedLineBytes
    bool operator==(const Matched&) const = default;
};
// All that was written to the pipe so far has been read.  bytes: read from this pipe since it was opened.
struct Drained {
    std::uint64_t key = 0;
    std::uint64_t bytes = 0;
    bool final_ = false;  // the logger has closed it
    bool operator==(const Drained&) const = default;
};
// Output of the service that could be written nowhere since the last such message.
struct Dropped {
    std::uint64_t key = 0;
    std::uint64_t bytes = 0;
    std::uint64_t lines = 0;
    bool operator==(const Dropped&) const = default;
};
// err != 0: the service's output can't be written (disk full, read-only, planted file); it is read and counted
// meanwhile. err == 0: it can again.  key 0: the log directory as a whole; text says what in one line.
struct Problem {
    std::uint64_t key = 0;
    std::int32_t err = 0;
    std::string text;
    bool operator==(const Problem&) const = default;
};
// A pattern that doesn't parse, or an item that was refused.
struct Refused {
    std::uint64_t key = 0;
    std::uint64_t run = 0;
    std::string why;
    bool operator==(const Refused&) const = default;
};

// From now on this logger rings by the eventfd that came with `ring`.  One of an earlier version never says so.
struct Listening {
    bool operator==(const Listening&) const = default;
};

// A verb of a later version: ignored and counted by both sides.
struct Unknown {
    std::uint16_t verb = 0;
    bool operator==(const Unknown&) const = default;
};

using ToLogger = std::variant<Unknown, Open, Close, Pattern, Configure, DrainAndExit, Ring>;
using ToManager = std::variant<Unknown, Matched, Drained, Dropped, Problem, Refused, Listening>;

// One packet of at most kMessageBytes.  The caller keeps Open and Close within kItems (CHECKed); texts are cut to their
// bounds.
std::string encode(const ToLogger& message);
std::string encode(const ToManager& message);
// Splits what doesn't fit into one packet: for any number of pipes.  items keep their order.
std::vector<Open> batches(std::vector<OpenItem> items);

// nullopt: not a message (too short, a length that points past the end, too many items).
std::optional<ToLogger> decode_to_logger(std::string_view packet);
std::optional<ToManager> decode_to_manager(std::string_view packet);

}  // namespace abide::protocol::log
