// manager/finish.cc -- the end of an instance: what the logger has is written, the last replies leave, then the anchor
// ends.

#include "kernel/files.hpp"
#include "kernel/program.hpp"
#include "manager/complain.hpp"
#include "manager/loop.hpp"

namespace abide::manager {

namespace {

constexpr Duration kDrainPatience = seconds(3);
constexpr std::uint32_t kGraceMs = 2000;  // nothing but strangers can be left

}  // namespace

void Loop::begin_end(std::int32_t status, const Now& now) {
    ending_ = Ending::draining;
    end_status_ = status;
    end_deadline_ = now.mono + kDrainPatience;
    logger_.drain();
}

void Loop::go_on_ending(const Now& now) {
    if (ending_ != Ending::draining) return;
    if ((logger_.running() || !control_.drained()) && now.mono < end_deadline_) return;
    // A logger that could write to its folder to the end shows that the disk answers.
    if (!logger_.running()) events_.give_back(engine_.instance().last_event);
    end_deadline_ = kNever;
    ending_ = Ending::told;
    tracking_.finish(home_.get(), {static_cast<std::int32_t>(hello_.anchor_pid), kernel::own_pid()});
    journal_.drop_mirror();
    static_cast<void>(kernel::unlink_beneath(runtime_.get(), "control"));
    static_cast<void>(kernel::remove_tree_beneath(runtime_.get(), "notify"));
    static_cast<void>(kernel::remove_tree_beneath(runtime_.get(), "oci"));
    anchor_.end(end_status_, kGraceMs);
    anchor_.flush();
}

}  // namespace abide::manager
