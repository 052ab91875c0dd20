// cli/commands_operate.cc -- start, stop, restart, reload, pause, unpause, force-destroy, kill, enable, disable,
// remove, down.
//
// Knows how to ask and how to tell the end of an operation; what is allowed and what happens is the supervisor's to
// decide.
#include <algorithm>

#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/configuration.hpp"
#include "cli/enabled.hpp"
#include "cli/launch.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/program.hpp"
#include "model/signal.hpp"
#include "model/text.hpp"

namespace abide::cli {

namespace {

using model::Outcome;

ErrorKind kind_of(Outcome outcome) {
    switch (outcome) {
        case Outcome::not_found: return ErrorKind::not_found;
        case Outcome::refused: return ErrorKind::refused;
        case Outcome::not_permitted: return ErrorKind::not_permitted;
        case Outcome::timed_out: return ErrorKind::timed_out;
        case Outcome::rolled_back: return ErrorKind::rolled_back;
        case Outcome::pending:
        case Outcome::done:
        case Outcome::failed:
        case Outcome::cancelled: return ErrorKind::failed;
    }
    return ErrorKind::failed;
}

std::string advice_for(Context& context, ErrorKind kind, const std::string& name) {
    if (kind == ErrorKind::not_found) {
        const auto places = context.places();
        const bool new_there = places && is_in_files(*places, name);
        return new_there ? "the configuration has it: `abide reload-config` takes it in" : "";
    }
    if (kind == ErrorKind::timed_out) return "it goes on: see `abide status " + name + "`";
    if (kind == ErrorKind::failed) return "see `abide status " + name + "` and `abide logs " + name + "`";
    return {};
}

bool went_well(const std::string& outcome) {
    return outcome == "done" || outcome == "pending";
}

std::optional<std::int64_t> to_milliseconds(Duration duration) {
    return duration.ns / 1'000'000;
}

CommandResult finish(Context& context, const Result<control::OperationReply>& reply) {
    if (!reply) return std::unexpected(reply.error());
    return report_operation(context, *reply);
}

// Waits until nobody holds the instance's lock; false after the deadline.
bool wait_for_end(const Places& places, Mono deadline) {
    for (;;) {
        const auto locked = kernel::is_locked(places.lock_file());
        if (!locked || !*locked) return true;
        if (kernel::mono_now() >= deadline) return false;
        kernel::sleep_for(milliseconds(5));
    }
}

}  // namespace

Result<Duration> duration_option(const std::string& text, std::string_view option) {
    auto duration = parse_duration(text);
    if (!duration)
        return fail(ErrorKind::usage, std::string(option) + " " + text + ": " + duration.error().what, "like 10s");
    return duration;
}

int report_operation(Context& context, const control::OperationReply& reply) {
    if (context.json()) context.print(control::write(reply) + "\n");
    int status = 0;
    bool told = false;
    for (const control::TargetReply& target : reply.targets) {
        if (went_well(target.outcome)) continue;
        const ErrorKind kind = kind_of(control::outcome_of(target.outcome));
        context.complain(
            {kind, reply.verb + " " + target.name + ": " + (target.detail.empty() ? target.outcome : target.detail), 0,
             advice_for(context, kind, target.name)});
        told = true;
        if (status == 0) status = exit_status_of(kind);
    }
    if (!went_well(reply.outcome)) {
        if (!told) {
            context.complain({kind_of(control::outcome_of(reply.outcome)),
                              reply.verb + ": " + (reply.detail.empty() ? reply.outcome : reply.detail),
                              0,
                              {}});
        }
        if (status == 0) status = exit_status_of(kind_of(control::outcome_of(reply.outcome)));
    }
    return status;
}

CommandResult operate_command(Context& context, const OperateOptions& options) {
    control::TargetsRequest request{options.names, {}, !options.no_wait, {}};
    if (!options.timeout.empty()) {
        const auto timeout = duration_option(options.timeout, "--timeout");
        if (!timeout) return std::unexpected(timeout.error());
        request.timeout_ms = to_milliseconds(*timeout);
    }
    auto client = context.client();
    if (!client) return std::unexpected(client.error());
    // On a terminal a start that hangs says what it waits for, once for each thing.
    std::string last;
    const auto progress = [&](const control::OperationReply& reply) {
        std::string line;
        for (const std::string& one : reply.progress) line += (line.empty() ? "" : ", ") + one;
        if (line.empty() || line == last || !context.on_terminal()) return;
        context.note(line);
        last = line;
    };
    return finish(context, client->operate(options.method, control::write(request), progress));
}

CommandResult kill_command(Context& context, const KillOptions& options) {
    if (!model::parse_signal(options.signal)) {
        return fail(ErrorKind::usage, "--signal " + options.signal + ": there is no such signal",
                    "like TERM, HUP or 9");
    }
    auto client = context.client();
    if (!client) return std::unexpected(client.error());
    const control::KillRequest request{options.name, options.signal, options.who == "all", {}};
    return finish(context, client->call<control::OperationReply>(control::Method::kill, request));
}

CommandResult remove_command(Context& context, const std::vector<std::string>& names) {
    auto client = context.client();
    if (!client) return std::unexpected(client.error());
    return finish(context,
                  client->operate(control::Method::remove, control::write(control::NamesRequest{names, {}}), {}));
}

CommandResult enable_command(Context& context, bool enable, const std::vector<std::string>& names) {
    const auto places = context.places();
    if (!places) return std::unexpected(places.error());
    Client client(places->control);
    const auto method = enable ? control::Method::enable : control::Method::disable;
    const auto reply = client.call<control::OperationReply>(method, control::NamesRequest{names, {}});
    int status = 0;
    if (reply) {
        status = report_operation(context, *reply);
    } else if (reply.error().kind != ErrorKind::unreachable) {
        return std::unexpected(reply.error());
    } else {
        // Nobody is up: the names are those of the files.
        const auto loaded = load_instance(context, *places);
        if (!loaded) return std::unexpected(loaded.error());
        for (const std::string& name : names) {
            if (std::ranges::find(loaded->configuration.services, name, &model::ServiceSpec::name) ==
                loaded->configuration.services.end()) {
                return fail(ErrorKind::not_found, name + ": the configuration has no such service",
                            "`abide graph` lists them");
            }
        }
    }
    if (status != 0 || places->forced_socket) return status;
    const Status recorded = record_enabled(*places, names, enable);
    return recorded ? CommandResult(0) : std::unexpected(recorded.error());
}

CommandResult down_command(Context& context, const DownOptions& options) {
    constexpr Duration kEndPatience = seconds(30);  // from "all down" to the end of the last process of ours
    control::DownRequest request;
    if (!options.timeout.empty()) {
        const auto timeout = duration_option(options.timeout, "--timeout");
        if (!timeout) return std::unexpected(timeout.error());
        request.timeout_ms = to_milliseconds(*timeout);
    }
    auto places = context.places();
    if (!places) return std::unexpected(places.error());
    for (int attempt = 0;; ++attempt) {
        Client client(places->control);
        const auto reply = client.operate(control::Method::down, control::write(request), {});
        const bool lost = !reply && reply.error().kind == ErrorKind::unreachable;
        const bool ending = !reply && reply.error().kind == ErrorKind::refused;  // somebody else asked already
        if (lost && attempt == 0 && !answers(places->control)) {
            const auto locked = kernel::is_locked(places->lock_file());
            if (places->forced_socket || !locked || !*locked) return std::unexpected(reply.error());
        }
        if (!reply && !lost && !ending) return std::unexpected(reply.error());
        if (reply && !went_well(reply->outcome)) return report_operation(context, *reply);
        if (places->forced_socket) return reply ? report_operation(context, *reply) : 0;
        if (lost && attempt < 3 && !wait_for_end(*places, kernel::mono_now() + seconds(2))) continue;
        if (wait_for_end(*places, kernel::mono_now() + kEndPatience)) {
            tidy(*places);
            return reply ? report_operation(context, *reply) : 0;
        }
        return fail(ErrorKind::timed_out, "the instance has not ended",
                    "see `abide status`, or give `abide down --timeout 0`");
    }
}

}  // namespace abide::cli
