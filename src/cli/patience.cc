// cli/patience.cc -- see patience.hpp.
#include "cli/patience.hpp"

#include <algorithm>
#include <utility>

#include "cli/client.hpp"
#include "kernel/clock.hpp"

namespace abide::cli {

namespace {

constexpr Duration kLook = seconds(1);    // whether there is a supervisor at all
constexpr Duration kReturn = seconds(3);  // for one to come (back)

}  // namespace

Patience::Patience(const Places& places, Mono deadline)
    : places_(places), deadline_(deadline), seen_(kernel::mono_now()) {}

std::chrono::nanoseconds Patience::left() const {
    const Duration left = deadline_ == kNever ? kLook : deadline_ - kernel::mono_now();
    return std::chrono::nanoseconds(std::clamp<std::int64_t>(left.ns, 0, kLook.ns));
}

bool Patience::is_late() const {
    return kernel::mono_now() >= deadline_;
}

Status Patience::go_on(Context& context, const events::Reader& reader, const std::string& late) {
    if (const std::string why = reader.polling(); !why.empty() && !std::exchange(told_, true))
        context.note("abide: events are looked for four times a second: " + why);
    const bool supervised = is_supervised(places_), over = is_late();
    const Mono now = kernel::mono_now();
    if (supervised) seen_ = now;
    if (over && supervised) return fail(ErrorKind::timed_out, late);
    if (over || (deadline_ == kNever && now - seen_ > kReturn))
        return fail(ErrorKind::unreachable, "no supervisor is there to make it true", "start it with `abide up`");
    return {};
}

}  // namespace abide::cli
