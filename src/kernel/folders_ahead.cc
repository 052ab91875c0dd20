// kernel/folders_ahead.cc -- see folders_ahead.hpp.
#include "kernel/folders_ahead.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "kernel/raw.hpp"

namespace abide::kernel {
namespace {

constexpr long kMode = 0755;

// Asked by a test for a lock that is never taken (F_OFD_GETLK, fcntl_locking(2)).
ABIDE_RAW bool is_in_the_way(int parent) {
    struct flock lock;
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = 0;
    lock.l_len = 0;
    lock.l_pid = 0;
    const long r = raw::call(__NR_fcntl, parent, F_OFD_GETLK, raw::address(&lock));
    return r == 0 && lock.l_type != F_UNLCK;
}

[[noreturn]] ABIDE_RAW void make_folders(void* what) {
    const auto* plan = static_cast<const FoldersAhead::Plan*>(what);
    // Ours alone: what else is open here must not stay open because of us.
    long failed = raw::call(__NR_dup3, plan->parent, 0, 0);
    if (failed == 0) failed = raw::call(__NR_close_range, 1, ~0U, 0);
    for (const char* const* name = plan->names; failed == 0 && *name != nullptr; ++name) {
        if (__atomic_load_n(&plan->stop, __ATOMIC_ACQUIRE) != 0 || is_in_the_way(0)) break;
        const long r = raw::call(__NR_mkdirat, 0, raw::address(*name), kMode);
        if (r < 0 && r != -EEXIST) break;
        // Who was woken meanwhile goes first: he waited for a whole slice of ours, 3 ms.
        raw::call(__NR_sched_yield);
    }
    raw::leave(0);
}

}  // namespace

FoldersAhead::FoldersAhead(Fd parent, std::vector<std::string> names)
    : parent_(std::move(parent)), names_(std::move(names)) {
    texts_.reserve(names_.size() + 1);
    for (const std::string& name : names_) texts_.push_back(name.c_str());
    texts_.push_back(nullptr);
    plan_.parent = parent_.get();
    plan_.names = texts_.data();
}

std::unique_ptr<FoldersAhead> FoldersAhead::begin(Fd parent, std::vector<std::string> names) {
    if (names.empty() || !parent || parent.get() == 0) return nullptr;
    std::unique_ptr<FoldersAhead> ahead(new FoldersAhead(std::move(parent), std::move(names)));
    if (!ahead->child_.start(0, &make_folders, &ahead->plan_)) return nullptr;
    return ahead;
}

void FoldersAhead::stand_back(int parent) {
    struct flock lock{};
    lock.l_type = F_RDLCK;
    lock.l_whence = SEEK_SET;
    // Refused, they only stand in the way.
    static_cast<void>(::fcntl(parent, F_OFD_SETLK, &lock));
}

FoldersAhead::~FoldersAhead() {
    __atomic_store_n(&plan_.stop, 1, __ATOMIC_RELEASE);
    child_.wait();
}

}  // namespace abide::kernel
