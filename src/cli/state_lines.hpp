// cli/state_lines.hpp -- events as the foreground of `abide up` shows them between the services' own lines: what
// somebody who watches wants to know of a stack, and no more.
//
// Owns the time at which each run began.  Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "abide/events.hpp"
#include "cli/text.hpp"

namespace abide::cli {

struct StateLine {
    std::string who;  // the service; empty: the supervisor
    std::string text;
    Colour colour = Colour::none;
};

class StateLines {
  public:
    // "ready after 312ms, pid 4711", "exited with 3; again in 500ms"; an empty text: nothing to be shown.
    StateLine see(const events::Event& event);

  private:
    std::map<std::string, std::int64_t, std::less<>> began_;  // or lost its readiness; ns since 1970
};

}  // namespace abide::cli
