// core/stored.cc -- the descriptors that a service gave away to have them back in its next run (FDSTORE=1,
// sd_notify(3)).
//
// They belong to the service, not to a run.  Invariant: each key that an input brought is either in Service::stored or
// dropped by an effect, once; when the service has come to rest, none is left.
#include <algorithm>

#include "core/machine.hpp"

namespace abide::core {

using namespace model;

namespace {

constexpr char kUnnamed[] = "stored";  // sd_notify(3): the name of those without FDNAME

}  // namespace

void Machine::store(Slot slot, const in::Notified& in) {
    Service& s = node(slot).service;
    const Run& run = *run_of(node(slot));
    const std::string name = in.fd_name.empty() ? kUnnamed : in.fd_name;
    if (in.fd_store_remove && !s.stored.empty()) {
        erase_if(s.stored, [&](const StoredDescriptor& one) {
            if (one.name != name) return false;
            fx_.push_back(out::DropStored{s.name, one.key});
            return true;
        });
        touch(slot);
    }
    for (const FdKey key : in.fds) {
        const bool known =
            std::any_of(s.stored.begin(), s.stored.end(), [&](const StoredDescriptor& one) { return one.key == key; });
        if (known) continue;
        if (s.stored.size() >= run_spec(run).fd_store_max) {
            fx_.push_back(out::DropStored{s.name, key});
            continue;
        }
        s.stored.push_back({key, name});
        touch(slot);
    }
}

void Machine::on(const in::StoredLost& in) {
    Slot slot = 0;
    Node* n = find(in.service, &slot);
    if (n == nullptr) return stray();
    const std::size_t gone = erase_if(n->service.stored, [&](const StoredDescriptor& one) {
        if (std::find(in.keys.begin(), in.keys.end(), one.key) == in.keys.end()) return false;
        fx_.push_back(out::DropStored{n->service.name, one.key});
        return true;
    });
    gone != 0 ? touch(slot) : stray();
}

void Machine::drop_stored(Slot slot) {
    Service& s = node(slot).service;
    if (s.stored.empty()) return;
    for (const StoredDescriptor& one : s.stored) fx_.push_back(out::DropStored{s.name, one.key});
    s.stored.clear();
    touch(slot);
}

}  // namespace abide::core
