// cli/import_supervisord.cc -- supervisord's configuration: programs and groups.
//
// Defaults that differ from Abide's are written down: the signals of a stop go to the main process alone, and a program
// counts as started when it has run for a second.
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/text.hpp"
#include "cli/import_text.hpp"
#include "model/signal.hpp"

namespace abide::cli {

namespace {

constexpr std::int64_t kMostSeconds = 1'000'000'000;
constexpr std::string_view kBlanks = " \t\r\n";

// As Python's shlex.split does; nullopt: a quotation that has no end.
std::optional<std::vector<std::string>> shlex_words(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    bool inside = false;
    char quote = '\0';
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        if (quote == '\0' && kBlanks.find(c) != std::string_view::npos) {
            if (inside) words.push_back(std::exchange(word, {}));
            inside = false;
            continue;
        }
        inside = true;
        const bool escapes = c == '\\' && quote != '\'';
        if (escapes && at + 1 == text.size()) return std::nullopt;
        if (escapes && (quote == '\0' || text[at + 1] == '"' || text[at + 1] == '\\')) {
            word += text[++at];
        } else if (c == quote) {
            quote = '\0';
        } else if (quote == '\0' && (c == '\'' || c == '"')) {
            quote = c;
        } else {
            word += c;
        }
    }
    if (quote != '\0') return std::nullopt;
    if (inside) words.push_back(word);
    return words;
}

struct Assignment {
    std::string name, value;
};

// KEY="value",KEY2=value; nullopt: not of that form.
std::optional<std::vector<Assignment>> assignments(std::string_view text) {
    std::vector<Assignment> out;
    std::string_view rest = trim(text);
    while (!rest.empty()) {
        const std::size_t equals = rest.find('=');
        if (equals == std::string_view::npos) return std::nullopt;
        Assignment one{std::string(trim(rest.substr(0, equals))), {}};
        rest = trim(rest.substr(equals + 1));
        if (!rest.empty() && (rest.front() == '"' || rest.front() == '\'')) {
            const std::size_t end = rest.find(rest.front(), 1);
            if (end == std::string_view::npos) return std::nullopt;
            one.value = rest.substr(1, end - 1);
            rest = trim(rest.substr(end + 1));
            if (!rest.empty() && rest.front() != ',') return std::nullopt;
        } else {
            const std::size_t end = std::min(rest.find(','), rest.size());
            one.value = trim(rest.substr(0, end));
            rest.remove_prefix(end);
        }
        if (!is_variable(one.name)) return std::nullopt;
        std::erase_if(out, [&](const Assignment& other) { return other.name == one.name; });
        out.push_back(std::move(one));
        if (!rest.empty()) rest = trim(rest.substr(1));
    }
    return out;
}

bool is_true(std::string_view text) {
    std::string low(text);
    for (char& c : low) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return low == "true" || low == "yes" || low == "on" || low == "1" || low == "t" || low == "y";
}

// Where an output goes.
enum class Output { own, inherited, none, elsewhere };
Output output_of(std::string_view text) {
    if (text.empty() || text == "AUTO") return Output::own;
    if (text == "NONE" || text == "/dev/null") return Output::none;
    if (text.starts_with("/dev/stdout") || text.starts_with("/dev/stderr") || text.starts_with("/dev/fd/") ||
        text.starts_with("/proc/self/fd/"))
        return Output::inherited;
    return Output::elsewhere;
}

class Program {
  public:
    Program(const IniSection& section, ImportWriter& writer, std::string file, std::string name, std::string group)
        : section_(section), writer_(writer), file_(std::move(file)), name_(std::move(name)), group_(std::move(group)) {
        for (const IniEntry& entry : section_.entries) last_[entry.key] = &entry;
    }

    Status write() {
        if (const Status good = writer_.begin(name_, section_.line); !good) return good;
        if (const Status good = write_command(); !good) return good;
        write_texts();
        write_environment();
        write_restart();
        write_stop();
        write_logs();
        for (const auto& [key, entry] : last_) {
            const bool usual = (key == "numprocs" && entry->value == "1") ||
                               (key == "process_name" && entry->value == "%(program_name)s");
            if (!usual) writer_.leave_out(*entry, reason_of(key));
        }
        return {};
    }

