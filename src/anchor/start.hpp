// anchor/start.hpp -- how a program without a C library begins.
#pragma once

namespace abide {

struct Launch {
    int argc = 0;                      // may be 0
    char** argv = nullptr;             // null-terminated, on the initial stack: may be rearranged in place
    char** environment = nullptr;      // likewise
    const char* executable = nullptr;  // as the caller of execve named it; may be null
};

}  // namespace abide

// The program's main; its result is the exit status.
int abide_main(abide::Launch& launch);
