// manager/launch_request.hpp -- from what is configured to what the kernel is asked: one process of a run.
//
// Knows the specification and the things of a run; starts nothing.  A failure names the stage at which the start would
// have failed, in the words that SpawnFailed carries.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/engine.hpp"
#include "kernel/spawn.hpp"
#include "kernel/users.hpp"
#include "manager/environment.hpp"
#include "manager/hold_pipes.hpp"
#include "model/state.hpp"

namespace abide::manager {

// Users and groups looked up in this turn: five hundred services of one user cost one look at /etc/passwd.
// Whom the processes of a service run as, by the files of users.
Result<std::uint32_t> user_of(const model::ServiceSpec& spec);

class Identities {
  public:
    struct Found {
        kernel::User user;
        kernel::Credentials credentials;
    };
    Result<const Found*> find(const model::Identity& identity);
    void forget() { found_.clear(); }

  private:
    std::map<std::string, Found> found_;
};

struct LaunchError {
    std::string stage;
    Error error;
};

// What a process gets beside its configuration.
struct LaunchThings {
    int null = -1;                            // /dev/null
    int output = -1;                          // write end of the log pipe; -1: by the log mode
    int ready = -1;                           // write end for `ready.fd`, of the main process only
    const model::Command* command = nullptr;  // instead of what is configured
    std::string program;                      // of that command, by its path; empty: searched for
    std::string container;                    // the id of its container
    int console = -1;                         // by which the master of a container's terminal comes
    HoldEnds* hold = nullptr;                 // of a main process that is to be held; borrowed
    std::vector<int> listeners;               // in the order of facts.listen_names
    std::shared_ptr<const Inherited> inherited;
    kernel::ResourceLimitValue descriptor_limit;  // as it was before the manager raised its own
};

std::expected<kernel::SpawnRequest, LaunchError> launch_request(const core::Engine& engine,
                                                                const core::Engine::Owner& owner, ProcessFacts facts,
                                                                const LaunchThings& things, Identities& identities);
// The command of a role; nullptr when there is none (any more).
const model::Command* command_of(const model::ServiceSpec& spec, model::Role role, std::uint32_t step);

}  // namespace abide::manager
