// config/keys_service.cc -- the rows of [project], [control] and [services.NAME].
#include "config/tables.hpp"

namespace abide::config {

namespace {

using model::Relation;

template <Relation R>
void relation(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    read_dependencies(reader, key, value, target, R);
}

template <std::vector<model::Command> model::Hooks::* M>
void hook(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    reader.read(key, value, target.hooks.ensure().*M);
}

template <std::vector<model::ExitMatch> model::RestartSpec::* M>
void restart_exits(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    reader.read(key, value, target.restart_delay.ensure().*M);
}

// Names and numbers of users are looked up when a run starts: a user may be made by a package installed meanwhile.
template <auto M>
void identity(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    const LoadContext& context = reader.context();
    if (context.mode != Mode::system && !context.caller_is_root) {
        return reader.error(value.position, "not possible in the instance of a plain user",
                            "leave it out: services run as the user who starts the instance");
    }
    reader.read(key, value, target.identity.ensure().*M);
}

void environment_file(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    if (!reader.expect(key, value, ValueType::array)) return;
    const KeyInfo one{.name = key.name, .shape = Shape::path, .required = true};
    for (const Value& item : value.items) {
        std::string path;
        reader.read(one, item, path);
        if (path == "-") reader.error(item.position, "must not be empty");
        if (path.find("%i") != std::string::npos) {
            reader.error(item.position, "%i is not possible here", "the file is read before an instance is made");
            continue;
        }
        if (!path.empty()) target.environment_files.emplace_back(std::move(path), item.position);
    }
}

void directory(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    std::string path;
    if (!reader.read_instance_text(key, value, path)) return;
    if (path.empty()) return reader.error(value.position, "must not be empty");
    target.directory = join_path(reader.context().directory, path);
    // The instance's own directory is what absence means.
    if (target.directory == reader.context().directory) target.directory.clear();
}

void kind(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    if (value.type == ValueType::text && value.text == "timer") {
        return reader.error(value.position, "\"timer\" is not supported by this version", "use service, task or group");
    }
    reader.read(key, value, target.kind);
}

void provides(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    if (!reader.expect(key, value, ValueType::array)) return;
    for (const Value& item : value.items) {
        std::string name;
        if (!reader.read_item(key, item, name)) continue;
        target.provides.push_back(std::move(name));
        target.provides_positions.push_back(item.position);
    }
}

void instances(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    if (reader.instance() != Reader::Instance::pattern) {
        return reader.error(value.position, "only a template has instances",
                            "name it [services.\"" + reader.service() + "@\"]");
    }
    std::vector<std::string> names;
    if (!reader.expect(key, value, ValueType::array)) return;
    for (const Value& item : value.items) {
        std::string name;
        if (reader.read_item(key, item, name)) target.instances.emplace_back(std::move(name), item.position);
    }
}

void autostart(Reader& reader, const KeyInfo& key, const Value& value, Draft& target) {
    bool given = true;
    reader.read(key, value, given);
    target.autostart_given = given;
}

void project_name(Reader& reader, const KeyInfo& key, const Value& value, ProjectDraft& target) {
    reader.read(key, value, target.instance.name);
}

void project_parallel(Reader& reader, const KeyInfo& key, const Value& value, ProjectDraft& target) {
    reader.read(key, value, target.instance.parallel);
}

void project_runtime(Reader& reader, const KeyInfo& key, const Value& value, ProjectDraft& target) {
    std::string path;
    reader.read(key, value, path);
    if (!path.empty()) target.runtime = join_path(reader.context().directory, path);
}

template <class T>
void never_read(Reader&, const KeyInfo&, const Value&, T&) {}

constexpr Key<Draft> later(std::string_view name) {
    return {{.name = name, .later = true}, never_read<Draft>};
}

constexpr Key<ProjectDraft> kProject[] = {
    {{.name = "name", .shape = Shape::name, .doc = "The name of the instance; by default that of its folder."},
     project_name},
    {{.name = "runtime",
      .shape = Shape::path,
      .doc =
          "The folder of the control socket and the event log, relative to the project; by default chosen by user id."},
     project_runtime},
    {{.name = "parallel",
      .shape = Shape::integer,
      .fallback = "0",
      .doc = "How many services may be starting at once; 0 is no limit.",
      .max = 20000},
     project_parallel},
    {{.name = "environment",
      .shape = Shape::variables,
      .doc = "Variables of every service; a service's own come after them.",
      .merges = true},
     into<ProjectDraft, &ProjectDraft::environment>},
};

constexpr Key<model::InstanceSpec> kControl[] = {
    {{.name = "read",
      .shape = Shape::texts,
      .fallback = "[]",
      .doc = "Groups whose members may see the status, the events and the logs."},
     into<model::InstanceSpec, &model::InstanceSpec::read>},
    {{.name = "operate",
      .shape = Shape::texts,
      .fallback = "[]",
      .doc = "Groups whose members may start, stop, restart, reload, kill, pause and wait for services."},
     into<model::InstanceSpec, &model::InstanceSpec::operate>},
};

constexpr Key<model::EventsSpec> kEvents[] = {
    {{.name = "max-size",
      .shape = Shape::size,
      .fallback = "\"64M\"",
      .doc = "So much of the event log is kept; the oldest part goes first.",
      .positive = true},
     into<model::EventsSpec, &model::EventsSpec::max_size>},
    {{.name = "max-age",
      .shape = Shape::duration,
      .fallback = "\"7d\"",
      .doc = "Events older than this are forgotten; 0 is never."},
     into<model::EventsSpec, &model::EventsSpec::max_age>},
};

constexpr Key<Draft> kService[] = {
    {{.name = "kind",
      .shape = Shape::choice,
      .fallback = "\"service\"",
      .doc = "`service` runs until it is stopped; `task` runs to its end; `group` runs nothing and stands for what it "
             "requires.",
      .choices = "service|task|group",
      .for_groups = true},
     kind},
    {{.name = "command",
      .shape = Shape::command,
      .doc = "The program and its arguments. A string is split as a shell splits words; no shell runs. Needed, except "
             "by groups."},
     into<Draft, &Draft::command>},
    {{.name = "description", .shape = Shape::text, .doc = "One line for people.", .for_groups = true},
     into<Draft, &Draft::description>},
    {{.name = "directory",
      .shape = Shape::path,
      .doc = "Where the commands run, relative to the project; by default the project's folder."},
     directory},
    {{.name = "user",
      .shape = Shape::text,
      .doc = "The user, by name or number; sets HOME, USER, LOGNAME and SHELL. Refused in project and user "
             "instances of a plain user."},
     identity<&model::Identity::user>},
    {{.name = "group", .shape = Shape::text, .doc = "The group; by default the user's own."},
     identity<&model::Identity::group>},
    {{.name = "groups", .shape = Shape::texts, .doc = "Supplementary groups, besides those of the user."},
     identity<&model::Identity::groups>},
    {{.name = "environment",
      .shape = Shape::variables,
      .doc =
          "Variables. A value may use what was set before it: [project] environment, environment files, earlier ones.",
      .merges = true},
     into<Draft, &Draft::environment>},
    {{.name = "environment-file",
      .shape = Shape::texts,
      .doc = "Files of KEY=VALUE lines, relative to the file that names them, read when the configuration is loaded. "
             "They override "
             "`environment`. A leading - : the file may be missing."},
     environment_file},
    {{.name = "requires",
      .shape = Shape::dependencies,
      .doc = "Services that are started too and must have come up first.",
      .for_groups = true},
     relation<Relation::requires_>},
    {{.name = "wants", .shape = Shape::dependencies, .doc = "Like requires, but they may fail.", .for_groups = true},
     relation<Relation::wants>},
    {{.name = "binds-to",
      .shape = Shape::dependencies,
      .doc = "Like requires, and this service stops when they stop, whatever the reason.",
      .for_groups = true},
     relation<Relation::binds_to>},
    {{.name = "part-of",
      .shape = Shape::dependencies,
      .doc = "This service stops and restarts with them.",
      .for_groups = true},
     relation<Relation::part_of>},
    {{.name = "after",
      .shape = Shape::dependencies,
      .doc = "Only order: if both start, this one waits.",
      .for_groups = true},
     relation<Relation::after>},
    {{.name = "before",
      .shape = Shape::dependencies,
      .doc = "Only order: if both start, they wait for this one.",
      .for_groups = true},
     relation<Relation::before>},
    {{.name = "conflicts",
      .shape = Shape::dependencies,
      .doc = "Services that are never up together with this one.",
      .for_groups = true},
     relation<Relation::conflicts>},
    {{.name = "provides",
      .shape = Shape::services,
      .doc = "Other names of this service, for the dependencies of others.",
      .for_groups = true},
     provides},
    {{.name = "pre-start", .shape = Shape::commands, .doc = "Commands before the main process, one after the other."},
     hook<&model::Hooks::pre_start>},
    {{.name = "post-start", .shape = Shape::commands, .doc = "Commands after the service is ready."},
     hook<&model::Hooks::post_start>},
    {{.name = "pre-stop", .shape = Shape::commands, .doc = "Commands before the service is stopped."},
     hook<&model::Hooks::pre_stop>},
    {{.name = "post-stop",
      .shape = Shape::commands,
      .doc = "Commands after the last process has gone, also after a failure."},
     hook<&model::Hooks::post_stop>},
    {{.name = "hook-timeout",
      .shape = Shape::duration,
      .fallback = "\"1m\"",
      .doc = "How long each of these commands may take.",
      .positive = true},
     [](Reader& r, const KeyInfo& k, const Value& v, Draft& t) { r.read(k, v, t.hooks.ensure().timeout); }},
    {{.name = "sockets",
      .shape = Shape::tables,
      .doc = "Listening sockets that are opened for the service (LISTEN_FDS).",
      .table = "sockets"},
     read_sockets},
    {{.name = "ready",
      .shape = Shape::table,
      .doc = "When the service counts as ready; by default as soon as the exec succeeded.",
      .table = "ready"},
     read_ready},
    {{.name = "health",
      .shape = Shape::table,
      .doc = "A check that is repeated while the service is ready.",
      .table = "health"},
     read_health},
    {{.name = "watchdog",
      .shape = Shape::duration,
      .fallback = "\"0\"",
      .doc = "The service must send WATCHDOG=1 more often than this, or it is restarted; 0 is off."},
     into<Draft, &Draft::watchdog>},
    {{.name = "fd-store-max",
      .shape = Shape::integer,
      .fallback = "0",
      .doc = "How many descriptors are kept for the service from one run to the next (FDSTORE=1 of sd_notify(3)): they "
             "come back behind its sockets in LISTEN_FDS, and are forgotten when it stops for good. 0: none.",
      .max = 64},
     into<Draft, &Draft::fd_store_max>},
    {{.name = "restart",
      .shape = Shape::choice,
      .fallback = "\"on-failure\"",
      .doc = "When to start it again after it ended by itself.",
      .choices = "never|on-failure|always"},
     into<Draft, &Draft::restart>},
    {{.name = "success-exit",
      .shape = Shape::exits,
      .fallback = "[0]",
      .doc = "Exit codes and signals that are no failure, besides 0 and, for services, the stop signal."},
     into<Draft, &Draft::success_exit>},
    {{.name = "restart-prevent", .shape = Shape::exits, .fallback = "[]", .doc = "Never restart after these."},
     restart_exits<&model::RestartSpec::prevent>},
    {{.name = "restart-force", .shape = Shape::exits, .fallback = "[]", .doc = "Always restart after these."},
     restart_exits<&model::RestartSpec::force>},
    {{.name = "restart-delay",
      .shape = Shape::duration_or_table,
      .doc = "How long to wait before a restart. The first restart after a healthy period is immediate. One duration "
             "is a constant delay.",
      .table = "restart-delay"},
     read_restart_delay},
    {{.name = "restart-limit",
      .shape = Shape::table,
      .doc = "More restarts than this, and the service has failed.",
      .table = "restart-limit"},
     read_restart_limit},
    {{.name = "reload",
      .shape = Shape::table,
      .doc = "How the service is told to read its configuration again.",
      .table = "reload"},
     read_reload},
    {{.name = "stop", .shape = Shape::table, .doc = "How the service is stopped.", .table = "stop"}, read_stop},
    {{.name = "limits",
      .shape = Shape::table,
      .doc = "Resource limits and priorities.",
      .table = "limits",
      .merges = true},
     read_limits},
    {{.name = "sandbox",
      .shape = Shape::table,
      .doc = "What is taken away from the service.",
      .table = "sandbox",
      .merges = true},
     read_sandbox},
    {{.name = "log",
      .shape = Shape::choice_or_table,
      .fallback = "\"file\"",
      .doc = "Where the output goes: to files, to where the output of Abide goes (`inherit`), or nowhere (`none`).",
      .choices = "file|inherit|none",
      .table = "log"},
     read_log},
    {{.name = "oci",
      .shape = Shape::table,
      .doc = "A container of this bundle, made by an OCI runtime, instead of a command.",
      .table = "oci"},
     read_oci},
    {{.name = "essential",
      .shape = Shape::flag,
      .fallback = "false",
      .doc = "Its last end, when no restart follows, ends the instance with its exit status. With `restart = "
             "\"never\"` that is the first one."},
     into<Draft, &Draft::essential>},
    {{.name = "autostart",
      .shape = Shape::flag,
      .fallback = "true",
      .doc = "Whether `abide up` starts it. A template itself never starts; the key is then meant for its `instances`.",
      .for_groups = true},
     autostart},
    {{.name = "instances",
      .shape = Shape::instances,
      .fallback = "[]",
      .doc = "Of a template (`NAME@`): the instances that always exist. `%i` stands for the instance in commands, "
             "values of "
             "variables, directory, sockets, probes and dependencies; `%%` is a percent sign.",
      .for_groups = true},
     instances},
    later("start-on"),
    later("stop-on"),
    later("schedule"),
    later("starts"),
    later("classes"),
    later("refresh"),
    later("actions"),
};

}  // namespace

constinit const std::span<const Key<ProjectDraft>> kProjectKeys = kProject;
constinit const std::span<const Key<model::InstanceSpec>> kControlKeys = kControl;
constinit const std::span<const Key<model::EventsSpec>> kEventsKeys = kEvents;
constinit const std::span<const Key<Draft>> kServiceKeys = kService;

}  // namespace abide::config
