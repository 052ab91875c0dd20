// cli/up.cc -- `abide up`: joins the instance that is up, or starts it; then waits until it is ready, or follows it.
//
// Knows the order of things; how an instance is made is launch.cc's, what is shown meanwhile follow.cc's.
#include <fcntl.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "abide/events.hpp"
#include "cli/commands.hpp"
#include "cli/configuration.hpp"
#include "cli/event_view.hpp"
#include "cli/follow.hpp"
#include "cli/launch.hpp"
#include "cli/left_behind.hpp"
#include "cli/status_view.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "kernel/users.hpp"

namespace abide::cli {

namespace {

constexpr Duration kAnswerPatience = seconds(30);  // from the start of the anchor to the first answer of its manager
constexpr Duration kOtherPatience = seconds(10);   // for another `up` that has the lock
constexpr Duration kShortestPause = milliseconds(5), kLongestPause = milliseconds(200);

bool has(const std::vector<std::string>& words, std::string_view word) {
    return std::ranges::find(words, word) != words.end();
}

Result<std::vector<control::ServiceStatus>> all_services(Client& client) {
    auto reply = client.call<control::StatusReply>(control::Method::status, control::StatusRequest{{}, true});
    if (!reply) return std::unexpected(reply.error());
    return std::move(reply->services);
}

// What an `up` without names would start in an instance that is up: not what was stopped by hand, nor what is done.
std::vector<std::string> missing_services(const std::vector<control::ServiceStatus>& services) {
    std::vector<std::string> out;
    for (const control::ServiceStatus& one : services) {
        const bool wished = one.detail && one.detail->enabled && !one.detail->held;
        const bool down = (one.want == "down" && one.state != "completed") || one.state == "failed";
        if (wished && down && !one.name.ends_with('@')) out.push_back(one.name);
    }
    return out;
}

// It has been ready, even if its health speaks against it now.
bool is_settled(const control::ServiceStatus& one) {
    const bool was_ready = has(one.conditions, "ready") || has(one.conditions, "unhealthy");
    return one.state == "completed" || one.state == "paused" || (one.state == "running" && was_ready);
}

// The first sentence of `why` that says more than that it has failed.
std::string failure_reason(Client& client, const control::ServiceStatus& service) {
    if (const auto why = client.call<control::WhyReply>(control::Method::why, control::NameRequest{service.name})) {
        const std::string opening = service.name + " ended last: ";
        for (const std::string& line : why->lines) {
            if (line.starts_with(opening)) return line.substr(opening.size());
        }
    }
    return service.last_exit ? exit_text(*service.last_exit) : "failed";
}

// Who has become ready since this began: one that ends again at once is hardly ever seen so in a status.
class Ready {
  public:
    explicit Ready(const std::string& folder) {
        auto reader = events::Reader::open(folder, {.types = {"service.ready", "service.completed"}});
        if (reader) reader_.emplace(std::move(*reader));
    }
    // Takes in what has happened.  Without a reader the statuses are all there is.
    void look() {
        while (reader_) {
            auto event = reader_->next();
            if (!event) return reader_.reset();
            if (!*event) return;
            names_.insert((*event)->subject);
        }
    }
    [[nodiscard]] bool contains(const std::string& name) const { return names_.contains(name); }

