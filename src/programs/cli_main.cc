// programs/cli_main.cc -- see cli_main.hpp.
#include "programs/cli_main.hpp"

#include "cli/commands.hpp"

int cli_main(int argc, char** argv) {
    return abide::cli::run(argc, argv);
}