  private:
    const IniEntry* take(std::string_view key) {
        const auto found = last_.find(key);
        if (found == last_.end()) return nullptr;
        const IniEntry* entry = found->second;
        last_.erase(found);
        return entry;
    }
    bool flag(std::string_view key, bool fallback) {
        const IniEntry* entry = take(key);
        return entry == nullptr ? fallback : is_true(entry->value);
    }
    std::optional<std::int64_t> number(std::string_view key) {
        const IniEntry* entry = take(key);
        if (entry == nullptr) return std::nullopt;
        const auto value = parse_integer(entry->value, 0, kMostSeconds);
        if (!value) writer_.leave_out(*entry, "it is not a number of 0 or more");
        return value;
    }

    static std::string_view reason_of(std::string_view key) {
        if (key == "priority") return "Abide starts by dependencies; write `after` or `requires`";
        if (key == "numprocs" || key == "numprocs_start" || key == "process_name")
            return "one process is made; make it a template, [services.\"NAME@\"], for more";
        if (key.ends_with("_events_enabled") || key.ends_with("_capture_maxbytes"))
            return "Abide has events of its own; see `abide events`";
        if (key.ends_with("_syslog")) return "Abide keeps its own log; see `abide logs`";
        return "Abide has no such key";
    }

    // %(ENV_X)s and the other expansions; what isn't known stays as it stands, with a note.
    std::string expanded(const IniEntry& entry, std::string_view text) {
        std::string out;
        for (std::size_t at = 0; at < text.size(); ++at) {
            if (text[at] != '%') {
                out += text[at];
                continue;
            }
            const std::size_t end = text.find(')', at);
            if (text.substr(at).starts_with("%%")) {
                out += text[at++];
            } else if (text.substr(at).starts_with("%(") && end != std::string_view::npos && end + 1 < text.size()) {
                out += value_of(entry, text.substr(at + 2, end - at - 2), text.substr(at, end + 2 - at));
                at = end + 1;
            } else {
                out += text[at];
            }
        }
        return out;
    }
    std::string value_of(const IniEntry& entry, std::string_view name, std::string_view whole) {
        if (name.starts_with("ENV_") && is_variable(name.substr(4)))
            return kNeededMark + std::string(name.substr(4)) + kEndMark;
        if (name == "program_name") return name_;
        if (name == "group_name") return group_.empty() ? name_ : group_;
        writer_.note(entry.line,
                     entry.key + ": " + std::string(whole) + " stays as it stands; write what it stands for");
        return std::string(whole);
    }

    Status write_command() {
        const IniEntry* entry = take("command");
        const std::string place = place_of(file_, entry == nullptr ? section_.line : entry->line) + ": ";
        if (entry == nullptr || entry->value.empty())
            return fail(ErrorKind::usage, place + "program " + name_ + " has no command", "write command=PROGRAM");
        auto words = shlex_words(entry->value);
        if (!words || words->empty()) return fail(ErrorKind::usage, place + "a quotation without an end", "close it");
        for (std::string& word : *words) word = expanded(*entry, word);
        if (words->front().starts_with('-') || words->front().empty())
            return fail(ErrorKind::usage, place + "the command is no program", "name a program first");
        writer_.set("command", command_value(*words));
        return {};
    }

    void write_texts() {
        if (const IniEntry* entry = take("directory")) {
            const std::string path = expanded(*entry, entry->value);
            if (path.find(kNeededMark) != std::string::npos)
                writer_.leave_out(*entry, "no variable is replaced in a directory; write the path");
            else
                writer_.set_text("directory", substituted(path));
        }
        if (const IniEntry* entry = take("user")) writer_.set_text("user", entry->value);
        if (const IniEntry* entry = take("umask")) {
            if (is_umask(entry->value))
                writer_.set("limits", "{ umask = " + toml_string(entry->value) + " }");
            else
                writer_.leave_out(*entry, "it is not octal");
        }
        if (!flag("autostart", true)) writer_.set("autostart", "false");
    }

    void write_environment() {
        const IniEntry* entry = take("environment");
        if (entry == nullptr) return;
        const auto pairs = assignments(entry->value);
        if (!pairs) return writer_.leave_out(*entry, "it is not KEY=\"value\",KEY=\"value\"");
        std::string table;
        for (const Assignment& one : *pairs) {
            table += (table.empty() ? "" : ", ") + toml_key(one.name) + " = " +
                     toml_string(expandable(expanded(*entry, one.value)));
        }
        if (!table.empty()) writer_.set("environment", "{ " + table + " }");
    }

