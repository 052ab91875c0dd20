// journal/dump.cc -- what a journal says, as text.  Values of the environment never appear.
#include <string>

#include "base/text.hpp"
#include "journal/reader.hpp"
#include "model/codec.hpp"

namespace abide::journal {
namespace {

template <class T>
void line(std::string& out, std::string_view what, const T& value, const Kept& kept, RecordKey id) {
    out += what;
    out += ' ';
    if (const model::Unknown* unknown = kept.unknown(id)) {
        model::encode(out, value, *unknown);
    } else {
        model::encode(out, value);
    }
    out += '\n';
}

std::string hex(std::uint64_t value) {
    std::string text(16, '0');
    for (std::size_t i = 16; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
    return text;
}

void statistics_line(std::string& out, const Recovered& recovered) {
    const Statistics& s = recovered.statistics;
    out += "journal " + std::to_string(s.bytes) + " bytes, " + std::to_string(s.records) + " records, epoch " +
           std::to_string(recovered.last_epoch.value) + ", last record " + std::to_string(recovered.last_sequence);
    const auto add = [&](std::size_t number, std::string_view what) {
        if (number != 0) out += ", " + std::to_string(number) + " " + std::string(what);
    };
    add(s.torn_bytes, "bytes torn");
    add(s.damaged, "damaged");
    add(s.incomplete, "incomplete");
    add(s.stale, "stale");
    add(s.unknown, "unknown");
    add(s.undecodable, "not understood");
    out += '\n';
}

}  // namespace

std::string dump(const Recovered& recovered) {
    std::string out;
    const Kept& kept = recovered.kept;
    statistics_line(out, recovered);
    if (recovered.header) line(out, "header", *recovered.header, kept, record_key(RecordType::header, 0));
    if (recovered.boot) line(out, "boot", *recovered.boot, kept, record_key(RecordType::boot, 0));
    if (recovered.instance) line(out, "instance", *recovered.instance, kept, record_key(RecordType::instance, 0));
    for (const model::Variable& variable : recovered.environment.variables) {
        out += "environment " + printable(variable.name) + "\n";
    }
    for (const auto& [key, descriptor] : recovered.descriptors) {
        line(out, "descriptor", descriptor, kept, record_key(RecordType::descriptor, key.value));
    }
    for (const auto& [hash, spec] : recovered.specs) {
        model::ServiceSpec shown = spec;
        for (model::Variable& variable : shown.environment) variable.value = "(hidden)";
        line(out, "spec " + hex(hash), shown, kept, record_key(RecordType::spec, hash));
    }
    for (const model::Service& service : recovered.services) {
        line(out, "service", service, kept, record_key(RecordType::service, name_key(service.name)));
    }
    for (const model::Operation& operation : recovered.operations) {
        line(out, "operation", operation, kept, record_key(RecordType::operation, operation.id.value));
    }
    for (const auto& [spawn, entry] : recovered.pids) {
        out += "pid " + std::to_string(entry.pid) + " spawn " + std::to_string(spawn.value) + " epoch " +
               std::to_string(entry.epoch.value) + "\n";
    }
    for (const auto& [id, raw] : kept.records) {
        out += "kept type " + std::to_string(id.type) + " key " + hex(id.key) + " schema " +
               std::to_string(raw.schema) + " " + std::to_string(raw.payload.size()) + " bytes\n";
    }
    for (const std::string& problem : recovered.problems) out += "problem " + problem + "\n";
    return out;
}

}  // namespace abide::journal
