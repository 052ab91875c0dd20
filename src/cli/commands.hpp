// cli/commands.hpp -- every command: its options as the parser fills them in, and the function that carries it out.
//
// Each returns the exit status of docs/reference.md, or an Error that run() prints and turns into one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.hpp"

namespace abide::cli {

// Operations on services (commands_operate.cc).
struct OperateOptions {
    control::Method method = control::Method::start;
    std::vector<std::string> names;
    bool no_wait = false;
    std::string timeout;  // a duration; empty: none
};
CommandResult operate_command(Context& context, const OperateOptions& options);

struct KillOptions {
    std::string name, signal = "TERM", who = "main";
};
CommandResult kill_command(Context& context, const KillOptions& options);
CommandResult remove_command(Context& context, const std::vector<std::string>& names);
// Told to the instance that is up, if any, and kept for the next one.
CommandResult enable_command(Context& context, bool enable, const std::vector<std::string>& names);

struct DownOptions {
    std::string timeout;
};
CommandResult down_command(Context& context, const DownOptions& options);

// Asking (commands_ask.cc).
CommandResult status_command(Context& context, const std::vector<std::string>& names);
CommandResult why_command(Context& context, const std::string& name);
CommandResult where_command(Context& context);
CommandResult version_command(Context& context);

// The supervisor itself (commands_upgrade.cc).
struct UpgradeOptions {
    std::string to;         // a program; empty: the one that this command line belongs to
    std::string probation;  // a duration; empty: the supervisor's own
    bool anchor = false;
    bool no_wait = false;
};
CommandResult upgrade_command(Context& context, const UpgradeOptions& options);
CommandResult generation_command(Context& context);
CommandResult state_command(Context& context);
CommandResult state_check_command(Context& context, const std::string& file);

// Configuration (commands_config.cc).
CommandResult check_command(Context& context, const std::vector<std::string>& files);
CommandResult plan_command(Context& context);
CommandResult reload_config_command(Context& context);
CommandResult add_command(Context& context, const std::string& file);
CommandResult graph_command(Context& context, bool dot);

// Service files of others, as an abide.toml (commands_import.cc).  kind: systemd, procfile or supervisord.
CommandResult import_command(Context& context, const std::string& kind, const std::vector<std::string>& files);

// Logs (commands_logs.cc).
struct LogsOptions {
    std::vector<std::string> names;
    bool follow = false;
    std::optional<std::string> lines;  // a number
    std::string since;
};
CommandResult logs_command(Context& context, const LogsOptions& options);

// Events (commands_events.cc, commands_wait.cc, commands_analyze.cc): read from the files of the event log.
struct OciEventOptions {
    std::string id;  // of a container, or its service's name
    std::vector<std::string> types;
    std::string timeout;
    bool no_history = false;
};
CommandResult oci_event_command(Context& context, const OciEventOptions& options);

struct EventsOptions {
    bool follow = false, snapshot = false;
    std::string since;
    std::vector<std::string> types, services;
};
CommandResult events_command(Context& context, const EventsOptions& options);

struct EmitOptions {
    std::string name;
    std::vector<std::string> fields;
    bool no_wait = false;
};
CommandResult emit_command(Context& context, const EmitOptions& options);

struct WaitOptions {
    std::string name, goal, since, timeout;
};
CommandResult wait_command(Context& context, const WaitOptions& options);

struct AnalyzeOptions {
    std::string what = "blame", file;
};
CommandResult analyze_command(Context& context, const AnalyzeOptions& options);

// Starting an instance (up.cc).
struct UpOptions {
    std::vector<std::string> names;
    bool detach = false;
    bool init = false;                // behave as PID 1 does
    std::int64_t print_since_ns = 0;  // not 0: the child of `up --init`; only prints, from this instant on
};
CommandResult up_command(Context& context, const UpOptions& options);

// "10s" of the command line; an Error names the option.
Result<Duration> duration_option(const std::string& text, std::string_view option);
// The end of an operation: what failed is told on standard error; the exit status.
int report_operation(Context& context, const control::OperationReply& reply);
// The whole command line; argv[0] included.
int run(int argc, char** argv);

}  // namespace abide::cli
