// sim/invariants/never_kill.cc -- what must never be killed is not, unless somebody destroys it by force.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string never_kill(const World& world, const Step& step) {
    (void)world;
    for (const out::KillAll& fx : effects_of<out::KillAll>(step)) {
        const Service* s = step.after.find(fx.service);
        if (s == nullptr || s->runs.empty()) continue;
        const Run& run = s->runs.back();
        if (step.after.spec_of(run).stop.or_default().final_ != StopFinal::never) continue;
        // Nor is what the runtime's delete left behind the service, which is over.
        if (run.deletion.or_default().clearing) continue;
        // Of a container that was not started nothing has run that could be lost.
        if (run.container && !run.let_go) continue;
        if (run.stop_reason != Reason::force_destroyed && run.stage != Stage::kill)
            return fx.service + " must never be killed";
        const Service* old = step.before.find(fx.service);
        const bool was = old != nullptr && !old->runs.empty() && old->runs.back().stage == Stage::kill;
        const auto* request = std::get_if<in::Requested>(&step.input);
        const bool forced = request != nullptr && request->verb == Verb::force_destroy;
        if (!was && !forced) return fx.service + " is killed though its rule says never";
    }
    return {};
}

}  // namespace abide::sim
