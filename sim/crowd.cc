// sim/crowd.cc -- see crowd.hpp.
#include "crowd.hpp"

#include <cstdio>
#include <vector>

#include "base/limits.hpp"
#include "model/codec.hpp"
#include "world.hpp"

namespace abide::sim {

using namespace model;

namespace {

constexpr std::size_t kClients = limits::kOperationsKept + 44;
constexpr std::size_t kSeeds = 3;

// One that is ready some time after its start, and one that waits for it.
Configuration slow_and_its_dependent() {
    Configuration configuration;
    ServiceSpec slow;
    slow.name = "slow";
    slow.command.argv = {"slow"};
    slow.autostart = false;
    slow.ready = Box(ReadySpec{});
    slow.ready->probe.kind = ProbeKind::notify;
    ServiceSpec api = slow;
    api.name = "api";
    api.dependencies.push_back({Relation::requires_, "slow", Await::ready, OnLoss::ignore});
    configuration.services = {api, slow};
    return configuration;
}

// Those who wait for a start, and among them some whose answer comes at once.
std::vector<OperationId> ask(World& world) {
    std::vector<OperationId> asked;
    for (std::size_t i = 0; i < kClients; ++i) {
        world.ask(Verb::start, {i % 2 == 0 ? "slow" : "api"});
        asked.push_back(world.engine().instance().last_operation);
        if (i % 16 != 0) continue;
        world.ask(Verb::enable, {"api"});
        asked.push_back(world.engine().instance().last_operation);
    }
    return asked;
}

std::string unanswered(const World& world, const std::vector<OperationId>& asked) {
    for (const OperationId id : asked) {
        const auto replies = world.replies().find(id);
        if (replies == world.replies().end()) return "operation " + std::to_string(id.value) + " was never answered";
        if (replies->second != 1) return "operation " + std::to_string(id.value) + " was answered twice";
    }
    return {};
}

}  // namespace

std::string crowd() {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        World world(seed, slow_and_its_dependent(), Faults::none());
        const std::vector<OperationId> asked = ask(world);
        if (world.violation().empty() && world.engine().operations().size() < kClients)
            return "those who wait for a start were not to be answered yet";
        const Mono since = world.now().mono;
        while (world.now().mono < since + seconds(60) && world.advance()) {}
        if (!world.violation().empty()) return world.violation();
        if (std::string problem = unanswered(world, asked); !problem.empty()) return problem;
    }
    std::printf("abide-sim: a crowd of %zu clients is answered\n", kClients);
    return {};
}

}  // namespace abide::sim
