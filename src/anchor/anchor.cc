// anchor/anchor.cc -- the anchor's one piece of memory.
#include "anchor/anchor.hpp"

#include "anchor/run.hpp"

namespace abide {
namespace {
constinit anchor::Anchor state{};  // all zero: 3 MiB of .bss, of which a small instance touches a few pages
}

void run_anchor(Launch& launch) {
    anchor::boot(state, launch);
    anchor::loop(state);
}

}  // namespace abide
