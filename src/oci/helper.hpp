// oci/helper.hpp -- abide-oci: our own short commands around those of a runtime.
//
//     abide-oci create RUNTIME ID FOLDER BUNDLE CGROUP
//     abide-oci delete RUNTIME ID FOLDER [without-hooks]
//
// Each is a process of the run, with its log as output: whatever is slow or breaks here (a bundle on a dead file
// system, a hook that hangs) hangs this process, and neither the manager nor another service.  `create` takes away a
// container of ours that was left over, refuses one that is somebody else's, writes the derived bundle to FOLDER, and
// becomes `RUNTIME create`, whose status is then its own; where the container has a terminal it waits for that command
// and hands the terminal's master on.  What went wrong is left in FOLDER for the manager, by the runtime too.  `delete`
// with `without-hooks` ends the hooks that the runtime starts: they hung before.  Statuses of its own: 7 refused, 125
// it could not get so far, 126 and 127 as a shell's.
#pragma once

#include <string>
#include <vector>

namespace abide::oci {

int helper(const std::vector<std::string>& words);

}  // namespace abide::oci
