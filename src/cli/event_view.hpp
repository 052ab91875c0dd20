// cli/event_view.hpp -- events as people read them, and where the log of an instance lies.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "abide/events.hpp"
#include "cli/context.hpp"
#include "kernel/fd.hpp"

namespace abide::cli {

// "2026-11-21 09:00:00.123  1842 service.ready api run 3, pid 4711, because of 1840", with its line end; the line of
// the log itself for --json.
std::string event_text(const Context& context, const events::Event& event);
// Why it happened, in a few words: "exited with 1", "restart_policy", ...; may be empty.
std::string event_remark(const events::Event& event);
// "service.ready" of "abide.service.ready".
std::string short_type(const events::Event& event);
// "2026-11-21 09:00:00.123" in UTC.
std::string event_time(const events::Event& event);

// The folder of the event log; where ABIDE_SOCKET names the supervisor it is asked.
Result<std::string> events_folder(const Places& places);
// Opened; not_found when there is none.
Result<kernel::Fd> open_events(const Places& places);

// What is so of services and has been forgotten by the segments (events/current.hpp), oldest first; it comes before
// what a reader gives from the beginning.
Status each_current(const Places& places, const std::function<void(events::Event)>& visit);

// An error of the reader as one of a command.
Error error_of(const events::ReadError& error);
// "start", a cursor, or a duration back.
Result<void> read_since(const std::string& text, events::Options& options);

}  // namespace abide::cli