    void write_restart() {
        const IniEntry* restart = take("autorestart");
        const std::string mode = restart == nullptr ? "unexpected" : restart->value;
        const bool never = !is_true(mode) && mode != "unexpected";
        writer_.set_text("restart", is_true(mode) ? "always" : never ? "never" : "on-failure");
        if (const IniEntry* codes = take("exitcodes")) write_codes(*codes);
        const std::int64_t seconds = number("startsecs").value_or(1);
        if (seconds > 0) {
            // Not ready in a minute would be a failed start.
            const std::string timeout = seconds < 50 ? "" : ", timeout = \"" + std::to_string(seconds + 60) + "s\"";
            writer_.set("ready", "{ delay = \"" + std::to_string(seconds) + "s\"" + timeout + " }");
        }
        if (const IniEntry* retries = take("startretries"))
            writer_.leave_out(*retries,
                              "Abide counts all restarts in a time, not failed starts alone; see restart-limit");
    }

    void write_codes(const IniEntry& entry) {
        std::vector<std::string> written;
        bool zero = false;
        for (const std::string_view part : split(entry.value, ',')) {
            const auto code = parse_integer(trim(part), 0, 255);
            if (!code) return writer_.leave_out(entry, "it is not a list of exit codes");
            zero = zero || *code == 0;
            written.push_back(std::to_string(*code));
        }
        if (!zero) writer_.note(entry.line, "exitcodes: 0 is a success for Abide always");
        if (!zero || written.size() > 1) writer_.set("success-exit", toml_list(written));
    }

    void write_stop() {
        const bool all = flag("stopasgroup", false);
        const bool kill_all = flag("killasgroup", all);
        std::string table;
        if (const IniEntry* signal = take("stopsignal")) {
            if (const auto parsed = model::parse_signal(signal->value))
                table += "signal = " + toml_string(model::signal_name(*parsed)) + ", ";
            else
                writer_.leave_out(*signal, "there is no such signal");
        }
        if (const auto wait = number("stopwaitsecs")) table += "timeout = \"" + std::to_string(*wait) + "s\", ";
        table += std::string("scope = ") + (all ? "\"all\"" : kill_all ? "\"mixed\"" : "\"main\"");
        if (all && !kill_all) writer_.note(section_.line, "killasgroup=false: the kill is for all processes as well");
        writer_.set("stop", "{ " + table + " }");
    }

    void write_logs() {
        const bool together = flag("redirect_stderr", false);
        const IniEntry* out = take("stdout_logfile");
        const IniEntry* err = take("stderr_logfile");
        const IniEntry* size = take("stdout_logfile_maxbytes");
        const IniEntry* backups = take("stdout_logfile_backups");
        for (const std::string_view key : {"stderr_logfile_maxbytes", "stderr_logfile_backups"}) take(key);
        const Output to = output_of(out == nullptr ? "" : out->value);
        const Output error_to = together ? to : output_of(err == nullptr ? "" : err->value);
        for (const IniEntry* entry : {out, together ? nullptr : err}) {
            if (entry != nullptr && output_of(entry->value) == Output::elsewhere)
                writer_.leave_out(*entry, "Abide keeps its own log; see `abide logs`");
        }
        const bool same = to == error_to || (to == Output::own && error_to == Output::elsewhere) ||
                          (to == Output::elsewhere && error_to == Output::own);
        if (!same && (to == Output::none || to == Output::inherited || error_to == Output::none ||
                      error_to == Output::inherited)) {
            writer_.note(section_.line, "standard output and error go to different places here; Abide logs both");
            return;
        }
        if (to == Output::none) return writer_.set_text("log", "none");
        if (to == Output::inherited) return writer_.set_text("log", "inherit");
        write_rotation(size, backups);
    }

