// cli/commands_config.cc -- check, plan, reload-config, add, graph: the configuration as files, and its way to the
// supervisor.
#include <algorithm>
#include <iterator>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/configuration.hpp"
#include "cli/launch.hpp"
#include "kernel/fd.hpp"
#include "kernel/files.hpp"
#include "kernel/program.hpp"
#include "kernel/spawn.hpp"
#include "model/codec.hpp"
#include "model/text.hpp"

namespace abide::cli {

namespace {

constexpr int kStandardInput = 0;

std::string encoded(const model::Configuration& configuration) {
    std::string out;
    model::encode(out, configuration);
    return out;
}

std::string json_of(const std::vector<config::Diagnostic>& diagnostics) {
    std::string out = "[";
    for (const config::Diagnostic& one : diagnostics) {
        if (out.size() > 1) out += ",\n ";
        out += one.severity == config::Severity::error ? "{\"severity\":\"error\",\"file\":"
                                                       : "{\"severity\":\"warning\",\"file\":";
        varlink::append_json_string(out, one.file);
        out += ",\"line\":" + std::to_string(one.line) + ",\"column\":" + std::to_string(one.column) + ",\"text\":";
        varlink::append_json_string(out, one.text);
        out += ",\"advice\":";
        varlink::append_json_string(out, one.advice);
        out += '}';
    }
    return out + "]\n";
}

void show_changes(Context& context, const control::ChangesReply& reply, std::string_view when_none) {
    if (context.json()) {
        context.print(control::write(reply) + "\n");
        return;
    }
    if (reply.changes.empty()) {
        context.print(std::string(when_none) + "\n");
        return;
    }
    std::vector<std::vector<Cell>> rows;
    for (const control::Change& one : reply.changes) {
        const Colour colour = one.change == "remove" ? Colour::red
                              : one.change == "add"  ? Colour::green
                                                     : Colour::yellow;
        rows.push_back({{safe(one.change), colour}, {safe(one.name), Colour::bold}, {safe(one.detail)}});
    }
    context.print(render_table(rows, context.coloured(), context.columns()));
}

// The instance behind ABIDE_SOCKET: its own files and folders count, not what lies around here.
Result<Places> places_behind(Client& client, const Places& here) {
    const auto where = client.call<control::WhereReply>(control::Method::where, control::Nothing{});
    if (!where) return std::unexpected(where.error());
    if (where->configuration.empty()) return here;
    auto around = surroundings();
    if (!around) return std::unexpected(around.error());
    around->socket.reset();
    for (const Choice& choice :
         {Choice{.directory = folder_of(where->configuration)}, Choice{.user = true}, Choice{.system = true}}) {
        auto found = find_places(choice, *around);
        if (!found || found->configuration != where->configuration) continue;
        found->forced_socket = true;
        found->control = here.control;
        return found;
    }
    return fail(ErrorKind::refused, "its configuration " + where->configuration + " can't be found from here",
                "ask as the user whose instance it is");
}

// Plan or Apply of the instance's own files.
CommandResult send_configuration(Context& context, control::Method method, std::string_view when_none) {
    auto places = context.places(true);
    if (!places) return std::unexpected(places.error());
    Client client(places->control);
    if (places->forced_socket) {
        places = places_behind(client, *places);
        if (!places) return std::unexpected(places.error());
    }
    const auto loaded = load_instance(context, *places);
    if (!loaded) return std::unexpected(loaded.error());
    const auto reply = client.call<control::ChangesReply>(
        method, control::ConfigurationRequest{encoded(loaded->configuration), false});
    if (!reply) return std::unexpected(reply.error());
    const bool accepted = reply->outcome.empty() || reply->outcome == "done" || reply->outcome == "pending";
    if (!accepted) return fail(ErrorKind::refused, "the configuration was not applied: " + reply->detail);
    show_changes(context, *reply, when_none);
    const bool groups = std::ranges::find(reply->changes, "[control]", &control::Change::name) != reply->changes.end();
    if (method != control::Method::apply || !groups || places->forced_socket) return 0;
    if (const Status shared = share_log(*places, loaded->configuration.instance); !shared)
        context.note("abide: warning: the log files are for who could read them before: " + shared.error().what);
    return 0;
}

std::string edge_label(const model::Dependency& one) {
    std::string out = model::to_text(one.relation);
    if (one.await != model::Await::none) out += " (" + model::to_text(one.await) + ")";
    return out;
}

std::string as_dot(const model::Configuration& configuration) {
    std::string out = "digraph abide {\n    rankdir=LR;\n    node [shape=box];\n";
    for (const model::ServiceSpec& service : configuration.services) {
        if (service.is_template) continue;
        out += "    \"" + service.name + "\";\n";
        for (const model::Dependency& one : service.dependencies) {
            const bool strong = one.relation == model::Relation::requires_ || one.relation == model::Relation::binds_to;
            out += "    \"" + service.name + "\" -> \"" + one.target + "\" [label=\"" + edge_label(one) + "\"" +
                   (strong ? "" : ", style=dashed") + "];\n";
        }
    }
    return out + "}\n";
}

std::string as_json(const model::Configuration& configuration) {
    std::string out = "[";
    for (const model::ServiceSpec& service : configuration.services) {
        if (service.is_template) continue;
        if (out.size() > 1) out += ",\n ";
        out += "{\"name\":";
        varlink::append_json_string(out, service.name);
        out += ",\"kind\":\"" + model::to_text(service.kind) + "\",\"dependencies\":[";
        bool first = true;
        for (const model::Dependency& one : service.dependencies) {
            if (!first) out += ',';
            first = false;
            control::write(
                out, control::DependencyStatus{model::to_text(one.relation), one.target, model::to_text(one.await)});
        }
        out += "]}";
    }
    return out + "]\n";
}

std::string as_lines(const model::Configuration& configuration) {
    std::string out;
    for (const model::ServiceSpec& service : configuration.services) {
        if (service.is_template) continue;
        out += service.name + "\n";
        for (const model::Dependency& one : service.dependencies)
            out += "    " + edge_label(one) + " " + one.target + "\n";
    }
    return out;
}

bool is_there(const std::string& path) {
    return kernel::real_path(path).has_value();
}

// A runtime by a relative path is looked for where the service runs, and what is expanded is known then.
bool is_missing(const std::string& runtime) {
    if (runtime.find('$') != std::string::npos || (runtime.front() != '/' && runtime.find('/') != std::string::npos))
        return false;
    const std::string path = kernel::environment_value("PATH").value_or("");
    return std::ranges::none_of(kernel::search_candidates(runtime, path), is_there);
}

// What a container needs of this machine.  It may come before the start: no error.
void warn_of_containers(config::Loaded& loaded, const std::string& file) {
    const auto warn = [&](const std::string& service, const std::string& what, std::string advice) {
        loaded.diagnostics.push_back(
            {config::Severity::warning, file, 0, 0, "services." + service + ": " + what, std::move(advice)});
    };
    for (const model::ServiceSpec& spec : loaded.configuration.services) {
        if (!spec.oci || spec.is_template) continue;
        const std::string &bundle = spec.oci->bundle, &runtime = spec.oci->runtime;
        if (!is_there(bundle))
            warn(spec.name, "there is no bundle " + bundle, "unpack it there before the start");
        else if (!is_there(bundle + "/config.json"))
            warn(spec.name, "the bundle " + bundle + " has no config.json", "`" + runtime + " spec` makes one");
        if (is_missing(runtime))
            warn(spec.name, "there is no runtime '" + runtime + "' in PATH",
                 "install it, or name another one in `oci.runtime`");
    }
}

}  // namespace

CommandResult check_command(Context& context, const std::vector<std::string>& files) {
    auto places = context.places(files.empty());
    if (!places) return std::unexpected(places.error());
    std::vector<std::string> entries = files.empty() ? std::vector{places->configuration} : files;
    // The configuration of a user or of the system may be in services/*.toml alone, or not be there yet.
    const bool may_be_missing = files.empty() && places->mode != config::Mode::project;
    for (std::string& entry : entries) {
        auto real = kernel::real_path(entry);
        if (!real && may_be_missing && real.error().kind == ErrorKind::not_found) continue;
        if (!real && real.error().kind != ErrorKind::not_found)
            return std::unexpected(Error{ErrorKind::usage, real.error().what, real.error().err, {}});
        if (!real) return fail(ErrorKind::usage, entry + ": there is no such file");
        entry = std::move(*real);
    }
    config::Loaded loaded = load_files(*places, entries);
    if (loaded.ok) {
        std::ranges::move(limits_out_of_reach(loaded.configuration, false), std::back_inserter(loaded.diagnostics));
        warn_of_containers(loaded, entries.front());
    }
    if (context.json()) {
        context.print(json_of(loaded.diagnostics));
    } else {
        tell(context, loaded.diagnostics);
        const std::size_t count = loaded.configuration.services.size();
        if (loaded.ok)
            context.print(std::to_string(count) + (count == 1 ? " service, no error\n" : " services, no error\n"));
    }
    if (loaded.ok) return 0;
    return exit_status_of(loaded.cyclic ? ErrorKind::refused : ErrorKind::usage);
}

CommandResult plan_command(Context& context) {
    return send_configuration(context, control::Method::plan, "nothing would change");
}

CommandResult reload_config_command(Context& context) {
    return send_configuration(context, control::Method::apply, "nothing has changed");
}

CommandResult add_command(Context& context, const std::string& file) {
    auto places = context.places();
    if (!places) return std::unexpected(places.error());
    RealFiles files;
    // Named by the caller, it may as well be a pipe: /dev/fd/63 of a shell's <(...).
    auto text = file == "-" ? kernel::read_all(kStandardInput, limits::kConfigFileBytes)
                            : kernel::read_file(file, limits::kConfigFileBytes);
    if (!text) return std::unexpected(Error{ErrorKind::usage, text.error().what, text.error().err, {}});
    const config::Loaded loaded =
        config::load_text(file == "-" ? "standard input" : file, std::move(*text), files, load_context(*places));
    tell(context, loaded.diagnostics);
    if (!loaded.ok) return fail(ErrorKind::usage, "nothing was added", "correct what is named above");
    Client client(places->control);
    const auto reply = client.call<control::ChangesReply>(
        control::Method::apply, control::ConfigurationRequest{encoded(loaded.configuration), true});
    if (!reply) return std::unexpected(reply.error());
    const bool accepted = reply->outcome.empty() || reply->outcome == "done" || reply->outcome == "pending";
    if (!accepted) return fail(ErrorKind::refused, "nothing was added: " + reply->detail);
    show_changes(context, *reply, "nothing has changed");
    return 0;
}

CommandResult graph_command(Context& context, bool dot) {
    auto places = context.places(true);
    if (!places) return std::unexpected(places.error());
    const auto loaded = load_instance(context, *places);
    if (!loaded) return std::unexpected(loaded.error());
    const model::Configuration& configuration = loaded->configuration;
    context.print(dot ? as_dot(configuration) : context.json() ? as_json(configuration) : as_lines(configuration));
    return 0;
}

}  // namespace abide::cli
