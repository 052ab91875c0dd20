// kernel/memory.hpp -- what a program that comes to rest after a burst gives back.
#pragma once

namespace abide::kernel {

// Free pages of the heap go back, and the program's code is unmapped from this process: a start runs through most of
// it, rest needs little.  What goes on running is mapped again from the page cache, some pages at a time, without a
// disk as long as the machine has memory; what does not is the machine's to use.  Nothing is lost: code is never
// written (relocations are of data).
void give_back_memory();

}  // namespace abide::kernel
