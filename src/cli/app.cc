// cli/app.cc -- the command line as a whole: which commands there are, their options, and how errors end the program.
//
// Owns the parser (CLI11) and nothing of what commands do.  Its exceptions end here.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <memory>

#include "base/text.hpp"
#include "base/version.hpp"
#include "cli/commands.hpp"
#include "kernel/program.hpp"

namespace abide::cli {

namespace {

using Action = std::function<CommandResult(Context&)>;

// The options of all commands, filled in while parsing; one command is chosen.
struct CommandLine {
    GlobalOptions global;
    UpOptions up;
    DownOptions down;
    OperateOptions operate;
    KillOptions kill;
    LogsOptions logs;
    UpgradeOptions upgrade;
    EventsOptions events;
    OciEventOptions oci_event;
    EmitOptions emit;
    WaitOptions wait;
    AnalyzeOptions analyze;
    std::vector<std::string> names, files;
    std::string name, file, topic, kind;
    bool dot = false;
    Action action;
};

struct Operation {
    const char* name;
    control::Method method;
    const char* help;
};
constexpr Operation kOperations[] = {
    {"start", control::Method::start, "start services and what they need; joins a start under way"},
    {"create", control::Method::create, "prepare services up to, and not including, the exec; `start` lets them go"},
    {"stop", control::Method::stop, "stop services and what needs them, until they are started by hand"},
    {"restart", control::Method::restart, "stop and start services"},
    {"reload", control::Method::reload, "let services read their configuration again"},
    {"force-destroy", control::Method::force_destroy, "kill now, at any stage: services, dependents, all descendants"},
    {"pause", control::Method::pause, "freeze services"},
    {"unpause", control::Method::unpause, "let frozen services go on"},
};

CLI::App* add_command(CLI::App& app, CommandLine& line, const char* name, const char* help, Action action) {
    CLI::App* command = app.add_subcommand(name, help);
    command->callback([&line, action = std::move(action)] { line.action = action; });
    return command;
}

void add_operations(CLI::App& app, CommandLine& line) {
    for (const Operation& one : kOperations) {
        CLI::App* command = add_command(app, line, one.name, one.help, [&line, method = one.method](Context& context) {
            line.operate.method = method;
            return operate_command(context, line.operate);
        });
        command->add_option("NAME", line.operate.names, "services")->required();
        command->add_flag("--no-wait", line.operate.no_wait, "return as soon as it has begun");
        command->add_option("--timeout", line.operate.timeout, "stop waiting after this (10s, 2m)");
    }
    CLI::App* kill = add_command(app, line, "kill", "send a signal to a service",
                                 [&line](Context& context) { return kill_command(context, line.kill); });
    kill->add_option("NAME", line.kill.name, "a service")->required();
    kill->add_option("--signal,-s", line.kill.signal, "TERM unless said");
    kill->add_option("--who", line.kill.who, "main (default) or all")->check(CLI::IsMember({"main", "all"}));
    for (const bool enable : {true, false}) {
        add_command(app, line, enable ? "enable" : "disable",
                    enable ? "start these with the instance, now kept over restarts and reboots"
                           : "don't start these with the instance",
                    [&line, enable](Context& context) { return enable_command(context, enable, line.names); })
            ->add_option("NAME", line.names, "services")
            ->required();
    }
    add_command(app, line, "remove", "stop and forget services",
                [&line](Context& context) { return remove_command(context, line.names); })
        ->add_option("NAME", line.names, "services")
        ->required();
}

void add_instance(CLI::App& app, CommandLine& line) {
    CLI::App* up = add_command(app, line, "up", "start the instance and its services, and show their output",
                               [&line](Context& context) { return up_command(context, line.up); });
    up->add_option("NAME", line.up.names, "only these and what they need");
    up->add_flag("--detach,-d", line.up.detach, "return when all have been ready (0) or one has failed (1)");
    up->add_flag("--init", line.up.init, "become the init of this container, as PID 1 does by itself");
    up->add_option("--print-since", line.up.print_since_ns, "")->group("");
    CLI::App* down = add_command(app, line, "down", "stop everything in order and end the instance",
                                 [&line](Context& context) { return down_command(context, line.down); });
    down->add_option("--timeout", line.down.timeout, "kill what is left after this (10s; 0: at once)");
}

void add_questions(CLI::App& app, CommandLine& line) {
    add_command(app, line, "status", "all services, or the whole story of one", [&line](Context& context) {
        return status_command(context, line.names);
    })->add_option("NAME", line.names, "services");
    add_command(app, line, "why", "why a service is as it is",
                [&line](Context& context) { return why_command(context, line.name); })
        ->add_option("NAME", line.name, "a service")
        ->required();
    add_command(app, line, "where", "the places of the instance, and its own processes", where_command);
    add_command(app, line, "version", "the version of this program", version_command);
    CLI::App* logs = add_command(app, line, "logs", "what services wrote",
                                 [&line](Context& context) { return logs_command(context, line.logs); });
    logs->add_option("NAME", line.logs.names, "services; all unless said");
    logs->add_flag("--follow,-f", line.logs.follow, "go on with what they write");
    logs->add_option("--lines,-n", line.logs.lines, "the last so many lines (100)");
    logs->add_option("--since", line.logs.since, "from a time on, or so long ago (10m)");
}

void add_oci(CLI::App& app, CommandLine& line) {
    CLI::App* oci = app.add_subcommand("oci", "containers in the words of the OCI");
    oci->require_subcommand(1);
    CLI::App* event = add_command(*oci, line, "event", "the life of a container, what has happened of it included",
                                  [&line](Context& context) { return oci_event_command(context, line.oci_event); });
    event->add_option("ID", line.oci_event.id, "a container, or its service")->required();
    event->add_option("--event,-e", line.oci_event.types, "end at the first created, started, paused, resumed, stopped")
        ->allow_extra_args(false);
    event->add_flag("--no-history,-H", line.oci_event.no_history, "only what happens from now on");
    event->add_option("--timeout", line.oci_event.timeout, "give up after this (10s)");
}

void add_events(CLI::App& app, CommandLine& line) {
    CLI::App* events = add_command(app, line, "events", "what happened, and what happens",
                                   [&line](Context& context) { return events_command(context, line.events); });
    events->add_flag("--follow,-f", line.events.follow, "go on with what happens");
    events->add_option("--since", line.events.since, "start, the id of an event, or so long ago (10m)");
    events->add_flag("--snapshot", line.events.snapshot, "first the last event of each service");
    events->add_option("--type", line.events.types, "only these (service, process.exited, ready); may be repeated")
        ->allow_extra_args(false);
    events->add_option("--service", line.events.services, "only of these, with * and ?; may be repeated")
        ->allow_extra_args(false);
    CLI::App* emit = add_command(app, line, "emit", "make an event of your own",
                                 [&line](Context& context) { return emit_command(context, line.emit); });
    emit->add_option("EVENT", line.emit.name, "its name: abide.user.EVENT")->required();
    emit->add_option("KEY=VALUE", line.emit.fields, "what it tells");
    emit->add_flag("--no-wait", line.emit.no_wait, "return as soon as it is written");
    CLI::App* wait = add_command(app, line, "wait", "until something is so of a service",
                                 [&line](Context& context) { return wait_command(context, line.wait); });
    wait->add_option("NAME", line.wait.name, "a service")->required();
    wait->add_option("--for", line.wait.goal,
                     "created, started, ready, healthy, stopped, completed, failed or an event")
        ->required();
    wait->add_option("--since", line.wait.since, "count what happened since: start, an id, or so long ago");
    wait->add_option("--timeout", line.wait.timeout, "stop waiting after this (10s; 0: only look)");
    CLI::App* analyze = add_command(app, line, "analyze", "how long the start took, and why",
                                    [&line](Context& context) { return analyze_command(context, line.analyze); });
    analyze->add_option("WHAT", line.analyze.what, "blame (default), critical-chain or plot")
        ->check(CLI::IsMember({"blame", "critical-chain", "plot"}));
    analyze->add_option("FILE", line.analyze.file, "of plot: an SVG file to be written");
}

void add_configuration(CLI::App& app, CommandLine& line) {
    add_command(app, line, "check", "look for errors in the configuration", [&line](Context& context) {
        return check_command(context, line.files);
    })->add_option("FILE", line.files, "instead of the instance's own");
    add_command(app, line, "plan", "what reload-config would change", plan_command);
    add_command(app, line, "reload-config", "apply edited files: only what changed, all or nothing",
                reload_config_command);
    add_command(app, line, "graph", "who needs whom", [&line](Context& context) {
        return graph_command(context, line.dot);
    })->add_flag("--dot", line.dot, "for Graphviz");
    CLI::App* import =
        add_command(app, line, "import", "print service files of others as an abide.toml",
                    [&line](Context& context) { return import_command(context, line.kind, line.files); });
    import->add_option("FORMAT", line.kind, "systemd, procfile or supervisord")
        ->required()
        ->check(CLI::IsMember({"systemd", "procfile", "supervisord"}));
    import->add_option("FILE", line.files, "files of that form; - is standard input, but not for systemd")->required();
    add_command(app, line, "add", "define services in the running instance",
                [&line](Context& context) { return add_command(context, line.file); })
        ->add_option("FILE", line.file, "- is standard input")
        ->required();
}

void add_supervisor(CLI::App& app, CommandLine& line) {
    CLI::App* upgrade = add_command(app, line, "upgrade", "put another program in the supervisor's place",
                                    [&line](Context& context) { return upgrade_command(context, line.upgrade); });
    upgrade->add_option("--to", line.upgrade.to, "this program, or that of this folder; else the one you are running")
        ->type_name("PROGRAM");
    upgrade->add_flag("--anchor", line.upgrade.anchor, "the anchor's program instead of the manager's");
    upgrade->add_option("--probation", line.upgrade.probation, "how long it must do well before it stays (60s)");
    upgrade->add_flag("--no-wait", line.upgrade.no_wait, "return as soon as it has begun");
    add_command(app, line, "generation", "which supervisor this is, why it was started, what it had to find out",
                generation_command);
    CLI::App* state =
        add_command(app, line, "state", "the whole state; secrets are left out", [&line](Context& context) {
            return line.file.empty() ? state_command(context) : state_check_command(context, line.file);
        });
    CLI::App* check = state->add_subcommand("check", "read a journal from a file, and say what is wrong with it");
    check->add_option("FILE", line.file, "a journal")->required();
}

void add_globals(CLI::App& app, CommandLine& line) {
    Choice& choice = line.global.choice;
    app.add_option("-C", choice.directory, "the project in this folder")->type_name("DIR");
    app.add_flag("--user", choice.user, "your own instance");
    app.add_flag("--system", choice.system, "the system's instance");
    app.add_option("--runtime", choice.runtime, "another runtime folder")->type_name("DIR");
    app.add_flag("--json", line.global.json, "output for programs");
}

// The first word that is not an option, nor the value of one: the command.
std::optional<std::string_view> command_word(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        const std::string_view word(argv[i]);
        if (word == "-C" || word == "--runtime")
            ++i;
        else if (!word.starts_with('-'))
            return word;
    }
    return std::nullopt;
}

std::vector<std::string> names_of(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(command->get_name());
    return names;
}

bool has_command(const CLI::App& app, std::string_view word) {
    const std::vector<std::string> names = names_of(app);
    return std::ranges::find(names, word) != names.end();
}

// An unknown command would else be told as an unexpected argument.
Status check_command_word(const CLI::App& app, int argc, char** argv) {
    const auto word = command_word(argc, argv);
    if (!word) {
        const auto speaks = [](std::string_view one) { return one == "--help" || one == "-h" || one == "--version"; };
        if (std::any_of(argv + std::min(argc, 1), argv + argc, speaks)) return {};
        return fail(ErrorKind::usage, "no command is given", "`abide help` lists the commands");
    }
    const std::vector<std::string> names = names_of(app);
    if (std::ranges::find(names, *word) != names.end()) return {};
    const std::vector<std::string_view> candidates(names.begin(), names.end());
    const auto like = closest(*word, candidates);
    return fail(ErrorKind::usage, "there is no command `" + std::string(*word) + "`",
                like ? "did you mean `abide " + std::string(*like) + "`?" : "`abide help` lists the commands");
}

CommandResult help_command(Context& context, const CLI::App& app, const std::string& topic) {
    if (topic.empty()) {
        context.print(app.get_formatter()->make_help(&app, "abide", CLI::AppFormatMode::Normal));
        return 0;
    }
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (command->get_name() != topic) continue;
        context.print(command->help("abide"));
        return 0;
    }
    return fail(ErrorKind::usage, "there is no command `" + topic + "`", "`abide help` lists them");
}

