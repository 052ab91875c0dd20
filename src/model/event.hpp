// model/event.hpp -- one change of state, as everybody outside sees it.  docs/events.md lists the types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/state.hpp"

namespace abide::model {

BOOST_DEFINE_ENUM_CLASS(EventType, service_created, service_starting, service_started, service_ready, service_unready,
                        service_healthy, service_unhealthy, service_reloading, service_reloaded, service_stopping,
                        service_stopped, service_backoff, service_completed, service_failed, service_paused,
                        service_unpaused, service_removed, process_exited, process_orphan, supervisor_started,
                        supervisor_recovered, supervisor_stopping, supervisor_upgraded, supervisor_rolled_back,
                        supervisor_rescue, user, stream_gap)

struct Event {
    EventId id;
    EventType type = EventType::service_starting;
    std::string subject;  // the service; empty for the supervisor's own
    Wall time{};
    RunNumber run;
    std::int32_t pid = 0;
    EventId cause;
    Reason reason = Reason::none;
    std::string detail;
    Box<ExitStatus> exit;
    Duration delay{};                    // backoff
    std::string name;                    // user: what follows "abide.user."
    std::vector<Variable> fields;        // user
    std::string program;                 // an upgrade's
    Outcome outcome = Outcome::pending;  // of a reload; of an upgrade: whether it was swapped in at all
    EventId gap_from;                    // stream_gap: the first id that is missing; the last is the event's own
};

}  // namespace abide::model
