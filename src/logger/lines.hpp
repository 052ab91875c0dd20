// logger/lines.hpp -- cuts a stream of bytes into lines, without keeping any of them.  Pure.
//
// Invariant: the pieces of a stream, joined, are the stream without its newlines; no line is longer than kLogLineBytes;
// the state is eight bytes whatever comes in.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/limits.hpp"

namespace abide::logger {

// Where a stream stands.
struct LineState {
    std::uint32_t bytes = 0;  // of the line that is being written
    bool inside = false;      // the stream is within a line of its own (which may have been cut into several of ours)
};

enum class Start : std::uint8_t { no, first, continuation };

struct Piece {
    std::string_view text;
    Start start = Start::no;  // a new line of the log begins here
    bool ends = false;        // and ends after the text
};

// Calls out(Piece) for all of the chunk, in order.
template <class Out>
void split_lines(LineState& state, std::string_view chunk, Out&& out) {
    while (!chunk.empty()) {
        const std::size_t room = limits::kLogLineBytes - state.bytes;
        const std::string_view look = chunk.substr(0, room + 1);
        Piece piece;
        piece.start = !state.inside ? Start::first : state.bytes == 0 ? Start::continuation : Start::no;
        if (const void* newline = std::memchr(look.data(), '\n', look.size())) {
            const auto length = static_cast<std::size_t>(static_cast<const char*>(newline) - look.data());
            piece.text = look.substr(0, length);
            piece.ends = true;
            chunk.remove_prefix(length + 1);
            state = {};
        } else if (chunk.size() <= room) {
            piece.text = chunk;
            state.bytes += static_cast<std::uint32_t>(chunk.size());
            state.inside = true;
            chunk = {};
        } else {
            piece.text = chunk.substr(0, room);
            piece.ends = true;
            chunk.remove_prefix(room);
            state = {0, true};
        }
        out(piece);
    }
}

// Of a terminal: takes away each CR before a LF.  One byte of room stands before the text, for a CR that ended the
// chunk before (`cut`).
inline std::string_view without_returns(bool& cut, char* room, std::size_t size) {
    char* const begin = cut ? room : room + 1;
    if (cut) *room = '\r';
    const std::size_t length = size + (cut ? 1 : 0);
    cut = length != 0 && begin[length - 1] == '\r';
    std::size_t kept = 0;
    for (std::size_t i = 0; i < length; ++i) {
        const bool drop = begin[i] == '\r' && (i + 1 == length || begin[i + 1] == '\n');
        if (!drop) begin[kept++] = begin[i];
    }
    return {begin, kept};
}

}  // namespace abide::logger
