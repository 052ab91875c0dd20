// logger/read.cc -- several services together: merging by time, and following.
#include "logger/read.hpp"

#include <fcntl.h>

#include <algorithm>
#include <deque>
#include <map>
#include <queue>
#include <utility>

#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/log_files.hpp"
#include "kernel/rlimit.hpp"
#include "logger/service_reader.hpp"

namespace abide::logger {
namespace {

constexpr std::size_t kMoreBytes = 4u << 20;  // of one call of more()
constexpr std::size_t kMorePerService = 256u << 10;
constexpr Duration kPollPeriod = milliseconds(250);

bool earlier(const LogLine& a, const LogLine& b) {
    return std::tie(a.time, a.service) < std::tie(b.time, b.service);
}

}  // namespace

struct LogReader::Impl {
    struct Followed {
        ServiceReader reader;
        bool changed = true;  // may have something
        bool watched = false;
    };

    std::string path;
    kernel::Fd root;
    bool all = false;
    bool positioned = false;
    std::deque<Followed> services;  // sorted by name
    std::optional<kernel::FolderWatch> watch;
    bool watch_tried = false;
    bool folders_changed = true;
    std::map<int, std::string> watched;  // by the watch's number; the root has an empty name

    Followed* find(const std::string& service) {
        const auto at =
            std::lower_bound(services.begin(), services.end(), service,
                             [](const Followed& f, const std::string& name) { return f.reader.service() < name; });
        return at != services.end() && at->reader.service() == service ? &*at : nullptr;
    }
    void add(const std::string& service) {
        const std::optional<std::string> folder = folder_name(service);
        if (!folder || find(service) != nullptr) return;
        const auto at =
            std::lower_bound(services.begin(), services.end(), service,
                             [](const Followed& f, const std::string& name) { return f.reader.service() < name; });
        services.insert(at, Followed{ServiceReader(root.get(), service, *folder)});
    }
    Result<std::vector<std::string>> list() const;
    Status refresh();
    void watch_folders();
    Status note_changes();
    Status position();
    Status to_ends();
    [[nodiscard]] bool anything_changed() const {
        return folders_changed ||
               std::any_of(services.begin(), services.end(), [](const Followed& f) { return f.changed; });
    }
};

Result<std::vector<std::string>> LogReader::Impl::list() const {
    const Result<std::vector<std::string>> names = kernel::list_directory(root.get());
    if (!names) return std::unexpected(names.error());
    std::vector<std::string> found;
    for (const std::string& name : *names) {
        const std::optional<std::string> service = service_of_folder(name);
        const Result<kernel::FileStatus> status = kernel::file_status_at(root.get(), name);
        if (service && status && status->is_directory) found.push_back(*service);
    }
    std::sort(found.begin(), found.end());
    return found;
}

// Services that got a folder; they are read from its start, since all in it is new.
Status LogReader::Impl::refresh() {
    if (!all || !folders_changed) return {};
    const Result<std::vector<std::string>> names = list();
    if (!names) return std::unexpected(names.error());
    for (const std::string& name : *names) add(name);
    return {};
}

void LogReader::Impl::watch_folders() {
    if (!watch) return;
    if (watched.empty()) {
        const Result<int> number = watch->add("/proc/self/fd/" + std::to_string(root.get()));
        if (number) watched.emplace(*number, std::string());
    }
    for (Followed& service : services) {
        if (service.watched) continue;
        // By descriptor: no path is walked that somebody could change.
        const Result<kernel::Fd> folder =
            kernel::open_beneath(root.get(), service.reader.folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        if (!folder) continue;  // it has written nothing yet; the root's watch tells when
        const Result<int> number = watch->add("/proc/self/fd/" + std::to_string(folder->get()));
        if (!number) {  // the user's watches are used up
            watch.reset();
            watched.clear();
            return;
        }
        service.watched = true;
        service.changed = true;  // something may have come before the watch
        watched.emplace(*number, service.reader.service());
    }
}

Status LogReader::Impl::note_changes() {
    if (!watch) {
        folders_changed = true;
        for (Followed& service : services) service.changed = true;
    } else {
        const Result<kernel::FolderWatch::Changes> changes = watch->changed();
        if (!changes) return std::unexpected(changes.error());
        for (const int number : changes->folders) {
            const auto named = watched.find(number);
            if (named == watched.end()) continue;
            if (named->second.empty())
                folders_changed = true;
            else if (Followed* service = find(named->second))
                service->changed = true;
        }
        for (const int number : changes->gone) {
            const auto named = watched.find(number);
            if (named == watched.end()) continue;
            if (Followed* service = find(named->second)) service->watched = false;
            watched.erase(named);
            folders_changed = true;
        }
        for (Followed& service : services) service.changed = service.changed || changes->lost;
        folders_changed = folders_changed || changes->lost;
    }
    return {};
}

Status LogReader::Impl::to_ends() {
    for (Followed& service : services) {
        if (Status ok = service.reader.to_end(); !ok) return ok;
    }
    return {};
}

// The first call of more() or wait() without an earlier tail() or since().
Status LogReader::Impl::position() {
    if (positioned) return {};
    positioned = true;
    if (Status ok = refresh(); !ok) return ok;
    return to_ends();
}

LogReader::LogReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LogReader::LogReader(LogReader&&) noexcept = default;
LogReader& LogReader::operator=(LogReader&&) noexcept = default;
LogReader::~LogReader() = default;

Result<LogReader> LogReader::open(const std::string& directory, std::vector<std::string> services) {
    auto impl = std::make_unique<Impl>();
    Result<kernel::Fd> root = kernel::open_directory(directory);
    if (!root) {
        Error error = root.error();
        if (error.err == ENOENT) error.kind = ErrorKind::not_found;
        return std::unexpected(error);
    }
    (void)kernel::raise_descriptor_limit();  // one file a service; without it, fewer services can be read at once
    impl->root = std::move(*root);
    impl->path = directory;
    impl->all = services.empty();
    for (const std::string& service : services) {
        if (!folder_name(service)) return fail(ErrorKind::usage, "'" + service + "' is no service name");
        impl->add(service);
    }
    return LogReader(std::move(impl));
}

Result<std::vector<std::string>> LogReader::known_services() const {
    return impl_->list();
}

Result<std::vector<LogLine>> LogReader::tail(std::size_t n) {
    impl_->positioned = true;
    impl_->folders_changed = true;
    if (Status ok = impl_->refresh(); !ok) return std::unexpected(ok.error());
    std::vector<LogLine> kept;
    const std::int64_t started_ns = kernel::now().wall.ns;
    for (Impl::Followed& service : impl_->services) {
        if (Status ok = service.reader.to_start_of_last(n); !ok) return std::unexpected(ok.error());
        const auto middle = static_cast<std::ptrdiff_t>(kept.size());
        for (LogLine line;;) {
            const Result<bool> got = n > 0 ? service.reader.next(line) : Result<bool>(false);
            if (!got) return std::unexpected(got.error());
            if (!*got) break;
            if (line.time.ns > started_ns && kept.size() >= static_cast<std::size_t>(middle) + n) {
                service.reader.put_back(std::move(line));  // written while we read: for more()
                break;
            }
            kept.push_back(std::move(line));
        }
        std::stable_sort(kept.begin() + middle, kept.end(), earlier);
        std::inplace_merge(kept.begin(), kept.begin() + middle, kept.end(), earlier);
        if (kept.size() > n) kept.erase(kept.begin(), kept.end() - static_cast<std::ptrdiff_t>(n));
        service.changed = true;
    }
    return kept;
}

Status LogReader::since(Wall from, const LineSink& sink) {
    impl_->positioned = true;
    impl_->folders_changed = true;
    if (Status ok = impl_->refresh(); !ok) return ok;
    // A service that writes faster than the sink takes must not keep us here: what is written from now on is for
    // more().
    const std::int64_t started_ns = kernel::now().wall.ns;
    struct Head {
        LogLine line;
        ServiceReader* reader;
    };
    const auto later = [](const Head& a, const Head& b) { return earlier(b.line, a.line); };
    std::vector<Head> heads;  // a heap: the earliest line in front
    const auto push_next = [&](ServiceReader& reader) -> Status {
        Head head{{}, &reader};
        const Result<bool> got = reader.next(head.line);
        if (!got) return std::unexpected(got.error());
        if (!*got) return {};
        if (head.line.time.ns > started_ns) {
            reader.put_back(std::move(head.line));
            return {};
        }
        heads.push_back(std::move(head));
        std::push_heap(heads.begin(), heads.end(), later);
        return {};
    };
    for (Impl::Followed& service : impl_->services) {
        if (Status ok = service.reader.to_time(from.ns); !ok) return ok;
        if (Status ok = push_next(service.reader); !ok) return ok;
        service.changed = true;
    }
    while (!heads.empty()) {
        std::pop_heap(heads.begin(), heads.end(), later);
        Head head = std::move(heads.back());
        heads.pop_back();
        if (!sink(std::move(head.line))) return impl_->to_ends();
        if (Status ok = push_next(*head.reader); !ok) return ok;
    }
    return {};
}

Result<std::vector<LogLine>> LogReader::more() {
    if (Status ok = impl_->position(); !ok) return std::unexpected(ok.error());
    if (Status ok = impl_->note_changes(); !ok) return std::unexpected(ok.error());
    if (Status ok = impl_->refresh(); !ok) return std::unexpected(ok.error());
    if (impl_->folders_changed) {
        impl_->watch_folders();
        impl_->folders_changed = false;
    }
    std::vector<LogLine> lines;
    std::size_t bytes = 0;
    for (Impl::Followed& service : impl_->services) {
        if (!service.changed || bytes >= kMoreBytes) continue;
        service.changed = false;
        std::size_t mine = 0;
        for (LogLine line;;) {
            const Result<bool> got = service.reader.next(line);
            if (!got) return std::unexpected(got.error());
            if (!*got) break;
            mine += line.text.size() + sizeof(LogLine);
            lines.push_back(std::move(line));
            if (mine >= kMorePerService) {
                service.changed = true;
                break;
            }
        }
        bytes += mine;
    }
    std::stable_sort(lines.begin(), lines.end(), earlier);
    return lines;
}

bool LogReader::at_end() const {
    return !impl_->anything_changed();
}

int LogReader::watch_fd() {
    if (!impl_->watch_tried) {
        impl_->watch_tried = true;
        if (Result<kernel::FolderWatch> watch = kernel::FolderWatch::create()) impl_->watch.emplace(std::move(*watch));
        (void)impl_->position();
        impl_->watch_folders();
        impl_->folders_changed = true;
        for (Impl::Followed& service : impl_->services) service.changed = true;
    }
    return impl_->watch ? impl_->watch->fd() : -1;
}

Result<bool> LogReader::wait(Duration timeout) {
    if (Status ok = impl_->position(); !ok) return std::unexpected(ok.error());
    const int fd = watch_fd();
    if (impl_->anything_changed()) return true;
    if (fd >= 0) return kernel::wait_readable(fd, timeout);
    const Result<bool> waited = kernel::wait_readable(-1, std::min(timeout, kPollPeriod));
    if (!waited) return waited;
    return timeout.ns >= kPollPeriod.ns;
}

}  // namespace abide::logger
