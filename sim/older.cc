// sim/older.cc -- see the header.
#include "older.hpp"

#include <map>

#include "journal/compact.hpp"
#include "journal/reader.hpp"
#include "model/codec.hpp"

namespace abide::sim {

using namespace model;
using journal::RecordKey;
using journal::RecordType;

namespace {

constexpr RecordKey kStrange{99, 7};  // of a type that is not known here
constexpr char kStrangeText[] = R"({"what":"a newer program's own"})";
constexpr char kMember[] = R"("of-a-newer-version":{"a":[1,"x"]})";

// In the record itself, and in what a service's runs are.
std::string with_members(std::string text) {
    text.insert(text.size() - 1, std::string(text == "{}" ? "" : ",") + kMember);
    constexpr std::string_view kRuns = R"("runs":[{)";
    if (const std::size_t at = text.find(kRuns); at != std::string::npos)
        text.insert(at + kRuns.size(), std::string(kMember) + ",");
    return text;
}

template <class T>
std::string text_of(const T& value) {
    std::string text;
    encode(text, value);
    return text;
}

std::map<RecordKey, std::string> records_of(const core::Snapshot& snapshot) {
    std::map<RecordKey, std::string> records;
    records.emplace(journal::record_key(RecordType::instance, 0), text_of(snapshot.instance));
    for (const auto& [hash, spec] : snapshot.specs)
        records.emplace(journal::record_key(RecordType::spec, hash), text_of(spec));
    for (const Service& service : snapshot.services)
        records.emplace(journal::record_key(RecordType::service, journal::name_key(service.name)), text_of(service));
    for (const Operation& operation : snapshot.operations)
        records.emplace(journal::record_key(RecordType::operation, operation.id.value), text_of(operation));
    return records;
}

journal::Live live_of(const core::Snapshot& snapshot) {
    journal::Live live;
    live.instance = &snapshot.instance;
    live.specs = &snapshot.specs;
    for (const Service& service : snapshot.services) live.services.push_back(&service);
    for (const Operation& operation : snapshot.operations) live.operations.push_back(&operation);
    live.program = "older";
    return live;
}

}  // namespace

core::Snapshot OlderJournal::begin(const core::Engine& engine) {
    journal::Kept kept;
    kept.records.emplace(kStrange, journal::RawRecord{1, kStrangeText});
    for (auto& [key, text] : records_of(engine.snapshot())) {
        marked_.insert(key);
        kept.records.emplace(key, journal::RawRecord{journal::kSchema, with_members(std::move(text))});
    }
    journal::Writer newer(Epoch{1}, 0, std::move(kept));
    journal::Header header;
    header.magic = journal::kMagic;
    header.format = 2;
    header.min_reader = header.min_writer = 1;
    newer.append_header(header);
    newer.append_kept();
    image_ = newer.take();
    journal::Recovered read = journal::read(image_);
    writer_.emplace(Epoch{2}, read.last_sequence, std::move(read.kept));
    return {std::move(*read.instance), std::move(read.specs), std::move(read.services), std::move(read.operations)};
}

// As manager/journal_store.cc does.
void OlderJournal::write(core::Engine& engine) {
    const core::Changes changes = engine.take_changes();
    for (const std::uint64_t hash : changes.specs) {
        if (const auto spec = engine.specs().find(hash); spec != engine.specs().end())
            writer_->append_spec(hash, spec->second);
    }
    for (const std::string& name : changes.services) {
        if (const Service* service = engine.find(name)) writer_->append_service(*service);
    }
    for (const std::string& name : changes.removed_services) writer_->append_removed_service(name);
    for (const std::uint64_t hash : changes.dropped_specs) writer_->append_removed_spec(hash);
    for (const OperationId id : changes.operations) {
        if (const Operation* operation = engine.operation(id)) writer_->append_operation(*operation);
    }
    for (const OperationId id : changes.dropped_operations) writer_->append_removed_operation(id);
    if (changes.instance) writer_->append_instance(engine.instance());
    if (!writer_->empty()) image_ += writer_->take();
}

std::string OlderJournal::problem(const core::Engine& engine) const {
    const core::Snapshot snapshot = engine.snapshot();
    const std::map<RecordKey, std::string> records = records_of(snapshot);
    journal::Writer writer = *writer_;
    const std::string compacted(journal::compact(writer, live_of(snapshot)));
    if (const Status same = journal::verify(compacted, compacted, live_of(snapshot)); !same) return same.error().what;
    for (const std::string* image : {&image_, &compacted}) {
        const journal::Recovered read = journal::read(*image);
        if (read.refused || !read.problems.empty()) return "read again: " + read.problems.front();
        if (!read.kept.records.contains(kStrange)) return "a record of a newer version is lost";
        for (const RecordKey& key : marked_) {
            const auto found = read.kept.members.find(key);
            if (records.contains(key) && (found == read.kept.members.end() || found->second.members != kMember))
                return "a member of a newer version is lost: record of type " + std::to_string(key.type);
        }
    }
    return {};
}

}  // namespace abide::sim
