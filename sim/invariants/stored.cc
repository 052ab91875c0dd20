// sim/invariants/stored.cc -- a descriptor that a service gave away is held for it or dropped, never forgotten; no more
// than it may have; and none is left when it has come to rest.
#include <algorithm>

#include "invariants/invariants.hpp"

namespace abide::sim {

using namespace model;

std::string stored(const World& world, const Step& step) {
    std::set<FdKey> known;
    for (const out::DropStored& fx : effects_of<out::DropStored>(step)) known.insert(fx.key);
    for (const Service* s : step.after.services()) {
        for (const StoredDescriptor& one : s->stored) {
            if (known.contains(one.key)) return s->name + " holds a descriptor that is dropped, or held twice";
            known.insert(one.key);
        }
        const Service* old = step.before.find(s->name);
        const std::size_t before = old == nullptr ? 0 : old->stored.size();
        const std::size_t most = s->runs.empty() ? 0 : step.after.spec_of(s->runs.back()).fd_store_max;
        if (s->stored.size() > std::max(before, most)) return s->name + " holds more descriptors than it may";
        const bool rests = s->state == State::inactive || s->state == State::failed || s->state == State::completed;
        if (rests && s->runs.empty() && !s->stored.empty()) return s->name + " rests and still holds descriptors";
    }
    for (const FdKey key : world.kept()) {
        if (!known.contains(key)) return "descriptor " + std::to_string(key.value) + " is kept for nobody";
    }
    return {};
}

}  // namespace abide::sim
