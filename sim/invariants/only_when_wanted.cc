// sim/invariants/only_when_wanted.cc -- no main process is started for a service that is wanted down.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string only_when_wanted(const World& world, const Step& step) {
    (void)world;
    for (const out::Spawn& fx : effects_of<out::Spawn>(step)) {
        const Service* s = step.after.find(fx.service);
        if (s == nullptr) return fx.service + " is started but does not exist";
        const bool starting = fx.role == Role::main || fx.role == Role::pre_start;
        if (starting && s->want == Want::down && s->state != State::stopping)
            return fx.service + " is started though wanted down";
    }
    return {};
}

}  // namespace abide::sim
