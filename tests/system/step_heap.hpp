// tests/system/step_heap.hpp -- the allocations of a traced program: counted, and made to fail.
//
// A breakpoint stands at the beginning of each function of the C library that gives out memory.  The program is the one
// that is shipped: nothing in it knows of this.  It must be static and have its symbols.  Invariant: whoever lets the
// program go has called lift() before, so that no breakpoint stays behind.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>

class Heap {
  public:
    // False: this is no program with an allocator in it (or not a machine for which this was written).
    bool plant(pid_t pid);
    // It has stopped at SIGTRAP: at one of ours?  Then it stands as if it had not been there.
    bool stands_at(pid_t pid);
    // The call that it stands at is carried out (false: the program ended meanwhile), or says that there is no memory.
    bool pass(pid_t pid);
    void fail(pid_t pid);
    void lift(pid_t pid);

  private:
    void poke(pid_t pid, std::uint64_t address, std::uint8_t byte);

    std::map<std::uint64_t, std::uint8_t> places_;  // address of a function -> its first byte
    std::uint64_t at_ = 0;                          // where it stands
    std::int64_t errno_offset_ = 0;                 // from the thread pointer; 0: not known
};
