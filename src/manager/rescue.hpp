// manager/rescue.hpp -- what a manager does that can't go on from its journal: services live on, and can be seen and
// stopped.
//
// Uses neither journal nor engine, since one of them is what fails: who belongs to which service is read off the
// anchor's children and their environment.  Starts nothing, restarts nothing, decides nothing; answers status, stop and
// down, and `upgrade`, which is the way out: rehearsed and on probation like any other, and told by the next manager
// that works (rescue_upgrade.hpp).  Exits are left with the anchor, for the manager that can take them. Invariant:
// whatever is wrong, a client gets an answer that says so.
#pragma once

#include <string>

#include "kernel/spawn.hpp"
#include "manager/anchor_link.hpp"

namespace abide::manager {

struct RescueUses {
    AnchorLink& anchor;
    kernel::Spawner& spawner;
    anchor::HelloAnswer hello;
    std::string why;
};

// Until the instance ends, or another program is to take over.
int run_rescue(RescueUses uses);

}  // namespace abide::manager
