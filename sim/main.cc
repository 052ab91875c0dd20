// sim/main.cc -- abide-sim: many seeds, each a small world with faults of its own.
//
//   abide-sim [--seeds N] [--seconds S] [--seed X [--trace]]
//   abide-sim --states         prints the table of all states and inputs (docs/states.md)
//   abide-sim --matrix         runs every cell of the matrix and prints its page (docs/matrix.md)
//   abide-sim --cell "NAME"    one cell, with its two stories
// First any faults (safety: every invariant after every step), then none (liveness: all must converge in bounded time).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/graph.hpp"
#include "crowd.hpp"
#include "exhaust.hpp"
#include "matrix.hpp"
#include "model/text.hpp"
#include "states.hpp"
#include "world.hpp"

namespace abide::sim {

using namespace model;

namespace {

constexpr std::uint64_t kFaultyEvents = 400, kCalmEvents = 6000;

void disturb(World& world, const Configuration& configuration) {
    Random& random = world.random();
    if (!random.one_in(12)) return;
    const std::string& name = configuration.services[random.below(configuration.services.size())].name;
    constexpr Verb kVerbs[] = {Verb::start, Verb::stop,          Verb::restart, Verb::reload,
                               Verb::kill,  Verb::force_destroy, Verb::pause,   Verb::unpause,
                               Verb::start, Verb::restart,       Verb::start,   Verb::create};
    const Verb verb = kVerbs[random.below(std::size(kVerbs))];
    world.ask(verb, {name}, random.one_in(3) ? seconds(2) : Duration{});
    if (random.one_in(200)) world.ask(Verb::shutdown, {}, random.one_in(2) ? seconds(5) : Duration{});
    if (random.one_in(30))
        world.give(in::Configured{draw_configuration(random), false, {0, 0, 0, Permission::administer}});
}

// What is true of every service once the world has been calm for long.
std::string restless(const World& world) {
    // Who must never be killed may hold up those that stop after it, for as long as it likes.
    for (const Service* s : world.engine().services()) {
        if (s->state != State::stopping) continue;
        if (world.engine().spec_of(s->runs.back()).stop.or_default().final_ == StopFinal::never) return {};
    }
    for (const Service* s : world.engine().services()) {
        const std::string text = s->name + " is " + to_text(s->state);
        if (s->want == Want::down && !s->runs.empty()) {
            const ServiceSpec& spec = world.engine().spec_of(s->runs.back());
            if (spec.stop.or_default().final_ != StopFinal::never) {
                const std::vector<std::string> waits = world.engine().waiting_for(*s);
                return text + " though wanted down" + (waits.empty() ? "" : ", waits for " + waits[0]);
            }
        }
        if (s->state == State::waiting && world.engine().waiting_for(*s).empty())
            return text + " and waits for nothing";
        if (s->want == Want::up && s->state == State::inactive) return text + " though wanted up";
        if (s->state == State::starting || s->state == State::stopping) {
            if (s->runs.back().stage_deadline || world.engine().spec_of(*s).kind == Kind::task) continue;
            if (!world.engine().waiting_for(*s).empty()) continue;
            return text + " for ever";
        }
    }
    for (const auto& [id, op] : world.engine().operations()) {
        if (op.outcome != Outcome::pending && world.replies().contains(id) && world.replies().at(id) > 1) {
            return "operation " + std::to_string(id.value) + " was answered twice";
        }
    }
    return {};
}

std::string run_seed(std::uint64_t seed, bool trace) {
    Random random(seed);
    const Configuration configuration = draw_configuration(random);
    if (!core::validate(configuration).empty()) return {};
    World world(seed, configuration, Faults::draw(random));
    world.trace = trace;
    for (std::uint64_t i = 0; i < kFaultyEvents && world.advance(); ++i) disturb(world, configuration);
    if (!world.violation().empty()) return world.violation();
    world.set_faults(Faults::none());
    for (const Service* s : world.engine().services()) {
        if (!s->runs.empty() && s->runs.back().paused) world.ask(Verb::unpause, {s->name});
    }
    const Mono calm_since = world.now().mono;
    std::uint64_t events = 0;
    while (events < kCalmEvents && world.now().mono < calm_since + seconds(300) && world.advance()) ++events;
    if (!world.violation().empty()) return world.violation();
    if (world.ended()) return {};
    std::string problem = restless(world);
    if (!problem.empty()) return "liveness: " + problem;
    world.ask(Verb::shutdown, {}, seconds(20));
    for (std::uint64_t i = 0; i < kCalmEvents && world.advance(); ++i) {}
    if (!world.violation().empty()) return world.violation();
    if (world.ended()) return {};
    for (const Service* s : world.engine().services()) {
        if (!s->runs.empty() && world.engine().spec_of(s->runs.back()).stop.or_default().final_ == StopFinal::never)
            return {};
    }
    return "liveness: the instance does not end";
}

constexpr std::size_t kShownBytes = 6000;

int print(const std::string& page) {
    std::fwrite(page.data(), 1, page.size(), stdout);
    return 0;
}

int matrix() {
    const MatrixResult result = run_matrix();
    if (!result.failures.empty()) {
        const auto failed = std::count(result.failures.begin(), result.failures.end(), '\n');
        std::fprintf(stderr, "%s\nabide-sim: %ld of %zu cells fail; abide-sim --cell \"NAME\" shows one\n",
                     result.failures.substr(0, kShownBytes).c_str(), static_cast<long>(failed), result.cells);
        return 1;
    }
    return print(result.page);
}

int cell(const char* name) {
    const MatrixResult result = run_matrix(name);
    std::fprintf(stderr, "%s", result.failures.c_str());
    return result.cells == 1 && result.failures.empty() ? 0 : 1;
}

}  // namespace
}  // namespace abide::sim

