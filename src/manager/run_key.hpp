// manager/run_key.hpp -- numbers for things of a run, computed from their names: keys of descriptors at the anchor,
// tokens of the loop, names of notify sockets.
//
// Invariant: the same name gives the same number in every version, so a manager that came back finds what its
// predecessor kept without a table.  56 bits of FNV-1a: with 20,000 services two names collide with a probability of
// about 3 in 10^9.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.hpp"
#include "manager/token.hpp"

namespace abide::manager {

constexpr std::uint64_t kFnvBasis = 0xcbf29ce484222325u;

constexpr std::uint64_t fnv1a(std::string_view text, std::uint64_t hash = kFnvBasis) {
    for (const char c : text) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001b3u;
    }
    return hash;
}

// Of one run of one service.
constexpr std::uint64_t run_key(std::string_view service, RunNumber run) {
    std::uint64_t hash = fnv1a(service);
    for (int shift = 0; shift < 64; shift += 8) {
        hash ^= (run.value >> shift) & 0xff;
        hash *= 0x100000001b3u;
    }
    return (hash ^ (hash >> kTokenIdBits)) & kTokenIdMask;
}
// Of something that a service has over all its runs: a listening socket.
constexpr std::uint64_t service_key(std::string_view service, std::string_view what, std::string_view more = {}) {
    const std::uint64_t hash = fnv1a(more, fnv1a("\n", fnv1a(what, fnv1a("\n", fnv1a(service)))));
    return (hash ^ (hash >> kTokenIdBits)) & kTokenIdMask;
}

// What kind of thing the anchor keeps under a key of ours: the top byte.
enum class Keep : std::uint8_t {
    log_pipe = 0x10,
    notify = 0x11,
    listener = 0x12,
    stored = 0x13,
    logger = 0x14,
    ready_pipe = 0x15,
    hold_release = 0x16,
    hold_told = 0x17,
    console = 0x18,      // of a container: the master of its terminal
    console_way = 0x19,  // on which it comes
    inherited = 0x1a,    // from the anchor before this one
    rescue_upgrade = 0x1b
};
constexpr std::uint64_t anchor_key(Keep kind, std::uint64_t id) {
    return (static_cast<std::uint64_t>(kind) << kTokenIdBits) | (id & kTokenIdMask);
}
constexpr Keep keep_of(std::uint64_t key) {
    return static_cast<Keep>(key >> kTokenIdBits);
}

}  // namespace abide::manager
