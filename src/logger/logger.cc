// logger/logger.cc -- the loop and the reading of pipes.  The manager's verbs: logger_verbs.cc.
#include "logger/logger.hpp"

#include <signal.h>

#include <algorithm>
#include <cerrno>

#include "base/check.hpp"
#include "kernel/clock.hpp"
#include "kernel/event_watch.hpp"
#include "kernel/log_files.hpp"
#include "kernel/memory.hpp"

namespace abide::logger {

namespace wire = protocol::log;

namespace {

constexpr std::size_t kTurnsPerRound = 64;  // pipes served before the control descriptor is looked at again
constexpr Duration kExitPatience = seconds(2);

Instant instant() {
    const Now now = kernel::now();
    return {now.wall.ns, now.mono.ns};
}

}  // namespace

Logger::Logger(kernel::Fd control, kernel::Epoll epoll, kernel::Fd signals, int output)
    : control_(std::move(control)), epoll_(std::move(epoll)), signals_(std::move(signals)), inherit_(output) {}

Result<std::unique_ptr<Logger>> Logger::create(kernel::Fd control, int output) {
    // PIPE: standard error may lose its reader; INT and HUP are meant for the instance, which stops its services first.
    Result<kernel::Fd> signals = kernel::make_signal_fd({SIGTERM, SIGINT, SIGHUP, SIGPIPE});
    if (!signals) return std::unexpected(signals.error());
    Result<kernel::Epoll> epoll = kernel::Epoll::create();
    if (!epoll) return std::unexpected(epoll.error());
    if (Status ok = kernel::set_nonblocking(control.get()); !ok) return std::unexpected(ok.error());
    if (Status ok = epoll->add(control.get(), EPOLLIN, kControlToken); !ok) return std::unexpected(ok.error());
    if (Status ok = epoll->add(signals->get(), EPOLLIN, kSignalToken); !ok) return std::unexpected(ok.error());
    return std::unique_ptr<Logger>(new Logger(std::move(control), std::move(*epoll), std::move(*signals), output));
}

Status Logger::run() {
    while (!finished()) {
        const bool busy = !queue_.empty() || !compressor_.idle();
        const Result<std::span<const kernel::Ready>> events =
            epoll_.wait(busy ? Mono{0} : std::min(exit_deadline_, rest_at_));
        if (!events) return std::unexpected(events.error());
        for (const kernel::Ready& ready : *events) handle_event(ready);
        for (std::size_t turns = 0; turns < kTurnsPerRound && !queue_.empty(); ++turns) {
            const std::uint32_t slot = queue_.front();
            queue_.pop_front();
            streams_[slot].queued = false;
            turn(slot);
        }
        if (!compressor_.idle()) compressor_.step();
        forward_reports();
        send_pending();
        watch_output();
        // The last lines may wait for a reader of standard error, but not for ever.
        if (orphaned_ && by_key_.empty() && exit_deadline_ == kNever)
            exit_deadline_ = kernel::mono_now() + kExitPatience;
        if (rest_at_ != kNever && rest_at_ <= kernel::mono_now()) {
            rest_at_ = kNever;
            kernel::give_back_memory();
        }
    }
    return {};
}

bool Logger::finished() const {
    if (!exiting_ && !orphaned_) return false;
    if (!by_key_.empty()) return false;
    return (outgoing_.empty() && !inherit_.pending()) || kernel::mono_now() >= exit_deadline_;
}

void Logger::handle_event(const kernel::Ready& ready) {
    if (ready.token == kControlToken) {
        if ((ready.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) read_control();
        return;
    }
    if (ready.token == kSignalToken) {
        while (const int signal = kernel::take_signal(signals_.get()))
            if (signal == SIGTERM) begin_exit();
        return;
    }
    if (ready.token == kOutputToken) return inherit_.flush();
    if (ready.token == kBellToken) {
        bell_->silence();  // first: what is asked for from here on is another ring
        static_cast<void>(kernel::ring(doorbell_.get()));
        return;
    }
    const auto slot = static_cast<std::uint32_t>(ready.token);
    if (slot < streams_.size() && streams_[slot].generation == ready.token >> 32) enqueue(slot);
}

void Logger::enqueue(std::uint32_t slot) {
    Stream& stream = streams_[slot];
    if (stream.queued) return;
    stream.queued = true;
    queue_.push_back(slot);
}

// One buffer from one pipe.  It stays in the queue until it has nothing or is at its end: edge-triggered events come
// once.
void Logger::turn(std::uint32_t slot) {
    Stream& stream = streams_[slot];
    if (!stream.pipe.valid()) return;
    const Result<std::size_t> got = kernel::read_some(stream.pipe.get(), buffer_.data() + 1, kReadBytes);
    const bool nothing = got && *got == kernel::kNothingNow;
    if (!got || *got == 0) {  // EIO: nobody has the other side of the terminal
        end_of_pipe(stream, slot);
        if (stream.closing || orphaned_) finish(slot);
        return;
    }
    if (!nothing) {
        const std::string_view chunk = stream.terminal ? without_returns(stream.cut, buffer_.data(), *got)
                                                       : std::string_view(buffer_.data() + 1, *got);
        take(stream, slot, chunk);
    }
    if (stream.closing && (nothing || --stream.turns_left == 0)) {
        finish(slot);
    } else if (!nothing) {
        enqueue(slot);
    }
}

void Logger::take(Stream& stream, std::uint32_t slot, std::string_view chunk) {
    stream.bytes += chunk.size();
    stream.ended = false;
    stream.told = false;
    if (stream.search) search(stream, chunk, false);
    if (stream.silent) return;
    if (goes_to_output(stream)) {
        inherit_.append(store_.name(stream.service), stream.held, stream.line, chunk);
    } else {
        store_.append(stream.service, {slot, &stream.line, stream.resumed}, chunk, instant());
    }
    stream.resumed = false;
}

void Logger::end_open_line(Stream& stream, std::uint32_t slot) {
    if (stream.search && stream.line.inside) search(stream, {}, true);
    if (stream.held || goes_to_output(stream))
        inherit_.end_line(store_.name(stream.service), stream.held, stream.line);
    else
        store_.end_line(stream.service, {slot, &stream.line, false}, instant());
}

// No writer now.  Another process of the run may open the pipe again.
void Logger::end_of_pipe(Stream& stream, std::uint32_t slot) {
    end_open_line(stream, slot);
    stream.ended = true;
    stream.cut = false;
    if (stream.told || stream.closing) return;
    stream.told = true;
    tell(wire::Drained{stream.key, stream.bytes, false});
}

// Gives the pipe up.  A logger that exits leaves an open line open: the next one goes on with it.
void Logger::finish(std::uint32_t slot) {
    Stream& stream = streams_[slot];
    if (!exiting_ || stream.ended || goes_to_output(stream)) end_open_line(stream, slot);
    forward_reports();
    const std::uint64_t key = stream.key, bytes = stream.bytes;
    const std::uint32_t service = stream.service;
    const auto at = std::lower_bound(by_key_.begin(), by_key_.end(), std::pair{key, 0u});
    CHECK(at != by_key_.end() && at->first == key, "a stream without its key");
    by_key_.erase(at);
    (void)epoll_.remove(stream.pipe.get());  // the anchor's duplicate would keep the registration alive
    stream = Stream{};
    free_.push_back(slot);
    store_.release(service);
    for (const StoreReport& report : store_.take_reports()) tell(wire::Dropped{key, report.bytes, report.lines});
    tell(wire::Drained{key, bytes, true});
}

void Logger::search(Stream& stream, std::string_view chunk, bool end) {
    Search& state = *stream.search;
    while (!chunk.empty()) {
        const std::size_t newline = chunk.find('\n');
        const std::string_view piece = chunk.substr(0, newline);
        if (state.inside) {
            state.line += piece.substr(0, wire::kMatchedLineBytes - state.line.size());
            if (state.matcher.feed(piece)) return tell_matched(stream);
        }
        if (newline == chunk.npos) return;
        if (state.inside && state.matcher.end_line()) return tell_matched(stream);
        state.matcher.begin_line();
        state.line.clear();
        state.inside = true;
        chunk.remove_prefix(newline + 1);
    }
    if (end && state.inside && state.matcher.end_line()) tell_matched(stream);
}

void Logger::tell_matched(Stream& stream) {
    tell(wire::Matched{stream.key, stream.search->run, stream.search->line});
    stream.search.reset();
}

Logger::Stream* Logger::find(std::uint64_t key) {
    const auto at = std::lower_bound(by_key_.begin(), by_key_.end(), std::pair{key, 0u});
    return at != by_key_.end() && at->first == key ? &streams_[at->second] : nullptr;
}

// Any pipe of a service will do: the manager finds the service by it.
void Logger::forward_reports() {
    const std::vector<StoreReport> reports = store_.take_reports();
    if (reports.empty()) return;
    std::vector<std::uint64_t> key_of_service;
    for (const auto& [key, slot] : by_key_) {
        const std::uint32_t service = streams_[slot].service;
        if (service >= key_of_service.size()) key_of_service.resize(service + 1, 0);
        key_of_service[service] = key;
    }
    for (const StoreReport& report : reports) {
        const std::uint64_t key = report.service < key_of_service.size() ? key_of_service[report.service] : 0;
        if (report.is_drop)
            tell(wire::Dropped{key, report.bytes, report.lines});
        else
            tell(wire::Problem{key, report.err, report.text});
    }
}

void Logger::tell(const wire::ToManager& message) {
    if (!orphaned_) outgoing_.push_back(wire::encode(message));
}

void Logger::send_pending() {
    bool full = false;
    while (!outgoing_.empty() && !full) {
        const Result<bool> sent = kernel::send(control_.get(), std::as_bytes(std::span(outgoing_.front())));
        if (!sent) {  // the manager is gone; the end of its descriptor is noticed by reading
            outgoing_.clear();
            break;
        }
        full = !*sent;
        if (!full) outgoing_.pop_front();
    }
    if (full == control_waits_ || orphaned_) return;
    control_waits_ = full;
    const std::uint32_t events = full ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (const Status ok = epoll_.modify(control_.get(), events, kControlToken); !ok) control_waits_ = false;
}

// Standard error is watched only while something waits for it.
void Logger::watch_output() {
    const int fd = inherit_.watch_fd();
    if (inherit_.pending() == output_watched_ || fd < 0) return;
    const Status ok = inherit_.pending() ? epoll_.add(fd, EPOLLOUT, kOutputToken) : epoll_.remove(fd);
    output_watched_ = ok && inherit_.pending();
}

void Logger::begin_exit() {
    if (exiting_) return;
    exiting_ = true;
    exit_deadline_ = kernel::mono_now() + kExitPatience;
    wire::Close all;
    for (const auto& [key, slot] : by_key_) all.keys.push_back(key);
    handle_close(all);
}

}  // namespace abide::logger
