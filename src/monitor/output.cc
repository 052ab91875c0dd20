// monitor/output.cc -- captured output: read when there is room, left in the pipe when there is none, so that the
// program waits instead of us growing.
#include <algorithm>

#include "monitor/core.hpp"

namespace abide::detail {

void core::watch_stream(record& r, stream& s, bool on) {
    if (s.watched == on || !s.fd) return;
    s.watched = on;
    const token_kind kind = s.number == 1 ? token_kind::output : token_kind::error;
    if (on) {
        static_cast<void>(epoll_.add(s.fd.get(), EPOLLIN, token(kind, static_cast<std::uint64_t>(r.id))));
    } else {
        static_cast<void>(epoll_.remove(s.fd.get()));
    }
}

void core::attach_streams(record& r) {
    for (auto& s : r.streams) {
        if (s) watch_stream(r, *s, true);
    }
}

void core::end_stream(record& r, int number) {
    const std::shared_ptr<stream> s = r.streams[static_cast<std::size_t>(number)];
    if (!s || !s->fd) return;
    watch_stream(r, *s, false);
    s->fd.reset();
}

// Reads at most `bound` bytes.  Takes no reference to the record over a call of the sink, which may drop the handle.
void core::read_stream(process_id id, int number, std::size_t bound) {
    for (std::size_t taken = 0; taken < bound;) {
        record* r = find(id);
        if (r == nullptr) return;
        const std::shared_ptr<stream> s = r->streams[static_cast<std::size_t>(number)];
        if (!s || !s->fd || s->paused) return;
        std::size_t room = std::min(buffer_.size(), bound - taken);
        if (!s->sink) room = std::min(room, s->limit - std::min(s->limit, s->held.size()));
        if (room == 0) {
            s->paused = true;
            watch_stream(*r, *s, false);
            return;
        }
        const Result<std::size_t> got = kernel::read_some(s->fd.get(), buffer_.data(), room);
        if (got && *got == kernel::kNothingNow) return;
        const bool ended = !got || *got == 0;
        if (ended) end_stream(*r, number);
        const std::string_view bytes(buffer_.data(), ended ? 0 : *got);
        if (!s->sink) {
            s->held.append(bytes);
        } else if (!silent_ && s->sink(bytes) == flow::pause && !ended) {
            s->paused = true;
            if ((r = find(id)) != nullptr) watch_stream(*r, *s, false);
        }
        if (ended) return;
        taken += bytes.size();
    }
}

std::string core::take_output(process_id id, int descriptor) {
    record* r = find(id);
    if (r == nullptr || (descriptor != 1 && descriptor != 2)) return {};
    stream* s = r->streams[static_cast<std::size_t>(descriptor)].get();
    if (s == nullptr || s->sink) return {};
    std::string text = std::exchange(s->held, {});
    resume(id, descriptor);
    return text;
}

void core::resume(process_id id, int descriptor) {
    record* r = find(id);
    if (r == nullptr || (descriptor != 1 && descriptor != 2)) return;
    stream* s = r->streams[static_cast<std::size_t>(descriptor)].get();
    if (s == nullptr || !s->paused) return;
    s->paused = false;
    watch_stream(*r, *s, true);
}

bool core::output_ended(process_id id, int descriptor) {
    record* r = find(id);
    if (r == nullptr || (descriptor != 1 && descriptor != 2)) return true;
    const stream* s = r->streams[static_cast<std::size_t>(descriptor)].get();
    return s == nullptr || !s->fd;
}

}  // namespace abide::detail
