// manager/rescue.hpp -- what a manager does that can't go on from its journal: services live on, and can be seen and
// stopped.
//
// Uses neither journal nor engine, since one of them is what fails: who belongs to which service is read off the
// anchor's children and their environment.  Starts nothing, restarts nothing, decides nothing; answers status, stop and
// down, and `upgrade`, which is the way out.  Exits are left with the anchor, for the manager that can take them.
// Invariant: whatever is wrong, a client gets an answer that says so.
#pragma once

#include <string>

#include "manager/anchor_link.hpp"
#include "manager/cursor.hpp"

namespace abide::manager {

struct RescueUses {
    AnchorLink& anchor;
    Cursor& cursor;
    anchor::HelloAnswer hello;
    std::string why;
};

// Until the instance ends, or another program is to take over.
int run_rescue(RescueUses uses);

}  // namespace abide::manager
