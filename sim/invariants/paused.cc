// sim/invariants/paused.cc -- that a service stands still is told when the kernel has said so, and not before.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string paused(const World& world, const Step& step) {
    (void)world;
    for (const out::Publish& fx : effects_of<out::Publish>(step)) {
        if (fx.event.type != EventType::service_paused) continue;
        const auto* said = std::get_if<in::Frozen>(&step.input);
        const bool true_now = said != nullptr && said->frozen && said->error.empty() &&
                              said->service == fx.event.subject && said->run == fx.event.run;
        if (!true_now) return fx.event.subject + " is said to be paused, and perhaps is not";
    }
    return {};
}

}  // namespace abide::sim
