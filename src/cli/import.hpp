// cli/import.hpp -- service files of others, as an abide.toml: systemd units, Procfiles, supervisord's configuration.
//
// Pure: text in, text out; no file is read and nothing is run.  Invariant: nothing is dropped silently -- what has no
// equal in abide.toml is a comment at its place and a note, and what is printed passes `abide check`.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace abide::cli {

struct ImportSource {
    std::string file;  // as it was named; a unit's name is made of it
    std::string text;
};

struct Imported {
    std::string toml;
    std::vector<std::string> notes;  // "file:line: KEY is left out: why; what to do"
};

// Errors (usage) say "file:line: what".  A text of more than limits::kConfigFileBytes is one.
Result<Imported> import_procfile(const std::vector<ImportSource>& sources);
Result<Imported> import_supervisord(const std::vector<ImportSource>& sources);
// The units are imported together: dependencies are kept among them.
Result<Imported> import_systemd(const std::vector<ImportSource>& sources);

}  // namespace abide::cli
