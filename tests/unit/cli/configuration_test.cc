// What `check` and `up` say of limits for which the machine has no controller: a line a kind.
#include "cli/configuration.hpp"

#include <gtest/gtest.h>

namespace abide::cli {
namespace {

model::ServiceSpec limited(const char* name, std::uint32_t line, std::uint64_t memory, std::uint64_t pids) {
    model::ServiceSpec spec;
    spec.name = name;
    spec.source = {"abide.toml", line, 1};
    spec.limits.ensure().memory_max = memory;
    spec.limits->pids_max = pids;
    return spec;
}

TEST(Limits, AreToldOnceAKindWhereNoControllerIs) {
    model::Configuration configuration;
    configuration.services = {limited("api", 1, 0, 0), limited("db", 2, 1 << 20, 10), limited("web", 3, 1 << 20, 0)};
    EXPECT_TRUE(limits_without_controller(configuration, {"cpu", "memory", "pids"}).empty());
    const auto pids = limits_without_controller(configuration, {"memory"});
    ASSERT_EQ(pids.size(), 1u);
    EXPECT_EQ(config::format(pids[0]),
              "abide.toml:2:1: warning: db: limits.pids-max would not be in force: no pids controller for control "
              "groups made from here; see `limits` in abide.toml(5)");
    const auto all = limits_without_controller(configuration, {});
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].text.substr(0, all[0].text.find(": no")),
              "db: limits.memory-max would not be in force, nor that of 1 more");
    EXPECT_EQ(all[0].severity, config::Severity::warning);
}

}  // namespace
}  // namespace abide::cli
