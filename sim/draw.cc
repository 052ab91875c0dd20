// sim/draw.cc -- a small configuration from a seed: services, tasks and groups, dependencies of every kind, without
// cycles.
#include "world.hpp"

namespace abide::sim {

using namespace model;

namespace {

void draw_readiness(Random& random, ServiceSpec& spec) {
    ReadySpec ready;
    switch (random.below(6)) {
        case 0: ready.probe.kind = ProbeKind::notify; break;
        case 1: ready.probe.kind = ProbeKind::fd; break;
        case 2: ready.probe.kind = ProbeKind::tcp; break;
        case 3: ready.probe.kind = ProbeKind::exec; break;
        case 4:
            ready.probe.kind = ProbeKind::delay;
            ready.probe.delay = milliseconds(50);
            break;
        default: return;
    }
    ready.timeout = seconds(3);
    spec.ready = Box(ready);
}

void draw_hooks(Random& random, ServiceSpec& spec) {
    Hooks hooks;
    const auto commands = [&](std::vector<Command>& list) {
        for (std::uint64_t n = random.below(3); n > 0; --n) list.push_back({{"hook"}});
    };
    commands(hooks.pre_start);
    commands(hooks.post_start);
    commands(hooks.pre_stop);
    commands(hooks.post_stop);
    hooks.timeout = seconds(2);
    spec.hooks = Box(hooks);
}

void draw_rules(Random& random, ServiceSpec& spec) {
    spec.restart = static_cast<RestartPolicy>(random.below(3));
    RestartSpec restart;
    restart.limit_count = static_cast<std::uint32_t>(random.below(6));
    restart.reset_after = seconds(static_cast<std::int64_t>(random.below(5)));
    spec.restart_delay = Box(restart);
    StopSpec stop;
    stop.timeout = seconds(static_cast<std::int64_t>(1 + random.below(3)));
    if (random.one_in(8)) stop.final_ = StopFinal::never;
    stop.scope = static_cast<StopScope>(random.below(3));
    if (random.one_in(4)) stop.command.argv = {"stop"};
    spec.stop = Box(stop);
    if (random.one_in(3)) {
        HealthSpec health;
        health.every = seconds(1);
        health.failures = 2;
        health.action = static_cast<HealthAction>(random.below(3));
        health.probe.kind = random.one_in(2) ? ProbeKind::http : ProbeKind::exec;
        spec.health = Box(health);
    }
    if (random.one_in(4)) spec.reload = Box(ReloadSpec{.signal = 1, .command = {}, .timeout = seconds(2)});
    if (random.one_in(12)) spec.essential = true;
    if (random.one_in(4)) spec.fd_store_max = static_cast<std::uint32_t>(1 + random.below(2));
    spec.autostart = !random.one_in(5);
}

}  // namespace

Configuration draw_configuration(Random& random) {
    Configuration out;
    out.instance.name = "sim";
    out.instance.parallel = random.one_in(3) ? static_cast<std::uint32_t>(1 + random.below(3)) : 0;
    const std::uint64_t count = 1 + random.below(7);
    for (std::uint64_t i = 0; i < count; ++i) {
        ServiceSpec spec;
        spec.name = std::string(1, static_cast<char>('a' + i));
        spec.command.argv = {"program"};
        if (random.one_in(5))
            spec.kind = Kind::task;
        else if (random.one_in(8))
            spec.kind = Kind::group;
        if (spec.kind != Kind::group && random.one_in(4)) spec.oci = Box(Oci{"/bundle", "crun"});
        if (spec.kind == Kind::service) draw_readiness(random, spec);
        if (spec.kind != Kind::group && random.one_in(3)) draw_hooks(random, spec);
        draw_rules(random, spec);
        if (spec.kind == Kind::group) spec.health.reset();
        for (std::uint64_t j = 0; j < i; ++j) {
            if (!random.one_in(3)) continue;
            const ServiceSpec& target = out.services[j];
            Dependency d;
            d.target = target.name;
            d.relation = static_cast<Relation>(random.below(7));
            if (d.relation == Relation::before) d.relation = Relation::after;  // would close a cycle
            if (d.relation == Relation::conflicts && !random.one_in(4)) d.relation = Relation::requires_;
            const bool hard = d.relation == Relation::requires_ || d.relation == Relation::binds_to;
            if (target.kind == Kind::task && hard)
                d.await = random.one_in(2) ? Await::succeeded : Await::completed;
            else if (target.health && random.one_in(2))
                d.await = Await::healthy;
            else if (random.one_in(4))
                d.await = random.one_in(2) ? Await::started : Await::none;
            d.on_loss = static_cast<OnLoss>(random.below(5));
            spec.dependencies.push_back(d);
        }
        out.services.push_back(std::move(spec));
    }
    return out;
}

}  // namespace abide::sim
