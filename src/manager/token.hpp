// manager/token.hpp -- what an epoll event is about: a kind and a number, packed into the 64 bits that epoll gives
// back. Never a pointer, so an event for something that is gone finds nothing instead of freed memory.
#pragma once

#include <cstdint>

namespace abide::manager {

enum class Watched : std::uint8_t {
    anchor = 1,
    spawner,
    cgroups,
    logger,
    control,
    connection,  // id: of the connection
    process,     // id: SpawnId of an adopted process
    notify,      // id: run key
    ready_pipe,  // id: run key
    probe,       // id: number of the probe
    stored,      // id: of a descriptor that a service gave away
    witness,     // of an upgrade
    console,     // id: run key
};

inline constexpr int kTokenIdBits = 56;
inline constexpr std::uint64_t kTokenIdMask = (std::uint64_t{1} << kTokenIdBits) - 1;

constexpr std::uint64_t token_of(Watched kind, std::uint64_t id = 0) {
    return (static_cast<std::uint64_t>(kind) << kTokenIdBits) | (id & kTokenIdMask);
}
constexpr Watched kind_of(std::uint64_t token) {
    return static_cast<Watched>(token >> kTokenIdBits);
}
constexpr std::uint64_t id_of(std::uint64_t token) {
    return token & kTokenIdMask;
}

}  // namespace abide::manager
