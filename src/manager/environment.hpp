// manager/environment.hpp -- the environment of a service's process.
//
// Owns the variables that the instance was started with, without those that spoke to the supervisor itself.  Pure text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "config/expand.hpp"
#include "kernel/users.hpp"
#include "model/spec.hpp"
#include "model/state.hpp"

namespace abide::manager {

// "NAME=VALUE" words ended by NUL, as the anchor keeps them.  Variables that a parent meant for us alone are left out.
std::vector<model::Variable> parse_environment(std::string_view record);

// What every process inherits; one for the instance, shared by the children that are on their way.
struct Inherited {
    std::vector<model::Variable> variables;  // sorted by name, each name once
    std::vector<std::string> words;          // the same as "NAME=VALUE"
};
std::shared_ptr<const Inherited> inherited_from(std::vector<model::Variable> variables);

// What a process is told about itself, beside its configuration.
struct ProcessFacts {
    std::string_view service;
    RunNumber run;
    model::Role role = model::Role::main;
    std::string_view notify_socket;         // empty: none
    std::vector<std::string> listen_names;  // of the descriptors from 3 up
    std::int32_t main_pid = 0;              // for commands beside a main process
    model::Reason stop_reason = model::Reason::none;
    const kernel::User* user = nullptr;  // when it is another one than ours
};
// The value of LISTEN_PID is the process's own pid, which only the child knows: it is left empty here.
inline constexpr std::string_view kListenPid = "LISTEN_PID";

Result<config::Environment> process_environment(const std::vector<model::Variable>& inherited,
                                                const model::ServiceSpec& spec, const ProcessFacts& facts);

}  // namespace abide::manager
