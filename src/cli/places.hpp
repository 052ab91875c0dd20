// cli/places.hpp -- which instance is meant, and where it lives: the table "Instances and places" of docs/reference.md.
//
// Owns the choice (ABIDE_SOCKET, -C, --user, --system, the nearest abide.toml upward) and the paths that follow from
// it. Makes nothing and connects to nothing.  Invariant: the same user and the same project give the same places in
// every shell, whatever the environment says; only ABIDE_SOCKET overrides, and that is said.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "config/load.hpp"

namespace abide::cli {

struct Places {
    config::Mode mode = config::Mode::project;
    std::string directory;        // of the configuration
    std::string start_directory;  // where services start unless they say otherwise: project, home or /
    std::string configuration;    // the abide.toml, whether it exists or not
    std::string name;             // used where [project] gives none
    std::string record;           // the folder that every shell finds: lock, and `location` when runtime is elsewhere
    std::string runtime, control, events, log, apps;
    bool forced_socket = false;  // control is from ABIDE_SOCKET: the rest may belong to another instance

    std::string lock_file() const { return record + "/lock"; }
    std::string location_file() const { return record + "/location"; }
};

// What decides; collected once by the caller, so that tests can say anything.
struct Surroundings {
    std::uint32_t uid = 0;
    std::string current_directory;
    std::string home;
    std::optional<std::string> socket;  // ABIDE_SOCKET
    // Roots of what is absolute in the table.
    std::string run = "/run", tmp = "/tmp", etc = "/etc", var = "/var";
};
Result<Surroundings> surroundings();

struct Choice {
    std::string directory;  // -C; empty: not given
    bool user = false, system = false;
    std::string runtime;  // --runtime; empty: not given
    bool must_exist =
        false;  // fail (usage) when no configuration was named and none is found, instead of --user or --system
};

// usage: contradictory choice, no such folder; refused: a project found upward that others could have planted or
// changed.
Result<Places> find_places(const Choice& choice, const Surroundings& around);
// BASE of the table, without making it.
std::string base_folder(const Surroundings& around);
// The runtime folder moved: by --runtime, [project] runtime, or what is recorded.
void move_runtime(Places& places, const std::string& runtime);

}  // namespace abide::cli
