// cli/commands_upgrade.cc -- upgrade, generation, state: the supervisor itself.
//
// Knows how to ask and how to tell.  Which program is a good one is the supervisor's to find out.
#include <cerrno>

#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/launch.hpp"
#include "journal/reader.hpp"
#include "kernel/files.hpp"

namespace abide::cli {

namespace {

constexpr std::size_t kJournalBytes = std::size_t{1} << 30;

Result<std::string> absolute(const std::string& path) {
    if (path.starts_with('/')) return path;
    const auto here = kernel::current_directory();
    if (!here) return std::unexpected(here.error());
    return *here + "/" + path;
}

// What --to names: the program itself, or the folder or the small program that it was installed with.
Result<std::string> program_at(const std::string& named, bool anchor) {
    const auto real = kernel::real_path(named);
    // The supervisor refuses what is not there, as it does any other bad program, and remembers it.
    if (!real && real.error().err == ENOENT) return absolute(named);
    if (!real) return std::unexpected(real.error());
    const auto status = kernel::file_status(*real);
    if (!status) return std::unexpected(status.error());
    const std::string wanted = anchor ? "abide" : "abide-manager";
    const std::string folder = status->is_directory ? *real : folder_of(*real);
    const std::string_view name = last_component(*real);
    if (!status->is_directory && (anchor || name != "abide")) return *real;
    for (const std::string& place : {folder + "/" + wanted, folder + "/../libexec/abide/" + wanted}) {
        if (const auto found = kernel::real_path(place)) return *found;
    }
    return fail(ErrorKind::usage, named + " has no " + wanted + " beside it");
}

std::string milliseconds_of(std::int64_t us) {
    return std::to_string(us / 1000) + "." + std::to_string(us / 100 % 10) + " ms";
}

// "service {...}" becomes {"fact":"service","value":{...}}; what has no JSON becomes a string.
std::string as_json(std::string_view line) {
    const std::size_t brace = line.find('{');
    std::string out = "{\"fact\":";
    if (brace == std::string_view::npos || brace == 0 || !line.ends_with('}')) {
        const std::size_t space = line.find(' ');
        varlink::append_json_string(out, line.substr(0, space));
        out += ",\"value\":";
        varlink::append_json_string(out, space == std::string_view::npos ? "" : line.substr(space + 1));
    } else {
        varlink::append_json_string(out, trim(line.substr(0, brace)));
        out += ",\"value\":" + std::string(line.substr(brace));
    }
    return out + "}\n";
}

void print_state(Context& context, std::string_view state) {
    for (std::size_t at = 0; at < state.size();) {
        const std::size_t end = std::min(state.find('\n', at), state.size());
        const std::string_view line = state.substr(at, end - at);
        if (!context.print(context.json() ? as_json(line) : context.foreign(line) + "\n")) return;
        at = end + 1;
    }
}

}  // namespace

CommandResult upgrade_command(Context& context, const UpgradeOptions& options) {
    control::UpgradeRequest request;
    request.anchor = options.anchor;
    request.wait = !options.no_wait;
    if (!options.probation.empty()) {
        const auto probation = duration_option(options.probation, "--probation");
        if (!probation) return std::unexpected(probation.error());
        request.probation_ms = probation->ns / 1'000'000;
    }
    if (options.to.empty()) {
        // The program that this command line was started from: after a package was replaced, the new one.
        const auto programs = find_programs();
        if (!programs) return std::unexpected(programs.error());
        request.program = options.anchor ? programs->abide : programs->manager;
    } else {
        auto program = program_at(options.to, options.anchor);
        if (!program) return std::unexpected(program.error());
        request.program = std::move(*program);
    }
    auto client = context.client();
    if (!client) return std::unexpected(client.error());
    const auto reply = client->operate(control::Method::upgrade, control::write(request), {});
    if (!reply) return std::unexpected(reply.error());
    return report_operation(context, *reply);
}

CommandResult generation_command(Context& context) {
    auto client = context.client();
    if (!client) return std::unexpected(client.error());
    const auto reply = client->call<control::GenerationReply>(control::Method::generation, control::Nothing{});
    if (!reply) return std::unexpected(reply.error());
    if (context.json()) {
        context.print(control::write(*reply) + "\n");
        return 0;
    }
    std::vector<std::vector<Cell>> rows;
    const auto row = [&](const char* label, std::string text) {
        rows.push_back({{label, Colour::dim}, {std::move(text)}});
    };
    row("version", safe(reply->version) + ", journal format " + std::to_string(reply->format));
    row("program", safe(reply->program) + " (" + safe(reply->identity) + ")");
    row("anchor", "version " + std::to_string(reply->anchor_version) + ", replaced itself " +
                      std::to_string(reply->anchor_execs) + " times");
    row("generation", std::to_string(reply->epoch) + ", " + safe(reply->reason) +
                          (reply->last_swap_us > 0 ? ", took over in " + milliseconds_of(reply->last_swap_us) : ""));
    row("upgrades", std::to_string(reply->swaps) + " committed, " + std::to_string(reply->rollbacks) +
                        " rolled back; the last: " + safe(reply->probation));
    if (const auto& last = reply->last_upgrade) {
        row("last upgrade", safe(last->outcome) + " " + safe(last->time) + ": " + safe(last->program) +
                                (last->detail.empty() ? "" : ": " + safe(last->detail)));
    }
    const auto list = [&](const char* label, const std::vector<std::string>& lines) {
        if (lines.empty()) row(label, "nothing");
        for (std::size_t i = 0; i < lines.size(); ++i) row(i == 0 ? label : "", safe(lines[i]));
    };
    list("found out", reply->rederived);
    list("not understood", reply->unknown);
    list("quarantined", reply->quarantined);
    list("problems", reply->problems);
    if (reply->rescue) row("rescue", "only status, stop and down are answered");
    context.print(render_table(rows, context.coloured(), 0));
    return 0;
}

CommandResult state_command(Context& context) {
    auto client = context.client();
    if (!client) return std::unexpected(client.error());
    const auto reply = client->call<control::StateReply>(control::Method::state, control::Nothing{});
    if (!reply) return std::unexpected(reply.error());
    print_state(context, reply->state);
    return 0;
}

CommandResult state_check_command(Context& context, const std::string& file) {
    const auto image = kernel::read_file(file, kJournalBytes);
    if (!image) return std::unexpected(image.error());
    const journal::Recovered recovered = journal::read(*image);
    print_state(context, journal::dump(recovered));
    if (recovered.refused)
        return fail(ErrorKind::refused, file + " is of a newer program, or no journal", "read it with that one");
    if (!recovered.instance) return fail(ErrorKind::failed, file + " says nothing of an instance");
    if (!recovered.problems.empty()) return fail(ErrorKind::failed, file + ": " + recovered.problems.front());
    return 0;
}

}  // namespace abide::cli
