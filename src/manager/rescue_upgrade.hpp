// manager/rescue_upgrade.hpp -- an upgrade that was asked of a rescue: what the next manager that works must know of
// it.
//
// A rescue writes no journal, so the operation stands in a memory file that the anchor keeps, until a manager has
// journaled what became of it.
#pragma once

#include <optional>
#include <string>

#include "manager/anchor_link.hpp"
#include "manager/run_key.hpp"
#include "model/state.hpp"

namespace abide::manager {

struct AskedOfRescue {
    model::Operation operation;  // pending; the program stands in its detail
    std::string refused;         // why it came to nothing, if the rescue knows
};

inline constexpr std::uint64_t kAskedOfRescueKey = anchor_key(Keep::rescue_upgrade, 1);

// Above those that journals number.
constexpr OperationId operation_of_rescue(std::uint64_t epoch) {
    return OperationId{(std::uint64_t{1} << 40) + epoch};
}

Status keep(AnchorLink& anchor, const AskedOfRescue& asked);
// Nothing: none is kept.
std::optional<AskedOfRescue> asked_of_rescue(AnchorLink& anchor);

}  // namespace abide::manager
