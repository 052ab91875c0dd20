// journal/writer.hpp -- turns changes into the bytes of one write(2).
//
// Owns the next sequence number and what was kept of a newer version's records.  Knows no descriptor: the caller writes
// what take() gives, to an O_APPEND descriptor, before it carries out any effect of the change.  Invariant: everything
// appended between two take() is one batch; a reader sees all of it or nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "journal/frame.hpp"
#include "journal/kept.hpp"
#include "journal/records.hpp"
#include "model/codec.hpp"
#include "model/state.hpp"

namespace abide::journal {

class Writer {
  public:
    // `last_sequence` and `kept` are those of Recovered; 0 and {} for a new journal.
    explicit Writer(Epoch epoch, std::uint64_t last_sequence = 0, Kept kept = {});

    void append_header(const Header& header);
    // `hash` is model::spec_hash(spec).
    void append_spec(std::uint64_t hash, const model::ServiceSpec& spec);
    // The first of that hash: nothing can have been kept for it.
    void append_new_spec(const model::SpecText& spec);
    void append_service(const model::Service& service);
    void append_operation(const model::Operation& operation);
    void append_instance(const model::Instance& instance);
    void append_environment(const Environment& environment);
    void append_events(const EventLines& events);
    void append_boot(const BootRecord& boot);
    void append_descriptor(const Descriptor& descriptor);
    // A pid record as its child wrote it, into a compacted image.
    void append_pid(const PidEntry& entry);

    void append_removed_spec(std::uint64_t hash);
    void append_removed_service(std::string_view name);
    void append_removed_operation(OperationId id);
    void append_removed_descriptor(FdKey key);
    // The process is known and journaled with its run, or it is over.
    void append_removed_pid(SpawnId spawn);

    // The kept records of unknown types, into a compacted image.
    void append_kept();

    bool empty() const { return batch_.empty(); }
    // About so many bytes are coming: a large batch need not be moved while it grows.
    void expect(std::size_t bytes) { batch_.reserve(batch_.size() + bytes); }
    // Gives back what large batches have left; what take() returned is gone.
    void release_memory();
    // The batch, whole and with checksums; valid until the next take().  Starts a new batch.
    std::string_view take();

    Epoch epoch() const { return epoch_; }
    std::uint64_t last_sequence() const { return sequence_; }
    const Kept& kept() const { return kept_; }

  private:
    void open(RecordType type, std::uint64_t key);
    void close();
    template <class T>
    void append(RecordType type, std::uint64_t key, const T& value);
    void append_removed(RecordType type, std::uint64_t key, std::string_view what);

    Epoch epoch_;
    std::uint64_t sequence_ = 0;
    Kept kept_;
    std::string batch_, taken_;
    std::vector<std::size_t> starts_;
};

// Whether the specification fits into a record.  Asked before a configuration is accepted: a record that is too large
// for the reader is a bug (CHECK), not an error.
bool fits(const model::SpecText& spec);

}  // namespace abide::journal
