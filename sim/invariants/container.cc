// sim/invariants/container.cc -- a container's first process is journaled before the runtime is told to start it, it is
// started before it has ended, and the runtime is told to forget it before the run is over.
#include <algorithm>

#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string container(const World& world, const Step& step) {
    for (const out::Spawn& fx : effects_of<out::Spawn>(step)) {
        if (fx.role != Role::container_start) continue;
        const Service* s = step.after.find(fx.service);
        const bool known = s != nullptr && !s->runs.empty() &&
                           std::any_of(s->runs.back().processes.begin(), s->runs.back().processes.end(),
                                       [](const Process& p) { return p.role == Role::main && p.adopted; });
        if (!known && !std::holds_alternative<in::Recovered>(step.input))
            return fx.service + " is started before its first process is known";
    }
    for (const out::Release& fx : effects_of<out::Release>(step)) {
        const auto it = world.containers().find({fx.service, fx.run});
        if (it != world.containers().end() && !it->second.deleted)
            return fx.service + " ends and leaves its container behind";
    }
    return {};
}

}  // namespace abide::sim
