// cli/configuration.hpp -- from the files of an instance to a checked model::Configuration, with everything that is
// wrong said.
#pragma once

#include <string>
#include <vector>

#include "cli/context.hpp"
#include "config/load.hpp"

namespace abide::cli {

// The real file system, read with the caller's rights.
class RealFiles final : public config::FileView {
  public:
    Result<std::string> read(const std::string& path) override;
    Result<std::vector<std::string>> list(const std::string& directory, std::string_view suffix) override;
};

config::LoadContext load_context(const Places& places);
// Loads and validates (cycles, missing names).  All problems are in the diagnostics; `ok` counts both kinds.
config::Loaded load_files(const Places& places, const std::vector<std::string>& entries);
// A warning for each kind of limit that services ask for and that would not be in force, since its controller is not
// among those that there are.
std::vector<config::Diagnostic> limits_without_controller(const model::Configuration& configuration,
                                                          const std::vector<std::string>& controllers);
// The same, of those that are within reach here; they are looked for only when somebody asks for a limit.
std::vector<config::Diagnostic> limits_out_of_reach(const model::Configuration& configuration, bool stays);
// Says the diagnostics on standard error, one line each.
void tell(Context& context, const std::vector<config::Diagnostic>& diagnostics);
// What of the instance's files the one that is up doesn't have yet; nothing where that can't be known: no permission,
// a configuration with errors, or an instance that was chosen by its socket.
std::vector<control::Change> changes_to_come(Client& client, const Places& places);
// Whether the instance's own files define a service of this name.
bool is_in_files(const Places& places, std::string_view name);
// load_files of the instance's own configuration.  A configuration with errors has been told: the error says how many.
Result<config::Loaded> load_instance(Context& context, const Places& places);

}  // namespace abide::cli
