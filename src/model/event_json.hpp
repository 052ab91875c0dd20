// model/event_json.hpp -- an event as one line of CloudEvents 1.0 JSON, as in the event log and on every stream.
// Knows no clock: the time is in the event.
#pragma once

#include <string>
#include <string_view>

#include "base/time.hpp"
#include "model/event.hpp"

namespace abide::model {

// "abide.service.ready"; of a user's event what its name follows: "abide.user.".
std::string event_type_name(EventType type);

// 20 digits.
void append_cursor(std::string& out, EventId id);

// RFC 3339 in UTC with nanoseconds: "2026-11-21T09:00:00.000123456Z".
void append_rfc3339(std::string& out, Wall time);

// {"code":1,...} | {"signal":"KILL",...} | {"code":"unknown",...}, then core_dumped, oom if it is true, time and
// rusage.
void append_exit(std::string& out, const ExitStatus& exit);

// Appends the event without a line end.  `source` is the instance's: "/abide/shop".  Absent things are left out; text
// that is not UTF-8 is shown with U+FFFD.
void encode_event(std::string& out, const Event& event, std::string_view source);

}  // namespace abide::model
