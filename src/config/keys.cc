// config/keys.cc -- gathers the rows of all tables, and says what each shape is called.
#include "config/keys.hpp"

#include "config/sources.hpp"
#include "config/tables.hpp"

namespace abide::config {

namespace {

template <class T>
TableInfo gather(std::string_view name, std::string_view title, std::string_view doc, std::span<const Key<T>> rows) {
    TableInfo table{name, title, doc, {}};
    for (const Key<T>& row : rows) table.keys.push_back(row.info);
    return table;
}

std::vector<TableInfo> gather_all() {
    std::vector<TableInfo> tables;
    tables.push_back({"", "The file", "What stands outermost.", {kDocumentKeys.begin(), kDocumentKeys.end()}});
    tables.push_back(gather("project", "[project]", "The instance as a whole.", kProjectKeys));
    tables.push_back(
        gather("control", "[control]",
               "Who may do what. The owner and root may do everything, others only what their groups are given.",
               kControlKeys));
    tables.push_back(gather("events", "[events]", "How much of the event log is kept.", kEventsKeys));
    tables.push_back(gather("service", "[services.NAME]", "One service.", kServiceKeys));
    tables.push_back(gather("dependency", "A dependency", "The long form of `\"NAME:STAGE\"`.", kDependencyKeys));
    tables.push_back(
        gather("ready", "ready", "Exactly one of the first nine keys says how readiness is known.", kReadyKeys));
    tables.push_back(
        gather("health", "health", "Exactly one of the first four keys says what is checked.", kHealthKeys));
    tables.push_back(gather("stop", "stop", "First the command, if any, then the signal, then `final`.", kStopKeys));
    tables.push_back(gather("reload", "reload", "A signal or a command.", kReloadKeys));
    tables.push_back(gather("restart-delay", "restart-delay", "Delays grow from min to max.", kRestartDelayKeys));
    tables.push_back(gather("restart-limit", "restart-limit", "How many restarts are too many.", kRestartLimitKeys));
    tables.push_back(gather(
        "limits", "limits",
        "The first keys are resource limits (setrlimit(2)): a number, a size, \"unlimited\", or a table of soft "
        "and hard. Those marked cgroup need a control group of version 2 "
        "with that controller (memory, pids, cpu). A plain user has one only where it was delegated to him, and a "
        "group with processes in it can't give one unless it is the root. Where it can't be had the service runs "
        "without that limit: `check` and `up` warn of it, and supervisor.log says so at each start.",
        kLimitKeys));
    tables.push_back(gather("rlimit", "A resource limit", "The long form.", kResourceKeys));
    tables.push_back(gather("sandbox", "sandbox", "What is taken away.", kSandboxKeys));
    tables.push_back(gather("log", "log", "How log files are rotated.", kLogKeys));
    tables.push_back(gather("sockets", "sockets", "A list of such tables.", kSocketKeys));
    tables.push_back(
        gather("oci", "oci",
               "A container instead of a command. `limits` bound its control group; `ready`, `health`, `reload` and "
               "`stop` commands run in it; hooks of the runtime are in config.json.",
               kOciKeys));
    return tables;
}

}  // namespace

const std::vector<TableInfo>& all_tables() {
    static const std::vector<TableInfo> kTables = gather_all();
    return kTables;
}

std::string_view describe(Shape shape) {
    switch (shape) {
        case Shape::text: return "a string";
        case Shape::path: return "a string (a path)";
        case Shape::flag: return "true or false";
        case Shape::name: return "a string (a name)";
        case Shape::integer: return "an integer";
        case Shape::number: return "a number";
        case Shape::duration: return "a duration such as \"10s\"";
        case Shape::size: return "a size such as \"64M\"";
        case Shape::signal: return "a signal such as \"TERM\"";
        case Shape::choice: return "one of several words";
        case Shape::octal: return "a string of octal digits such as \"022\"";
        case Shape::texts: return "a list of strings";
        case Shape::services: return "a list of service names";
        case Shape::instances: return "a list of instance names";
        case Shape::command: return "a command: a list of words, or a string";
        case Shape::commands: return "a list of commands";
        case Shape::dependencies: return "a list of services, \"NAME\" or \"NAME:STAGE\"";
        case Shape::exits: return "a list of exit codes and signals";
        case Shape::capabilities: return "a list of capabilities";
        case Shape::rlimit: return "a limit: a number, a size, \"unlimited\" or {soft, hard}";
        case Shape::variables: return "a table of strings";
        case Shape::table: return "a table";
        case Shape::tables: return "a list of tables";
        case Shape::duration_or_table: return "a duration or a table";
        case Shape::choice_or_table: return "a word or a table";
        case Shape::named_tables: return "a table of tables";
    }
    return "";
}

}  // namespace abide::config
