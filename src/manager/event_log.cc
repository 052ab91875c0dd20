// manager/event_log.cc -- see the header.
#include "manager/event_log.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "events/line.hpp"
#include "events/reservation.hpp"
#include "events/tail.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/log_files.hpp"
#include "kernel/users.hpp"
#include "manager/complain.hpp"
#include "model/event_json.hpp"

namespace abide::manager {

namespace {

constexpr unsigned kFileMode = 0640, kFolderMode = 0750;
constexpr int kAppend = O_WRONLY | O_APPEND | O_CLOEXEC;
constexpr std::uint64_t kSegments = 16;  // of the size that is kept
constexpr std::uint64_t kSmallestSegment = 64u << 10, kLargestSegment = 8u << 20;
constexpr Duration kRetry = seconds(1);
constexpr std::uint64_t kPlausible = 1'000'000;  // events of one turn
constexpr std::int64_t kLookForOldNs = 600LL * 1'000'000'000;
constexpr int kRingsElsewhere = 1000;

std::string time_text(Wall time) {
    std::string text;
    model::append_rfc3339(text, time);
    return text;
}

}  // namespace

std::string cursor_text(EventId id) {
    return events::cursor_text(id.value);
}

void EventLog::reserve(const std::string& log_folder, const std::string& stream, EventId reserved) {
    log_folder_ = log_folder;
    stream_ = stream;
    reserved_ = reserved;
}

bool EventLog::write_reservation(std::uint64_t next) const {
    const Result<kernel::Fd> folder = kernel::open_directory(log_folder_);
    if (!folder) return false;
    const std::string name(events::kReservationFile), beside = name + ".new";
    const Result<kernel::Fd> file =
        kernel::open_beneath(folder->get(), beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const std::string text = events::write_reservation({next, stream_});
    if (!file || !kernel::write_all(file->get(), text.data(), text.size())) return false;
    return kernel::rename_over(folder->get(), beside, name).has_value();
}

void EventLog::give_back(EventId last) {
    if (!log_folder_.empty()) static_cast<void>(write_reservation(last.value + 1));
}

void EventLog::set_source(const std::string& instance, const std::string& stream) {
    source_ = "/abide/" + instance + (stream.empty() ? "" : "#" + stream);
}

void EventLog::configure(const model::InstanceSpec& spec) {
    max_size_ = spec.events.or_default().max_size;
    max_age_ = spec.events.or_default().max_age;
    if (readers_ == spec.read) return;
    readers_ = spec.read;
    group_ = kernel::kNoGroup;
    if (!readers_.empty()) {
        const Result<std::uint32_t> found = kernel::find_group(readers_.front());
        if (found) group_ = *found;
    }
    if (!directory_) return;
    // What was written before as well; who is let in no longer has nothing of it any more.
    const std::uint32_t group = group_ != kernel::kNoGroup ? group_ : kernel::effective_gid();
    const Result<std::vector<std::string>> names = kernel::list_directory(directory_.get());
    for (const std::string& name : names ? *names : std::vector<std::string>{}) {
        const Result<kernel::Fd> file = kernel::open_beneath(directory_.get(), name, O_RDONLY | O_NONBLOCK);
        if (file) static_cast<void>(kernel::set_group_and_mode(file->get(), group, kFileMode));
    }
    static_cast<void>(kernel::set_group_and_mode(directory_.get(), group, kFolderMode));
}

Status EventLog::open_folder() {
    if (directory_) return {};
    Result<kernel::Fd> given = folder_();
    if (!given) return std::unexpected(given.error());
    // An open file description of our own, for a lock of our own.
    Result<kernel::Fd> own = kernel::reopen(given->get(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!own) return std::unexpected(own.error());
    if (Status locked = kernel::lock_exclusive(own->get()); !locked) {
        if (locked.error().kind != ErrorKind::refused) return locked;
        // What is missing can be told without the lock.
        if (const auto end = events::find_log_end(own->get())) written_ = std::max(written_, EventId{end->last_id});
        return fail(ErrorKind::refused, "another supervisor writes the event log");
    }
    static_cast<void>(kernel::set_group_and_mode(own->get(), group_, kFolderMode));
    directory_ = std::move(*own);
    if (Status adopted = adopt_newest(); !adopted) {
        directory_.reset();
        return adopted;
    }
    drop_told();
    return {};
}

// A predecessor that had the lock until now may have written some of what waits here.
void EventLog::drop_told() {
    while (!lines_.empty() && first_ <= written_) {
        lines_.erase(0, std::min(lines_.find('\n'), lines_.size() - 1) + 1);
        const auto next = events::parse_line(std::string_view(lines_).substr(0, lines_.find('\n')));
        if (!next) break;
        first_ = {next->id};
    }
}

Status EventLog::open_doorbell() {
    if (doorbell_) {
        const Result<kernel::OpenFileStatus> status = kernel::open_file_status(doorbell_.get());
        if (status && status->links != 0) return {};
    }
    Result<kernel::Fd> opened =
        kernel::open_beneath(directory_.get(), events::kDoorbell, O_WRONLY | O_CLOEXEC | O_CREAT, kFileMode);
    if (!opened) return std::unexpected(opened.error());
    static_cast<void>(kernel::set_group_and_mode(opened->get(), group_, kFileMode));
    doorbell_ = std::move(*opened);
    another_doorbell_ = true;
    return {};
}

// Goes on with the newest segment.
Status EventLog::adopt_newest() {
    const Result<events::LogEnd> end = events::find_log_end(directory_.get());
    if (!end) return std::unexpected(end.error());
    written_ = std::max(written_, EventId{end->last_id});
    const Result<std::vector<std::uint64_t>> segments = events::list_segments(directory_.get());
    if (!segments) return std::unexpected(segments.error());
    if (segments->empty()) return {};
    const std::string name = events::segment_name(segments->back());
    const Result<kernel::Fd> reader = events::open_segment(directory_.get(), segments->back());
    if (!reader) return std::unexpected(reader.error());
    const Result<events::SegmentEnd> of_segment = events::find_segment_end(reader->get());
    if (!of_segment) return std::unexpected(of_segment.error());
    Result<kernel::Fd> segment = kernel::open_beneath(directory_.get(), name, kAppend);
    if (!segment) return std::unexpected(segment.error());
    // A predecessor may have died in the middle of a line.  No reader looks at one before its end is there.
    if (of_segment->size != of_segment->whole) {
        if (Status cut = kernel::truncate_file(segment->get(), of_segment->whole); !cut) return cut;
    }
    size_ = of_segment->whole;
    segment_ = std::move(*segment);
    begun_ = kernel::now().wall;
    return {};
}

EventId EventLog::take_over(std::string_view journaled, EventId last_event, const Now& now) {
    if (const Status opened = open_folder(); !opened) put_off(opened.error(), now);
    // The journal is written first, so the log can know of little that it does not; a number far beyond is damaged.
    if (written_.value > last_event.value && written_.value - last_event.value > kPlausible) written_ = last_event;
    EventId told = written_;
    while (!journaled.empty()) {
        const std::size_t end = std::min(journaled.find('\n'), journaled.size());
        const std::string_view text = journaled.substr(0, end);
        journaled.remove_prefix(std::min(end + 1, journaled.size()));
        const std::optional<events::Line> line = events::parse_line(text);
        if (!line || line->id <= told.value) continue;
        const std::uint64_t from = line->gap_from != 0 ? line->gap_from : line->id;
        if (told && from > told.value + 1) add_gap({told.value + 1}, {from - 1}, now);
        if (lines_.empty()) first_ = {line->id};
        lines_.append(text) += '\n';
        told = last_ = {line->id};
    }
    if (told && last_event > told) add_gap({told.value + 1}, last_event, now);
    fresh_at_ = lines_.size();
    return std::max(told, last_event);
}

void EventLog::add_gap(EventId from, EventId to, const Now& now) {
    if (lines_.empty()) first_ = to;
    lines_ += events::gap_line(from.value, to.value, source_, time_text(now.wall));
    last_ = to;
}

void EventLog::append(const model::Event& event) {
    if (lines_.empty()) first_ = event.id;
    model::encode_event(lines_, event, source_);
    lines_ += '\n';
    last_ = event.id;
}

Status EventLog::ensure_segment(const Now& now) {
    if (segment_) {
        const Result<kernel::OpenFileStatus> status = kernel::open_file_status(segment_.get());
        if (!status || status->links == 0) segment_.reset();  // somebody deleted it
    }
    const std::uint64_t largest = std::clamp(max_size_ / kSegments, kSmallestSegment, kLargestSegment);
    const bool old = max_age_.ns > 0 && now.wall.ns - begun_.ns > max_age_.ns / static_cast<std::int64_t>(kSegments);
    if (segment_ && (size_ < largest) && !(old && size_ != 0)) return {};
    Result<kernel::Fd> made =
        kernel::open_beneath(directory_.get(), events::segment_name(first_.value), kAppend | O_CREAT, kFileMode);
    if (!made) return std::unexpected(made.error());
    const Result<kernel::OpenFileStatus> status = kernel::open_file_status(made->get());
    if (!status) return std::unexpected(status.error());
    static_cast<void>(kernel::set_group_and_mode(made->get(), group_, kFileMode));
    segment_ = std::move(*made);
    size_ = status->size;
    begun_ = now.wall;
    forget_old_segments(now);
    return {};
}

// By age, then by size; the newest one stays.  Cut first: a reader that has it open sees its end at once, and its bytes
// are free although somebody holds it.
void EventLog::forget_old_segments(const Now& now) {
    looked_ = now.wall;
    const Result<std::vector<std::uint64_t>> segments = events::list_segments(directory_.get());
    if (!segments || segments->empty()) return;
    std::vector<std::pair<std::uint64_t, kernel::FileStatus>> known;
    std::uint64_t total = 0;
    for (const std::uint64_t first : *segments) {
        const Result<kernel::Fd> segment = events::open_segment(directory_.get(), first);
        const Result<kernel::FileStatus> status =
            segment ? kernel::fd_status(segment->get()) : std::unexpected(segment.error());
        if (!status) continue;
        known.emplace_back(first, *status);
        total += status->size;
    }
    if (known.empty()) return;
    known.pop_back();
    std::vector<std::uint64_t> forgotten;
    for (const auto& [first, status] : known) {
        const bool old = max_age_.ns > 0 && now.wall.ns - status.modified_ns > max_age_.ns;
        if (!old && total <= max_size_) break;
        forgotten.push_back(first);
        total -= status.size;
    }
    if (!forgotten.empty()) keep_current(forgotten);
    for (const std::uint64_t first : forgotten) {
        const std::string name = events::segment_name(first);
        if (const Result<kernel::Fd> segment = kernel::open_beneath(directory_.get(), name, kAppend)) {
            static_cast<void>(kernel::truncate_file(segment->get(), 0));
        }
        static_cast<void>(kernel::unlink_beneath(directory_.get(), name));
    }
}

// Where that fails there is no room: the segments go all the same, and with them what they tell.
void EventLog::keep_current(const std::vector<std::uint64_t>& forgotten) {
    if (!is_current_) return;
    events::Current current(is_current_);
    const auto add = [&](const Result<std::string>& lines) {
        if (lines) current.add(*lines);
        return lines.has_value();
    };
    bool all = add(events::read_current(directory_.get()));
    for (const std::uint64_t first : forgotten) {
        const Result<kernel::Fd> segment = events::open_segment(directory_.get(), first);
        all = segment && add(kernel::read_all(segment->get(), 2 * kLargestSegment)) && all;
    }
    const auto made =
        kernel::replace_beneath(directory_.get(), std::string(events::kCurrentFile), current.text(), kFileMode);
    if (made) static_cast<void>(kernel::set_group_and_mode(made->get(), group_, kFileMode));
    if (!made || !all) complain("events: what is so of services that have not changed for long is forgotten with them");
}

// So many bytes of lines_ are in the log; they end with a line.
void EventLog::wrote(std::size_t bytes) {
    size_ += bytes;
    if (bytes == lines_.size()) {
        written_ = last_;
        batch_.swap(lines_);
        lines_.clear();
        return;
    }
    lines_.erase(0, bytes);
    if (const auto next = events::parse_line(std::string_view(lines_).substr(0, lines_.find('\n')))) {
        first_ = {next->id};
        written_ = {(next->gap_from != 0 ? next->gap_from : next->id) - 1};
    }
}

Status EventLog::write_out(const Now& now) {
    if (Status opened = open_folder(); !opened) return opened;
    if (gap_from_) {
        lines_.insert(0, events::gap_line(gap_from_.value, gap_to_.value, source_, time_text(now.wall)));
        first_ = gap_to_;
        last_ = std::max(last_, gap_to_);
        gap_from_ = {};
    }
    if (Status ready = ensure_segment(now); !ready) {
        if (ready.error().err == ENOENT) directory_.reset();  // the folder itself is gone: made anew next time
        return ready;
    }
    const Result<std::size_t> written = kernel::write_some(segment_.get(), lines_.data(), lines_.size());
    if (!written) return std::unexpected(written.error());
    const std::size_t newline = lines_.rfind('\n', *written - 1);
    const std::size_t whole = *written == 0 || newline == std::string::npos ? 0 : newline + 1;
    // Whole lines stay, since somebody may have read them; of the rest nobody took notice.
    if (whole != *written) static_cast<void>(kernel::truncate_file(segment_.get(), size_ + whole));
    const bool all = whole == lines_.size();
    wrote(whole);
    if (!all) return fail_errno(ENOSPC, "write");
    return {};
}

void EventLog::bound_waiting() {
    if (lines_.size() <= kEventBytesWaiting) return;
    if (!gap_from_) {
        const auto first = events::parse_line(std::string_view(lines_).substr(0, lines_.find('\n')));
        gap_from_ = first && first->gap_from != 0 ? EventId{first->gap_from} : first_;
    }
    gap_to_ = last_;
    lines_.clear();
    lines_.shrink_to_fit();
}

void EventLog::flush(const Now& now) {
    fresh_at_ = lines_.size();
    batch_.clear();
    if (lines_.empty() && !gap_from_) return;
    const bool waits = retry_at_ != kNever && now.mono < retry_at_;
    Status done;
    if (!waits) {
        done = write_out(now);
        // What is in the log is rung for, also when the rest found no room.
        if (directory_ && open_doorbell()) ring();
        if (done) {
            complained_ = false;
            retry_at_ = kNever;
            pause_ = kFirstRetry;
        } else {
            put_off(done.error(), now);
        }
    }
    bound_waiting();
    fresh_at_ = lines_.size();
    if (!log_folder_.empty() && last_.value + events::kReservedAtOnce / 2 > reserved_.value) {
        reserved_ = {last_.value + events::kReservedAtOnce};
        static_cast<void>(write_reservation(reserved_.value + 1));
    }
    if (directory_ && now.wall.ns - looked_.ns > kLookForOldNs) forget_old_segments(now);
}

// A predecessor's last child may hold its lock for some milliseconds, until its exec: the first pauses are short.
void EventLog::put_off(const Error& why, const Now& now) {
    const bool passes = why.kind == ErrorKind::refused && pause_ < kRetry;
    if (!passes) pause_ = kRetry;
    retry_at_ = now.mono + pause_;
    if (passes) {
        pause_ = std::min(kRetry, Duration{pause_.ns * 2});
        return;
    }
    if (!std::exchange(complained_, true))
        complain("events are not written: " + describe(why) + "; they wait in memory");
}

void EventLog::ring_again() {
    dear_ = 0;
    if (doorbell_) ring();
}

void EventLog::ring() {
    if (dear_ > 0 && ringer_ && ringer_(doorbell_.get(), another_doorbell_)) {
        another_doorbell_ = false;
        --dear_;
        return;
    }
    const Mono begin = kernel::mono_now();
    const Status rung = kernel::ring(doorbell_.get());
    dear_ = rung && kernel::mono_now() - begin > dear_ring_ ? kRingsElsewhere : 0;
}

}  // namespace abide::manager
