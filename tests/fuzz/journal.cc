// The journal reader under any bytes: it returns, and nothing that it believes comes from a record whose checksum is
// wrong.  Then the core takes what was read, as a manager would that comes back: it returns as well, and acts on no
// service that was not read.
//
// The first byte says which records get a right checksum (bit n: every eighth record from n on), so that payloads are
// reached that no luck would find.
#include <set>

#include "core/engine.hpp"
#include "fuzz.hpp"
#include "journal/compact.hpp"
#include "journal/crc.hpp"
#include "journal/frame.hpp"
#include "journal/reader.hpp"
#include "model/codec.hpp"

namespace abide {
namespace {

using fuzz::demand;
using journal::kFrameBytes;
namespace offset = journal::offset;

void seal(std::string& image, std::uint8_t which) {
    std::size_t at = 0;
    for (std::size_t n = 0; at + kFrameBytes <= image.size(); ++n) {
        char* record = image.data() + at;
        const std::size_t room = image.size() - at - kFrameBytes;
        std::size_t length = journal::load<std::uint32_t>(record + offset::kLength);
        const bool chosen = (which >> (n % 8) & 1) != 0;
        if (length > room) {
            if (!chosen) return;
            journal::store(record + offset::kLength, static_cast<std::uint32_t>(room));
            length = room;
        }
        const std::size_t covered = kFrameBytes - offset::kLength + length;
        const auto bytes = std::as_bytes(std::span(record + offset::kLength, covered));
        if (chosen) journal::store(record + offset::kCrc, journal::crc32c(bytes));
        at += kFrameBytes + length;
    }
}

// What any record with a right checksum says, wherever it begins: nothing else may be believed.
std::set<std::string> believable(const std::string& image) {
    std::set<std::string> texts;
    const auto add = [&]<class T>(const Result<T>& value, const char* kind) {
        if (!value) return;
        std::string text = kind;
        model::encode(text, *value);
        texts.insert(std::move(text));
    };
    for (std::size_t at = 0; at + kFrameBytes <= image.size(); ++at) {
        const char* record = image.data() + at;
        const std::size_t length = journal::load<std::uint32_t>(record + offset::kLength);
        if (length > image.size() - at - kFrameBytes) continue;
        const std::size_t covered = kFrameBytes - offset::kLength + length;
        const auto bytes = std::as_bytes(std::span(record + offset::kLength, covered));
        if (journal::crc32c(bytes) != journal::load<std::uint32_t>(record + offset::kCrc)) continue;
        const std::string_view payload(record + kFrameBytes, length);
        add(model::decode<model::Service>(payload), "service ");
        add(model::decode<model::ServiceSpec>(payload), "spec ");
        add(model::decode<model::Operation>(payload), "operation ");
        add(model::decode<model::Instance>(payload), "instance ");
        if (length == journal::PidRecord::kPayloadBytes)
            texts.insert("pid " + std::to_string(journal::load<std::uint64_t>(payload.data())) + " " +
                         std::to_string(journal::load<std::int32_t>(payload.data() + 16)));
    }
    return texts;
}

template <class T>
void demand_believable(const std::set<std::string>& texts, const T& value, const char* kind) {
    std::string text = kind;
    model::encode(text, value);
    demand(texts.contains(text), "believed without a checksum:", text);
}

void check_facts(const std::string& image, const journal::Recovered& recovered) {
    const std::set<std::string> texts = believable(image);
    for (const model::Service& service : recovered.services) demand_believable(texts, service, "service ");
    for (const auto& [hash, spec] : recovered.specs) demand_believable(texts, spec, "spec ");
    for (const model::Operation& operation : recovered.operations) demand_believable(texts, operation, "operation ");
    if (recovered.instance) demand_believable(texts, *recovered.instance, "instance ");
    for (const auto& [spawn, entry] : recovered.pids) {
        demand(texts.contains("pid " + std::to_string(spawn.value) + " " + std::to_string(entry.pid)),
               "a pid believed without a checksum");
    }
}

void check_effects(const std::vector<model::Effect>& effects, const std::set<std::string, std::less<>>& names) {
    for (const model::Effect& effect : effects) {
        std::visit(
            [&](const auto& fx) {
                if constexpr (requires { fx.service; })
                    demand(names.contains(fx.service), "an action on a service that was not read:", fx.service);
            },
            effect);
    }
}

// What a manager does that comes back with this: some processes live, some never ran; then time passes and it is told
// to end.
void go_on(journal::Recovered recovered, std::uint8_t luck) {
    if (recovered.refused || !recovered.instance) return;
    std::set<std::string, std::less<>> names;
    for (const model::Service& service : recovered.services) names.insert(service.name);
    core::Engine engine({std::move(*recovered.instance), std::move(recovered.specs), std::move(recovered.services),
                         std::move(recovered.operations)});
    model::in::Recovered found;
    for (const model::Service* service : engine.services()) {
        for (const model::Run& run : service->runs) {
            for (const model::Process& process : run.processes) {
                const bool lives = (luck >> (process.spawn.value % 8) & 1) != 0;
                found.processes.push_back({process.spawn, lives, !lives && (luck & 1) != 0, process.pid, 1});
            }
        }
    }
    Now now{{seconds(10).ns}, {seconds(10).ns}, {seconds(10).ns}};
    check_effects(engine.step(found, now), names);
    for (int i = 0; i < 8 && engine.next_deadline() != kNever; ++i) {
        now.mono = std::max(now.mono, engine.next_deadline());
        check_effects(engine.step(model::in::Ticked{}, now), names);
    }
    check_effects(engine.step(model::in::Signalled{15}, now), names);
    (void)engine.take_changes();
    for (const model::Service* service : engine.services()) (void)engine.why(*service, now);
}

}  // namespace
}  // namespace abide

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace abide;
    fuzz::Bytes bytes(data, size);
    const std::uint8_t which = bytes.byte();
    const std::uint8_t luck = bytes.byte();
    std::string image(bytes.rest());
    seal(image, which);
    const journal::Recovered recovered = journal::read(image);
    demand(recovered.statistics.valid_bytes <= image.size(), "more valid bytes than there are");
    demand(!journal::dump(recovered).empty(), "a dump of nothing");
    check_facts(image, recovered);
    // A compacted image says the same, also to a reader that knows nothing else.
    journal::Writer writer(Epoch{recovered.last_epoch.value + 1}, recovered.last_sequence, recovered.kept);
    const journal::Recovered again = journal::read(journal::compact(writer, recovered, "fuzz"));
    demand(again.services == recovered.services, "compaction changed what is known of services");
    demand(again.operations == recovered.operations, "compaction changed what is known of operations");
    demand(again.specs == recovered.specs, "compaction changed what is known of specifications");
    demand(again.instance == recovered.instance, "compaction changed what is known of the instance");
    go_on(recovered, luck);
    return 0;
}
