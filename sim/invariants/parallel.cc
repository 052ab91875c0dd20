// sim/invariants/parallel.cc -- no more services start at once than the limit allows.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string parallel(const World& world, const Step& step) {
    (void)world;
    const std::uint32_t limit = step.after.instance().spec.parallel;
    if (limit == 0 || step.before.instance().spec.parallel != limit) return {};
    std::uint32_t before = 0, after = 0;
    const auto count = [](const core::Engine& e) {
        std::uint32_t n = 0;
        for (const Service* s : e.services()) {
            n += !s->runs.empty() && s->runs.back().state == State::starting && e.spec_of(*s).kind != Kind::group;
        }
        return n;
    };
    before = count(step.before);
    after = count(step.after);
    // Unpausing a start may exceed it; beginning one may not.
    for (const out::Publish& fx : effects_of<out::Publish>(step)) {
        if (fx.event.type == EventType::service_starting && after > std::max(before, limit))
            return "too many services start at once";
    }
    return {};
}

}  // namespace abide::sim
