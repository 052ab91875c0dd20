// manager/witness.hpp -- the process that judges an upgrade: of the old program, and neither of the two managers.
//
// It lets the new program rehearse, confined and with a deadline, and tells the manager what it saw.  When the manager
// has given its place, it speaks to the new one as any client does; only when that answers as it should, it is vouched
// for, and at the end of the probation committed.  Whatever else happens, it says nothing, and the anchor takes the old
// program back.  So no code of the new program takes part in the decision about it.
#pragma once

namespace abide::manager {

// Its descriptors: the manager, a copy of the journal, the new program.
inline constexpr int kWitnessLink = 3, kWitnessJournal = 4, kWitnessProgram = 5;
inline constexpr char kWitnessName[] = "abide-witness";
// argv: kWitnessName, path of the control socket, operation, probation in milliseconds, epoch of the asking manager,
// and this where that one can only rescue: our own program can't read the state, so what is right is what it says.
inline constexpr char kWitnessOfRescue[] = "rescue";
int run_witness(int argc, char** argv);

}  // namespace abide::manager
