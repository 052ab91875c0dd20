// manager/logger_keeper.cc -- see the header.
#include "manager/logger_keeper.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "base/text.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/socket.hpp"
#include "manager/complain.hpp"
#include "manager/run_key.hpp"
#include "manager/token.hpp"

namespace abide::manager {

namespace {

namespace wire = protocol::log;

constexpr Duration kRestartDelay = seconds(1);
constexpr std::uint64_t kSocketKey = anchor_key(Keep::logger, 1);
constexpr std::uint64_t kPidfdKey = anchor_key(Keep::logger, 2);

// 0: it has ended.
std::int32_t pid_of(int pidfd) {
    const Result<std::string> text = kernel::read_file("/proc/self/fdinfo/" + std::to_string(pidfd), 4096);
    if (!text) return 0;
    constexpr std::string_view kLabel = "Pid:";
    const std::size_t at = text->find(kLabel);
    if (at == std::string::npos) return 0;
    const std::string_view line = trim(std::string_view(*text).substr(at + kLabel.size()));
    const auto pid = parse_integer(line.substr(0, line.find('\n')), -1, INT32_MAX);
    return pid && *pid > 0 ? static_cast<std::int32_t>(*pid) : 0;
}

}  // namespace

void LoggerKeeper::adopt(AnchorLink::Kept& kept) {
    auto socket = kept.extract(kSocketKey), pidfd = kept.extract(kPidfdKey);
    if (!socket || !pidfd || kernel::has_ended(pidfd.mapped().get())) return;
    pid_ = pid_of(pidfd.mapped().get());
    if (pid_ == 0) return;
    socket_ = std::move(socket.mapped());
    pidfd_ = std::move(pidfd.mapped());
    started_ = kernel::mono_now();
    must(epoll_.add(socket_.get(), EPOLLIN, token_of(Watched::logger)), "logger");
    anchor_.mark(pid_, anchor::kManaged);
}

std::pair<SharedFd, SharedFd> LoggerKeeper::share_link() const {
    Result<kernel::Fd> socket = socket_.duplicate(), pidfd = pidfd_.duplicate();
    if (!socket || !pidfd) return {};
    return {share(std::move(*socket)), share(std::move(*pidfd))};
}

void LoggerKeeper::ensure(Mono now) {
    if (silent_until_ <= now) {
        silent_until_ = kNever;
        if (pidfd_ && kernel::has_ended(pidfd_.get())) on_exit(now);
    }
    if (open_again_at_ <= now) {
        open_again_at_ = kNever;
        const std::set<std::uint64_t> keys = std::exchange(unopened_, {});
        if (running() && !keys.empty()) open_from_anchor({keys.begin(), keys.end()});
    }
    if (running() || ending_ || pipes_.empty()) return;
    if (restart_at_ != kNever && now < restart_at_) return;
    restart_at_ = kNever;
    start();
}

void LoggerKeeper::start() {
    Result<std::pair<kernel::Fd, kernel::Fd>> pair = kernel::make_socket_pair(SOCK_SEQPACKET, true);
    if (!pair) {
        complain("logger: " + describe(pair.error()));
        restart_at_ = kernel::mono_now() + kRestartDelay;
        return;
    }
    socket_ = std::move(pair->first);
    Result<kernel::Fd> null = kernel::open_file("/dev/null", 02);
    kernel::SpawnRequest request;
    request.argv = {"abide-logger"};
    // The logger is the manager's own program under another name, whatever happened to its file meanwhile.
    request.candidates = {"/proc/self/exe"};
    request.as_parents_child = true;
    request.descriptors = {{null ? null->get() : 2, 0}, {1, 1}, {2, 2}, {pair->second.get(), wire::kLoggerControlFd}};
    request.owned.push_back(std::move(pair->second));
    if (null) request.owned.push_back(std::move(*null));
    if (const Status asked = spawner_.spawn(std::move(request), kLoggerToken); !asked) {
        complain("logger: " + describe(asked.error()));
        restart_at_ = kernel::mono_now() + kRestartDelay;
        socket_.reset();
        return;
    }
    starting_ = true;
    started_ = kernel::mono_now();
    must(epoll_.add(socket_.get(), EPOLLIN, token_of(Watched::logger)), "logger");
    if (Result<kernel::Fd> copy = socket_.duplicate()) anchor_.put(kSocketKey, share(std::move(*copy)), true);
    tell_all();
}

// What a logger that knows nothing must know: the directory and every open pipe.
void LoggerKeeper::tell_all() {
    queue_.clear();
    std::vector<SharedFd> directory;
    if (!directory_.empty()) {
        static_cast<void>(kernel::make_directories(directory_, 0755));
        Result<kernel::Fd> opened = kernel::open_directory(directory_);
        if (opened)
            directory.push_back(share(std::move(*opened)));
        else
            complain("logs are shown, not kept: " + directory_ + ": " + describe(opened.error()));
    }
    say(wire::encode(wire::ToLogger{wire::Configure{}}), std::move(directory));
    std::set<std::uint64_t> in_hand;
    for (const auto& [item, fd] : opening_) in_hand.insert(item.key);
    flush();
    std::vector<std::uint64_t> keys;
    for (const auto& [key, pipe] : pipes_) {
        if (!in_hand.contains(key))
            keys.push_back(key);
        else if (pipe.pattern)
            say(wire::encode(wire::ToLogger{*pipe.pattern}), {});
    }
    for (std::size_t begin = 0; begin < keys.size(); begin += wire::kItems) {
        const std::size_t end = std::min(keys.size(), begin + wire::kItems);
        const auto first = keys.begin() + static_cast<std::ptrdiff_t>(begin);
        open_from_anchor({first, keys.begin() + static_cast<std::ptrdiff_t>(end)});
    }
}

void LoggerKeeper::open_from_anchor(const std::vector<std::uint64_t>& keys) {
    anchor_.get(keys, [this, keys](Result<AnchorLink::Kept> passed) {
        if (!passed) return open_later(keys, passed.error());
        AnchorLink::Kept& kept = *passed;
        for (auto& [key, fd] : kept) {
            const auto pipe = pipes_.find(key);
            if (pipe == pipes_.end()) continue;
            opening_.emplace_back(item_of(key, pipe->second), share(std::move(fd)));
            opening_.back().first.resumed = true;  // a line may be half written
        }
        flush();
        for (auto& [key, fd] : kept) {
            const auto pipe = pipes_.find(key);
            if (pipe != pipes_.end() && pipe->second.pattern)
                say(wire::encode(wire::ToLogger{*pipe->second.pattern}), {});
        }
    });
}

// By halves, as far as there is room; the last one when there is some again.  Meanwhile a pipe keeps what is written.
void LoggerKeeper::open_later(const std::vector<std::uint64_t>& keys, const Error& why) {
    if (keys.size() > 1) {
        const auto middle = keys.begin() + static_cast<std::ptrdiff_t>(keys.size() / 2);
        open_from_anchor({keys.begin(), middle});
        return open_from_anchor({middle, keys.end()});
    }
    if (unopened_.empty()) complain("logs wait: " + describe(why));
    unopened_.insert(keys.begin(), keys.end());
    open_again_at_ = kernel::mono_now() + kRestartDelay;
}

LoggerKeeper::Pipe LoggerKeeper::pipe_of(const wire::OpenItem& item) {
    Pipe pipe{item.run, item.service, item.resumed, {}, nullptr};
    if (item.spec != model::LogSpec{}) pipe.spec = item.spec;
    return pipe;
}

wire::OpenItem LoggerKeeper::item_of(std::uint64_t key, const Pipe& pipe) {
    return {key, pipe.run, pipe.service, pipe.spec.or_default(), pipe.resumed};
}

void LoggerKeeper::open(wire::OpenItem item, SharedFd read_end) {
    pipes_.insert_or_assign(item.key, pipe_of(item));
    opening_.emplace_back(std::move(item), std::move(read_end));
}

void LoggerKeeper::reopen(const wire::OpenItem& item, bool in_doubt) {
    const std::uint64_t key = item.key;
    pipes_.insert_or_assign(key, pipe_of(item));
    if (in_doubt && running()) open_from_anchor({key});
}

void LoggerKeeper::watch_for(wire::Pattern pattern) {
    const auto pipe = pipes_.find(pattern.key);
    if (pipe == pipes_.end()) return;
    pipe->second.pattern = std::make_unique<wire::Pattern>(pattern);
    flush();  // its pipe comes first
    if (running()) say(wire::encode(wire::ToLogger{std::move(pattern)}), {});
}

void LoggerKeeper::close(std::uint64_t key) {
    pipes_.erase(key);
    std::erase_if(opening_, [&](const auto& one) { return one.first.key == key; });
    closing_.push_back(key);
}

void LoggerKeeper::say(std::string packet, std::vector<SharedFd> fds) {
    queue_.push_back({std::move(packet), std::move(fds)});
}

void LoggerKeeper::say_closed() {
    for (std::size_t begin = 0; begin < closing_.size(); begin += wire::kItems) {
        const auto first = closing_.begin() + static_cast<std::ptrdiff_t>(begin);
        const auto last =
            closing_.begin() + static_cast<std::ptrdiff_t>(std::min(closing_.size(), begin + wire::kItems));
        say(wire::encode(wire::ToLogger{wire::Close{{first, last}}}), {});
    }
    closed_.insert(closed_.end(), closing_.begin(), closing_.end());
    closing_.clear();
}

void LoggerKeeper::drop_closed() {
    // The last close of a terminal hangs its processes up, which may take its time.
    for (const std::uint64_t key : std::exchange(closed_, {})) anchor_.drop(key, keep_of(key) == Keep::log_pipe);
}

void LoggerKeeper::flush() {
    if (!running()) {
        closed_.insert(closed_.end(), closing_.begin(), closing_.end());
        closing_.clear();
        return drop_closed();
    }
    if (has_hung_up()) return;  // the next one is told all
    for (std::size_t begin = 0; begin < opening_.size(); begin += wire::kItems) {
        const std::size_t end = std::min(opening_.size(), begin + wire::kItems);
        std::vector<wire::OpenItem> items;
        std::map<std::uint64_t, SharedFd> by_key;
        for (std::size_t i = begin; i < end; ++i) {
            by_key.insert_or_assign(opening_[i].first.key, opening_[i].second);
            items.push_back(std::move(opening_[i].first));
        }
        for (wire::Open& batch : wire::batches(std::move(items))) {
            std::vector<SharedFd> fds;
            for (const wire::OpenItem& item : batch.items) fds.push_back(by_key[item.key]);
            say(wire::encode(wire::ToLogger{std::move(batch)}), std::move(fds));
        }
    }
    opening_.clear();
    say_closed();
    while (!queue_.empty()) {
        std::vector<int> fds;
        for (const SharedFd& fd : queue_.front().fds) fds.push_back(fd->get());
        const Result<bool> sent = kernel::send(socket_.get(), std::as_bytes(std::span(queue_.front().bytes)), fds);
        if (sent && !*sent) break;
        if (!sent) {
            complain("logger: " + describe(sent.error()));
            // What passes (no memory for it now) must not lose a pipe; the end of the logger shows as end of file.
            if (!kernel::peer_gone(sent.error())) break;
        }
        queue_.pop_front();
        if (!sent) break;
    }
    const bool waits = !queue_.empty();
    if (!waits) drop_closed();
    if (waits == watches_out_) return;
    watches_out_ = waits;
    must(epoll_.modify(socket_.get(), EPOLLIN | (waits ? EPOLLOUT : 0u), token_of(Watched::logger)), "logger");
}

bool LoggerKeeper::ring(int doorbell, bool another) {
    return pid_ != 0 && !has_hung_up() && queue_.empty() && doorbell_.ring(socket_.get(), doorbell, another);
}

void LoggerKeeper::hang_up() {
    if (socket_) static_cast<void>(epoll_.remove(socket_.get()));
    socket_.reset();
    pidfd_.reset();
    pid_ = 0;
    starting_ = false;
    watches_out_ = false;
    silent_until_ = kNever;
    doorbell_.take_back();
    queue_.clear();
    opening_.clear();
    unopened_.clear();
    open_again_at_ = kNever;
    closed_.insert(closed_.end(), closing_.begin(), closing_.end());
    closing_.clear();
    drop_closed();
}

void LoggerKeeper::on_spawn(kernel::SpawnEvent event) {
    if (event.kind == kernel::SpawnEventKind::started) {
        pid_ = event.pid;
        pidfd_ = std::move(event.pidfd);
        starting_ = false;
        anchor_.mark(pid_, anchor::kManaged);
        if (Result<kernel::Fd> copy = pidfd_.duplicate()) anchor_.put(kPidfdKey, share(std::move(*copy)), true);
    } else if (event.kind == kernel::SpawnEventKind::failed) {
        complain("logger: " + std::string(kernel::spawn_stage_name(event.stage)) + " failed with error " +
                 std::to_string(event.err));
        if (pid_ == 0) on_exit(kernel::mono_now());
    }
}

void LoggerKeeper::on_exit(Mono now) {
    const bool young = now - started_ < kRestartDelay;
    hang_up();
    if (ending_) return;
    restart_at_ = young ? now + kRestartDelay : now;
}

std::vector<wire::Matched> LoggerKeeper::on_ready(std::uint32_t events) {
    std::vector<wire::Matched> matched;
    std::array<std::byte, wire::kMessageBytes> buffer;
    while (socket_ && (events & (EPOLLIN | EPOLLHUP)) != 0) {
        const Result<kernel::Received> got = kernel::receive(socket_.get(), buffer);
        if (!got || got->nothing_now) break;
        if (got->end_of_stream) {
            // Its exit is told by the anchor; until then nothing can be said to it.  An anchor that is not its parent,
            // since the one before was killed, tells nothing.
            silent_until_ = kernel::mono_now() + kRestartDelay;
            static_cast<void>(epoll_.remove(socket_.get()));
            break;
        }
        const auto message = wire::decode_to_manager({reinterpret_cast<const char*>(buffer.data()), got->size});
        if (!message) continue;
        if (const auto* line = std::get_if<wire::Matched>(&*message)) {
            if (const auto pipe = pipes_.find(line->key); pipe != pipes_.end()) pipe->second.pattern.reset();
            matched.push_back(*line);
        } else if (std::holds_alternative<wire::Listening>(*message)) {
            doorbell_.listens();
        } else if (const auto* problem = std::get_if<wire::Problem>(&*message)) {
            complain("log: " + problem->text);
        } else if (const auto* refused = std::get_if<wire::Refused>(&*message)) {
            complain("log: " + refused->why);
        }
    }
    return matched;
}

void LoggerKeeper::drain() {
    ending_ = true;
    if (!running()) return;
    flush();
    say(wire::encode(wire::ToLogger{wire::DrainAndExit{}}), {});
    flush();
}

}  // namespace abide::manager
