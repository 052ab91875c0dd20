// tests/unit/journal/small_journal.hpp -- the life of a small instance as its manager would journal it, batch by batch.
#pragma once

#include <string>
#include <vector>

#include "journal/compact.hpp"
#include "model/codec.hpp"

namespace abide::test {

inline model::ServiceSpec spec_named(std::string name) {
    model::ServiceSpec spec;
    spec.name = std::move(name);
    spec.command.argv = {"/bin/sleep", "1000"};
    spec.environment = {{"TOKEN", "from-the-specification"}};
    spec.stop.ensure().timeout = seconds(3);
    return spec;
}

inline model::Service running(const model::ServiceSpec& spec, std::uint64_t spawn) {
    model::Service service;
    service.name = spec.name;
    service.spec = model::spec_hash(spec);
    service.want = model::Want::up;
    service.state = model::State::starting;
    service.last_run = RunNumber{1};
    model::Run run;
    run.number = RunNumber{1};
    run.spec = service.spec;
    run.processes.emplace_back().spawn = SpawnId{spawn};
    run.started = {1'000'000'000};
    service.runs.push_back(run);
    return service;
}

inline std::string pid_bytes(Epoch epoch, SpawnId spawn, std::int32_t pid) {
    journal::PidRecord record = journal::PidRecord::prepare(epoch, spawn);
    record.complete(pid);
    return {reinterpret_cast<const char*>(record.bytes.data()), record.bytes.size()};
}

// Each element is what one write(2) appended.
inline std::vector<std::string> small_journal() {
    std::vector<std::string> writes;
    journal::Writer writer(Epoch{1});
    const auto write = [&] { writes.emplace_back(writer.take()); };

    writer.append_header(journal::own_header("0.1.0"));
    writer.append_boot({.boot_id = "5f0c",
                        .started = {1'795'251'600'000'000'000},
                        .started_boot = {77},
                        .runtime = "/run/abide",
                        .cgroup = {}});
    writer.append_environment({{{"PATH", "/usr/bin"}, {"SECRET", "hunter2"}, {"BYTES", "\xff\x01"}}});
    model::Instance instance;
    instance.spec.name = "shop";
    instance.configuration = 1;
    writer.append_instance(instance);
    write();

    const model::ServiceSpec db = spec_named("db"), api = spec_named("api@1");
    writer.append_spec(model::spec_hash(db), db);
    writer.append_spec(model::spec_hash(api), api);
    model::Service service = running(db, 1);
    instance.last_spawn = SpawnId{1};
    writer.append_service(service);
    writer.append_instance(instance);
    write();

    writes.push_back(pid_bytes(Epoch{1}, SpawnId{1}, 4711));

    service.state = model::State::running;
    service.runs[0].processes[0].state = model::ProcessState::alive;
    service.runs[0].processes[0].pid = 4711;
    writer.append_service(service);
    model::Operation operation;
    operation.id = OperationId{1};
    operation.targets.push_back({.name = "db", .outcome = model::Outcome::done, .run = RunNumber{1}, .detail = {}});
    writer.append_operation(operation);
    writer.append_service(running(api, 2));
    writer.append_descriptor(
        {.key = FdKey{0x1000'0000'0000'0007}, .purpose = "log", .service = "db", .run = RunNumber{1}, .name = {}});
    write();

    writes.push_back(pid_bytes(Epoch{1}, SpawnId{2}, 4712));
    writer.append_removed_operation(OperationId{1});
    writer.append_removed_service("api@1");
    writer.append_removed_spec(model::spec_hash(api));
    write();
    return writes;
}

inline std::string joined(const std::vector<std::string>& writes) {
    std::string all;
    for (const std::string& write : writes) all += write;
    return all;
}

// What was read, without the counters that differ between a journal and its compaction.
inline std::string facts(journal::Recovered recovered) {
    recovered.statistics = {};
    recovered.last_epoch = {};
    recovered.last_sequence = 0;
    recovered.problems.clear();
    return journal::dump(recovered);
}

}  // namespace abide::test
