// manager/event_log.cc -- see the header.
#include "manager/event_log.hpp"

#include <fcntl.h>

#include <algorithm>
#include <string_view>

#include "kernel/files.hpp"
#include "manager/complain.hpp"
#include "model/event_json.hpp"

namespace abide::manager {

namespace {

constexpr std::string_view kSuffix = ".jsonl";
constexpr mode_t kSegmentMode = 0640;
constexpr int kSegmentFlags = O_WRONLY | O_APPEND | O_CLOEXEC | O_CREAT;

}  // namespace

std::string cursor_text(EventId id) {
    std::string text;
    model::append_cursor(text, id);
    return text;
}

Status EventLog::open(kernel::Fd directory, std::string instance) {
    directory_ = std::move(directory);
    source_ = "/abide/" + instance;
    const Result<std::vector<std::string>> names = kernel::list_directory(directory_.get());
    if (!names) return std::unexpected(names.error());
    std::string newest;
    for (const std::string& name : *names) {
        if (name.size() == 20 + kSuffix.size() && name.ends_with(kSuffix)) newest = std::max(newest, name);
    }
    if (newest.empty()) return {};
    Result<kernel::Fd> segment = kernel::open_beneath(directory_.get(), newest, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (!segment) return std::unexpected(segment.error());
    const Result<kernel::FileStatus> status = kernel::fd_status(segment->get());
    if (!status) return std::unexpected(status.error());
    size_ = status->size;
    segment_ = std::move(*segment);
    // A predecessor may have died, or the disk been full, in the middle of a line: what follows begins on a line of its
    // own.
    const Result<kernel::Fd> reader = kernel::open_beneath(directory_.get(), newest, O_RDONLY | O_CLOEXEC);
    const Result<std::string> all = reader ? kernel::read_all(reader->get(), 2 * kSegmentBytes) : std::string{};
    if (all && !all->empty() && all->back() != '\n') static_cast<void>(kernel::write_all(segment_.get(), "\n", 1));
    return {};
}

void EventLog::append(const model::Event& event) {
    if (lines_.empty()) first_ = event.id;
    model::encode_event(lines_, event, source_);
    lines_ += '\n';
    ++count_;
}

Status EventLog::ensure_segment(EventId first) {
    if (segment_ && size_ < kSegmentBytes) return {};
    Result<kernel::Fd> made =
        kernel::open_beneath(directory_.get(), cursor_text(first) + std::string(kSuffix), kSegmentFlags, kSegmentMode);
    if (!made) return std::unexpected(made.error());
    segment_ = std::move(*made);
    size_ = 0;
    forget_old_segments();
    return {};
}

void EventLog::forget_old_segments() {
    Result<std::vector<std::string>> names = kernel::list_directory(directory_.get());
    if (!names) return;
    std::erase_if(
        *names, [](const std::string& name) { return name.size() != 20 + kSuffix.size() || !name.ends_with(kSuffix); });
    std::ranges::sort(*names);
    for (std::size_t i = 0; i + kSegmentsKept < names->size(); ++i) {
        static_cast<void>(kernel::unlink_beneath(directory_.get(), (*names)[i]));
    }
}

void EventLog::failed(const Error& error) {
    lost_ += count_;
    if (!complained_) complain("events are not written: " + describe(error));
    complained_ = true;
}

void EventLog::flush() {
    if (lines_.empty()) return;
    if (const Status ready = ensure_segment(first_); !ready) {
        failed(ready.error());
    } else {
        const Result<std::size_t> written = kernel::write_some(segment_.get(), lines_.data(), lines_.size());
        if (written && *written == lines_.size()) {
            size_ += *written;
            complained_ = false;
        } else {
            // Half a batch would be half a line: it goes, so that the file holds whole lines only.
            static_cast<void>(kernel::truncate_file(segment_.get(), size_));
            failed(written ? Error{ErrorKind::failed, "the disk is full", 0, {}} : written.error());
        }
    }
    lines_.clear();
    count_ = 0;
}

}  // namespace abide::manager