  private:
    std::optional<events::Reader> reader_;
    std::set<std::string> names_;
};

// Until all that is wanted has been ready (0), or one has failed (1).
CommandResult wait_until_ready(Context& context, const Places& places, Client& client) {
    const auto folder = events_folder(places);
    if (!folder) return std::unexpected(folder.error());
    Ready ready(*folder);
    std::map<std::string, std::int64_t> pauses_after;  // so many restarts, when it was first seen in a pause
    for (Duration pause = kShortestPause;; pause = std::min(kLongestPause, Duration{pause.ns * 2})) {
        const auto services = all_services(client);
        if (!services) return std::unexpected(services.error());
        ready.look();
        bool settled = true;
        for (const control::ServiceStatus& one : *services) {
            // In its second pause: in the first it may be one that just ended and comes back.
            const bool pauses = one.state == "backoff" && !ready.contains(one.name);
            const bool fails_again =
                pauses && pauses_after.try_emplace(one.name, one.restarts).first->second < one.restarts;
            if (one.want == "up" && (one.state == "failed" || fails_again)) {
                const std::string reason = failure_reason(client, one);
                return fail(ErrorKind::failed,
                            one.name + ": " + reason + (fails_again ? "; it will be tried again" : ""),
                            "see `abide status " + one.name + "`; the instance stays up, `abide down` stops it");
            }
            settled = settled && (one.want != "up" || is_settled(one) || ready.contains(one.name));
        }
        if (settled) break;
        kernel::sleep_for(pause);
    }
    if (context.json()) context.print("{\"ready\":true}\n");
    return 0;
}

// The manager answers, or its anchor has ended.  `words`: the file that its diagnostics go to.
Status wait_for_answer(const Places& places, const Anchor& anchor, const std::string& words) {
    const Mono deadline = kernel::mono_now() + kAnswerPatience;
    for (;;) {
        if (answers(places.control)) return {};
        if (kernel::has_ended(anchor.pidfd.get())) {
            return fail(ErrorKind::failed, "the supervisor ended before it answered", "its own words are in " + words);
        }
        if (kernel::mono_now() >= deadline)
            return fail(ErrorKind::timed_out, "the supervisor does not answer", "its own words are in " + words);
        kernel::sleep_for(milliseconds(5));
    }
}

CommandResult follow(Context& context, const Places& places, FollowRole role, const UpOptions& options) {
    std::optional<Wall> since;
    if (options.print_since_ns != 0) since = Wall{options.print_since_ns};
    auto follower = Follower::create(context, places, role, options.names, since);
    if (!follower) return std::unexpected(follower.error());
    return follower->run(std::nullopt);
}

// It is up: start what is missing.
CommandResult join(Context& context, const Places& places, const UpOptions& options) {
    Client client(places.control);
    // The first statuses of a new manager are the journal's; this it answers when it has looked at each process.
    (void)client.call<control::GenerationReply>(control::Method::generation, control::Nothing{});
    if (!changes_to_come(client, places).empty())
        context.note("abide: the configuration has changed: see `abide plan`, `abide reload-config`");
    std::vector<std::string> names = options.names;
    if (names.empty()) {
        const auto services = all_services(client);
        if (!services) return std::unexpected(services.error());
        names = missing_services(*services);
    }
    if (!names.empty()) {
        const auto reply = client.operate(control::Method::start,
                                          control::write(control::TargetsRequest{names, {}, options.detach}), {});
        if (!reply) return std::unexpected(reply.error());
        if (const int status = report_operation(context, *reply); status != 0) return status;
    }
    if (options.detach) return options.names.empty() ? wait_until_ready(context, places, client) : CommandResult(0);
    return follow(context, places, FollowRole::guest, options);
}

// The lock, or the word that somebody else's instance came up meanwhile (an invalid descriptor).
Result<kernel::Fd> lock_or_join(const Places& places) {
    const Mono deadline = kernel::mono_now() + kOtherPatience;
    for (;;) {
        auto lock = take_lock(places);
        if (lock || lock.error().kind != ErrorKind::refused) return lock;
        const auto locked = kernel::is_locked(places.lock_file());
        if (!locked || !*locked) return lock;  // refused for another reason: the folder isn't ours
        if (answers(places.control)) return kernel::Fd();
        if (kernel::mono_now() >= deadline) {
            return fail(ErrorKind::refused,
                        "another `abide up` has the lock " + places.lock_file() + " and does not answer",
                        "look who with `fuser -v " + places.lock_file() + "`");
        }
        kernel::sleep_for(milliseconds(20));
    }
}

void warn_without_lingering(Context& context) {
    const std::uint32_t uid = kernel::effective_uid();
    if (uid == 0 || kernel::session_lingers(kernel::user_name(uid))) return;
    context.note(
        "abide: warning: without lingering this instance ends when you log out; `loginctl enable-linger` changes that");
}

// In the place of this process: PID 1 of a container, or --init.
CommandResult start_as_init(Context& context, const GlobalOptions& global, Prepared prepared,
                            const UpOptions& options) {
    std::vector<std::string> arguments;
    const Places places = prepared.places;
    switch (places.mode) {
        case config::Mode::project: arguments = {"-C", places.directory}; break;
        case config::Mode::user: arguments = {"--user"}; break;
        case config::Mode::system: arguments = {"--system"}; break;
    }
    if (places.runtime != places.record) arguments.insert(arguments.end(), {"--runtime", places.runtime});
    if (global.json) arguments.emplace_back("--json");
    arguments.insert(arguments.end(), {"up", "--print-since", std::to_string(kernel::now().wall.ns)});
    arguments.insert(arguments.end(), options.names.begin(), options.names.end());
    if (!places.log.empty()) {
        // Without a printer the services run all the same, and their logs are files.
        if (const Status started = spawn_printer(arguments); !started) context.complain(started.error());
    }
    return std::unexpected(become_anchor(std::move(prepared)).error());
}

// The anchor, in the background, until its manager answers.
Status start_behind(Prepared prepared) {
    const Places places = prepared.places;
    // Its diagnostics outlive this terminal; a project that can't be written has only the terminal.
    const std::string path = (places.log.empty() ? places.runtime : places.log) + "/supervisor.log";
    auto output = kernel::open_file(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640);
    if (!output) return std::unexpected(output.error());
    const auto anchor = spawn_anchor(std::move(prepared), output->get(), output->get());
    if (!anchor) return std::unexpected(anchor.error());
    return wait_for_answer(places, *anchor, path);
}

CommandResult start_detached(Context& context, Prepared prepared) {
    warn_without_lingering(context);
    const Places places = prepared.places;
    if (const Status started = start_behind(std::move(prepared)); !started) return std::unexpected(started.error());
    Client client(places.control);
    return wait_until_ready(context, places, client);
}

// Another supervisor for services that lost theirs; then it is an instance that is up.
CommandResult take_over(Context& context, Prepared prepared, std::size_t processes, const UpOptions& options) {
    context.note(
        "abide: the supervisor and its anchor had been killed; " + std::to_string(processes) +
        (processes == 1 ? " process" : " processes") +
        " that they left behind will be supervised again, with the configuration of then; lost are descriptors "
        "that services had stored, and connections that waited");
    const Places places = prepared.places;
    if (const Status started = start_behind(std::move(prepared)); !started) return std::unexpected(started.error());
    return join(context, places, options);
}

CommandResult start_in_foreground(Context& context, Prepared prepared) {
    const Places places = prepared.places;
    // Before the anchor: from now on a Ctrl-C stops in order, and no line of output is missed.
    auto follower = Follower::create(context, places, FollowRole::owner, {});
    if (!follower) return std::unexpected(follower.error());
    auto anchor = spawn_anchor(std::move(prepared), 1, 2);
    if (!anchor) return std::unexpected(anchor.error());
    const CommandResult ended = follower->run(std::move(*anchor));
    tidy(places);
    return ended;
}

CommandResult start(Context& context, Places places, const UpOptions& options) {
    auto loaded = load_instance(context, places);
    if (!loaded) return std::unexpected(loaded.error());
    auto lock = lock_or_join(places);
    if (!lock) return std::unexpected(lock.error());
    if (!*lock) return join(context, places, options);
    // Nobody is up, so what an earlier instance recorded is over.
    if (context.options().choice.runtime.empty()) {
        move_runtime(places, loaded->runtime.empty() ? places.record : loaded->runtime);
    }
    const bool init = options.init || kernel::own_pid() == 1;
    tell(context, limits_out_of_reach(loaded->configuration, !init));
    Wishes wishes;
    wishes.configuration = std::move(loaded->configuration);
    wishes.chosen = options.names;
    wishes.whole_environment = init || places.mode != config::Mode::system;
    auto left_behind = find_left_behind(places);
    if (left_behind) wishes.left_behind = std::move(left_behind->journal);
    auto prepared = prepare(std::move(places), std::move(*lock), std::move(wishes));
    if (!prepared) return std::unexpected(prepared.error());
    for (const std::string& warning : prepared->warnings) context.note(warning);
    if (left_behind && !init) return take_over(context, std::move(*prepared), left_behind->processes, options);
    if (init) return start_as_init(context, context.options(), std::move(*prepared), options);
    return options.detach ? start_detached(context, std::move(*prepared))
                          : start_in_foreground(context, std::move(*prepared));
}

}  // namespace

CommandResult up_command(Context& context, const UpOptions& options) {
    auto places = context.places(true);
    if (!places) return std::unexpected(places.error());
    if (options.print_since_ns != 0) return follow(context, *places, FollowRole::printer, options);
    if (answers(places->control)) return join(context, *places, options);
    if (places->forced_socket) {
        return fail(ErrorKind::unreachable, "no supervisor answers on ABIDE_SOCKET " + places->control,
                    "unset ABIDE_SOCKET to start an instance");
    }
    return start(context, std::move(*places), options);
}

}  // namespace abide::cli
