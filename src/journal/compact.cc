// journal/compact.cc -- see the header.
#include "journal/compact.hpp"

#include "base/check.hpp"

namespace abide::journal {
namespace {

Live live_of(const Recovered& recovered, std::string_view program) {
    Live live;
    if (recovered.instance) live.instance = &*recovered.instance;
    live.specs = &recovered.specs;
    for (const model::Service& service : recovered.services) live.services.push_back(&service);
    for (const model::Operation& operation : recovered.operations) live.operations.push_back(&operation);
    live.environment = &recovered.environment;
    if (recovered.boot) live.boot = &*recovered.boot;
    live.descriptors = &recovered.descriptors;
    live.events = &recovered.events;
    live.pids = &recovered.pids;
    live.program = program;
    return live;
}

std::string first_difference(std::string_view wanted, std::string_view found) {
    if (wanted.size() > found.size()) return "something is missing";
    if (wanted.size() < found.size()) return "something is there that should not be";
    return "something differs";
}

}  // namespace

std::string_view compact(Writer& writer, const Live& live) {
    CHECK(writer.empty(), "an image is compacted within a batch");
    writer.append_header(live.header ? *live.header : own_header(live.program));
    if (live.boot) writer.append_boot(*live.boot);
    if (live.instance) writer.append_instance(*live.instance);
    if (live.environment && !live.environment->variables.empty()) writer.append_environment(*live.environment);
    if (live.descriptors) {
        for (const auto& [key, descriptor] : *live.descriptors) writer.append_descriptor(descriptor);
    }
    if (live.specs) {
        for (const auto& [hash, spec] : *live.specs) writer.append_spec(hash, spec);
    }
    for (const model::Service* service : live.services) writer.append_service(*service);
    for (const model::Operation* operation : live.operations) writer.append_operation(*operation);
    if (live.events && !live.events->lines.empty()) writer.append_events(*live.events);
    writer.append_kept();
    if (live.pids) {
        for (const auto& [spawn, entry] : *live.pids) writer.append_pid(entry);
    }
    return writer.take();
}

std::string_view compact(Writer& writer, const Recovered& recovered, std::string_view program) {
    return compact(writer, live_of(recovered, program));
}

Status verify(std::string_view image, std::string_view written, const Live& live, const Take& take) {
    if (written != image) {
        return fail(ErrorKind::failed,
                    "the compacted journal is not what it should be: " + first_difference(written, image));
    }
    const Recovered recovered = read(image, take);
    if (!recovered.problems.empty())
        return fail(ErrorKind::failed, "the compacted journal: " + recovered.problems.front());
    if (recovered.statistics.records == 0) return fail(ErrorKind::failed, "the compacted journal is empty");
    const Frame first = read_frame(std::as_bytes(std::span(image.data(), image.size())).data());
    // Written again from what was read it must be the same to the byte.
    Writer again(Epoch{first.epoch}, first.sequence - 1, recovered.kept);
    Live found = live_of(recovered, live.program);
    found.header = live.header;
    const std::string_view copy = compact(again, found);
    if (copy != image) {
        return fail(ErrorKind::failed,
                    "the compacted journal does not read as it was written: " + first_difference(image, copy));
    }
    return {};
}

}  // namespace abide::journal
