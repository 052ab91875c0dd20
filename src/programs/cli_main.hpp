// programs/cli_main.hpp -- the command line's entry in the multi-call program (argv[0] is anything but a role's name).
#pragma once

// Exit status: see "Exit statuses" in docs/reference.md.
int cli_main(int argc, char** argv);
