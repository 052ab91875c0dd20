// events/reader.cc -- the public reader: include/abide/events.hpp over Tail and EventWatch.
#include <cerrno>
#include <deque>
#include <map>

#include "abide/events.hpp"
#include "base/text.hpp"
#include "events/current.hpp"
#include "events/event.hpp"
#include "events/filter.hpp"
#include "events/tail.hpp"
#include "kernel/clock.hpp"
#include "kernel/event_watch.hpp"
#include "kernel/files.hpp"
#include "kernel/program.hpp"

namespace abide::events {

namespace {

std::unexpected<ReadError> unreadable(const Error& error) {
    return std::unexpected(ReadError{ErrorCode::unreadable, error.what, error.advice, error.err});
}

// "/abide/shop" of "/abide/shop#STREAM".
std::string_view instance_of(std::string_view source) {
    return source.substr(0, source.find('#'));
}

ReadResult<void> check_cursor(const Cursor& cursor, const LogEnd& end) {
    if (!cursor.source.empty() && !end.source.empty() && instance_of(cursor.source) != instance_of(end.source)) {
        return std::unexpected(ReadError{ErrorCode::other_instance,
                                         "the cursor is of " + cursor.source + ", the log of " + end.source,
                                         "name the instance that it is of", 0});
    }
    if (cursor.id <= end.last_id) return {};
    return std::unexpected(
        ReadError{ErrorCode::future_cursor,
                  "the cursor " + cursor_text(cursor.id) + " is beyond the newest event, " + cursor_text(end.last_id),
                  "is it of another instance?", 0});
}

}  // namespace

Event event_of(const Line& line, std::string_view text) {
    Event event;
    event.id = line.id;
    event.type = line.type;
    event.subject = unescape(line.subject);
    event.source = unescape(line.source);
    event.time_ns = line.time_ns;
    event.run = number(member(line.data, "run"));
    event.pid = static_cast<std::int64_t>(number(member(line.data, "pid")));
    event.cause = number(member(line.data, "cause"));
    event.gap_from = line.gap_from;
    event.line = text;
    return event;
}

std::string Cursor::text() const {
    return cursor_text(id) + (source.empty() ? "" : "@" + source);
}

ReadResult<Cursor> Cursor::parse(std::string_view text) {
    const std::size_t at = text.find('@');
    const std::string_view digits = text.substr(0, at);
    Cursor out;
    if (at != std::string_view::npos) out.source = text.substr(at + 1);
    const bool good = !digits.empty() && digits.size() <= kCursorDigits &&
                      digits.find_first_not_of("0123456789") == std::string_view::npos &&
                      (at == std::string_view::npos || out.source.starts_with("/abide/"));
    out.id = good ? number(digits) : 0;
    if (good && (out.id != 0 || digits.find_first_not_of('0') == std::string_view::npos)) return out;
    std::string message = printable(text, 80);
    message.insert(0, 1, '"').append("\" is no cursor");
    return std::unexpected(ReadError{ErrorCode::bad_cursor, std::move(message), "a cursor is the id of an event", 0});
}

struct Reader::Impl {
    std::string folder;
    Options options;
    Filter filter;
    kernel::EventWatch watch;
    std::optional<Tail> tail;
    std::deque<std::string> ready;  // lines of the snapshot

    ReadResult<bool> open_tail(bool late) {
        Result<kernel::Fd> opened = kernel::open_directory(folder);
        if (!opened && opened.error().err == ENOENT) {
            if (late || options.snapshot || options.start != Start::after || options.after.id == 0) return false;
            if (const auto checked = check_cursor(options.after, {}); !checked) return std::unexpected(checked.error());
        }
        if (!opened) return unreadable(opened.error());
        tail.emplace(std::move(*opened));
        if (const auto sought = seek(late); !sought) {
            tail.reset();
            return std::unexpected(sought.error());
        }
        return true;
    }

    // late: the folder came after the reader, so everything in it is new.
    ReadResult<void> seek(bool late) {
        Status done;
        if (options.snapshot) return take_snapshot();
        switch (late && options.start == Start::now ? Start::beginning : options.start) {
            case Start::now: done = tail->seek_end(); break;
            case Start::beginning: done = tail->seek_beginning(); break;
            case Start::ago: done = tail->seek_time(kernel::now().wall.ns - options.ago.count()); break;
            case Start::after: {
                const Result<LogEnd> end = find_log_end(tail->folder());
                if (!end) return unreadable(end.error());
                if (const auto checked = check_cursor(options.after, *end); !checked) return checked;
                done = tail->seek_after(options.after.id);
                break;
            }
        }
        if (!done) return unreadable(done.error());
        return {};
    }

