// manager/rescue_upgrade.hpp -- upgrades that were asked of a rescue: what the next manager that works must know of
// them.
//
// A rescue writes no journal, so they stand in a memory file that the anchor keeps, until a manager has journaled what
// became of them.
#pragma once

#include <cstdint>
#include <vector>

#include "manager/anchor_link.hpp"
#include "manager/run_key.hpp"
#include "model/state.hpp"

namespace abide::manager {

inline constexpr std::uint64_t kAskedOfRescueKey = anchor_key(Keep::rescue_upgrade, 1);
inline constexpr std::size_t kAskedOfRescue = 64;  // more are kept by nobody: the oldest give way

// Above those that journals number.  `count`: of those that this manager was asked for, below 4,096.
constexpr OperationId operation_of_rescue(std::uint64_t epoch, std::uint64_t count) {
    return OperationId{(std::uint64_t{1} << 40) + (epoch << 12) + count};
}

// Oldest first; all but the last have an outcome.
Status keep(AnchorLink& anchor, const std::vector<model::RescueUpgrade>& asked);
std::vector<model::RescueUpgrade> asked_of_rescue(AnchorLink& anchor);

}  // namespace abide::manager
