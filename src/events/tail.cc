// events/tail.cc -- see tail.hpp.
#include "events/tail.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "kernel/event_watch.hpp"
#include "kernel/files.hpp"
#include "kernel/log_files.hpp"

namespace abide::events {

namespace {

constexpr std::size_t kEndBytes = 256u << 10;  // a segment's last line is within these, unless it is damaged

std::string_view time_of(std::string_view text) {
    constexpr std::string_view kMember = "\"time\":\"";
    const std::size_t at = text.find(kMember);
    return at == std::string_view::npos ? std::string_view{} : text.substr(at + kMember.size(), 30);
}

// The last line within the bytes that is whole and right.
std::optional<Line> last_line(std::string_view bytes) {
    std::size_t end = bytes.rfind('\n');
    while (end != std::string_view::npos) {
        const std::size_t before = end == 0 ? std::string_view::npos : bytes.rfind('\n', end - 1);
        const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
        if (const std::optional<Line> line = parse_line(bytes.substr(begin, end - begin))) return line;
        end = before;
    }
    return std::nullopt;
}

}  // namespace

Result<std::vector<std::uint64_t>> list_segments(int folder) {
    const Result<std::vector<std::string>> names = kernel::list_directory(folder);
    if (!names) return std::unexpected(names.error());
    std::vector<std::uint64_t> segments;
    for (const std::string& name : *names) {
        if (const auto first = parse_segment_name(name)) segments.push_back(*first);
    }
    std::ranges::sort(segments);
    return segments;
}

Result<kernel::Fd> open_segment(int folder, std::uint64_t first_id) {
    return kernel::open_beneath(folder, segment_name(first_id), O_RDONLY | O_CLOEXEC);
}

Result<SegmentEnd> find_segment_end(int segment) {
    const Result<kernel::OpenFileStatus> status = kernel::open_file_status(segment);
    if (!status) return std::unexpected(status.error());
    SegmentEnd end;
    end.size = status->size;
    // Nearly always the last bytes tell; where they are damaged, all of it is read.
    for (const std::uint64_t wanted : {std::min<std::uint64_t>(end.size, kEndBytes), end.size}) {
        std::string bytes(static_cast<std::size_t>(wanted), '\0');
        const Result<std::size_t> got = kernel::read_at(segment, bytes.data(), bytes.size(), end.size - wanted);
        if (!got) return std::unexpected(got.error());
        bytes.resize(*got);
        const std::size_t newline = bytes.rfind('\n');
        if (newline != std::string::npos) end.whole = end.size - wanted + newline + 1;
        const std::optional<Line> line = last_line(bytes);
        if (!line) continue;
        end.last_id = line->id;
        end.source = line->source;
        break;
    }
    return end;
}

Result<LogEnd> find_log_end(int folder) {
    const Result<std::vector<std::uint64_t>> segments = list_segments(folder);
    if (!segments) return std::unexpected(segments.error());
    LogEnd end;
    for (auto first = segments->rbegin(); first != segments->rend(); ++first) {
        const Result<kernel::Fd> segment = open_segment(folder, *first);
        if (!segment && segment.error().err == ENOENT) continue;
        if (!segment) return std::unexpected(segment.error());
        const Result<SegmentEnd> of_segment = find_segment_end(segment->get());
        if (!of_segment) return std::unexpected(of_segment.error());
        // The name alone says which ids were used before.
        end.last_id = std::max({end.last_id, of_segment->last_id, *first - 1});
        end.source = of_segment->source;
        if (of_segment->last_id != 0) break;
    }
    return end;
}

Status Tail::open_at(std::uint64_t first_id) {
    Result<kernel::Fd> opened = open_segment(folder_.get(), first_id);
    if (!opened) return std::unexpected(opened.error());
    segment_ = std::move(*opened);
    first_ = first_id;
    offset_ = 0;
    buffer_.clear();
    at_ = scanned_ = 0;
    return {};
}

// The segment that has this id, or the oldest one; none is fine.
Status Tail::locate(std::uint64_t id) {
    for (int attempt = 0; attempt < 3; ++attempt) {
        const Result<std::vector<std::uint64_t>> segments = list_segments(folder_.get());
        if (!segments) return std::unexpected(segments.error());
        if (segments->empty()) return {};
        auto at = std::ranges::upper_bound(*segments, id);
        if (at != segments->begin()) --at;
        const Status opened = open_at(*at);
        if (opened || opened.error().err != ENOENT) return opened;  // else it was forgotten just now
    }
    return {};
}

Status Tail::seek_beginning() {
    expected_ = 0;
    if (Status located = locate(0); !located) return located;
    // The name says what the segment began with.
    if (segment_) expected_ = first_;
    return {};
}

Status Tail::seek_after(std::uint64_t id) {
    expected_ = id + 1;
    return locate(expected_);
}

Status Tail::seek_end() {
    const Result<std::vector<std::uint64_t>> segments = list_segments(folder_.get());
    if (!segments) return std::unexpected(segments.error());
    expected_ = 0;
    if (segments->empty()) return {};
    if (Status opened = open_at(segments->back()); !opened) return opened;
    const Result<SegmentEnd> end = find_segment_end(segment_.get());
    if (!end) return std::unexpected(end.error());
    offset_ = end->whole;
    expected_ = end->last_id != 0 ? end->last_id + 1 : first_;
    source_ = end->source;
    return {};
}

Status Tail::seek_time(std::int64_t time_ns) {
    const Result<std::vector<std::uint64_t>> segments = list_segments(folder_.get());
    if (!segments) return std::unexpected(segments.error());
    expected_ = 0;
    // The newest segment that begins before that time, or the oldest one.
    for (auto first = segments->rbegin(); first != segments->rend(); ++first) {
        if (!open_at(*first)) continue;
        const Result<std::optional<std::string_view>> text = line();
        if (!text) return std::unexpected(text.error());
        const std::optional<Line> parsed = *text ? parse_line(**text) : std::nullopt;
        if (parsed && parsed->time_ns < time_ns) break;
    }
    for (;;) {
        const Result<std::optional<std::string_view>> text = line();
        if (!text) return std::unexpected(text.error());
        if (!*text) return {};
        const std::optional<Line> parsed = parse_line(**text);
        if (parsed && parsed->time_ns >= time_ns) return {};
        if (parsed) {
            expected_ = parsed->id + 1;
            source_ = parsed->source;
        }
        consume((*text)->size() + 1);
    }
}

void Tail::consume(std::size_t bytes) {
    at_ += bytes;
    scanned_ = at_;
    found_none_ = false;
}

// One read at the end of the buffer.  False: nothing there.
Result<bool> Tail::read_more() {
    if (at_ != 0) {
        buffer_.erase(0, at_);
        offset_ += at_;
        scanned_ -= at_;
        at_ = 0;
    }
    if (buffer_.size() > kLineBytes) {
        // No line is so long: what follows is read as lines again, and passed over until one is right.
        offset_ += buffer_.size();
        buffer_.clear();
        scanned_ = 0;
    }
    const std::size_t old = buffer_.size();
    buffer_.resize(old + chunk_);
    const Result<std::size_t> got = kernel::read_at(segment_.get(), buffer_.data() + old, chunk_, offset_ + old);
    buffer_.resize(old + (got ? *got : 0));
    if (!got) return std::unexpected(got.error());
    // Who follows gets a line at a time, and should not wait for 64 KiB of zeros first.
    chunk_ = *got == chunk_ ? kLargestChunk : kSmallestChunk;
    return *got != 0;
}

Result<std::optional<std::uint64_t>> Tail::find_newer() {
    const Result<std::vector<std::uint64_t>> segments = list_segments(folder_.get());
    if (!segments) return std::unexpected(segments.error());
    const auto newer = std::ranges::upper_bound(*segments, first_);
    return newer == segments->end() ? std::nullopt : std::optional(*newer);
}

// The end of this segment was met: is there another one?
Result<bool> Tail::advance() {
    const Result<kernel::OpenFileStatus> status = kernel::open_file_status(segment_.get());
    if (!status) return std::unexpected(status.error());
    if (status->size < offset_) {  // cut under us: what is left is looked at anew
        const std::uint64_t before = first_;
        buffer_.clear();
        at_ = scanned_ = 0;
        offset_ = status->size;
        if (status->links != 0 && status->size != 0) {
            if (Status located = locate(expected_); !located) return std::unexpected(located.error());
            return before != first_;
        }
    }
    Result<kernel::Fd> next = std::unexpected(Error{});
    std::uint64_t next_first = expected_;
    if (expected_ > first_) next = open_segment(folder_.get(), expected_);
    // Segments have other names only after a gap; looked for when the bell rang and nothing came.
    if (!next && (std::exchange(found_none_, true) || status->links == 0)) {
        const Result<std::optional<std::uint64_t>> newer = find_newer();
        if (!newer) return std::unexpected(newer.error());
        if (!*newer) return false;
        next_first = **newer;
        next = open_segment(folder_.get(), next_first);
    }
    if (!next) return false;
    // What was written here before the next one was begun comes first.
    const Result<bool> more = read_more();
    if (!more || *more) return more;
    segment_ = std::move(*next);
    first_ = next_first;
    offset_ = 0;
    buffer_.clear();
    at_ = scanned_ = 0;
    return true;
}

Result<bool> Tail::fill() {
    if (!segment_) {
        if (Status located = locate(expected_); !located) return std::unexpected(located.error());
        if (!segment_) return false;
    }
    const Result<bool> more = read_more();
    if (!more || *more) return more;
    return advance();
}

Result<std::optional<std::string_view>> Tail::line() {
    for (;;) {
        const std::size_t end = buffer_.find('\n', scanned_);
        if (end != std::string::npos) {
            scanned_ = end;
            return std::string_view(buffer_).substr(at_, end - at_);
        }
        scanned_ = buffer_.size();
        const Result<bool> more = fill();
        if (!more) return std::unexpected(more.error());
        if (!*more) return std::nullopt;
    }
}

// A number that leaps up, and the line behind it does not go on from there: the number is damaged, not the order.
bool Tail::is_followed_by_lower(std::uint64_t id, std::size_t bytes) {
    std::size_t begin = at_ + bytes;
    std::size_t end = buffer_.find('\n', begin);
    if (end == std::string::npos) {
        const std::size_t before = at_;
        if (const Result<bool> more = read_more(); !more || !*more) return false;
        begin -= before - at_;
        end = buffer_.find('\n', begin);
        if (end == std::string::npos) return false;
    }
    const std::optional<Line> following = parse_line(std::string_view(buffer_).substr(begin, end - begin));
    return following && following->id <= id;
}

Tail::Item Tail::gap(std::uint64_t from, std::uint64_t to, const Line& before, std::string_view text) {
    gap_text_ = gap_line(from, to, before.source, time_of(text));
    gap_text_.pop_back();
    expected_ = to + 1;
    source_ = before.source;
    Item item;
    item.text = gap_text_;
    item.line = *parse_line(gap_text_);
    return item;
}

Result<std::optional<Tail::Item>> Tail::next() {
    for (;;) {
        const Result<std::optional<std::string_view>> found = line();
        if (!found) return std::unexpected(found.error());
        if (!*found) return std::nullopt;
        const std::size_t bytes = (*found)->size() + 1;
        std::optional<Line> parsed = parse_line(**found);
        if (!parsed || (expected_ != 0 && parsed->id < expected_)) {
            consume(bytes);
            continue;
        }
        const bool leaps = expected_ != 0 && parsed->id > expected_;
        if (leaps && is_followed_by_lower(parsed->id, bytes)) {
            consume(bytes);
            continue;
        }
        // The buffer may have moved.
        const std::string_view text = std::string_view(buffer_).substr(at_, bytes - 1);
        parsed = parse_line(text);
        if (leaps) {
            const bool tells = parsed->gap_from != 0;
            const Item item = gap(expected_, tells ? parsed->id : parsed->id - 1, *parsed, text);
            if (tells) consume(bytes);
            return item;
        }
        consume(bytes);
        expected_ = parsed->id + 1;
        source_ = parsed->source;
        return Item{*parsed, text};
    }
}

}  // namespace abide::events
