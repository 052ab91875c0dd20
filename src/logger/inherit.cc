// logger/inherit.cc -- see inherit.hpp.
#include "logger/inherit.hpp"

#include <fmt/format.h>
#include "logger/escape.hpp"

namespace abide::logger {

void Inherit::append(const std::string& name, Held& held, LineState& line, std::string_view chunk) {
    std::string whole;
    split_lines(line, chunk, [&](const Piece& piece) {
        std::string& to = held ? *held : whole;
        if (piece.start != Start::no) to = name + (piece.start == Start::first ? " | " : " |+");
        if (terminal_)
            to += escape_for_terminal(piece.text);
        else
            to += piece.text;
        if (piece.ends) {
            to.push_back('\n');
            emit(to);
            held.reset();
            whole.clear();
        } else if (!held) {
            held = std::make_unique<std::string>(std::move(whole));
        }
    });
    flush();
}

void Inherit::end_line(const std::string& name, Held& held, LineState& line) {
    if (held) append(name, held, line, "\n");
    line = {};
}

void Inherit::emit(std::string_view line) {
    if (pending_.size() - sent_ + line.size() > kPendingBytes) flush();
    if (pending_.size() - sent_ + line.size() > kPendingBytes) {
        ++dropped_lines_;
        dropped_bytes_ += line.size();
        return;
    }
    pending_ += line;
}

void Inherit::flush() {
    while (pending()) {
        const Result<std::size_t> wrote = output_.write(std::string_view(pending_).substr(sent_));
        if (!wrote) {  // nobody will ever read it
            pending_.clear();
            sent_ = 0;
            return;
        }
        if (*wrote == 0) break;
        sent_ += *wrote;
        if (!pending() && dropped_lines_ > 0) {
            pending_ = fmt::format("abide | {} bytes of output in {} lines were lost: nobody read\n", dropped_bytes_,
                                   dropped_lines_);
            sent_ = dropped_lines_ = dropped_bytes_ = 0;
        }
    }
    if (!pending()) {
        pending_.clear();
        if (pending_.capacity() > 64u << 10) pending_.shrink_to_fit();
        sent_ = 0;
    } else if (sent_ > kPendingBytes / 2) {
        pending_.erase(0, sent_);
        sent_ = 0;
    }
}

}  // namespace abide::logger
