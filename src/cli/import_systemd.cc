// cli/import_systemd.cc -- systemd's services and targets.
//
// Defaults of systemd that differ from Abide's are written down (no restart, 90 s for a stop, the root folder, signals
// that are a clean end), so that a service does what it did.
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/text.hpp"
#include "cli/import_limits.hpp"
#include "cli/import_unit.hpp"
#include "model/signal.hpp"

namespace abide::cli {

namespace {

constexpr std::string_view kUnit = "Unit", kService = "Service", kInstall = "Install";
constexpr std::string_view kForeverText = "365d";

using Names = std::map<std::string, std::string, std::less<>>;  // of the imported units: "web.service" to "web"

// What WantedBy= and RequiredBy= of others add to a unit, by its name.
struct Edges {
    std::map<std::string, std::vector<std::string>, std::less<>> wants, requires_;
    std::set<std::pair<std::string, std::string>> after;  // the first comes after the second, as both files say
};

bool is_target(std::string_view name) {
    return name.ends_with(".target");
}

class UnitWriter {
  public:
    UnitWriter(Unit& unit, ImportWriter& writer, const Names& names, const Edges& wanted)
        : unit_(unit), writer_(writer), names_(names), wanted_(wanted) {}

    Status write(const std::string& name) {
        writer_.enter(unit_.file());
        if (const Status good = writer_.begin(name, 1); !good) return good;
        name_ = name;
        if (is_target(unit_.name())) writer_.set_text("kind", "group");
        write_description();
        if (!is_target(unit_.name())) {
            if (const Status good = write_commands(); !good) return good;
            write_place();
            write_environment();
            write_identity();
        }
        write_dependencies();
        if (!is_target(unit_.name())) {
            write_ready();
            write_restart();
            write_stop();
            write_unit_limits(unit_, writer_);
            write_sandbox();
            write_log();
        }
        write_install();
        write_rest();
        return {};
    }

  private:
    // With its specifiers replaced, and a note of those that stay.
    std::string text_of(const IniEntry& entry, std::string_view text) {
        std::vector<std::string> unknown;
        std::string out = unit_.replaced(text, unknown);
        tell_unknown(entry, unknown);
        return out;
    }
    void tell_unknown(const IniEntry& entry, const std::vector<std::string>& unknown) {
        for (const std::string& one : unknown)
            writer_.note(entry.line, entry.key + ": " + one + " stays as it stands; write what it stands for");
    }
    // For keys where abide.toml has no %i.
    bool set_fixed(const IniEntry& entry, std::string_view key) {
        const std::string text = text_of(entry, entry.value);
        if (has_marks(text))
            writer_.leave_out(entry, "%i has no meaning in " + std::string(key));
        else
            writer_.set_text(key, text);
        return !has_marks(text);
    }
    std::optional<Duration> time_of(const IniEntry* entry) {
        if (entry == nullptr) return std::nullopt;
        const auto time = unit_time(entry->value);
        if (!time) writer_.leave_out(*entry, "it is not a time");
        return time;
    }
    static std::string quoted_time(Duration time) {
        return toml_string(time == kForever ? std::string(kForeverText) : format_duration(time));
    }
    bool flag(std::string_view section, std::string_view key, bool fallback) {
        const IniEntry* entry = unit_.last(section, key);
        if (entry == nullptr) return fallback;
        const auto value = unit_flag(entry->value);
        if (!value) writer_.leave_out(*entry, "it is neither yes nor no");
        return value.value_or(fallback);
    }

    void write_description() {
        const IniEntry* entry = unit_.last(kUnit, "Description");
        if (entry == nullptr) return;
        const std::string text = text_of(*entry, entry->value);
        // Only a template's is searched for %i.
        writer_.set_text("description", unit_.is_template() ? substituted(text) : text);
    }

