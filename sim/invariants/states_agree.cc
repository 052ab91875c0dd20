// sim/invariants/states_agree.cc -- a service and its run tell the same state, and without a run it is at rest.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string states_agree(const World& world, const Step& step) {
    (void)world;
    for (const Service* s : step.after.services()) {
        if (!s->runs.empty()) {
            if (s->state != s->runs.back().state) return s->name + " and its run tell different states";
            if (s->runs.back().ready && s->runs.back().state == State::stopping)
                return s->name + " is ready while it stops";
            continue;
        }
        const bool rest = s->state == State::inactive || s->state == State::waiting || s->state == State::backoff ||
                          s->state == State::completed || s->state == State::failed;
        if (!rest) return s->name + " has no run but a run's state";
        if (s->want == Want::up && s->state == State::inactive && !step.after.instance().shutting_down)
            return s->name + " is wanted up but idle";
    }
    return {};
}

}  // namespace abide::sim
