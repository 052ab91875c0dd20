// cli/follow.cc -- see follow.hpp.
#include "cli/follow.hpp"

#include <csignal>

#include "cli/event_view.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"

namespace abide::cli {

namespace {

constexpr Duration kPoll = milliseconds(250);  // where there is nothing to wait on
constexpr Duration kIdle = seconds(3600);
constexpr Duration kReturnPatience = seconds(15);  // for a new manager
constexpr Duration kSendPatience = seconds(2);

LogLook look_of(const Context& context) {
    return {context.coloured(), context.on_terminal(), context.json(), false};
}

}  // namespace

Follower::Follower(Context& context, Places places, FollowRole role, kernel::SignalWatch signals)
    : context_(&context),
      places_(std::move(places)),
      role_(role),
      signals_(std::move(signals)),
      view_(look_of(context)) {}

Result<Follower> Follower::create(Context& context, const Places& places, FollowRole role,
                                  std::vector<std::string> names, std::optional<Wall> since) {
    auto signals = kernel::SignalWatch::create({SIGINT, SIGTERM, SIGHUP});
    if (!signals) return std::unexpected(signals.error());
    Follower out(context, places, role, std::move(*signals));
    out.names_ = std::move(names);
    out.view_.expect(out.names_);
    out.open_events(since);
    if (since) {
        out.print_since(*since);
    } else if (out.open_log()) {
        (void)out.reader_->more();  // from the present ends on
    }
    return out;
}

void Follower::print_since(Wall from) {
    if (!open_log()) return;
    // What can't be read is told by the next look at the files.
    (void)reader_->since(from, [this](logger::LogLine&& line) { return context_->print(view_.show(line)); });
}

// Without them the output of the services is shown all the same.
void Follower::open_events(std::optional<Wall> since) {
    events::Options wanted;
    wanted.types = {"service", "supervisor", "stream.gap"};
    wanted.services = names_;
    if (since) {
        wanted.start = events::Start::ago;
        wanted.ago = std::chrono::nanoseconds(std::max<std::int64_t>(kernel::now().wall.ns - since->ns, 0));
    }
    const auto folder = events_folder(places_);
    if (!folder) return;
    if (auto reader = events::Reader::open(*folder, wanted)) events_ = std::move(*reader);
}

bool Follower::print_states() {
    std::string out;
    while (events_) {
        const auto event = events_->next();
        if (!event) events_.reset();
        if (!event || !*event) break;
        const StateLine line = states_.see(**event);
        if (line.text.empty()) continue;
        out += context_->json() ? (*event)->line + "\n" : view_.show(line);
    }
    return out.empty() || context_->print(out);
}

// The folder may come only with the first line.
bool Follower::open_log() {
    if (reader_) return true;
    if (places_.log.empty()) return false;
    auto reader = logger::LogReader::open(places_.log, names_);
    if (!reader) return false;
    reader_ = std::move(*reader);
    if (const auto known = reader_->known_services(); known && names_.empty()) view_.expect(*known);
    return true;
}

bool Follower::print_new() {
    if (!print_states()) return false;
    while (open_log()) {
        const auto lines = reader_->more();
        if (!lines) return true;  // a file that can't be read now may be readable later
        std::string out;
        for (const logger::LogLine& line : *lines) out += view_.show(line);
        if (!out.empty() && !context_->print(out)) return false;
        if (reader_->at_end()) return true;
    }
    return true;
}

// What the logger wrote while everything ended.
void Follower::drain() {
    (void)print_new();
}

void Follower::ask_to_stop(std::optional<std::int64_t> timeout_ms) {
    auto connection = Connection::open(places_.control);
    if (!connection) return;  // no manager at this moment: the next signal asks again
    const std::string call = varlink::build_call(control::info(control::Method::down).name,
                                                 control::write(control::DownRequest{timeout_ms, true}));
    if (connection->send(call, kernel::mono_now() + kSendPatience)) connections_.push_back(std::move(*connection));
}

void Follower::on_signal() {
    while (const int signal = signals_.next()) {
        if (role_ == FollowRole::printer) {
            if (signal == SIGTERM) detached_ = true;  // the anchor ends everything: all is written by then
            continue;
        }
        if (role_ == FollowRole::guest) {
            detached_ = true;
            if (signal == SIGINT) context_->note("abide: detached; the instance goes on, `abide down` stops it");
            continue;
        }
        ++interrupts_;
        if (interrupts_ == 1) {
            context_->note(signal == SIGINT ? "abide: stopping in order; Ctrl-C again to stop at once"
                                            : "abide: stopping in order");
            ask_to_stop(std::nullopt);
        } else {
            context_->note("abide: stopping at once");
            ask_to_stop(0);
        }
    }
}

// A manager may be replaced under us; only when nobody comes back is the instance over.
bool Follower::supervisor_gone() {
    if (lifeline_) {
        // Nothing is ever asked on it: when it is readable, it was hung up.
        const int fd = lifeline_->fd();
        const auto readable = kernel::wait_readable({&fd, 1}, kernel::mono_now());
        if (!readable || !*readable) return false;
        lifeline_.reset();
    }
    const Mono deadline = kernel::mono_now() + kReturnPatience;
    for (;;) {
        if (!places_.forced_socket) {
            const auto locked = kernel::is_locked(places_.lock_file());
            if (locked && !*locked) return true;
        }
        auto connection = Connection::open(places_.control);
        if (connection) {
            lifeline_ = std::move(*connection);
            return false;
        }
        if (kernel::mono_now() >= deadline) return true;
        on_signal();
        if (detached_) return false;  // run() goes
        kernel::sleep_for(milliseconds(20));
    }
}

Status Follower::wait(const std::optional<Anchor>& anchor) {
    const int watch = reader_ ? reader_->watch_fd() : -1;
    const int fds[] = {watch, signals_.fd(), anchor ? anchor->pidfd.get() : -1, lifeline_ ? lifeline_->fd() : -1,
                       events_ ? events_->fd() : -1};
    const bool poll = watch < 0 && !places_.log.empty();
    const auto waited = kernel::wait_readable(fds, kernel::mono_now() + (poll ? kPoll : kIdle));
    return waited ? Status{} : std::unexpected(waited.error());
}

CommandResult Follower::status_of(const Anchor& anchor) {
    const auto reaped = kernel::reap(anchor.pidfd.get(), true);
    if (!reaped) return std::unexpected(reaped.error());
    if (!reaped->by_signal) return reaped->value;
    return fail(ErrorKind::failed, "the supervisor was killed by signal " + std::to_string(reaped->value),
                "its services may still run: look with `ps`");
}

CommandResult Follower::run(std::optional<Anchor> anchor) {
    for (;;) {
        // The end is looked for first: what was written before it is then shown for certain.
        const bool over = anchor ? kernel::has_ended(anchor->pidfd.get()) : supervisor_gone();
        if (!print_new()) {
            if (role_ != FollowRole::owner) return 0;
            if (interrupts_++ == 0) ask_to_stop(std::nullopt);  // the pipe is closed: as if interrupted
            places_.log.clear();
            reader_.reset();
            events_.reset();
        }
        if (over) {
            drain();
            return anchor ? status_of(*anchor) : 0;
        }
        on_signal();
        if (detached_) {
            if (role_ == FollowRole::printer) drain();
            return 0;
        }
        if (const Status waited = wait(anchor); !waited) return std::unexpected(waited.error());
    }
}

}  // namespace abide::cli
