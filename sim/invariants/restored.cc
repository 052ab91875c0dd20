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
    return {};
}

}  // namespace abide::sim
