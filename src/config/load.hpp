// config/load.hpp -- text in, model out: abide.toml, its includes, drop-ins and environment files.
//
// Owns the meaning of every key (config/keys.cc is the one table of them).  Knows no file system: files come through a
// FileView.  Invariant: nothing is ignored silently -- what isn't understood is an error with a position, and all
// errors of all files are reported at once.  A configuration with an error is never handed on (ok is false).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/spec.hpp"

namespace abide::config {

// How the loader sees files.  The caller gives a real one (made of kernel/files); tests give a map.
class FileView {
  public:
    FileView() = default;
    FileView(const FileView&) = delete;
    FileView& operator=(const FileView&) = delete;
    virtual ~FileView() = default;
    // The whole file.  ErrorKind::not_found when it doesn't exist.  An error says why and not which: the loader names
    // the file.  An implementation should refuse to read more than
    // limits::kConfigFileBytes (the loader refuses a longer answer as well) and follow symbolic links as open(2) does.
    virtual Result<std::string> read(const std::string& path) = 0;
    // The files of a folder whose names end in `suffix` and don't begin with a dot: DIRECTORY/NAME, sorted.  Empty when
    // the folder doesn't exist.
    virtual Result<std::vector<std::string>> list(const std::string& directory, std::string_view suffix) = 0;
};

enum class Severity { error, warning };

struct Diagnostic {
    Severity severity = Severity::error;
    std::string file;
    std::uint32_t line = 0, column = 0;  // from 1; 0: the file as a whole
    std::string text;                    // what is wrong
    std::string advice;                  // what to do; may be empty
    bool whole = false;                  // `text` is shown whole: it is made of names and places only
    bool operator==(const Diagnostic&) const = default;
};

// "file:line:column: error: text; advice" without a newline.  Control bytes of the input are shown as \xNN.
std::string format(const Diagnostic& diagnostic);

// Which of the three kinds of instance the configuration is for.
enum class Mode { project, user, system };

struct LoadContext {
    std::string directory;  // absolute: where services start, and what `directory` and run-time paths are relative to
    std::string instance_name;  // used when [project] gives no name
    Mode mode = Mode::project;
    bool caller_is_root = false;  // else `user`, `group` and `groups` are refused in project and user instances
};

struct Loaded {
    model::Configuration configuration;   // services sorted by name; templates among them (is_template); with
                                          // errors: as far as it could be read
    std::string runtime;                  // [project] runtime, absolute; empty: not given
    std::vector<std::string> files;       // every file that was read, in the order of reading
    std::vector<Diagnostic> diagnostics;  // by file (in the order of reading), line and column
    bool ok = false;                      // no error among the diagnostics
    bool cyclic = false;                  // every error is a cycle of dependencies (found by core::validate)
};

// Reads `entries` (usually one abide.toml), their includes, `services/*.toml` beside an entry (user and system
// instances; there the entry itself may be missing) and the drop-ins `abide.d/*.toml` beside an entry.  A service is
// defined in one file; a drop-in may define services too, and replaces single keys of those that exist.  Dependencies
// on provided names are resolved to the provider; instances of templates that are listed or depended on are made.
Loaded load(const std::vector<std::string>& entries, FileView& files, const LoadContext& context);

// Reads one text, for `abide add`: only services, and dependencies may name services that this text doesn't define (the
// running instance checks them).  `name` stands for the text in messages.  Environment files are read through `files`.
Loaded load_text(const std::string& name, std::string text, FileView& files, const LoadContext& context);

// Makes the instance `instance` of a template (`worker@` and "7" give `worker@7`): %i becomes the instance, %% a %. The
// new specification has autostart = false: somebody asked for it by name.  Fails (usage) for a bad instance name, or
// when a name made with it is not a name.
Result<model::ServiceSpec> instantiate(const model::ServiceSpec& pattern, std::string_view instance);

}  // namespace abide::config
