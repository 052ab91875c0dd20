// events/event.hpp -- a line of the log as the struct of the public header.
#pragma once

#include <string_view>

#include "abide/events.hpp"
#include "events/line.hpp"

namespace abide::events {

Event event_of(const Line& line, std::string_view text);

}  // namespace abide::events
