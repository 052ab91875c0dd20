// sim/invariants/released.cc -- a run is released once, when it is over, and nothing of it lives unless its rule leaves
// it alone.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string released(const World& world, const Step& step) {
    for (const out::Release& fx : effects_of<out::Release>(step)) {
        const Service* s = step.after.find(fx.service);
        if (s != nullptr && !s->runs.empty() && s->runs.back().number == fx.run)
            return fx.service + "'s run is released while it lasts";
        const Service* old = step.before.find(fx.service);
        if (old == nullptr || old->runs.empty()) continue;
        const bool leaves = step.before.spec_of(old->runs.back()).stop.or_default().scope == StopScope::main ||
                            step.after.instance().configuration != step.before.instance().configuration;
        for (const auto& [spawn, process] : world.processes()) {
            if (leaves || process.service != fx.service || process.run != fx.run || !process.alive) continue;
            return fx.service + "'s run is released though spawn " + std::to_string(spawn.value) +
                   " of it lives (role " + std::to_string(static_cast<int>(process.role)) + ")";
        }
    }
    return {};
}

}  // namespace abide::sim
