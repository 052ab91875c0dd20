// anchor/closer.cc -- closes descriptors that came from services and clients in short-lived children.
//
// The last close of a socket with SO_LINGER, or any close of a file on a hung FUSE or NFS mount, blocks its caller
// (socket(7), close(2)).  A child that shares the descriptor table (CLONE_FILES) frees the number at once and does the
// waiting itself; the table is not copied.  Invariant: a descriptor in `closing` is in no table and not used any more.
#include "anchor/anchor.hpp"

namespace abide::anchor {

void close_later(Anchor& a, int fd) {
    if (a.closing_count < kMaxDescriptors)
        a.closing[a.closing_count++] = fd;
    else
        sys::close(fd);  // more than could ever be kept are waiting for closers: better to wait than to run out
}

void start_closers(Anchor& a) {
    while (a.closing_count > 0 && a.closer_count < kMaxClosers) {
        const std::uint32_t batch = a.closing_count < kCloseBatch ? a.closing_count : kCloseBatch;
        const int* fds = a.closing + a.closing_count - batch;
        const long pid = sys::fork(CLONE_FILES);
        if (pid < 0) return;  // no process to be had: again in the next turn
        if (pid == 0) {
            sys::set_mask(0);  // TERM ends it, also inside a lingering close
            for (std::uint32_t i = 0; i < batch; ++i) sys::close(fds[i]);
            sys::exit(0);
        }
        a.closers[a.closer_count++] = int(pid);
        a.closing_count -= batch;
    }
}

bool is_closer(Anchor& a, int pid) {
    for (std::uint32_t i = 0; i < a.closer_count; ++i) {
        if (a.closers[i] != pid) continue;
        a.closers[i] = a.closers[--a.closer_count];
        return true;
    }
    return false;
}

}  // namespace abide::anchor
