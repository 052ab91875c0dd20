// monitor/request.hpp -- from a command to what the Spawner takes.
#pragma once

#include <array>
#include <memory>

#include "abide/monitor/command.hpp"
#include "kernel/spawn.hpp"
#include "monitor/core.hpp"
#include "monitor/parts.hpp"

namespace abide::detail {

// What a command becomes: the request, our ends of its pipes, and what lets it go when it is held.
struct prepared {
    kernel::SpawnRequest request;
    std::array<std::shared_ptr<stream>, 3> streams;
    std::array<kernel::Fd, 3> pipes;
    kernel::Fd release;
};
result<prepared> prepare(const command_parts& parts);

}  // namespace abide::detail
