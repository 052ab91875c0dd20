// tests/fuzz/anchor_side.cc -- see the header.
#include "anchor_side.hpp"

#include "anchor/anchor.hpp"

namespace abide::anchor {

// manager.cc, swap.cc and renew.cc start and kill processes, and are not part of this: nothing is ever due, and no swap
// begins.
std::int64_t hang_deadline(const Anchor&) {
    return 0;
}
void look_for_stop(Anchor&) {}
std::uint32_t begin_swap(Anchor&, const Swap&) {
    return EINVAL;
}
std::uint32_t commit_swap(Anchor&, const Commit&) {
    return EINVAL;
}
std::uint32_t begin_renewal(Anchor&, std::uint32_t) {
    return EINVAL;
}
bool is_rehearsal(Anchor&, int) {
    return false;
}
void answer_renewal(Anchor&) {}

}  // namespace abide::anchor

namespace abide::fuzz {
namespace {

void must(bool holds) {
    if (!holds) __builtin_trap();
}

}  // namespace

struct AnchorSide::State {
    anchor::Anchor anchor{};
};

AnchorSide::AnchorSide(int socket) : state_(new State) {
    state_->anchor.manager.socket = socket;
    state_->anchor.manager.pid = 1;  // somebody who is no child of ours
}

AnchorSide::~AnchorSide() {
    anchor::Anchor& a = state_->anchor;
    for (const anchor::Kept& kept : a.kept) must(sys::close(kept.fd) == 0);
    for (std::uint32_t i = 0; i < a.closing_count; ++i)
        must(sys::close(a.closing[i]) == 0);  // else it was closed twice
    if (a.manager.socket >= 0) sys::close(a.manager.socket);
    delete state_;
}

bool AnchorSide::listens() const {
    return state_->anchor.manager.socket >= 0 && !state_->anchor.end_asked;
}

void AnchorSide::turn() {
    anchor::Anchor& a = state_->anchor;
    anchor::serve(a);
    anchor::flush(a);
    must(a.kept.count() <= anchor::kMaxDescriptors && a.children.count() <= anchor::kMaxMarks);
    must(a.pushed <= a.zombies && a.zombies <= a.children.count());  // so are exits counted
}

}  // namespace abide::fuzz