    void write_rotation(const IniEntry* size, const IniEntry* backups) {
        std::string table;
        if (size != nullptr) {
            std::string text = size->value;
            for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
            if (text.size() > 2 && text.ends_with('B')) text.pop_back();
            const auto bytes = parse_size(text);
            if (bytes && *bytes > 0)
                table = "max-size = " + toml_string(format_size(*bytes));
            else
                writer_.leave_out(*size, "Abide's logs have a size such as 10MB");
        }
        if (backups != nullptr) {
            const auto kept = parse_integer(backups->value, 0, 10'000);
            if (kept)
                table += (table.empty() ? "" : ", ") + ("keep = " + std::to_string(*kept));
            else
                writer_.leave_out(*backups, "it is not a number from 0 to 10000");
        }
        if (!table.empty()) writer_.set("log", "{ " + table + " }");
    }

    const IniSection& section_;
    ImportWriter& writer_;
    std::string file_, name_, group_;
    std::map<std::string, const IniEntry*, std::less<>> last_;
};

class Supervisord {
  public:
    explicit Supervisord(const std::vector<ImportSource>& sources) : sources_(sources), writer_(sources) {}

    Result<Imported> run() {
        for (const ImportSource& source : sources_) {
            auto sections = read_ini(source, IniDialect::supervisord);
            if (!sections) return std::unexpected(sections.error());
            files_.push_back(std::move(*sections));
        }
        for (const auto& sections : files_) {
            for (const IniSection& section : sections) learn(section);
        }
        for (std::size_t i = 0; i < files_.size(); ++i) {
            writer_.enter(sources_[i].file);
            for (const IniSection& section : files_[i]) {
                if (const Status good = write(sources_[i].file, section); !good) return std::unexpected(good.error());
            }
        }
        return std::move(writer_).finish();
    }

  private:
    void learn(const IniSection& section) {
        if (section.name.starts_with("program:")) programs_.insert(section.name.substr(8));
        if (!section.name.starts_with("group:")) return;
        for (const IniEntry& entry : section.entries) {
            if (entry.key != "programs") continue;
            for (const std::string_view name : split(entry.value, ','))
                groups_.emplace(std::string(trim(name)), section.name.substr(6));
        }
    }

    Status write(const std::string& file, const IniSection& section) {
        const std::string& name = section.name;
        if (name.starts_with("program:")) {
            const std::string own = name.substr(8);
            const auto group = groups_.find(own);
            return Program(section, writer_, file, own, group == groups_.end() ? "" : group->second).write();
        }
        if (name.starts_with("group:")) return write_group(section);
        if (name == "include") {
            for (const IniEntry& entry : section.entries)
                writer_.leave_out(entry, "files that are included aren't read; name them on the command line");
        } else if (name == "supervisord") {
            for (const IniEntry& entry : section.entries) {
                if (entry.key == "environment" || entry.key == "user" || entry.key == "umask" ||
                    entry.key == "directory")
                    writer_.leave_out(entry, "of supervisord itself; write it for each service that needs it");
            }
        } else if (name.starts_with("eventlistener:") || name.starts_with("fcgi-program:")) {
            writer_.note(section.line, "[" + name + "] is left out: Abide has no such thing");
        }
        // What is left is about supervisord's own sockets and its client.
        return {};
    }

    Status write_group(const IniSection& section) {
        const std::string name = section.name.substr(6);
        if (programs_.contains(name)) {
            writer_.note(section.line, "[" + section.name + "] is left out: a program has that name; rename one");
            return {};
        }
        if (const Status good = writer_.begin(name, section.line); !good) return good;
        writer_.set_text("kind", "group");
        std::vector<std::string> wanted;
        for (const IniEntry& entry : section.entries) {
            if (entry.key != "programs") {
                writer_.leave_out(entry, "Abide starts by dependencies; write `after` or `requires`");
                continue;
            }
            for (const std::string_view part : split(entry.value, ',')) {
                const std::string program(trim(part));
                if (programs_.contains(program))
                    wanted.push_back(toml_string(program));
                else
                    writer_.note(entry.line, "programs: \"" + program + "\" is in none of the imported files");
            }
        }
        writer_.set("wants", toml_list(wanted));
        return {};
    }

    const std::vector<ImportSource>& sources_;
    ImportWriter writer_;
    std::vector<std::vector<IniSection>> files_;
    std::set<std::string, std::less<>> programs_;
    std::map<std::string, std::string, std::less<>> groups_;  // program to group
};

}  // namespace

Result<Imported> import_supervisord(const std::vector<ImportSource>& sources) {
    return Supervisord(sources).run();
}

}  // namespace abide::cli
