// tests/golden.cc -- journals of every situation that a life passes through (sim/life.hpp), kept for ever.
//
//   abide-golden FOLDER [--every-situation]      ABIDE_WRITE=1 adds what is missing; none is ever written again
// Every journal in the folder is read as it was when it was written, and a manager that comes back with it, and finds
// all processes alive, starts and signals nobody.  --every-situation: each one of today has its journal there.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>

#include "journal/compact.hpp"
#include "journal/reader.hpp"
#include "sim/life.hpp"

namespace abide::sim {

using namespace model;

namespace {

namespace fs = std::filesystem;

constexpr char kVersion[] = "0.1.0";

std::string slurp(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string image_of(const core::Engine& engine) {
    const core::Snapshot snapshot = engine.snapshot();
    const journal::BootRecord boot{"5f0c", {1'700'000'000'000'000'000}, {77}, "/run/abide", {}};
    journal::Live live;
    live.instance = &snapshot.instance;
    live.specs = &snapshot.specs;
    for (const Service& service : snapshot.services) live.services.push_back(&service);
    for (const Operation& operation : snapshot.operations) live.operations.push_back(&operation);
    live.boot = &boot;
    live.program = kVersion;
    journal::Writer writer(Epoch{1});
    return std::string(journal::compact(writer, live));
}

std::string file_name(const std::string& situation) {
    std::string name = "0.1-life-";
    for (const char c : situation) {
        if (c == ',') continue;
        name += c == ' ' ? '-' : c;
    }
    return name;
}

// A manager that comes back and finds everything alive has nothing to start and nobody to signal.
std::string first_decisions(journal::Recovered recovered) {
    if (!recovered.instance) return {};
    core::Engine engine({std::move(*recovered.instance), std::move(recovered.specs), std::move(recovered.services),
                         std::move(recovered.operations)});
    in::Recovered found;
    for (const Service* service : engine.services()) {
        for (const Run& run : service->runs) {
            for (const Process& process : run.processes)
                found.processes.push_back({process.spawn, true, false, 100, 1});
        }
    }
    const Mono now{seconds(1000).ns};
    for (const Effect& effect : engine.step(found, {now, {now.ns}, {now.ns}})) {
        if (const auto* fx = std::get_if<out::Spawn>(&effect)) return "starts " + fx->service;
        if (const auto* fx = std::get_if<out::Signal>(&effect)) return "signals " + fx->service;
    }
    return {};
}

std::string check_golden(const std::string& folder, bool every, bool write, std::size_t& count) {
    std::string wrong;
    std::set<std::string> seen;
    for (Life life("s", Tracking::sessions); life.advance() && !life.ended();) {
        const std::string name = file_name(life.situation());
        if (!seen.insert(name).second) continue;
        const fs::path journal = fs::path(folder) / (name + ".journal"), dump = fs::path(folder) / (name + ".dump");
        if (write && !fs::exists(journal)) {
            const std::string image = image_of(life.engine());
            std::ofstream(journal, std::ios::binary) << image;
            std::ofstream(dump, std::ios::binary) << journal::dump(journal::read(image));
        }
        if (every && !fs::exists(journal)) wrong += journal.string() + " is missing: ABIDE_WRITE=1 adds it\n";
    }
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() != ".journal") continue;
        count += 1;
        journal::Recovered recovered = journal::read(slurp(entry.path()));
        fs::path dump = entry.path();
        if (journal::dump(recovered) != slurp(dump.replace_extension(".dump")))
            wrong += entry.path().string() + " is not read as it was\n";
        if (!entry.path().filename().string().starts_with("0.1-life-")) continue;
        if (!recovered.problems.empty()) wrong += entry.path().string() + ": " + recovered.problems[0] + "\n";
        const std::string does = first_decisions(std::move(recovered));
        if (!does.empty()) wrong += entry.path().string() + ": the manager that comes back " + does + "\n";
    }
    return wrong;
}

}  // namespace
}  // namespace abide::sim

int main(int argc, char** argv) {
    const bool every = argc == 3 && std::string_view(argv[2]) == "--every-situation";
    if (argc != 2 && !every) {
        std::fprintf(stderr, "usage: abide-golden FOLDER [--every-situation]\n");
        return 2;
    }
    std::size_t count = 0;
    const std::string wrong = abide::sim::check_golden(argv[1], every, std::getenv("ABIDE_WRITE") != nullptr, count);
    std::fprintf(stderr, "%s", wrong.c_str());
    std::printf("%zu golden journals\n", count);
    return wrong.empty() && count > 0 ? 0 : 1;
}
