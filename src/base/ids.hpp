// base/ids.hpp -- strong types for everything that names something.  A pid is not among them: it never identifies.
#pragma once

#include <compare>
#include <cstdint>

namespace abide {

// A counter that can't be mixed with another one.  Zero means "none".
template <class Tag>
struct Id {
    std::uint64_t value = 0;

    constexpr auto operator<=>(const Id&) const = default;
    constexpr explicit operator bool() const { return value != 0; }
};

using RunNumber = Id<struct RunTag>;          // counts the starts of one service; never reused
using SpawnId = Id<struct SpawnTag>;          // one process that the manager asked for
using SignalId = Id<struct SignalTag>;        // one signal that was decided on; those of a turn are given in order
using OperationId = Id<struct OperationTag>;  // one request that takes time
using EventId = Id<struct EventTag>;          // position in the instance's event log
using Epoch = Id<struct EpochTag>;            // counts managers of one instance
using FdKey = Id<struct FdKeyTag>;            // a descriptor kept by the anchor
using ServiceId = Id<struct ServiceTag>;      // in memory only; the journal uses names

}  // namespace abide
