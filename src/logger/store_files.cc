// logger/store_files.cc -- the files of the store: opening, the few that are open, rotation, the number of old ones.
#include <algorithm>
#include <array>
#include <cerrno>

#include "kernel/files.hpp"
#include "kernel/log_files.hpp"
#include "logger/store.hpp"

namespace abide::logger {
namespace {

constexpr std::int64_t kCheckNs = 100'000'000;  // how long a file that was removed under us may be written
constexpr std::int64_t kRotateRetryNs = 10'000'000'000;
constexpr int kNameAttempts = 64;

}  // namespace

void Store::set_directory(kernel::Fd directory) {
    for (Service& service : services_) forget_file(service);
    directory_ = std::move(directory);
}

void Store::forget_file(Service& service) {
    if (service.open != kNotOpen) {
        open_[service.open].file.reset();
        open_[service.open].folder.reset();
    }
    service.open = kNotOpen;
    service.known = false;
    service.line_open = false;
    service.first_ns = 0;
}

// A free place among the open files; the one unused for longest gives way.
std::uint16_t Store::free_entry() {
    const auto unused =
        std::find_if(open_.begin(), open_.end(), [](const OpenFile& file) { return !file.file.valid(); });
    if (unused != open_.end()) return static_cast<std::uint16_t>(unused - open_.begin());
    if (open_.size() < kOpenFiles) {
        open_.emplace_back();
        return static_cast<std::uint16_t>(open_.size() - 1);
    }
    const auto oldest = std::min_element(open_.begin(), open_.end(),
                                         [](const OpenFile& a, const OpenFile& b) { return a.used < b.used; });
    services_[oldest->service].open = kNotOpen;
    *oldest = OpenFile{};
    return static_cast<std::uint16_t>(oldest - open_.begin());
}

// Somebody may have renamed or removed the file or its folder.
void Store::check_identity(Service& service, Instant now) {
    OpenFile& file = open_[service.open];
    if (now.mono_ns - file.checked_mono_ns < kCheckNs) return;
    file.checked_mono_ns = now.mono_ns;
    const Result<kernel::FileStatus> named = kernel::file_status_at(file.folder.get(), kCurrent);
    const Result<kernel::FileStatus> folder = kernel::fd_status(file.folder.get());
    const bool same = named && folder && folder->links > 0 && named->inode == file.inode;
    if (!same) {
        forget_file(service);
        return;
    }
    // Truncated by somebody: the line that was open is gone.
    if (named->size < file.size) {
        file.size = named->size;
        service.line_open = false;
        if (file.size == 0) service.first_ns = 0;
    }
}

Status Store::ensure_open(Service& service, const Writer* writer, Instant now) {
    if (service.open != kNotOpen) check_identity(service, now);
    if (service.open == kNotOpen) {
        if (!directory_) return fail_errno(ENOENT, "no log directory");
        const std::optional<std::string> name = folder_name(service.name);
        if (!name) return fail_errno(EINVAL, "no folder name");
        Result<kernel::Fd> folder = kernel::open_log_folder(directory_.get(), *name);
        if (!folder) return std::unexpected(folder.error());
        Result<kernel::Fd> current = kernel::open_log_file(folder->get(), kCurrent);
        if (!current) return std::unexpected(current.error());
        const Result<kernel::FileStatus> status = kernel::fd_status(current->get());
        if (!status) return std::unexpected(status.error());
        OpenFile file;
        file.folder = std::move(*folder);
        file.file = std::move(*current);
        file.inode = status->inode;
        file.size = status->size;
        file.checked_mono_ns = now.mono_ns;
        file.service = *position(service.name);
        if (!service.known || file.size == 0) {
            if (Status seen = inspect(service, file, writer); !seen) return seen;
        }
        service.open = free_entry();
        open_[service.open] = std::move(file);
    }
    open_[service.open].used = ++uses_;
    return {};
}

// Learns from a file that an earlier logger wrote: its first and last time, and whether it ends within a line.
Status Store::inspect(Service& service, OpenFile& file, const Writer* writer) {
    std::array<char, limits::kLogLineBytes + 2 * kHeadBytes + 2> tail{};
    std::array<char, kHeadBytes> head{};
    const Result<std::size_t> head_size = kernel::read_at(file.file.get(), head.data(), head.size(), 0);
    if (!head_size) return std::unexpected(head_size.error());
    const std::uint64_t from = file.size > tail.size() ? file.size - tail.size() : 0;
    const Result<std::size_t> tail_size = kernel::read_at(file.file.get(), tail.data(), tail.size(), from);
    if (!tail_size) return std::unexpected(tail_size.error());
    const std::optional<std::int64_t> first = parse_stamp({head.data(), *head_size});
    service.first_ns = first ? *first : file.size > 0 ? 1 : 0;
    service.last_ns = 0;
    service.known = true;
    const std::string_view text(tail.data(), *tail_size);
    service.line_open = !text.empty() && text.back() != '\n';

    const std::size_t end = service.line_open ? text.size() : text.empty() ? 0 : text.size() - 1;
    const std::size_t newline = text.substr(0, end).rfind('\n');
    const std::string_view last =
        text.substr(newline == text.npos ? 0 : newline + 1, end - (newline == text.npos ? 0 : newline + 1));
    const std::optional<LineHead> known = parse_head(last);
    if (known) service.last_ns = known->wall_ns;
    const bool resumes = service.line_open && known && writer != nullptr && writer->resumed && !writer->line->inside;
    // No writer has this number: whoever comes ends the line first.
    service.owner = resumes ? writer->id : UINT32_MAX;
    if (resumes) {
        const std::size_t bytes = std::min(last.size() - kHeadBytes, limits::kLogLineBytes);
        *writer->line = {static_cast<std::uint32_t>(bytes), true};
    }
    return {};
}

// The current file becomes an old one and a new one begins.  Lines that are being composed have been written before.
void Store::rotate(Service& service, const Writer& writer, Instant now) {
    if (service.line_open) out_.push_back('\n');
    flush(service, now);
    if (service.trouble || service.open == kNotOpen) return;
    service.line_open = false;
    OpenFile& file = open_[service.open];
    if (file.size == 0) {
        service.last_ns = 0;
        return;
    }
    if (now.mono_ns < file.rotate_mono_ns) return;
    Status renamed = fail_errno(EEXIST, "rotate");
    for (int attempt = 0; attempt < kNameAttempts && !renamed && renamed.error().err == EEXIST; ++attempt) {
        const std::string name = rotated_name(service.first_ns + attempt);
        if (kernel::file_status_at(file.folder.get(), name + ".gz")) continue;
        renamed = kernel::rename_new(file.folder.get(), kCurrent, name);
    }
    if (!renamed) {
        // The lines matter more than the size: the file goes on.
        file.rotate_mono_ns = now.mono_ns + kRotateRetryNs;
        reports_.push_back({file.service, false, renamed.error().err, "can't rotate: " + renamed.error().what, 0, 0});
        return;
    }
    if (file.rotate_mono_ns != 0) reports_.push_back({file.service, false, 0, "rotated again", 0, 0});
    limit_old_files(service, file.folder);
    // The new file starts later than the old one ended, so that the first line's time names a file; unless the clock
    // was set back.
    const bool set_back = now.wall_ns < service.last_ns - kClockSetBackNs;
    const std::int64_t floor_ns = set_back ? 0 : service.last_ns + 1;
    forget_file(service);
    if (const Status opened = ensure_open(service, &writer, now); !opened) begin_trouble(service, opened.error(), now);
    service.last_ns = std::max(service.last_ns, floor_ns);
}

void Store::limit_old_files(Service& service, const kernel::Fd& folder) {
    Result<std::vector<std::string>> names = kernel::list_directory(folder.get());
    if (!names) return;  // tried again at the next rotation
    std::erase_if(*names, [](const std::string& name) { return !parse_rotated(name); });
    std::sort(names->begin(), names->end());
    const Rules& rules = rules_[service.rules];
    const auto stem = [](const std::string& name) { return name.substr(0, 1 + kStampBytes); };
    // Newest first; both forms of a file that was being compressed count as one.
    std::string last;
    std::uint32_t kept = 0;
    for (auto name = names->rbegin(); name != names->rend(); ++name) {
        if (stem(*name) != last) ++kept;
        last = stem(*name);
        if (kept > rules.keep) {
            (void)kernel::unlink_beneath(folder.get(), *name);
        } else if (rules.compress && !parse_rotated(*name)->compressed) {
            if (Result<kernel::Fd> mine = folder.duplicate()) compressor_.add(std::move(*mine), *name);
        }
    }
}

Result<kernel::Fd> Store::open_current(std::uint32_t index) {
    const std::optional<std::string> name = folder_name(services_[index].name);
    if (!directory_ || !name) return fail_errno(ENOENT, "no log");
    return kernel::open_log_for_reading(directory_.get(), *name + "/" + kCurrent);
}

}  // namespace abide::logger
