// cli/launch.hpp -- how an instance begins: folders, lock, control socket, journal, and the anchor that takes them
// over.
//
// Owns the descriptors until the anchor has them.  Knows the start-up contract of protocol/anchor.hpp and nothing of
// what the manager does afterwards.  Invariant: at most one instance has the lock, and the lock lives as long as the
// instance.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/context.hpp"
#include "cli/places.hpp"
#include "kernel/fd.hpp"
#include "kernel/folders_ahead.hpp"
#include "model/spec.hpp"

namespace abide::cli {

// The programs that belong to this one; found beside it.
struct Programs {
    std::string abide, manager, hold;
};
Result<Programs> find_programs();

// Everything the anchor is handed, ready to go.
struct Prepared {
    Places places;  // log is empty when the project's folder can't be written
    Programs programs;
    std::vector<std::pair<std::uint64_t, kernel::Fd>> keys;  // anchor::Key -> descriptor
    kernel::Fd manager_program;
    kernel::Fd cgroup;                             // where the anchor shall be born; invalid without control groups
    std::unique_ptr<kernel::FoldersAhead> groups;  // of the first runs
    std::vector<std::string> warnings;             // for the user, one line each
    std::string instance;                          // its name, for ps
};

// Who may read the logs by [control] reads the files themselves: they are given to the first of its groups, or to our
// own when there is none.
Status share_log(const Places& places, const model::InstanceSpec& spec);

// The folder that every shell finds, and the lock in it.  refused: another instance, or another `up`, has it.
Result<kernel::Fd> take_lock(const Places& places);

struct Wishes {
    model::Configuration configuration;
    std::vector<std::string> chosen;  // services; empty: all with autostart
    bool whole_environment = true;    // else a minimal one, as for a system instance
    std::string left_behind;          // the journal of an instance that was lost; empty: a new one begins
};
Result<Prepared> prepare(Places places, kernel::Fd lock, Wishes wishes);

// Starts the anchor as a child of ours, in a session of its own; its output goes where `output` and `error_output` go.
struct Anchor {
    kernel::Fd pidfd;
    std::int32_t pid = 0;
    std::unique_ptr<kernel::FoldersAhead> groups;
};
Result<Anchor> spawn_anchor(Prepared prepared, int output, int error_output);
// Becomes the anchor.  Returns only with an error.
Status become_anchor(Prepared prepared);
// Starts this program again with other arguments, in a session of its own: the printer of `up --init`.
Status spawn_printer(const std::vector<std::string>& arguments);

// After the end of an instance: takes away the sockets that it left.  Does nothing while somebody has the lock.
void tidy(const Places& places);

}  // namespace abide::cli
