// sim/invariants/strays_change_nothing.cc -- an input about a process or run that is over changes nothing but the
// count.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string strays_change_nothing(const World& world, const Step& step) {
    (void)world;
    if (step.after.instance().strays == step.before.instance().strays) return {};
    if (std::holds_alternative<in::Notified>(step.input) || std::holds_alternative<in::Recovered>(step.input))
        return {};
    core::Snapshot before = step.before.snapshot(), after = step.after.snapshot();
    if (!(before.services == after.services)) return "a stray input changed a service";
    if (!step.effects.empty()) return "a stray input had effects";
    return {};
}

}  // namespace abide::sim
