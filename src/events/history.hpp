// events/history.hpp -- the past of one service, newest first, and single events by their id.
//
// Reads from the newest segment back, in parts; nothing is followed.  Lines that can't be read are passed over.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "events/event.hpp"
#include "kernel/fd.hpp"

namespace abide::events {

// Gives each event of the service to `visit`, newest first, none newer than `up_to`; until it returns false.
Status each_backward(int folder, std::string_view service, std::uint64_t up_to,
                     const std::function<bool(Event&&)>& visit);

struct NewestRun {
    std::vector<Event> events;  // of that run, oldest first, and those of no run behind its beginning
    std::uint64_t end = 0;      // the newest id of the log: follow it from here
    std::string source;
};
Result<NewestRun> newest_run(int folder, std::string_view service);

// The last events of a service, oldest first.
Result<std::vector<Event>> last_events(int folder, std::string_view service, std::size_t count);

// nullopt: forgotten, or never there.
Result<std::optional<Event>> find_event(int folder, std::uint64_t id);
// This event, then its cause, and so on: at most `count`.
Result<std::vector<Event>> causes(int folder, std::uint64_t id, std::size_t count);

}  // namespace abide::events
