// anchor/run.hpp -- the two programs that src/anchor makes; each takes the process over.
#pragma once

#include "anchor/start.hpp"

namespace abide {

// PID 1 or subreaper of an instance: see protocol/anchor.hpp for its words.  Does not return.
[[noreturn]] void run_anchor(Launch& launch);

// Which program's words, defaults and statuses a container init has.
enum class InitKind { abide, tini, dumb_init };

// Starts a command, forwards signals, reaps; returns the exit status.  For `abide`, argv[1] is "init".
int run_init(Launch& launch, InitKind kind);

}  // namespace abide
