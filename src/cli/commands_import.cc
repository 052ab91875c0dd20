// cli/commands_import.cc -- import: reads the files of others and prints what the importers make of them.
#include "base/limits.hpp"
#include "cli/commands.hpp"
#include "cli/import.hpp"
#include "kernel/files.hpp"

namespace abide::cli {

namespace {

constexpr int kStandardInput = 0;

Result<std::vector<ImportSource>> read_sources(const std::vector<std::string>& files) {
    std::vector<ImportSource> sources;
    for (const std::string& file : files) {
        // Named by the caller, it may as well be a pipe.
        auto text = file == "-" ? kernel::read_all(kStandardInput, limits::kConfigFileBytes)
                                : kernel::read_file(file, limits::kConfigFileBytes);
        if (!text) return std::unexpected(Error{ErrorKind::usage, text.error().what, text.error().err, {}});
        sources.push_back({file == "-" ? "standard input" : file, std::move(*text)});
    }
    return sources;
}

Result<Imported> imported_as(const std::string& kind, const std::vector<ImportSource>& sources) {
    if (kind == "procfile") return import_procfile(sources);
    if (kind == "supervisord") return import_supervisord(sources);
    if (kind == "systemd") return import_systemd(sources);
    return fail(ErrorKind::usage, "nothing is imported from \"" + kind + "\"", "name systemd, procfile or supervisord");
}

}  // namespace

CommandResult import_command(Context& context, const std::string& kind, const std::vector<std::string>& files) {
    for (const std::string& file : files) {
        if (file == "-" && kind == "systemd")
            return fail(ErrorKind::usage, "a unit can't come from standard input: its name is that of its file",
                        "name the file");
    }
    const auto sources = read_sources(files);
    if (!sources) return std::unexpected(sources.error());
    const auto imported = imported_as(kind, *sources);
    if (!imported) return std::unexpected(imported.error());
    context.print(imported->toml);
    for (const std::string& note : imported->notes) context.note(note);
    return 0;
}

}  // namespace abide::cli
