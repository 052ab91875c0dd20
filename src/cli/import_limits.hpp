// cli/import_limits.hpp -- the resource limits and priorities of a systemd service, as keys of `limits`.
#pragma once

#include "cli/import_unit.hpp"

namespace abide::cli {

void write_unit_limits(Unit& unit, ImportWriter& writer);

}  // namespace abide::cli
