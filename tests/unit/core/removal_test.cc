// Goal: what removed services leave behind is as if they had never been there: edges, and places in memory.
#include <gtest/gtest.h>

#include <random>

#include "driver.hpp"

namespace abide::test {
namespace {

std::string name_of(std::size_t i) {
    return "s" + std::to_string(i);
}

// Some of `most` services, which lean on those before them.
Configuration drawn(std::mt19937& random, std::size_t most) {
    Configuration configuration;
    configuration.instance.name = "test";
    const auto below = [&](std::size_t n) { return random() % n; };
    for (std::size_t i = 0; i < most; ++i) {
        if (below(2) == 0) continue;
        ServiceSpec spec = service(name_of(i));
        spec.autostart = below(2) == 0;
        if (below(3) == 0) spec.ready.ensure().probe.kind = ProbeKind::notify;
        for (std::size_t n = i == 0 ? 0 : below(4); n > 0; --n) {
            const std::string target = name_of(below(i));
            const bool earlier = std::ranges::count(configuration.services, target, &ServiceSpec::name) != 0;
            constexpr Relation kSoft[] = {Relation::wants, Relation::after, Relation::conflicts};
            const Relation relation = earlier && below(2) == 0 ? Relation::requires_ : kSoft[below(3)];
            if (std::ranges::count(spec.dependencies, target, &Dependency::target) != 0) continue;
            spec.dependencies.push_back({relation, target, Await::ready, OnLoss::ignore});
        }
        configuration.services.push_back(std::move(spec));
    }
    return configuration;
}

// What edges mean, either way round: who waits for whom to start, and to stop.
void expect_same_edges(const core::Engine& engine) {
    const core::Engine rebuilt(engine.snapshot());
    for (const Service* one : engine.services()) {
        EXPECT_EQ(engine.waiting_for(*one), rebuilt.waiting_for(*rebuilt.find(one->name))) << one->name;
    }
}

void configure(Driver& d, Configuration configuration) {
    d.give(in::Configured{std::move(configuration), false, {0, 0, 0, Permission::administer}, {}});
}

TEST(Removal, EdgesAreThoseOfWhatIsLeft) {
    std::mt19937 random(7);
    constexpr std::size_t kMost = 24;
    for (int world = 0; world < 40; ++world) {
        Driver d({});
        d.boot();
        d.kills = world % 2 == 0;  // else everything that stops goes on stopping
        for (int round = 0; round < 12; ++round) {
            configure(d, drawn(random, kMost));
            d.ask(Verb::start, {name_of(random() % kMost)});
            expect_same_edges(d.engine);
            d.ask(Verb::stop, {name_of(random() % kMost)});
            expect_same_edges(d.engine);
        }
        EXPECT_LE(d.engine.slots(), kMost);
    }
}

TEST(Removal, APlaceIsUsedAgain) {
    Driver d({service("base")});
    d.boot();
    const std::size_t before = d.engine.slots();
    for (std::size_t i = 0; i < 100; ++i) {
        Configuration one;
        one.services = {service("worker@" + std::to_string(i))};
        one.services.front().dependencies = {needs("base")};
        d.give(in::Configured{one, true, {0, 0, 0, Permission::administer}, {}});
        ASSERT_EQ(d.state("worker@" + std::to_string(i)), "running");
        const core::Changes added = d.engine.take_changes();
        EXPECT_EQ(std::ranges::count(added.services, "worker@" + std::to_string(i)), 1);
        d.ask(Verb::remove, {"worker@" + std::to_string(i)});
        ASSERT_EQ(d.state("worker@" + std::to_string(i)), "gone");
        if (i % 2 == 0) continue;
        const core::Changes removed = d.engine.take_changes();
        EXPECT_EQ(std::ranges::count(removed.removed_services, "worker@" + std::to_string(i)), 1);
    }
    EXPECT_EQ(d.engine.slots(), before + 1);
    d.engine.take_changes();
    d.engine.release_memory();
    EXPECT_EQ(d.engine.slots(), before);
    EXPECT_EQ(d.state("base"), "running");
}

// Those before it in the list still have edges to one another, and none to it.
TEST(Removal, OneThatManyLeanOn) {
    Configuration all;
    all.services = {service("hub")};
    for (std::size_t i = 0; i < 50; ++i) {
        all.services.push_back(service(name_of(i)));
        all.services.back().dependencies = {{Relation::wants, "hub", Await::ready, OnLoss::ignore}};
        if (i > 0) all.services.back().dependencies.push_back(needs(name_of(i - 1)));
    }
    Driver d({});
    d.boot();
    configure(d, all);
    EXPECT_EQ(d.state(name_of(49)), "running");
    all.services.erase(all.services.begin());
    configure(d, all);
    EXPECT_EQ(d.state("hub"), "gone");
    expect_same_edges(d.engine);
    d.kills = false;
    d.ask(Verb::stop, {name_of(0)});
    expect_same_edges(d.engine);
    EXPECT_EQ(d.engine.waiting_for(*d.engine.find(name_of(0))),
              std::vector<std::string>{name_of(1) + " to stop first"});
}

}  // namespace
}  // namespace abide::test
