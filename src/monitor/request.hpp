// monitor/request.hpp -- from a command to what the Spawner takes.
#pragma once

#include <array>
#include <memory>

#include "abide/monitor/command.hpp"
#include "kernel/spawn.hpp"
#include "monitor/core.hpp"
#include "monitor/parts.hpp"

namespace abide::detail {

// What a command becomes: the request, and our ends of its pipes.
struct prepared {
    kernel::SpawnRequest request;
    std::array<std::shared_ptr<stream>, 3> streams;
    std::array<kernel::Fd, 3> pipes;
};
result<prepared> prepare(const command_parts& parts);

}  // namespace abide::detail
