// cli/enabled.hpp -- what `enable` and `disable` said, kept over restarts of the instance and reboots.
//
// Owns one small file beside the apps: a line "+NAME" or "-NAME" for each service that was enabled or disabled by hand.
// It overrides `autostart` when an instance starts.  The running instance has its own copy (in its journal).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/places.hpp"

namespace abide::cli {

using EnabledMap = std::map<std::string, bool>;

// Empty when there is no file.
Result<EnabledMap> read_enabled(const Places& places);
Status record_enabled(const Places& places, const std::vector<std::string>& names, bool enabled);

}  // namespace abide::cli
