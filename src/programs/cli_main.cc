// programs/cli_main.cc -- see cli_main.hpp.
#include "programs/cli_main.hpp"

#include "cli/commands.hpp"
#include "kernel/memory.hpp"

int cli_main(int argc, char** argv) {
    abide::kernel::exit_without_memory("abide");
    return abide::cli::run(argc, argv);
}