    // The commands of all entries of a key; one that can't be read is left out.
    std::vector<UnitCommand> commands(std::string_view key) {
        std::vector<UnitCommand> out;
        for (const IniEntry* entry : unit_.all(kService, key)) {
            std::vector<std::string> unknown;
            auto found = unit_commands(unit_, entry->value, unknown);
            if (!found) {
                writer_.leave_out(*entry, "it is no command line that can be read here");
                continue;
            }
            tell_unknown(*entry, unknown);
            for (UnitCommand& one : *found) {
                if (one.privileged)
                    writer_.note(entry->line,
                                 entry->key + ": + and ! are left out: commands run as the service's user");
                if (one.own_name)
                    writer_.note(entry->line, entry->key + ": @ is left out: argv[0] is the program's name");
                one.line = entry->line;
                out.push_back(std::move(one));
            }
        }
        return out;
    }
    // May it fail, so a shell says that it didn't.
    static std::string hook(const UnitCommand& command) {
        if (!command.may_fail) return command_value(command.words);
        std::vector<std::string> words{"sh", "-c", "\"$@\" || :", "sh"};
        words.insert(words.end(), command.words.begin(), command.words.end());
        return command_value(words);
    }
    void set_hooks(std::string_view key, const std::vector<UnitCommand>& commands) {
        std::vector<std::string> written;
        for (const UnitCommand& one : commands) written.push_back(hook(one));
        if (!written.empty()) writer_.set(key, toml_list(written));
    }

    Status write_commands() {
        const IniEntry* type = unit_.last(kService, "Type");
        type_ = type == nullptr ? "simple" : type->value;
        type_line_ = type == nullptr ? 1 : type->line;
        task_ = type_ == "oneshot";
        constexpr std::array<std::string_view, 6> kKnown{"simple",        "exec",    "notify",
                                                         "notify-reload", "forking", "oneshot"};
        if (std::ranges::find(kKnown, type_) == kKnown.end())
            writer_.leave_out(*type, "Abide takes it as ready when it was executed; see `ready`");
        if (task_) writer_.set_text("kind", "task");
        std::vector<UnitCommand> main = commands("ExecStart");
        if (main.empty()) {
            return fail(ErrorKind::usage, place_of(unit_.file(), 1) + ": no ExecStart= that can be imported",
                        "give it one, or leave the file out");
        }
        if (main.back().may_fail && !task_)
            writer_.note(main.back().line, "ExecStart: - is left out: a failure is one; see success-exit");
        writer_.set("command", task_ ? hook(main.back()) : command_value(main.back().words));
        main.pop_back();
        std::vector<UnitCommand> before = commands("ExecStartPre");
        before.insert(before.end(), main.begin(), main.end());
        const std::vector<UnitCommand> after = commands("ExecStartPost"), last = commands("ExecStopPost");
        set_hooks("pre-start", before);
        set_hooks("post-start", after);
        set_hooks("post-stop", last);
        read_timeouts();
        if (!before.empty() || !after.empty() || !last.empty())
            writer_.set("hook-timeout", quoted_time(start_timeout_));
        return {};
    }

