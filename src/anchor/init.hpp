// anchor/init.hpp -- the container init: what its words ask for.
//
// Three command lines (abide init, tini 0.19, dumb-init 1.2.5) become one struct; init.cc acts on it.
#pragma once

#include "anchor/run.hpp"
#include "anchor/text.hpp"

namespace abide::init {

inline constexpr int kLastSignal = 64;
inline constexpr int kLastRewritten = 31;
inline constexpr int kAsItIs = -1;  // in Options::rewrite

struct Options {
    InitKind kind = InitKind::abide;
    char** command = nullptr;  // null-terminated; the word before it may be overwritten
    char* const* environment = nullptr;
    bool to_group = false;     // forward to the child's process group
    bool new_session = false;  // dumb-init: the child leads a session and takes the terminal along
    bool subreaper = false;
    bool warn_reaped = false;
    unsigned verbosity = 0;  // 0 errors, 1 warnings, 2 information, 3 debugging, 4 all
    int parent_death_signal = 0;
    bool becomes_zero[256] = {};                   // exit statuses that are reported as 0
    signed char rewrite[kLastRewritten + 1] = {};  // the signal to forward instead; 0: none
};

// Reads the words.  False: it is all said already, and `status` is the exit status.
bool read_words(Launch& launch, Options& options, int& status);

// A message of the named importance, as the program called by that name would word it.
struct Say : text::Line {
    Say(const Options& options, unsigned level);
};
inline bool says(const Options& options, unsigned level) {
    return options.verbosity >= level;
}

}  // namespace abide::init
