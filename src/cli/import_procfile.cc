// cli/import_procfile.cc -- Procfiles (foreman, honcho, Heroku): `name: command` lines.
#include <algorithm>

#include "base/text.hpp"
#include "cli/import_text.hpp"

namespace abide::cli {

namespace {

// A shell would give these a meaning.
constexpr std::string_view kMeaning = "$;&|<>()*?[]{}~#\\`'\"";
// And words that are the shell's own where a program's name stands.
constexpr std::string_view kShellWords[] = {".",        "!",     ":",     "alias", "bg",     "break",  "case", "cd",
                                            "continue", "eval",  "exec",  "exit",  "export", "fg",     "fi",   "for",
                                            "if",       "jobs",  "read",  "set",   "shift",  "source", "trap", "type",
                                            "ulimit",   "umask", "unset", "until", "wait",   "while"};

bool needs_shell(std::string_view command) {
    const std::string_view first = command.substr(0, command.find_first_of(" \t"));
    return command.find_first_of(kMeaning) != std::string_view::npos || first.find('=') != std::string_view::npos ||
           std::ranges::find(kShellWords, first) != std::ranges::end(kShellWords) || first.starts_with('-');
}

std::string procfile_command(std::string_view command) {
    if (needs_shell(command)) return command_value({"sh", "-c", std::string(command)});
    std::vector<std::string> words;
    std::string spaced(command);
    std::ranges::replace(spaced, '\t', ' ');
    for (const std::string_view word : split(spaced, ' ')) {
        if (!word.empty()) words.emplace_back(word);
    }
    return command_value(words);
}

// Does the text use this variable of the shell?
bool uses_port(std::string_view command) {
    return command.find("$PORT") != std::string_view::npos || command.find("${PORT") != std::string_view::npos;
}

Status import_one(const ImportSource& source, ImportWriter& writer) {
    if (const Status good = check_source(source); !good) return good;
    writer.enter(source.file);
    std::size_t number = 0;
    for (const std::string_view whole : split(source.text, '\n')) {
        ++number;
        const std::string_view line = trim(whole);
        if (line.empty() || line.starts_with('#')) continue;
        const std::size_t colon = line.find(':');
        const std::string_view name = trim(line.substr(0, colon));
        const std::string_view command = colon == std::string_view::npos ? "" : trim(line.substr(colon + 1));
        if (name.empty() || command.empty()) {
            return fail(ErrorKind::usage,
                        place_of(source.file, number) + ": not `name: command`: \"" + printable(line, 80) + "\"",
                        "write a name, a colon and a command");
        }
        if (const Status good = writer.begin(name, number); !good) return good;
        writer.set("command", procfile_command(command));
        if (uses_port(command))
            writer.note(number,
                        "PORT is not set by Abide as foreman does: give it by environment = { PORT = \"...\" }");
    }
    return {};
}

}  // namespace

Result<Imported> import_procfile(const std::vector<ImportSource>& sources) {
    ImportWriter writer(sources);
    writer.comment("What foreman reads from .env as well: environment-file = [\"-.env\"] in each service.");
    for (const ImportSource& source : sources) {
        if (const Status good = import_one(source, writer); !good) return std::unexpected(good.error());
    }
    return std::move(writer).finish();
}

}  // namespace abide::cli