    ReadResult<void> take_snapshot() {
        const Result<LogEnd> end = find_log_end(tail->folder());
        if (!end) return unreadable(end.error());
        if (Status done = tail->seek_beginning(); !done) return unreadable(done.error());
        std::map<std::string, std::pair<std::uint64_t, std::string>, std::less<>> last;
        const auto see = [&](const Line& line, std::string_view text) {
            if (line.subject.empty() || !filter.passes(line)) return;
            auto at = last.find(line.subject);
            if (at == last.end()) at = last.emplace(line.subject, std::pair<std::uint64_t, std::string>{}).first;
            at->second = {line.id, std::string(text)};
        };
        const Result<std::string> current = read_current(tail->folder());
        if (!current) return unreadable(current.error());
        each_line(*current, see);
        while (end->last_id != 0 && tail->expected() <= end->last_id) {
            const auto item = tail->next();
            if (!item) return unreadable(item.error());
            if (!*item) break;
            see((*item)->line, (*item)->text);
        }
        std::map<std::uint64_t, std::string> in_order;
        for (auto& [subject, one] : last) in_order.emplace(one.first, std::move(one.second));
        for (auto& [id, text] : in_order) ready.push_back(std::move(text));
        return {};
    }

    ReadResult<std::optional<Event>> next() {
        if (!tail) {
            const ReadResult<bool> opened = open_tail(true);
            if (!opened) return std::unexpected(opened.error());
            if (!*opened) return std::nullopt;
        }
        if (!ready.empty()) {
            const std::string text = std::move(ready.front());
            ready.pop_front();
            return event_of(*parse_line(text), text);
        }
        for (;;) {
            const auto item = tail->next();
            if (!item) return unreadable(item.error());
            if (!*item) return std::nullopt;
            if (filter.passes((*item)->line)) return event_of((*item)->line, (*item)->text);
        }
    }
};

ReadResult<Reader> Reader::open(const std::string& folder, Options options) {
    Result<Filter> filter = Filter::make(options.types, options.services);
    if (!filter) {
        const bool type = filter.error().kind == ErrorKind::not_found;
        return std::unexpected(ReadError{type ? ErrorCode::unknown_type : ErrorCode::bad_filter, filter.error().what,
                                         filter.error().advice, 0});
    }
    // Watched before it is looked at: what comes in between is not missed.
    Result<kernel::EventWatch> watch = kernel::EventWatch::create(folder, std::string(kDoorbell));
    if (!watch) return unreadable(watch.error());
    if (options.prompt) kernel::ask_for_short_slices();
    auto impl = std::make_unique<Impl>(
        Impl{folder, std::move(options), std::move(*filter), std::move(*watch), std::nullopt, {}});
    if (const ReadResult<bool> opened = impl->open_tail(false); !opened) return std::unexpected(opened.error());
    return Reader(std::move(impl));
}

Reader::Reader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

ReadResult<std::optional<Event>> Reader::next() {
    auto event = impl_->next();
    if (!event || *event) return event;
    // Whatever rings from here on makes fd() readable again; what rang before is looked at once more.
    impl_->watch.drain();
    return impl_->next();
}

ReadResult<std::optional<Event>> Reader::wait(std::chrono::nanoseconds timeout) {
    const Mono deadline = kernel::mono_now() + Duration{timeout.count()};
    for (;;) {
        auto event = next();
        if (!event || *event || kernel::mono_now() >= deadline) return event;
        const int fd = impl_->watch.fd();
        const Result<bool> waited = kernel::wait_readable({&fd, 1}, deadline);
        if (!waited) return unreadable(waited.error());
    }
}

int Reader::fd() const {
    return impl_->watch.fd();
}
std::string Reader::polling() const {
    return impl_->watch.polling();
}
Cursor Reader::cursor() const {
    Cursor out;
    if (impl_->tail && impl_->tail->expected() != 0) out.id = impl_->tail->expected() - 1;
    if (impl_->tail) out.source = impl_->tail->source();
    return out;
}

}  // namespace abide::events
