// kernel/abandoned.hpp -- a folder whose writer has lost the program that it worked for, and says so.
//
// By a lock of its own on the folder (fcntl_locking(2)): the kernel tells who holds it, and takes it back when that
// process ends or closes any descriptor of the folder.  It keeps nobody from anything.
#pragma once

#include "kernel/fd.hpp"

namespace abide::kernel {

// We are the one.  Fails where the file system has no locks.
Status mark_abandoned(int folder);

// A pidfd of who said so.  not_found: nobody did; refused: somebody whom we can't see (pid_namespaces(7)).
Result<Fd> find_abandoned(int folder);

}  // namespace abide::kernel
