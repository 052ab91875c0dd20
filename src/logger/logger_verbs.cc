// logger/logger_verbs.cc -- what the manager asks the logger to do.
#include <fcntl.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <variant>

#include "kernel/abandoned.hpp"
#include "kernel/clock.hpp"
#include "kernel/event_watch.hpp"
#include "kernel/files.hpp"
#include "kernel/log_files.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "logger/line_file.hpp"
#include "logger/logger.hpp"

namespace abide::logger {

namespace wire = protocol::log;

namespace {

constexpr std::size_t kMessagesPerRound = 16;
constexpr std::uint8_t kClosingTurns = 17;             // a pipe holds 1 MiB at most: 16 buffers, and the end
constexpr std::uint8_t kClosingTurnsOfTerminal = 200;  // 68 KiB, of which a read gives 4 at most
constexpr std::uint64_t kSearchPastBytes = 1u << 20;
constexpr Duration kPatience = seconds(2);           // with a predecessor that is just exiting
constexpr Duration kPatienceToTheEnd = seconds(10);  // with one that was asked to, and reads out its pipes first
constexpr Duration kPause = milliseconds(10);
constexpr Duration kQuiet = milliseconds(200);

}  // namespace

void Logger::read_control() {
    static std::array<std::byte, wire::kMessageBytes> buffer;
    for (std::size_t i = 0; i < kMessagesPerRound; ++i) {
        Result<kernel::Received> got = kernel::receive(control_.get(), buffer);
        if (got && got->nothing_now) return;
        if (!got && got.error().err != ECONNRESET && got.error().err != EPIPE) {
            ++counters_.bad_messages;  // too long, or its descriptors were cut off
            return;
        }
        if (!got || got->end_of_stream) {
            orphaned_ = true;
            outgoing_.clear();
            (void)epoll_.remove(control_.get());
            if (store_.has_directory()) (void)kernel::mark_abandoned(store_.directory());
            // Pipes without a writer have nothing more to say, since nobody is left to start one.
            for (const auto& [key, slot] : by_key_) enqueue(slot);
            return;
        }
        const std::string_view packet(reinterpret_cast<const char*>(buffer.data()), got->size);
        if (const std::optional<wire::ToLogger> message = wire::decode_to_logger(packet))
            handle(*message, std::move(got->fds));
        else
            ++counters_.bad_messages;
    }
}

void Logger::handle(const wire::ToLogger& message, std::vector<kernel::Fd> fds) {
    struct Visitor {
        Logger& logger;
        std::vector<kernel::Fd>& fds;
        void operator()(const wire::Unknown&) const { ++logger.counters_.unknown_verbs; }
        void operator()(const wire::Open& m) const { logger.handle_open(m, std::move(fds)); }
        void operator()(const wire::Close& m) const { logger.handle_close(m); }
        void operator()(const wire::Pattern& m) const { logger.handle_pattern(m); }
        void operator()(const wire::Configure&) const { logger.configure(std::move(fds)); }
        void operator()(const wire::DrainAndExit&) const { logger.begin_exit(); }
        void operator()(const wire::Ring&) const { logger.handle_ring(std::move(fds)); }
    };
    std::visit(Visitor{*this, fds}, message);
}

void Logger::handle_open(const wire::Open& open, std::vector<kernel::Fd> fds) {
    for (std::size_t i = 0; i < open.items.size(); ++i) {
        const wire::OpenItem& item = open.items[i];
        Stream* known = find(item.key);
        Status done;
        if (known != nullptr)
            done = update_stream(*known, item);
        else if (i >= fds.size())
            done = fail(ErrorKind::refused, "no descriptor came with it");
        else
            done = open_stream(item, std::move(fds[i]));
        if (!done) tell(wire::Refused{item.key, item.run, done.error().what});
    }
    rest_at_ = kernel::mono_now() + kQuiet;
}

// Before anything is done with it: a device or a file could hold us up.
Status Logger::admit(Stream& stream, const wire::OpenItem& item, int pipe) {
    if (item.key == 0) return fail(ErrorKind::refused, "0 is no key");
    stream.terminal = kernel::is_terminal_master(pipe);
    if (stream.terminal) return {};
    if (item.spec.mode == model::LogMode::none) return fail(ErrorKind::refused, "a service without a log has no pipe");
    const Result<kernel::FileStatus> kind = kernel::fd_status(pipe);
    if (!kind || !kind->is_pipe) return fail(ErrorKind::refused, "the descriptor is no pipe");
    return {};
}

Status Logger::open_stream(const wire::OpenItem& item, kernel::Fd pipe) {
    Stream opened;
    if (Status fit = admit(opened, item, pipe.get()); !fit) return fit;
    if (Status ok = kernel::set_nonblocking(pipe.get()); !ok) return ok;
    const Result<std::uint32_t> service = store_.acquire(item.service, item.spec);
    if (!service) return std::unexpected(service.error());
    auto slot = static_cast<std::uint32_t>(streams_.size());
    if (free_.empty()) {
        streams_.emplace_back();
    } else {
        slot = free_.back();
        free_.pop_back();
    }
    if (++generations_ == 0) ++generations_;
    Stream& stream = streams_[slot];
    stream.terminal = opened.terminal;
    stream.silent = item.spec.mode == model::LogMode::none;
    stream.key = item.key;
    stream.service = *service;
    stream.generation = generations_;
    stream.inherited = item.spec.mode == model::LogMode::inherit;
    stream.resumed = item.resumed;
    const std::uint64_t token = std::uint64_t{stream.generation} << 32 | slot;
    if (Status ok = epoll_.add(pipe.get(), EPOLLIN | EPOLLRDHUP | EPOLLET, token); !ok) {
        stream = Stream{};
        free_.push_back(slot);
        store_.release(*service);
        return ok;
    }
    stream.pipe = std::move(pipe);
    by_key_.insert(std::lower_bound(by_key_.begin(), by_key_.end(), std::pair{item.key, 0u}), {item.key, slot});
    if (exiting_) handle_close({{item.key}});
    return {};
}

Status Logger::update_stream(Stream& stream, const wire::OpenItem& item) {
    const bool silent = item.spec.mode == model::LogMode::none;
    if (silent && !stream.terminal) return fail(ErrorKind::refused, "a service without a log has no pipe");
    const Result<std::uint32_t> service = store_.acquire(item.service, item.spec);
    if (!service) return std::unexpected(service.error());
    if (*service != stream.service) {
        store_.release(*service);
        return fail(ErrorKind::refused, "the pipe belongs to another service");
    }
    store_.release(*service);  // acquired only for its new rules
    stream.silent = silent;
    const bool inherited = item.spec.mode == model::LogMode::inherit;
    if (inherited != stream.inherited)
        end_open_line(stream, static_cast<std::uint32_t>(
                                  std::lower_bound(by_key_.begin(), by_key_.end(), std::pair{stream.key, 0u})->second));
    stream.inherited = inherited;
    return {};
}

void Logger::handle_close(const wire::Close& close) {
    for (const std::uint64_t key : close.keys) {
        const auto at = std::lower_bound(by_key_.begin(), by_key_.end(), std::pair{key, 0u});
        if (at == by_key_.end() || at->first != key) {
            tell(wire::Drained{key, 0, true});  // the manager came back and closes what is closed
            continue;
        }
        Stream& stream = streams_[at->second];
        if (stream.closing) continue;
        stream.closing = true;
        stream.turns_left = stream.terminal ? kClosingTurnsOfTerminal : kClosingTurns;
        enqueue(at->second);
    }
}

void Logger::handle_ring(std::vector<kernel::Fd> fds) {
    if (fds.empty()) return;
    static_cast<void>(kernel::ring(fds[0].get()));
    if (fds.size() < 2 || !epoll_.add(fds[1].get(), EPOLLIN, kBellToken)) return;
    // The manager has it as well, so that closing it would leave it in the epoll.
    if (bell_) static_cast<void>(epoll_.remove(bell_->fd()));
    doorbell_ = std::move(fds[0]);
    bell_.emplace(std::move(fds[1]));
    tell(wire::Listening{});
}

void Logger::handle_pattern(const wire::Pattern& pattern) {
    Stream* stream = find(pattern.key);
    if (stream == nullptr) return tell(wire::Refused{pattern.key, pattern.run, "no such pipe"});
    stream->search.reset();
    if (pattern.text.empty()) return;
    Result<Pattern> parsed = pattern.literal ? Pattern::literal(pattern.text) : Pattern::regular(pattern.text);
    if (!parsed) return tell(wire::Refused{pattern.key, pattern.run, parsed.error().what});
    stream->search = std::make_unique<Search>(Search{Matcher(std::move(*parsed)), pattern.run, {}, true});
    if (pattern.since_ns != 0 && search_past(*stream, pattern.since_ns)) return;
    stream->search->matcher.begin_line();
    stream->search->line.clear();
    stream->search->inside = !stream->line.inside;  // else the rest of the present line isn't a line
}

// Looks at the lines that are written already.  True: found and told.
bool Logger::search_past(Stream& stream, std::int64_t since_ns) {
    Result<kernel::Fd> current = store_.open_current(stream.service);
    if (!current) return false;
    const Result<kernel::FileStatus> status = kernel::fd_status(current->get());
    if (!status) return false;
    Result<std::uint64_t> offset = find_since(current->get(), status->size, since_ns);
    if (!offset) return false;
    LineFile file(std::move(*current), false);
    file.seek(*offset);
    std::string_view line;
    Search& search = *stream.search;
    while (file.offset() - *offset < kSearchPastBytes) {
        const Result<bool> more = file.next(line);
        if (!more || !*more) return false;
        if (!parse_head(line)) continue;
        line.remove_prefix(kHeadBytes);
        search.matcher.begin_line();
        if (!search.matcher.feed(line) && !search.matcher.end_line()) continue;
        search.line = line.substr(0, wire::kMatchedLineBytes);
        tell_matched(stream);
        return true;
    }
    return false;
}

void Logger::configure(std::vector<kernel::Fd> fds) {
    // Lines that were begun in one place end there.
    for (const auto& [key, slot] : by_key_)
        if (streams_[slot].line.inside) end_open_line(streams_[slot], slot);
    if (fds.empty()) return store_.set_directory({});
    kernel::Fd directory = std::move(fds.front());
    if (const Status ok = kernel::check_log_directory(directory.get()); !ok) {
        tell(wire::Problem{0, ok.error().err, ok.error().what});
        return store_.set_directory({});
    }
    if (kernel::is_read_only(directory.get())) {
        tell(wire::Problem{0, EROFS, "the log directory is read-only: output goes to standard error"});
        return store_.set_directory({});
    }
    // An open file description of our own, for a lock of our own.
    if (Result<kernel::Fd> own = kernel::reopen(directory.get(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))
        directory = std::move(*own);
    store_.set_directory({});
    if (!take_over(directory.get())) tell(wire::Problem{0, EBUSY, "another logger writes to the log directory"});
    store_.set_directory(std::move(directory));
}

// A predecessor that still writes is waited for, for a while: nothing is read from the pipes meanwhile, so each line is
// written by one of the two, and in its order.  One whose manager and anchor were killed would never go: it is ended,
// and reads out first what is in its pipes, which are the manager's and the anchor's as well by now.
bool Logger::take_over(int directory) {
    bool asked = false;
    Mono until = kernel::mono_now() + kPatience;
    while (true) {
        const Status locked = kernel::lock_exclusive(directory);
        if (locked || locked.error().kind != ErrorKind::refused) return true;  // or there are no locks here
        if (kernel::mono_now() >= until) return false;
        if (!asked) {
            const Result<kernel::Fd> left = kernel::find_abandoned(directory);
            if (!left && left.error().kind == ErrorKind::refused) return false;
            asked = left && kernel::send_signal(left->get(), SIGTERM);
            if (asked) until = kernel::mono_now() + kPatienceToTheEnd;
        }
        (void)kernel::wait_readable(-1, kPause);
    }
}

}  // namespace abide::logger
