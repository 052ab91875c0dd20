// manager/lent_doorbell.cc -- see the header.
#include "manager/lent_doorbell.hpp"

#include <array>
#include <span>
#include <string>

#include "kernel/socket.hpp"
#include "protocol/log.hpp"

namespace abide::manager {

namespace wire = protocol::log;

bool LentDoorbell::ring(int logger, int doorbell, bool another) {
    lent_ = lent_ && !another;
    if (lent_ && listens_) {
        bell_->ring();
        return true;
    }
    if (!bell_) {
        if (Result<kernel::Bell> made = kernel::Bell::create()) bell_.emplace(std::move(*made));
    }
    static const std::string kRing = wire::encode(wire::ToLogger{wire::Ring{}});
    const std::array<int, 2> both{doorbell, bell_ ? bell_->fd() : -1};
    const std::span<const int> fds = std::span(both).first(bell_ ? 2 : 1);
    const Result<bool> sent = kernel::send(logger, std::as_bytes(std::span(kRing)), fds);
    if (!sent || !*sent) return false;
    lent_ = bell_.has_value();
    return true;
}

}  // namespace abide::manager
