// journal/writer.cc -- see the header.
#include "journal/writer.hpp"

#include <utility>

#include "base/check.hpp"
#include "base/limits.hpp"

namespace abide::journal {

Writer::Writer(Epoch epoch, std::uint64_t last_sequence, Kept kept)
    : epoch_(epoch), sequence_(last_sequence), kept_(std::move(kept)) {}

void Writer::open(RecordType type, std::uint64_t key) {
    starts_.push_back(batch_.size());
    append_frame(batch_, {.type = static_cast<std::uint16_t>(type),
                          .schema = kSchema,
                          .epoch = epoch_.value,
                          .sequence = ++sequence_,
                          .key = key});
}

void Writer::close() {
    const std::size_t length = batch_.size() - starts_.back() - kFrameBytes;
    CHECK(length <= limits::kRecordBytes, "a journal record is larger than its reader takes");
    store<std::uint32_t>(batch_.data() + starts_.back() + offset::kLength, static_cast<std::uint32_t>(length));
}

template <class T>
void Writer::append(RecordType type, std::uint64_t key, const T& value) {
    open(type, key);
    const RecordKey id = record_key(type, key);
    if (const model::Unknown* unknown = kept_.unknown(id)) {
        model::encode(batch_, value, *unknown);
    } else {
        model::encode(batch_, value);
    }
    close();
    if (!kept_.records.empty()) kept_.records.erase(id);
}

void Writer::append_removed(RecordType type, std::uint64_t key, std::string_view what) {
    open(static_cast<RecordType>(static_cast<std::uint16_t>(type) | kRemoved), key);
    batch_ += "{\"removed\":";
    model::json::append_text(batch_, what);
    batch_ += '}';
    close();
    kept_.forget(record_key(type, key));
}

void Writer::append_header(const Header& header) {
    append(RecordType::header, 0, header);
}
void Writer::append_spec(std::uint64_t hash, const model::ServiceSpec& spec) {
    append(RecordType::spec, hash, spec);
}
void Writer::append_new_spec(const model::SpecText& spec) {
    open(RecordType::spec, spec.hash);
    batch_ += spec.text;
    close();
}
void Writer::append_service(const model::Service& service) {
    append(RecordType::service, name_key(service.name), service);
}
void Writer::append_operation(const model::Operation& operation) {
    append(RecordType::operation, operation.id.value, operation);
}
void Writer::append_instance(const model::Instance& instance) {
    append(RecordType::instance, 0, instance);
}
void Writer::append_environment(const Environment& environment) {
    append(RecordType::environment, 0, environment);
}
void Writer::append_events(const EventLines& events) {
    append(RecordType::events, 0, events);
}
void Writer::append_boot(const BootRecord& boot) {
    append(RecordType::boot, 0, boot);
}
void Writer::append_descriptor(const Descriptor& descriptor) {
    append(RecordType::descriptor, descriptor.key.value, descriptor);
}
void Writer::append_pid(const PidEntry& entry) {
    PidRecord record = PidRecord::prepare(entry.epoch, entry.spawn);
    record.complete(entry.pid);
    for (std::byte byte : record.bytes) batch_ += static_cast<char>(byte);
}

void Writer::append_removed_spec(std::uint64_t hash) {
    append_removed(RecordType::spec, hash, std::to_string(hash));
}
void Writer::append_removed_service(std::string_view name) {
    append_removed(RecordType::service, name_key(name), name);
}
void Writer::append_removed_operation(OperationId id) {
    append_removed(RecordType::operation, id.value, std::to_string(id.value));
}
void Writer::append_removed_descriptor(FdKey key) {
    append_removed(RecordType::descriptor, key.value, std::to_string(key.value));
}
void Writer::append_removed_pid(SpawnId spawn) {
    append_removed(RecordType::pid, spawn.value, std::to_string(spawn.value));
}

void Writer::append_kept() {
    for (const auto& [id, raw] : kept_.records) {
        open(static_cast<RecordType>(id.type), id.key);
        store<std::uint16_t>(batch_.data() + starts_.back() + offset::kSchema, raw.schema);
        batch_ += raw.payload;
        close();
    }
}

std::string_view Writer::take() {
    seal_batch(batch_, starts_);
    taken_.swap(batch_);
    batch_.clear();
    starts_.clear();
    return taken_;
}

void Writer::release_memory() {
    std::exchange(taken_, {});
    batch_.shrink_to_fit();
    starts_.shrink_to_fit();
}

bool fits(const model::SpecText& spec) {
    return spec.text.size() <= limits::kRecordBytes;
}

}  // namespace abide::journal
