// sim/invariants/restart_limit.cc -- automatic restarts stay within their limit.
#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string restart_limit(const World& world, const Step& step) {
    (void)world;
    for (const Service* s : step.after.services()) {
        const RestartSpec& rule = step.after.spec_of(*s).restart_delay.or_default();
        if (rule.limit_count != 0 && s->restart_times.size() > rule.limit_count) {
            const Service* old = step.before.find(s->name);
            if (old != nullptr && old->restart_times.size() == s->restart_times.size())
                continue;  // the limit was lowered
            return s->name + " was restarted more often than its limit allows";
        }
    }
    return {};
}

}  // namespace abide::sim
