// kernel/program_copy.hpp -- a program in memory, for when its file, or the file system of it, is gone.
#pragma once

#include "kernel/fd.hpp"

namespace abide::kernel {

// A memory file with the bytes of `program`, which may be an O_PATH descriptor; it can be executed where
// vm.memfd_noexec allows it, and not written any more.
Result<Fd> copy_program(int program);

}  // namespace abide::kernel