int main(int argc, char** argv) {
    if (argc == 2 && std::strcmp(argv[1], "--states") == 0) return abide::sim::print(abide::sim::state_table());
    if (argc == 2 && std::strcmp(argv[1], "--matrix") == 0) return abide::sim::matrix();
    if (argc == 3 && std::strcmp(argv[1], "--cell") == 0) return abide::sim::cell(argv[2]);
    std::uint64_t seeds = 3000, first = 1, depth = 5;
    double seconds = 1e9;
    bool trace = false, exhaust = true;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const char* value = i + 1 < argc ? argv[i + 1] : "0";
        if (word == "--seeds")
            seeds = std::strtoull(value, nullptr, 10), ++i;
        else if (word == "--seconds")
            seconds = std::strtod(value, nullptr), ++i;
        else if (word == "--seed")
            first = std::strtoull(value, nullptr, 10), seeds = 1, exhaust = false, ++i;
        else if (word == "--first")
            first = std::strtoull(value, nullptr, 10), ++i;
        else if (word == "--depth")
            depth = std::strtoull(value, nullptr, 10), ++i;
        else if (word == "--trace")
            trace = true;
        else {
            std::fprintf(stderr,
                         "usage: abide-sim [--seeds N] [--seconds S] [--first X] [--depth D] [--seed X [--trace]]\n");
            return 2;
        }
    }
    if (exhaust) {
        const std::string problem = abide::sim::exhaust(static_cast<int>(depth));
        if (!problem.empty()) {
            std::fprintf(stderr, "abide-sim: exhaustive search: %s\n", problem.c_str());
            return 1;
        }
        if (const std::string crowded = abide::sim::crowd(); !crowded.empty()) {
            std::fprintf(stderr, "abide-sim: a crowd of clients: %s\n", crowded.c_str());
            return 1;
        }
    }
    const auto start = std::chrono::steady_clock::now();
    std::uint64_t done = 0;
    for (; done < seeds; ++done) {
        if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > seconds) break;
        const std::string problem = abide::sim::run_seed(first + done, trace);
        if (problem.empty()) continue;
        std::fprintf(stderr, "abide-sim: seed %llu: %s\nreplay: abide-sim --seed %llu --trace\n",
                     static_cast<unsigned long long>(first + done), problem.c_str(),
                     static_cast<unsigned long long>(first + done));
        return 1;
    }
    std::printf("abide-sim: %llu seeds, no violation\n", static_cast<unsigned long long>(done));
    return 0;
}
