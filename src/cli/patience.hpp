// cli/patience.hpp -- how long a command waits for an event: until its deadline, or as long as there is a supervisor
// that could make it true.
#pragma once

#include <chrono>
#include <string>

#include "abide/events.hpp"
#include "cli/context.hpp"

namespace abide::cli {

class Patience {
  public:
    // kNever: no deadline.
    Patience(const Places& places, Mono deadline);
    // For the next event; a second at most, so that a supervisor that is gone is missed.
    [[nodiscard]] std::chrono::nanoseconds left() const;
    [[nodiscard]] bool is_late() const;
    // Nothing came: an error when it is no use to wait any longer, `late` when the time is over.  Says once that the
    // reader is not woken.
    Status go_on(Context& context, const events::Reader& reader, const std::string& late);

  private:
    const Places& places_;
    Mono deadline_, seen_;  // when there was a supervisor
    bool told_ = false;
};

}  // namespace abide::cli
