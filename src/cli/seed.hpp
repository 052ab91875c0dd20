// cli/seed.hpp -- the journal that a new instance begins with: its configuration, and what is to be started.
//
// Pure: model in, bytes out.  Invariant: the first manager can't tell this journal from one that a predecessor left.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "cli/enabled.hpp"
#include "cli/event_ids.hpp"
#include "journal/records.hpp"
#include "model/spec.hpp"

namespace abide::cli {

struct Seed {
    model::Configuration configuration;
    std::vector<std::string> chosen;  // start these and what they need; empty: all with autostart
    EnabledMap enabled;
    journal::BootRecord boot;
    std::uint64_t random = 1;  // not 0; the jitter of this instance
    Now now;
    std::function<EventIds()> events;  // asked last: the disk may take its time
};

// Instances of templates that `chosen` names and the configuration lacks are made.  not_found: a chosen name that
// nobody has; refused: a specification that is too large for the journal.
Result<std::string> seed_journal(Seed seed);

}  // namespace abide::cli
