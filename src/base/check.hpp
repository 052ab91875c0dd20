// base/check.hpp -- assertions about our own state.  Always on: the manager dies and comes back from its journal, which
// is better than acting on a state that can't be.  Never used on input from outside.
#pragma once

namespace abide {

// Prints "file:line: reason" to descriptor 2 and aborts.  Declared here, defined by each program's kernel layer, so
// that pure folders need no system call of their own.
[[noreturn]] void check_failed(const char* file, int line, const char* why);

}  // namespace abide

#define CHECK(condition, why)                                 \
    do {                                                      \
        if (!(condition)) [[unlikely]]                        \
            ::abide::check_failed(__FILE__, __LINE__, (why)); \
    } while (false)