// nullopt: go on; else the exit status (help was asked and given).
Result<std::optional<int>> parse(CLI::App& app, int argc, char** argv) {
    if (const Status known = check_command_word(app, argc, argv); !known) return std::unexpected(known.error());
    try {
        app.parse(argc, argv);
        return std::optional<int>();
    } catch (const CLI::Success& asked) {  // --help, --version: printed to standard output
        return std::optional<int>(app.exit(asked));
    } catch (const CLI::ParseError& error) {
        const auto word = command_word(argc, argv);
        std::string what(error.what());
        std::ranges::replace(what, '\n', ' ');
        return fail(ErrorKind::usage, what,
                    "see `abide " + (word ? std::string(*word) + " " : std::string()) + "--help`");
    }
}

bool asks_for_help(int argc, char** argv) {
    return std::any_of(argv + std::min(argc, 1), argv + argc,
                       [](std::string_view word) { return word == "--help" || word == "-h"; });
}

// Of all commands only as many as it takes to know the one that is meant: to describe all of them is half of what a
// small command costs.
void add_commands(CLI::App& app, CommandLine& line, int argc, char** argv) {
    const auto word = command_word(argc, argv);
    const bool all = !word || asks_for_help(argc, argv);
    for (const auto add :
         {add_instance, add_operations, add_questions, add_events, add_oci, add_configuration, add_supervisor}) {
        add(app, line);
        if (!all && has_command(app, *word)) return;
    }
    add_command(app, line, "help", "this text, or that of a command", [&](Context& context) {
        return help_command(context, app, line.topic);
    })->add_option("COMMAND", line.topic, "a command");
}

int finish(Context& context, const Error& error) {
    context.complain(error);
    // A file that is missing is no service that is missing.
    if (error.kind == ErrorKind::not_found && error.err != 0) return exit_status_of(ErrorKind::failed);
    return exit_status_of(error.kind);
}

}  // namespace

int run(int argc, char** argv) {
    kernel::fill_standard_descriptors();
    kernel::ignore_broken_pipes();
    CommandLine line;
    CLI::App app(
        "Abide runs services, and keeps them up.  ABIDE_SOCKET, -C, --user and --system say which instance is meant;\n"
        "without them it is the project of the nearest abide.toml upward.",
        "abide");
    app.fallthrough();
    app.require_subcommand(1);
    app.set_version_flag("--version", "abide " + std::string(version()));
    app.set_help_flag("--help,-h", "this text");
    add_globals(app, line);
    add_commands(app, line, argc, argv);
    const auto parsed = parse(app, argc, argv);
    Context context(line.global);
    if (!parsed) return finish(context, parsed.error());
    if (*parsed) return **parsed;
    const CommandResult result = line.action(context);
    return result ? *result : finish(context, result.error());
}

}  // namespace abide::cli