    void read_timeouts() {
        constexpr Duration kUsual{90'000'000'000};
        const IniEntry* both = unit_.last(kService, "TimeoutSec");
        const IniEntry* start = unit_.last(kService, "TimeoutStartSec");
        if (start == nullptr) start = both;
        const auto given = time_of(start);
        stop_timeout_ = start == both ? given.value_or(kUsual) : time_of(both).value_or(kUsual);
        start_timeout_ = given.value_or(task_ ? kForever : kUsual);
        if (start_timeout_.ns == 0) start_timeout_ = kForever;
        if (given && start_timeout_ == kForever && !task_)
            writer_.comment(start->key + "=" + start->value + " is written as 365d.");
        if (given && start_timeout_ != kForever && task_)
            writer_.note(start->line, start->key + ": the task itself may run as long as it wants");
    }

    void write_place() {
        const IniEntry* entry = unit_.last(kService, "WorkingDirectory");
        if (entry == nullptr) return writer_.set_text("directory", "/");
        std::string_view value = entry->value;
        if (value.starts_with('-')) {
            writer_.note(entry->line, "WorkingDirectory: - is left out: the folder must be there");
            value.remove_prefix(1);
        }
        if (!value.starts_with('/') && !value.starts_with('%'))
            return writer_.leave_out(*entry, "it is not a path; write `directory`");
        writer_.set_text("directory", substituted(text_of(*entry, value)));
    }

    void write_environment() {
        std::vector<std::pair<std::string, std::string>> variables;
        for (const IniEntry* entry : unit_.all(kService, "Environment")) {
            const auto words = unit_words(entry->value);
            if (!words) {
                writer_.leave_out(*entry, "its quotation can't be read here");
                continue;
            }
            for (const std::string& word : *words) {
                const std::size_t equals = word.find('=');
                if (equals == std::string::npos || !is_variable(std::string_view(word).substr(0, equals))) {
                    writer_.note(entry->line, "Environment: " + printable(word) + " is left out: it is not NAME=VALUE");
                    continue;
                }
                const std::string name = word.substr(0, equals);
                std::erase_if(variables, [&](const auto& one) { return one.first == name; });
                variables.emplace_back(name, text_of(*entry, std::string_view(word).substr(equals + 1)));
            }
        }
        std::string table;
        for (const auto& [name, value] : variables)
            table += (table.empty() ? "" : ", ") + toml_key(name) + " = " + toml_string(expandable(value));
        if (!table.empty()) writer_.set("environment", "{ " + table + " }");
        std::vector<std::string> files;
        for (const IniEntry* entry : unit_.all(kService, "EnvironmentFile")) {
            const std::string text = text_of(*entry, entry->value);
            if (has_marks(text) || text.find_first_of("*?[") != std::string::npos)
                writer_.leave_out(*entry, "neither %i nor a pattern is possible in environment-file");
            else
                files.push_back(toml_string(text));
        }
        if (!files.empty()) writer_.set("environment-file", toml_list(files));
    }

    // Rather than root.
    void set_nobody() {
        writer_.comment("Give it a user of its own.");
        writer_.set_text("user", "nobody");
    }
    void write_identity() {
        if (const IniEntry* entry = unit_.last(kService, "User"); entry != nullptr && !set_fixed(*entry, "user"))
            set_nobody();
        if (const IniEntry* entry = unit_.last(kService, "DynamicUser");
            entry != nullptr && unit_flag(entry->value) != false) {
            writer_.leave_out(*entry, "Abide makes no users");
            if (unit_.last(kService, "User") == nullptr) set_nobody();
        }
        if (const IniEntry* entry = unit_.last(kService, "Group")) set_fixed(*entry, "group");
        std::vector<std::string> groups;
        for (const IniEntry* entry : unit_.all(kService, "SupplementaryGroups")) {
            std::string text = text_of(*entry, entry->value);
            std::ranges::replace(text, '\t', ' ');
            for (const std::string_view group : split(text, ' ')) {
                if (!group.empty() && !has_marks(group)) groups.push_back(toml_string(group));
                if (has_marks(group)) writer_.leave_out(*entry, "%i has no meaning in groups");
            }
        }
        if (!groups.empty()) writer_.set("groups", toml_list(groups));
    }

    // The service of this name among the imported ones, or nothing and a note.
    std::optional<std::string> target_of(const IniEntry& entry, std::string_view word) {
        const std::string text = text_of(entry, word);
        std::optional<std::string> found;
        if (const auto known = names_.find(text); known != names_.end() && !known->second.ends_with('@'))
            found = known->second;
        const std::size_t at = text.find('@');
        const std::size_t dot = text.rfind('.');
        if (!found && at != std::string::npos && dot != std::string::npos && dot > at + 1 &&
            names_.contains(text.substr(0, at + 1) + text.substr(dot)))
            found = text.substr(0, dot);
        if (found && !has_marks(*found) && !is_service_name(*found)) found.reset();
        if (found && *found != name_) return substituted(*found);
        writer_.note(entry.line, entry.key + ": " + printable(word) + " is left out: " +
                                     (found ? "it is the service itself" : "it is not among the imported files"));
        return std::nullopt;
    }
    std::vector<std::string> targets(std::string_view key) {
        std::vector<std::string> out;
        for (const IniEntry* entry : unit_.all(kUnit, key)) {
            std::string text = entry->value;
            std::ranges::replace(text, '\t', ' ');
            for (const std::string_view word : split(text, ' ')) {
                if (word.empty()) continue;
                const auto target = target_of(*entry, word);
                if (target && std::ranges::find(out, *target) == out.end()) out.push_back(*target);
            }
        }
        return out;
    }

    // systemd orders only by After=; a requirement of Abide's waits unless it says `none`.
    void write_dependencies() {
        const std::vector<std::string> after = targets("After");
        std::vector<std::string> waited, seen;
        const auto edges = [&](std::string_view key, std::vector<std::string> found) {
            std::vector<std::string> written;
            for (const std::string& one : found) {
                if (std::ranges::find(seen, one) != seen.end()) continue;
                seen.push_back(one);
                // A target waits for what it needs, unless that waits for the target.
                const bool waits = std::ranges::find(after, one) != after.end() ||
                                   (is_target(unit_.name()) && !wanted_.after.contains({one, name_}));
                if (waits) waited.push_back(one);
                written.push_back(toml_string(waits ? one : one + ":none"));
            }
            if (!written.empty()) writer_.set(key, toml_list(written));
        };
        edges("binds-to", targets("BindsTo"));
        const auto with = [&](std::vector<std::string> found, const auto& added) {
            if (const auto more = added.find(name_); more != added.end())
                found.insert(found.end(), more->second.begin(), more->second.end());
            return found;
        };
        edges("requires", with(targets("Requires"), wanted_.requires_));
        edges("wants", with(targets("Wants"), wanted_.wants));
        const auto plain = [&](std::string_view key, const std::vector<std::string>& found) {
            std::vector<std::string> written;
            for (const std::string& one : found) {
                if (key != "after" || std::ranges::find(waited, one) == waited.end())
                    written.push_back(toml_string(one));
            }
            if (!written.empty()) writer_.set(key, toml_list(written));
        };
        plain("part-of", targets("PartOf"));
        plain("after", after);
        plain("before", targets("Before"));
        plain("conflicts", targets("Conflicts"));
    }

    void write_ready() {
        const std::string timeout = ", timeout = " + quoted_time(start_timeout_) + " }";
        const IniEntry* file = unit_.last(kService, "PIDFile");
        if (type_.starts_with("notify")) writer_.set("ready", "{ notify = true" + timeout);
        if (type_ == "forking" && file != nullptr) {
            std::string path = text_of(*file, file->value);
            if (!path.starts_with('/')) path = "/run/" + path;
            writer_.set("ready", "{ pidfile = " + toml_string(expandable(path)) + timeout);
        } else if (type_ == "forking") {
            writer_.note(
                type_line_,
                "Type=forking without PIDFile: run it in the foreground, or write ready = { pidfile = \"...\" }");
        } else if (file != nullptr) {
            writer_.leave_out(*file, "only Type=forking needs it");
        }
        if (const IniEntry* dog = unit_.last(kService, "WatchdogSec")) {
            const auto time = time_of(dog);
            if (task_)
                writer_.leave_out(*dog, "a task has no watchdog");
            else if (time && time->ns > 0 && *time != kForever)
                writer_.set("watchdog", quoted_time(*time));
        }
    }

    void write_restart() {
        const IniEntry* entry = unit_.last(kService, "Restart");
        const std::string mode = entry == nullptr ? "no" : entry->value;
        std::string ours = mode == "no" ? "never" : mode == "always" || mode == "on-success" ? "always" : "on-failure";
        writer_.set_text("restart", ours);
        if (mode != "no" && mode != "always" && mode != "on-failure")
            writer_.note(entry->line, "Restart=" + mode + " is no mode of Abide's: " + ours + " is the nearest");
        write_exits("success-exit", "SuccessExitStatus");
        write_exits("restart-prevent", "RestartPreventExitStatus");
        write_exits("restart-force", "RestartForceExitStatus");
        const IniEntry* delay = unit_.last(kService, "RestartSec");
        const IniEntry* burst = unit_.last(kUnit, "StartLimitBurst");
        const IniEntry* interval = unit_.last(kUnit, "StartLimitIntervalSec");
        if (ours == "never") return;
        const Duration wait = time_of(delay).value_or(Duration{100'000'000});
        if (wait == kForever) writer_.note(delay->line, "RestartSec=infinity is written as 365d");
        writer_.set("restart-delay", quoted_time(wait));
        const auto count = burst == nullptr ? 5 : parse_integer(burst->value, 0, 10'000);
        const Duration within = time_of(interval).value_or(Duration{10'000'000'000});
        if (!count) return writer_.leave_out(*burst, "it is not a number from 0 to 10000");
        if (*count == 0 || within.ns == 0) return writer_.set("restart-limit", "{ count = 0 }");
        writer_.set("restart-limit",
                    "{ count = " + std::to_string(*count) + ", within = " + quoted_time(within) + " }");
    }

    void write_exits(std::string_view key, std::string_view theirs) {
        std::vector<std::string> written;
        if (key == "success-exit" && !task_) {
            for (const std::string_view clean : {"HUP", "INT", "TERM", "PIPE"}) written.push_back(toml_string(clean));
        }
        for (const IniEntry* entry : unit_.all(kService, theirs)) {
            std::string text = entry->value;
            std::ranges::replace(text, '\t', ' ');
            for (const std::string_view word : split(text, ' ')) {
                if (word.empty()) continue;
                std::string one;
                if (const auto code = parse_integer(word, 0, 255))
                    one = std::to_string(*code);
                else if (const auto signal = model::parse_signal(word); signal && word.front() > '9')
                    one = toml_string(model::signal_name(*signal));
                else
                    writer_.note(entry->line,
                                 entry->key + ": " + printable(word) +
                                     " is left out: it is neither a number nor a signal; write its number");
                if (!one.empty() && std::ranges::find(written, one) == written.end()) written.push_back(one);
            }
        }
        if (!written.empty()) writer_.set(key, toml_list(written));
    }

    void write_stop() {
        std::string table;
        const auto add = [&](const std::string& text) { table += (table.empty() ? "" : ", ") + text; };
        if (const IniEntry* entry = unit_.last(kService, "KillSignal")) {
            if (const auto signal = model::parse_signal(entry->value))
                add("signal = " + toml_string(model::signal_name(*signal)));
            else
                writer_.leave_out(*entry, "there is no such signal");
        }
        if (const IniEntry* remains = unit_.last(kService, "RemainAfterExit");
            remains != nullptr && !task_ && unit_flag(remains->value) != false)
            writer_.leave_out(*remains, "only a task stands for something when it has ended");
        write_stop_commands(table);
        if (const auto time = time_of(unit_.last(kService, "TimeoutStopSec"))) stop_timeout_ = *time;
        const bool forever = stop_timeout_ == kForever || stop_timeout_.ns == 0;
        const bool kills = flag(kService, "SendSIGKILL", true);
        if (!forever) add("timeout = " + quoted_time(stop_timeout_));
        if (forever || !kills) add("final = \"never\"");
        if (const IniEntry* mode = unit_.last(kService, "KillMode")) {
            if (mode->value == "process") add("scope = \"main\"");
            if (mode->value == "mixed") add("scope = \"mixed\"");
            if (mode->value != "process" && mode->value != "mixed" && mode->value != "control-group")
                writer_.leave_out(*mode, "Abide's stop has all, main and mixed");
        }
        writer_.set("stop", "{ " + table + " }");
        write_reload();
    }

    void write_stop_commands(std::string& table) {
        const auto entries = unit_.all(kService, "ExecStop");
        if (task_) {
            for (const IniEntry* entry : entries) writer_.leave_out(*entry, "a task that has ended isn't stopped");
            return;
        }
        std::vector<UnitCommand> stops = commands("ExecStop");
        if (stops.empty()) return;
        table += std::string(table.empty() ? "" : ", ") + "command = " + hook(stops.back());
        stops.pop_back();
        set_hooks("pre-stop", stops);
    }

    void write_reload() {
        const auto entries = unit_.all(kService, "ExecReload");
        const std::vector<UnitCommand> reloads = commands("ExecReload");
        if (task_ || reloads.size() > 1) {
            for (const IniEntry* entry : entries)
                writer_.leave_out(*entry, task_ ? "a task has no reload" : "a reload is one command; write a script");
        } else if (reloads.size() == 1) {
            const auto signal = kill_of_main(reloads.front());
            writer_.set("reload", signal ? "{ signal = " + toml_string(model::signal_name(*signal)) + " }"
                                         : "{ command = " + hook(reloads.front()) + " }");
        } else if (type_ == "notify-reload") {
            writer_.set("reload", "{ signal = \"HUP\" }");
        }
    }

    void write_sandbox() {
        if (flag(kService, "NoNewPrivileges", false)) writer_.set("sandbox.no-new-privileges", "true");
        if (flag(kService, "PrivateTmp", false)) writer_.set("sandbox.private-tmp", "true");
    }

    void write_log() {
        const IniEntry* out = unit_.last(kService, "StandardOutput");
        const IniEntry* err = unit_.last(kService, "StandardError");
        const std::string to = out == nullptr ? "journal" : out->value;
        const std::string error_to = err == nullptr || err->value == "inherit" ? to : err->value;
        if (to == "null" && error_to == "null") return writer_.set_text("log", "none");
        for (const IniEntry* entry : {out, err}) {
            if (entry == nullptr || entry->value == "journal" || entry->value == "inherit" || entry->value == "syslog")
                continue;
            writer_.leave_out(*entry, "Abide keeps its own log; see `abide logs`");
        }
    }

    void write_install() {
        for (const std::string_view key : {"WantedBy", "RequiredBy"}) unit_.all(kInstall, key);
        if (unit_.has_section(kInstall) || unit_.is_template()) return;
        writer_.comment("Without [Install] systemd starts it only when something needs it.");
        writer_.set("autostart", "false");
    }

    void write_rest() {
        for (const auto& [section, entry] : unit_.unused()) {
            if (section.starts_with("X-") || entry->key.starts_with("X-")) continue;
            if (section == kUnit || section == kService || section == kInstall)
                writer_.leave_out(*entry, "Abide has no such key");
            else
                writer_.leave_out(*entry, "[" + section + "] is no section that Abide knows");
        }
    }

    Unit& unit_;
    ImportWriter& writer_;
    const Names& names_;
    const Edges& wanted_;
    std::string name_, type_;
    std::size_t type_line_ = 1;
    bool task_ = false;
    Duration start_timeout_, stop_timeout_;
};

class Systemd {
  public:
    explicit Systemd(const std::vector<ImportSource>& sources) : sources_(sources), writer_(sources) {}

    Result<Imported> run() {
        for (const ImportSource& source : sources_) {
            const std::string_view name = last_component(source.file);
            if (!name.ends_with(".service") && !is_target(name)) {
                writer_.enter(source.file);
                writer_.note(1, std::string(name) + " is left out: only .service and .target are imported");
                continue;
            }
            auto sections = read_ini(source, IniDialect::systemd);
            if (!sections) return std::unexpected(sections.error());
            units_.emplace_back(source.file, std::move(*sections));
        }
        name_all();
        gather_wanted();
        for (Unit& unit : units_) {
            const Status good = UnitWriter(unit, writer_, names_, wanted_).write(names_.find(unit.name())->second);
            if (!good) return std::unexpected(good.error());
        }
        return std::move(writer_).finish();
    }

  private:
    // A target has the suffix in its name only where a service has the name without.
    void name_all() {
        for (const Unit& unit : units_) {
            if (!is_target(unit.name())) names_.emplace(unit.name(), unit.stem());
        }
        for (const Unit& unit : units_) {
            if (!is_target(unit.name())) continue;
            const bool taken = names_.contains(unit.stem() + ".service");
            names_.emplace(unit.name(), taken ? unit.name() : unit.stem());
        }
    }

    // WantedBy= and RequiredBy= make what `systemctl enable` does.
    void gather_wanted() {
        for (Unit& unit : units_) {
            const std::string& name = names_.find(unit.name())->second;
            gather_order(unit, name);
            if (unit.is_template()) continue;
            for (const std::string_view key : {"WantedBy", "RequiredBy"}) {
                for (const IniEntry* entry : unit.all(kInstall, key)) {
                    for (const std::string_view word : split(entry->value, ' ')) {
                        const auto by = names_.find(word);
                        if (by == names_.end() || by->second == name) continue;
                        (key == "WantedBy" ? wanted_.wants : wanted_.requires_)[by->second].push_back(name);
                    }
                }
            }
        }
    }

    // What the files say of After= and Before=, without specifiers.
    void gather_order(Unit& unit, const std::string& name) {
        for (const std::string_view key : {"After", "Before"}) {
            for (const IniEntry* entry : unit.all(kUnit, key)) {
                for (const std::string_view word : split(entry->value, ' ')) {
                    const auto other = names_.find(word);
                    if (other == names_.end()) continue;
                    if (key == "After")
                        wanted_.after.emplace(name, other->second);
                    else
                        wanted_.after.emplace(other->second, name);
                }
            }
        }
    }

    const std::vector<ImportSource>& sources_;
    ImportWriter writer_;
    std::vector<Unit> units_;
    Names names_;
    Edges wanted_;
};

}  // namespace

Result<Imported> import_systemd(const std::vector<ImportSource>& sources) {
    return Systemd(sources).run();
}

}  // namespace abide::cli
