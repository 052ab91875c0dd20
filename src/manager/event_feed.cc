// manager/event_feed.cc -- see the header.
#include "manager/event_feed.hpp"

#include <fcntl.h>

#include "abide/events.hpp"
#include "base/text.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "model/event_json.hpp"

namespace abide::manager {

namespace {

constexpr std::size_t kPieceBytes = 64u << 10;
constexpr std::size_t kPieceLines = 1024;  // looked at, whether they pass or not

Result<events::Tail> open_tail(int folder) {
    Result<kernel::Fd> own = kernel::reopen(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!own) return std::unexpected(own.error());
    return events::Tail(std::move(*own));
}

// Where to begin: "start", a cursor, or a duration back.
Status seek(events::Tail& tail, const std::string& since, std::uint64_t last_id, std::int64_t now_ns) {
    if (since == "start") return tail.seek_beginning();
    if (const Result<Duration> back = parse_duration(since); back && since != "0")
        return tail.seek_time(now_ns - back->ns);
    const auto cursor = events::Cursor::parse(since);
    if (!cursor) return fail(ErrorKind::usage, cursor.error().message, cursor.error().advice);
    if (cursor->id <= last_id) return tail.seek_after(cursor->id);
    return fail(ErrorKind::usage,
                "the cursor " + events::cursor_text(cursor->id) + " is beyond the newest event, " +
                    events::cursor_text(last_id),
                "is it of another instance?");
}

}  // namespace

EventBatch make_batch(std::string_view lines) {
    EventBatch batch;
    while (!lines.empty()) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        const std::string_view text = lines.substr(0, end);
        lines.remove_prefix(std::min(end + 1, lines.size()));
        const std::optional<events::Line> line = events::parse_line(text);
        if (!line) continue;
        if (batch.first == 0) batch.first = line->gap_from != 0 ? line->gap_from : line->id;
        batch.last = line->id;
        batch.lines.push_back({*line, text});
    }
    return batch;
}

Result<EventFeed> EventFeed::make(const control::SubscribeRequest& request, int folder, std::uint64_t last_id,
                                  std::int64_t now_ns) {
    EventFeed feed;
    Result<events::Filter> filter = events::Filter::make(request.types, request.services);
    if (!filter) return std::unexpected(filter.error());
    feed.filter_ = std::move(*filter);
    feed.next_ = last_id + 1;
    if (request.snapshot && request.since)
        return fail(ErrorKind::usage, "`snapshot` and `since` exclude each other", "leave one of them out");
    if (!request.since && !request.snapshot) return feed;
    Result<events::Tail> tail = open_tail(folder);
    if (!tail) return std::unexpected(tail.error());
    if (request.snapshot) {
        feed.snapshot_ = std::make_unique<Snapshot>();
        feed.snapshot_->end = last_id;
    }
    if (Status sought = seek(*tail, request.since.value_or("start"), last_id, now_ns); !sought)
        return std::unexpected(sought.error());
    feed.tail_.emplace(std::move(*tail));
    return feed;
}

void EventFeed::tell(std::string_view text, std::string& out) const {
    out.append("{\"parameters\":{\"event\":").append(text).append("},\"continues\":true}");
    out += '\0';
}

void EventFeed::take(const EventBatch& batch, std::string& out) {
    if (tail_ || next_ != batch.first) return;
    for (const EventBatch::Told& told : batch.lines) {
        if (out.size() >= kPieceBytes) return;  // the rest comes from the files
        if (filter_.passes(told.line)) tell(told.text, out);
        next_ = told.line.id + 1;
    }
}

void EventFeed::look_at(const events::Tail::Item& item, std::string& out) {
    const events::Line& line = item.line;
    const bool past = snapshot_ && line.id <= snapshot_->end;
    if (snapshot_ && !snapshot_->known) {
        if (past && !line.subject.empty() && filter_.passes(line))
            snapshot_->last.insert_or_assign(std::string(line.subject), line.id);
        return;
    }
    if (past) {  // of a gap: one of them was forgotten since
        const auto at = std::ranges::lower_bound(snapshot_->ids, line.gap_from != 0 ? line.gap_from : line.id);
        if (at != snapshot_->ids.end() && *at <= line.id) tell(item.text, out);
        return;
    }
    if (filter_.passes(line)) tell(item.text, out);
}

// Which are the last ones is known: now they are told.
Status EventFeed::end_of_looking() {
    snapshot_->known = true;
    for (const auto& [subject, id] : std::exchange(snapshot_->last, {})) snapshot_->ids.push_back(id);
    std::ranges::sort(snapshot_->ids);
    const std::uint64_t first = snapshot_->ids.empty() ? snapshot_->end + 1 : snapshot_->ids.front();
    return tail_->seek_after(first - 1);
}

// What should be there and is not was taken away by somebody.
Status EventFeed::end_of_files(std::uint64_t last_id, std::string& out) {
    const std::uint64_t next = tail_->expected() != 0 ? tail_->expected() : last_id + 1;
    if (next <= last_id) {
        std::string time;
        model::append_rfc3339(time, kernel::now().wall);
        std::string gap = events::gap_line(next, last_id, tail_->source().empty() ? "/abide" : tail_->source(), time);
        gap.pop_back();
        tell(gap, out);
    }
    next_ = std::max(next, last_id + 1);
    tail_.reset();
    snapshot_.reset();
    return {};
}

Status EventFeed::catch_up(int folder, std::uint64_t last_id, std::string& out) {
    if (!tail_) {
        Result<events::Tail> tail = open_tail(folder);
        if (!tail) return std::unexpected(tail.error());
        if (Status sought = tail->seek_after(next_ - 1); !sought) return sought;
        tail_.emplace(std::move(*tail));
    }
    for (std::size_t looked = 0; out.size() < kPieceBytes && looked < kPieceLines; ++looked) {
        const auto item = tail_->next();
        if (!item) return std::unexpected(item.error());
        const bool looking = snapshot_ && !snapshot_->known;
        if (looking && (!*item || tail_->expected() > snapshot_->end)) {
            if (*item) look_at(**item, out);
            if (Status sought = end_of_looking(); !sought) return sought;
            continue;
        }
        if (!*item) return end_of_files(last_id, out);  // all that is there
        look_at(**item, out);
    }
    return {};
}

}  // namespace abide::manager
