// sim/invariants/term_once.cc -- the stop signal is decided on once a run.  After a crash it may be given again only
// when it was not given before, which the world itself watches over.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string term_once(const World& world, const Step& step) {
    (void)world;
    if (std::holds_alternative<in::Recovered>(step.input)) return {};
    for (const out::Signal& fx : effects_of<out::Signal>(step)) {
        const Service* old = step.before.find(fx.service);
        const Service* s = step.after.find(fx.service);
        if (old == nullptr || s == nullptr || old->runs.empty() || s->runs.empty()) continue;
        if (old->runs.back().number != s->runs.back().number || s->runs.back().state != State::stopping) continue;
        if (const auto* request = std::get_if<in::Requested>(&step.input);
            request != nullptr && request->verb == Verb::kill)
            continue;
        if (old->runs.back().term_sent && s->runs.back().term_sent &&
            fx.signal == step.after.spec_of(s->runs.back()).stop.or_default().signal &&
            old->runs.back().state == State::stopping) {
            return fx.service + " gets its stop signal twice";
        }
    }
    return {};
}

}  // namespace abide::sim
