// programs/logger_main.hpp -- the logger's entry in the multi-call program (argv[0] is abide-logger).
#pragma once

// Descriptor 3 is the logger's end of the pair that protocol/log.hpp describes; standard error takes inherited output.
// Exit status: 0 after drain-and-exit, SIGTERM, or the end of the manager and of all pipes; 1 when it can't run at all.
int logger_main(int argc, char** argv);
