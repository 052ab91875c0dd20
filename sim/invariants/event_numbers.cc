// sim/invariants/event_numbers.cc -- events are numbered without a gap, in order.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string event_numbers(const World& world, const Step& step) {
    (void)world;
    EventId last = step.before.instance().last_event;
    for (const out::Publish& fx : effects_of<out::Publish>(step)) {
        if (fx.event.id.value != last.value + 1) return "an event's number is out of order";
        last = fx.event.id;
    }
    if (last != step.after.instance().last_event) return "the last event's number is wrong";
    return {};
}

}  // namespace abide::sim
