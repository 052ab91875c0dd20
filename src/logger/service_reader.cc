// logger/service_reader.cc -- see service_reader.hpp.
#include "logger/service_reader.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "kernel/files.hpp"
#include "kernel/log_files.hpp"

namespace abide::logger {
namespace {

constexpr int kAttempts = 8;  // a file may be rotated or compressed between being listed and being opened

}  // namespace

Result<std::vector<ServiceReader::OldFile>> ServiceReader::old_files() const {
    Result<kernel::Fd> folder = kernel::open_beneath(root_, folder_, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (!folder) {
        if (folder.error().err == ENOENT) return std::vector<OldFile>{};
        return std::unexpected(folder.error());
    }
    const Result<std::vector<std::string>> names = kernel::list_directory(folder->get());
    if (!names) return std::unexpected(names.error());
    std::vector<OldFile> files;
    for (const std::string& name : *names)
        if (const std::optional<RotatedName> parsed = parse_rotated(name))
            files.push_back({parsed->first_ns, parsed->compressed});
    std::sort(files.begin(), files.end(), [](const OldFile& a, const OldFile& b) {
        return std::pair{a.first_ns, a.compressed} < std::pair{b.first_ns, b.compressed};
    });
    const auto same = [](const OldFile& a, const OldFile& b) { return a.first_ns == b.first_ns; };
    files.erase(std::unique(files.begin(), files.end(), same), files.end());
    return files;
}

Status ServiceReader::open_old(const OldFile& file) {
    const std::string name = folder_ + "/" + rotated_name(file.first_ns);
    bool compressed = file.compressed;
    Result<kernel::Fd> fd = kernel::open_log_for_reading(root_, compressed ? name + ".gz" : name);
    if (!fd && fd.error().err == ENOENT && !compressed) {  // compressed meanwhile
        compressed = true;
        fd = kernel::open_log_for_reading(root_, name + ".gz");
    }
    if (!fd) return std::unexpected(fd.error());
    file_.emplace(std::move(*fd), compressed);
    is_current_ = false;
    first_ns_ = file.first_ns;
    return {};
}

Status ServiceReader::open_current() {
    Result<kernel::Fd> fd = kernel::open_log_for_reading(root_, folder_ + "/" + kCurrent);
    if (!fd) return std::unexpected(fd.error());
    const Result<kernel::FileStatus> status = kernel::fd_status(fd->get());
    if (!status) return std::unexpected(status.error());
    file_.emplace(std::move(*fd), false);
    is_current_ = true;
    inode_ = status->inode;
    first_ns_ = 0;
    return {};
}

// The time of the open file's first line, which names it; 0 while it is empty.
std::int64_t ServiceReader::first_time() const {
    if (!is_current_ && first_ns_ != 0) return first_ns_;
    std::array<char, kStampBytes> head{};
    const Result<std::size_t> got = kernel::read_at(file_->fd(), head.data(), head.size(), 0);
    return got ? parse_stamp({head.data(), *got}).value_or(0) : 0;
}

Result<bool> ServiceReader::current_changed() {
    const Result<kernel::FileStatus> named = kernel::file_status_at(root_, folder_ + "/" + kCurrent);
    if (!named && named.error().err == ENOENT) return false;  // between two names; there will be one again
    if (!named) return std::unexpected(named.error());
    if (named->inode != inode_) return true;
    if (named->size < file_->offset()) file_->seek(0);
    return false;
}

// To the file after the open one.  False: there is none yet.
Result<bool> ServiceReader::advance() {
    if (file_) done_ns_ = std::max(done_ns_, first_time());
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        const Result<std::vector<OldFile>> before = old_files();
        if (!before) return std::unexpected(before.error());
        const auto later = [&](const std::vector<OldFile>& files) {
            return std::find_if(files.begin(), files.end(), [&](const OldFile& f) { return f.first_ns > done_ns_; });
        };
        if (const auto next = later(*before); next != before->end()) {
            const Status opened = open_old(*next);
            if (opened) return true;
            if (opened.error().err != ENOENT) return std::unexpected(opened.error());
            continue;  // removed: too old to be kept
        }
        file_.reset();
        const Status opened = open_current();
        if (!opened && opened.error().err == ENOENT) return false;
        if (!opened) return std::unexpected(opened.error());
        // What was current when the folder was listed may be an old file now, before the one just opened.
        const Result<std::vector<OldFile>> after = old_files();
        if (!after) return std::unexpected(after.error());
        const auto missed = later(*after);
        if (missed == after->end() || missed->first_ns == first_time()) return true;
    }
    return fail(ErrorKind::failed, "the log of " + service_ + " is rotated faster than it can be read");
}

void ServiceReader::fill_line(std::string_view raw, LogLine& line) {
    const std::optional<LineHead> head = parse_head(raw);
    if (head) {
        time_ns_ = head->wall_ns;
        raw.remove_prefix(kHeadBytes);
    }
    line.service = service_;
    line.time = {time_ns_};  // a line that isn't ours has the time of the one before it
    line.text = raw;
    line.continues = head && head->continues;
}

Result<bool> ServiceReader::next(LogLine& line) {
    if (ahead_) {
        line = std::move(*ahead_);
        ahead_.reset();
        return true;
    }
    for (;;) {
        if (!file_) {
            const Result<bool> opened = advance();
            if (!opened || !*opened) return opened;
        }
        std::string_view raw;
        // Asked before reading: nothing is written to a file any more once another one is current.
        const Result<bool> changed = is_current_ ? current_changed() : true;
        if (!changed) return changed;
        for (;;) {
            Result<bool> got = file_->next(raw);
            if (!got && is_current_) return got;
            const bool damaged = !got;  // an old file: what can be read was read
            if (damaged || !*got) break;
            if (skip_lines_ > 0) {
                --skip_lines_;
                continue;
            }
            fill_line(raw, line);
            if (time_ns_ >= skip_before_ns_) return true;
        }
        if (!*changed) return false;
        const std::string rest(file_->rest());
        const Result<bool> advanced = advance();
        if (!advanced || !*advanced) return advanced;
        skip_lines_ = 0;
        if (rest.empty()) continue;
        fill_line(rest, line);
        if (time_ns_ >= skip_before_ns_) return true;
    }
}

void ServiceReader::reset() {
    ahead_.reset();
    file_.reset();
    skip_lines_ = 0;
    skip_before_ns_ = 0;
    time_ns_ = 0;
    done_ns_ = INT64_MIN;
}

// The current file, if there is one, and the old ones.  In this order: a file that is rotated in between is seen twice,
// not never.
Result<std::vector<ServiceReader::OldFile>> ServiceReader::open_and_list() {
    reset();
    if (const Status opened = open_current(); !opened && opened.error().err != ENOENT)
        return std::unexpected(opened.error());
    return old_files();
}

Status ServiceReader::to_end() {
    const Result<std::vector<OldFile>> old = open_and_list();
    if (!old) return std::unexpected(old.error());
    if (!old->empty()) done_ns_ = old->back().first_ns;
    return file_ ? skip_to_last_newline() : Status{};
}

// A line that is being written comes whole later.
Status ServiceReader::skip_to_last_newline() {
    const Result<kernel::FileStatus> status = kernel::fd_status(file_->fd());
    if (!status) return std::unexpected(status.error());
    const Result<LastLines> last = find_last(file_->fd(), status->size, 1);
    if (!last) return std::unexpected(last.error());
    file_->seek(last->offset);
    if (last->lines == 0) return {};
    std::string_view raw;
    const Result<bool> got = file_->next(raw);
    if (!got) return std::unexpected(got.error());
    LogLine line;
    fill_line(raw, line);  // for the time of lines that have none
    return {};
}

Status ServiceReader::to_start_of_last(std::uint64_t lines) {
    if (lines == 0) return to_end();
    const Result<std::vector<OldFile>> old = open_and_list();
    if (!old) return std::unexpected(old.error());
    std::uint64_t missing = lines;
    std::int64_t seen_ns = INT64_MIN;  // the open file, should it have become an old one
    if (file_) {
        const Result<kernel::FileStatus> status = kernel::fd_status(file_->fd());
        if (!status) return std::unexpected(status.error());
        const Result<LastLines> last = find_last(file_->fd(), status->size, lines);
        if (!last) return std::unexpected(last.error());
        file_->seek(last->offset);
        missing = lines - last->lines;
        seen_ns = first_time();
    }
    for (auto file = old->rbegin(); missing > 0 && file != old->rend(); ++file) {
        if (file->first_ns == seen_ns) continue;
        const Result<std::uint64_t> taken = start_in_old(*file, missing);
        if (!taken) break;  // removed meanwhile
        missing -= *taken;
    }
    return {};
}

// Makes the last `wanted` lines of an old file the next ones; returns how many of them there are.  A failure changes
// nothing.
Result<std::uint64_t> ServiceReader::start_in_old(const OldFile& file, std::uint64_t wanted) {
    ServiceReader other(root_, service_, folder_);
    if (const Status opened = other.open_old(file); !opened) return std::unexpected(opened.error());
    std::uint64_t count = 0;
    std::string_view raw;
    for (Result<bool> got = other.file_->next(raw); got && *got; got = other.file_->next(raw)) ++count;
    if (const Status again = other.open_old(file); !again) return std::unexpected(again.error());
    file_ = std::move(other.file_);
    is_current_ = false;
    first_ns_ = file.first_ns;
    skip_lines_ = count > wanted ? count - wanted : 0;
    return std::min(count, wanted);
}

Status ServiceReader::to_time(std::int64_t since_ns) {
    const Result<std::vector<OldFile>> old = open_and_list();
    if (!old) return std::unexpected(old.error());
    skip_before_ns_ = since_ns;
    const std::int64_t current_first = file_ ? first_time() : 0;
    for (std::size_t i = 0; i < old->size(); ++i) {
        const bool is_last = i + 1 == old->size();
        const std::int64_t next_first = is_last ? current_first : (*old)[i + 1].first_ns;
        // All of its lines are older than the first line of the next file, unless the clock was set back between them.
        const bool too_old = next_first > (*old)[i].first_ns && next_first <= since_ns;
        if (!too_old && open_old((*old)[i])) break;
    }
    if (!file_ || file_->compressed()) return {};  // read from its start; what is too old is skipped
    const Result<kernel::FileStatus> status = kernel::fd_status(file_->fd());
    if (!status) return std::unexpected(status.error());
    const Result<std::uint64_t> offset = find_since(file_->fd(), status->size, since_ns);
    if (!offset) return std::unexpected(offset.error());
    if (*offset == status->size) return skip_to_last_newline();
    file_->seek(*offset);
    return {};
}

}  // namespace abide::logger
