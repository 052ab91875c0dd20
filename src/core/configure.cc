// core/configure.cc -- a new configuration, all or nothing: only what changed is touched, and a running service keeps
// what it was started with until it is restarted.
#include <algorithm>

#include "core/graph.hpp"
#include "core/machine.hpp"
#include "model/codec.hpp"

namespace abide::core {

using namespace model;

namespace {

// Where a table stands in its file says nothing about the service.
ServiceSpec without_position(ServiceSpec spec) {
    spec.source = {};
    return spec;
}

// What the engine would hold after applying it: a dynamic one is added to what is there.
Configuration merged(const Engine& e, const Configuration& update, bool dynamic) {
    std::map<std::string, const ServiceSpec*> all;
    for (const auto& spec : update.services) all.emplace(spec.name, &spec);
    const auto keep = [&](const Service& service) { return !service.removed && (dynamic || service.dynamic); };
    for (const Service* service : e.services_and_templates()) {
        if (keep(*service)) all.emplace(service->name, &e.spec_of(*service));
    }
    Configuration out;
    out.instance = dynamic ? e.instance().spec : update.instance;
    for (const auto& [name, spec] : all) out.services.push_back(*spec);
    return out;
}

std::string in_words(const std::vector<Problem>& problems) {
    std::string text;
    for (const Problem& problem : problems) {
        if (!text.empty()) text += '\n';
        if (!problem.where.file.empty()) text += problem.where.file + ":" + std::to_string(problem.where.line) + ": ";
        text += problem.text;
        if (!problem.advice.empty()) text += "; " + problem.advice;
    }
    return text;
}

}  // namespace

#define ABIDE_DIFFERS(member) \
    if (!(a.member == b.member)) note(#member)

std::string differing_keys(const ServiceSpec& a, const ServiceSpec& b) {
    std::string keys;
    const auto note = [&](std::string key) {
        std::replace(key.begin(), key.end(), '_', '-');
        keys += (keys.empty() ? "" : ", ") + key;
    };
    ABIDE_DIFFERS(kind);
    ABIDE_DIFFERS(command);
    ABIDE_DIFFERS(description);
    ABIDE_DIFFERS(directory);
    ABIDE_DIFFERS(environment);
    ABIDE_DIFFERS(dependencies);
    ABIDE_DIFFERS(provides);
    ABIDE_DIFFERS(success_exit);
    ABIDE_DIFFERS(sockets);
    ABIDE_DIFFERS(identity);
    ABIDE_DIFFERS(hooks);
    ABIDE_DIFFERS(ready);
    ABIDE_DIFFERS(health);
    ABIDE_DIFFERS(stop);
    ABIDE_DIFFERS(restart_delay);
    ABIDE_DIFFERS(reload);
    ABIDE_DIFFERS(limits);
    ABIDE_DIFFERS(sandbox);
    ABIDE_DIFFERS(log);
    ABIDE_DIFFERS(oci);
    ABIDE_DIFFERS(watchdog);
    ABIDE_DIFFERS(fd_store_max);
    ABIDE_DIFFERS(restart);
    ABIDE_DIFFERS(autostart);
    ABIDE_DIFFERS(essential);
    return keys;
}

#undef ABIDE_DIFFERS

namespace {

// All of it takes effect at once.  The name stays: by it others know the instance, and its event log.
void plan_instance(const InstanceSpec& a, const InstanceSpec& b, std::vector<PlannedChange>& changes) {
    using Key = std::pair<bool, std::string_view>;
    const auto compare = [&](std::string table, std::initializer_list<Key> keys) {
        std::string differing;
        for (const auto& [differs, key] : keys) {
            if (differs) differing.append(differing.empty() ? "" : ", ").append(key);
        }
        if (differing.empty()) return;
        changes.push_back({std::move(table), PlannedChange::What::adjust, std::move(differing)});
    };
    compare("[project]", {{a.directory != b.directory, "directory"}, {a.parallel != b.parallel, "parallel"}});
    compare("[control]", {{a.read != b.read, "read"}, {a.operate != b.operate, "operate"}});
    const EventsSpec &before = a.events.or_default(), &after = b.events.or_default();
    compare("[events]",
            {{before.max_size != after.max_size, "max-size"}, {before.max_age != after.max_age, "max-age"}});
}

}  // namespace

bool needs_restart(const ServiceSpec& a, const ServiceSpec& b) {
    const bool same = a.kind == b.kind && a.command == b.command && a.directory == b.directory &&
                      a.environment == b.environment && a.sockets == b.sockets && a.identity == b.identity &&
                      a.limits == b.limits && a.sandbox == b.sandbox && a.log == b.log && a.oci == b.oci &&
                      a.watchdog == b.watchdog && (a.fd_store_max > 0) == (b.fd_store_max > 0) &&
                      a.ready.or_default().probe == b.ready.or_default().probe;
    return !same;
}

Result<std::vector<PlannedChange>> Engine::plan(const Configuration& configuration, bool dynamic) const {
    const std::vector<Problem> problems = validate(merged(*this, configuration, dynamic));
    if (!problems.empty()) return fail(ErrorKind::refused, in_words(problems), "nothing was changed");
    std::vector<PlannedChange> changes;
    for (const ServiceSpec& spec : configuration.services) {
        const Service* service = find(spec.name);
        if (service == nullptr || service->removed) {
            changes.push_back({spec.name, PlannedChange::What::define, spec.autostart ? "and start" : ""});
            continue;
        }
        const ServiceSpec before = service->runs.empty() ? spec_of(*service) : spec_of(service->runs.back());
        if (without_position(before) == without_position(spec)) continue;
        const bool restart = !service->runs.empty() && needs_restart(before, spec);
        changes.push_back({spec.name, restart ? PlannedChange::What::restart : PlannedChange::What::adjust,
                           differing_keys(before, spec)});
    }
    if (dynamic) return changes;
    plan_instance(instance_.spec, configuration.instance, changes);
    std::set<std::string_view> named;
    for (const ServiceSpec& spec : configuration.services) named.insert(spec.name);
    for (const Slot slot : by_name_) {
        const Service& service = nodes_[slot].service;
        if (!named.contains(service.name) && !service.dynamic && !service.removed) {
            changes.push_back({service.name, PlannedChange::What::forget, service.runs.empty() ? "" : "and stop"});
        }
    }
    return changes;
}

void Machine::on(const in::Configured& in) {
    Operation& op = new_operation(Verb::apply, in.requester, {});
    op.ticket = in.ticket;
    if (in.requester.permission < Permission::administer) {
        return end_operation(op, Outcome::not_permitted, "only who administers may change the configuration");
    }
    if (e_.instance_.shutting_down) return end_operation(op, Outcome::refused, "the instance is stopping");
    apply(in, op);
}

void Machine::apply(const in::Configured& in, Operation& op) {
    const std::vector<Problem> problems = validate(merged(e_, in.configuration, in.dynamic));
    if (!problems.empty()) return end_operation(op, Outcome::refused, in_words(problems));
    std::set<std::string> named;
    for (const ServiceSpec& spec : in.configuration.services) {
        named.insert(spec.name);
        define(spec, in.dynamic);
    }
    std::vector<Slot> forgotten;
    if (!in.dynamic) {
        const std::string name = e_.instance_.spec.name;
        e_.instance_.spec = in.configuration.instance;
        e_.instance_.spec.name = name;
        for (const Slot slot : e_.by_name_) {
            if (!named.contains(node(slot).service.name) && !node(slot).service.dynamic) forgotten.push_back(slot);
        }
    }
    // By the new edges: who leaned on what is forgotten and does no longer has nothing to do with it.
    e_.rebuild_edges();
    for (const Slot slot : forgotten) {
        set_down(slot, Reason::removed, "the configuration", false);
        node(slot).service.removed = true;
        touch(slot);
    }
    e_.instance_.configuration += 1;
    e_.instance_changed_ = true;
    for (Slot slot = 0; slot < e_.nodes_.size(); ++slot) {
        if (!node(slot).live) continue;
        queue(slot);
        const Service& s = node(slot).service;
        const bool starts = s.enabled && !s.held && !s.removed && !spec(e_, node(slot)).is_template;
        if (starts && s.want == Want::down && !s.last_run && named.contains(s.name)) {
            set_up(slot, Reason::autostart, "the configuration");
        }
    }
    end_operation(op, Outcome::done);
}

void Machine::define(const ServiceSpec& spec, bool dynamic) {
    const std::uint64_t hash = spec_hash(spec);
    Slot slot = 0;
    Node* n = find(spec.name, &slot);
    e_.use_spec(hash, spec);
    if (n == nullptr) {
        Service service;
        service.name = spec.name;
        service.spec = hash;
        service.enabled = spec.autostart;
        service.dynamic = dynamic;
        service.since = now_.wall;
        slot = e_.add_node(std::move(service));
        touch(slot);
        return;
    }
    Service& s = n->service;
    s.removed = false;
    s.dynamic = dynamic;
    if (s.spec == hash) return;
    const ServiceSpec before = e_.spec_of(s);
    s.spec = hash;
    if (before.autostart != spec.autostart) s.enabled = spec.autostart;
    touch(slot);
    Run* run = run_of(*n);
    if (run == nullptr) {
        // Something was mended: what had failed gets another chance.
        const bool meant = !(without_position(before) == without_position(spec));
        if (meant && s.want == Want::up && (s.state == State::failed || s.state == State::backoff)) {
            set_up(slot, Reason::config_changed, "the configuration");
        }
        return;
    }
    if (needs_restart(run_spec(*run), spec)) {
        if (s.want == Want::up) restart(slot, Reason::config_changed, "the configuration");
        return;
    }
    if (run->state == State::stopping) return;  // it ends by the rules that it began to end by
    run->spec = hash;
    if (run->ready && spec.health && !run->health_probe_at && run->probe == 0) run->health_probe_at = now_.mono;
    if (!spec.health) forget_health(slot);
}

void Machine::forget(Slot slot) {
    const Node& n = node(slot);
    publish(slot, EventType::service_removed);
    queue_neighbours(slot);
    for (const OperationId id : n.operations) reviews_.push_back(id);
    e_.parked_.erase(slot);
    e_.removed_.push_back(n.service.name);
    e_.remove_node(slot);
}

}  // namespace abide::core
