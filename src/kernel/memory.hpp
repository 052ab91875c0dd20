// kernel/memory.hpp -- what a program does when there is no memory for it, and what it gives back when it comes to
// rest.
#pragma once

namespace abide::kernel {

// From now on an allocation that fails ends the program where it stands: "NAME: out of memory" on descriptor 2, then
// SIGKILL, as when the kernel ends somebody for want of memory.  Nothing is unwound: a destructor would act on a state
// that is half made, and who holds that state in a journal goes on from there.  `name` must live as long as the
// program.
void die_without_memory(const char* name);

// The same with an exit status, for a program that somebody waits for.
void exit_without_memory(const char* name);

// A page that is new costs 2 us, so what is freed in a burst (a start of hundreds) is used again in it, however big;
// give_back_memory() ends that.  To be called before there are threads.
void keep_freed_memory();

// Free pages of the heap go back, and the program's code is unmapped from this process: a start runs through most of
// it, rest needs little.  What goes on running is mapped again from the page cache, some pages at a time, without a
// disk as long as the machine has memory; what does not is the machine's to use.  Nothing is lost: code is never
// written (relocations are of data).
void give_back_memory();

}  // namespace abide::kernel
