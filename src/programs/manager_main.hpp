// programs/manager_main.hpp -- the manager's entry in the multi-call program (argv[0] is abide-manager).
#pragma once

// Descriptor 3 is the manager's end of the pair that protocol/anchor.hpp describes.  Exit status: 0 after the instance
// has ended; anything else makes the anchor start the next manager.
int manager_main(int argc, char** argv);
