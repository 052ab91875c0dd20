// sim/invariants/restored.cc -- an engine made from the journal is the engine that wrote it.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string restored(const World& world, const Step& step) {
    (void)world;
    core::Engine restored(step.after.snapshot());
    if (restored.next_deadline() != step.after.next_deadline()) return "a restored engine wakes at another time";
    const core::Snapshot a = restored.snapshot(), b = step.after.snapshot();
    if (!(a.services == b.services) || !(a.operations == b.operations)) return "a restored engine differs";
    // The edges between services are no part of that: what they mean is.
    for (const Service* service : step.after.services()) {
        if (restored.waiting_for(*service) != step.after.waiting_for(*service))
            return service->name + " waits for something else in a restored engine";
    }
    return {};
}

}  // namespace abide::sim
