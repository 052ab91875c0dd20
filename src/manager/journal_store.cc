// manager/journal_store.cc -- see the header.
#include "manager/journal_store.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/limits.hpp"
#include "base/version.hpp"
#include "kernel/files.hpp"
#include "kernel/log_files.hpp"
#include "manager/complain.hpp"

namespace abide::manager {

namespace {

constexpr std::size_t kImageBytes = std::size_t{1} << 30;
constexpr std::size_t kTailBytes = std::size_t{16} << 10;
constexpr std::size_t kServiceBytes = 512;                     // of its record, as a rule
constexpr std::size_t kWaitingBytes = std::size_t{256} << 10;  // of events: the record has all of them each time
constexpr Duration kQuiet = milliseconds(200);
constexpr std::size_t kPressing = 2, kPressingBytes = std::size_t{1} << 20;
constexpr int kAppend = O_RDWR | O_APPEND | O_CLOEXEC;

[[noreturn]] void give_up_writing(const std::string& why) {
    give_up("the journal can't be written: " + why);
}

}  // namespace

journal::Live JournalStore::live_of(const core::Snapshot& snapshot) const {
    journal::Live live = live_beside();
    live.instance = &snapshot.instance;
    live.specs = &snapshot.specs;
    for (const model::Service& service : snapshot.services) live.services.push_back(&service);
    for (const model::Operation& operation : snapshot.operations) live.operations.push_back(&operation);
    return live;
}

// Nothing is copied: with thousands of services that takes longer than the writing.
journal::Live JournalStore::live_of(const core::Engine& engine) const {
    journal::Live live = live_beside();
    live.instance = &engine.instance();
    live.specs = &engine.specs();
    live.services = engine.services_and_templates();
    for (const auto& [id, operation] : engine.operations()) live.operations.push_back(&operation);
    return live;
}

journal::Live JournalStore::live_beside() const {
    journal::Live live;
    live.environment = &environment_;
    live.boot = boot_ ? &*boot_ : nullptr;
    live.descriptors = &descriptors_;
    live.events = &waiting_;
    live.program = std::string(version());
    live.header = older_ ? &*older_ : nullptr;
    return live;
}

Result<core::Snapshot> JournalStore::open(kernel::Fd memfd, std::uint64_t epoch, bool sealed, AnchorLink& anchor,
                                          Cursor& cursor) {
    // By the anchor, or by a manager that died before it had put another one in its place.
    sealed = sealed || kernel::is_sealed(memfd.get());
    // A description of our own: the position and the flags of the anchor's copy are not ours to change.
    Result<kernel::Fd> file = kernel::reopen(memfd.get(), sealed ? O_RDONLY | O_CLOEXEC : kAppend);
    if (!file) return std::unexpected(file.error());
    const Result<std::string> image = kernel::read_all(file->get(), kImageBytes);
    if (!image) return std::unexpected(image.error());
    cursor_ = &cursor;
    cursor.enter(Phase::reading);
    journal::Recovered recovered = journal::read(*image, [&cursor](journal::RecordKey id) {
        // Key 0 is that of a record of which there is one: without it there is no instance.
        if (cursor.poisonous(Phase::reading, id.type, id.key)) return false;
        cursor.enter(Phase::reading, id.type, id.key);
        return true;
    });
    for (const std::string& problem : recovered.problems) complain("journal: " + problem);
    if (recovered.refused) return fail(ErrorKind::refused, "the journal is of a newer program", "start that one");
    if (!recovered.instance) return fail(ErrorKind::failed, "the journal says nothing of an instance");
    file_ = std::move(*file);
    size_ = image->size();
    live_size_ = recovered.statistics.live_bytes;
    untouched_ = !recovered.last_epoch;
    environment_ = std::move(recovered.environment);
    boot_ = std::move(recovered.boot);
    waiting_ = std::move(recovered.events);
    descriptors_ = std::move(recovered.descriptors);
    problems_ = recovered.problems;
    if (recovered.header && recovered.header->format < journal_format().format) older_ = recovered.header;
    for (const auto& [spawn, entry] : recovered.pids) children_.emplace(spawn, entry.pid);
    // An anchor that counts anew (its predecessor was lost) must not write what looks older than what is there.
    const Epoch own{std::max(epoch, recovered.last_epoch.value + 1)};
    // The image is about to be replaced, so a child that has not told its pid yet must not come to tell it to this one.
    if (!sealed && recovered.must_compact) {
        if (Status done = kernel::seal_memfd(file_.get()); !done) return std::unexpected(done.error());
        look_for_children();
        for (const auto& [spawn, pid] : children_)
            recovered.pids.try_emplace(spawn, journal::PidEntry{spawn, recovered.last_epoch, pid});
    }
    writer_.emplace(own, recovered.last_sequence, std::move(recovered.kept));
    core::Snapshot snapshot{std::move(*recovered.instance), std::move(recovered.specs), std::move(recovered.services),
                            std::move(recovered.operations)};
    if (!sealed && !recovered.must_compact) return snapshot;
    journal::Live live = live_of(snapshot);
    live.pids = &recovered.pids;
    if (Status replaced = replace(journal::compact(*writer_, live), live); !replaced)
        return std::unexpected(replaced.error());
    Result<kernel::Fd> copy = file_.duplicate();
    if (!copy) return std::unexpected(copy.error());
    if (Status put = anchor.put_now(static_cast<std::uint64_t>(anchor::Key::journal), share(std::move(*copy))); !put) {
        return std::unexpected(put.error());
    }
    return snapshot;
}

// What was left out when it was read is left out whenever it is read again.
journal::Take JournalStore::not_poisonous() const {
    return [this](journal::RecordKey id) {
        return cursor_ == nullptr || !cursor_->poisonous(Phase::reading, id.type, id.key);
    };
}

void JournalStore::look_for_children() {
    // A write that was under way when the image was read may have been seen in part.
    const std::size_t begin = size_ - std::min(size_, journal::PidRecord::kBytes);
    std::string piece;
    for (std::size_t had = 0;; had = piece.size()) {
        piece.resize(had + kTailBytes);
        const Result<std::size_t> got = kernel::read_at(file_.get(), piece.data() + had, kTailBytes, begin + had);
        piece.resize(had + got.value_or(0));
        if (!got) give_up_writing(describe(got.error()));
        if (*got == 0) break;
    }
    for (const auto& [spawn, entry] : journal::read_pids(piece)) children_.try_emplace(spawn, entry.pid);
}

Status JournalStore::fence(const core::Engine& engine, AnchorLink& anchor) {
    if (Status sealed = kernel::seal_memfd(file_.get()); !sealed) return sealed;
    const Result<kernel::Fd> own = kernel::reopen(file_.get(), O_RDONLY | O_CLOEXEC);
    if (!own) return std::unexpected(own.error());
    const Result<std::string> image = kernel::read_all(own->get(), kImageBytes);
    if (!image) return std::unexpected(image.error());
    const journal::Recovered last = journal::read(*image, not_poisonous());
    for (const auto& [spawn, entry] : last.pids) children_.emplace(spawn, entry.pid);
    journal::Live live = live_of(engine);
    live.pids = &last.pids;
    if (Status replaced = replace(journal::compact(*writer_, live), live); !replaced) return replaced;
    Result<kernel::Fd> copy = file_.duplicate();
    if (!copy) return std::unexpected(copy.error());
    return anchor.put_now(static_cast<std::uint64_t>(anchor::Key::journal), share(std::move(*copy)));
}

void JournalStore::write(const core::Engine& engine, const core::Changes& changes, std::string_view event_lines) {
    if (changes.empty()) return;
    journal::Writer& writer = *writer_;
    // With its quotes escaped a line of events is a quarter longer, and it stands beside those that wait.
    writer.expect(changes.services.size() * kServiceBytes + (waiting_.lines.size() + event_lines.size()) * 5 / 4);
    for (const std::uint64_t hash : changes.specs) {
        if (const auto spec = engine.specs().find(hash); spec != engine.specs().end())
            writer.append_spec(hash, spec->second);
    }
    for (const std::string& name : changes.services) {
        if (const model::Service* service = engine.find(name)) writer.append_service(*service);
    }
    for (const std::string& name : changes.removed_services) writer.append_removed_service(name);
    for (const std::uint64_t hash : changes.dropped_specs) writer.append_removed_spec(hash);
    for (const OperationId id : changes.operations) {
        if (const model::Operation* operation = engine.operation(id)) writer.append_operation(*operation);
    }
    for (const OperationId id : changes.dropped_operations) writer.append_removed_operation(id);
    if (changes.instance) writer.append_instance(engine.instance());
    // What is more, while no event can be written, is not journaled: after a crash just now the log would tell a gap.
    const std::size_t room = waiting_.lines.empty() ? limits::kRecordBytes / 2 : kWaitingBytes;
    if (!event_lines.empty() && waiting_.lines.size() + event_lines.size() <= room) {
        waiting_.lines += event_lines;
        writer.append_events(waiting_);
    }
    if (writer.empty()) return;
    const std::string_view batch = writer.take();
    const Result<std::size_t> written = kernel::write_some(file_.get(), batch.data(), batch.size());
    if (!written) give_up_writing(describe(written.error()));
    if (*written != batch.size()) give_up_writing("no memory for it");
    size_ += *written;
    unmirrored_ = batch;
    wrote_ = true;
}

void JournalStore::mirror() {
    if (!unmirrored_.empty()) mirror_.append(std::exchange(unmirrored_, {}));
}

void JournalStore::mirror_to(kernel::Fd directory) {
    mirror_.set_directory(std::move(directory));
    const Result<kernel::Fd> own = kernel::reopen(file_.get(), O_RDONLY | O_CLOEXEC);
    const Result<std::string> image = own ? kernel::read_all(own->get(), kImageBytes) : std::unexpected(own.error());
    if (!image) return complain("the mirror of the journal: " + describe(image.error()));
    unmirrored_ = {};
    mirror_.replace(*image);
}

// A new memfd with this image becomes ours when reading it gives the same facts.
Status JournalStore::replace(std::string_view image, const journal::Live& live) {
    Result<kernel::Fd> made = kernel::make_memfd("abide-journal", image);
    if (!made) return std::unexpected(made.error());
    Result<kernel::Fd> file = kernel::reopen(made->get(), kAppend);
    if (!file) return std::unexpected(file.error());
    const Result<std::string> again = kernel::read_all(file->get(), kImageBytes);
    if (!again) return std::unexpected(again.error());
    if (Status same = journal::verify(*again, image, live, not_poisonous()); !same) return same;
    file_ = std::move(*file);
    size_ = live_size_ = again->size();
    unmirrored_ = {};
    mirror_.replace(*again);
    return {};
}

bool JournalStore::compact_when_due(const core::Engine& engine, AnchorLink& anchor, bool children_writing, Mono now) {
    // In the middle of a start much of what it would write is past a moment later.
    const bool pressing = raise_due_ || journal::should_compact(size_, kPressing * live_size_ + kPressingBytes);
    const bool due = pressing || journal::should_compact(size_, live_size_);
    if (std::exchange(wrote_, false) || (due && compact_at_ == kNever)) compact_at_ = due ? now + kQuiet : kNever;
    if (!due || (!pressing && now < compact_at_)) return false;
    compact_at_ = now + kQuiet;
    if (children_writing || !anchor.flushed()) return false;
    raise_due_ = false;
    compact_at_ = kNever;
    const journal::Live live = live_of(engine);
    if (const Status replaced = replace(journal::compact(*writer_, live), live); !replaced) {
        complain("the journal was not compacted: " + describe(replaced.error()));
        live_size_ = size_;  // not again before it has doubled
        return true;
    }
    Result<kernel::Fd> copy = file_.duplicate();
    if (!copy) give_up_writing(describe(copy.error()));
    anchor.put(static_cast<std::uint64_t>(anchor::Key::journal), share(std::move(*copy)), true);
    // The next record goes to the new image only, so the anchor must have it by then.
    if (!anchor.flush()) give_up_writing("the anchor does not take the new image");
    return true;
}

Result<kernel::Fd> JournalStore::copy() const {
    const Result<kernel::Fd> own = kernel::reopen(file_.get(), O_RDONLY | O_CLOEXEC);
    if (!own) return std::unexpected(own.error());
    const Result<std::string> image = kernel::read_all(own->get(), kImageBytes);
    if (!image) return std::unexpected(image.error());
    Result<kernel::Fd> made = kernel::make_memfd("abide-rehearsal", *image);
    if (!made) return made;
    if (Status sealed = kernel::seal_memfd(made->get()); !sealed) return std::unexpected(sealed.error());
    return made;
}

void JournalStore::raise_format() {
    raise_due_ = raise_due_ || older_.has_value();
    older_.reset();
}

std::uint32_t JournalStore::format() const {
    return older_ ? older_->format : journal_format().format;
}

std::vector<std::string> JournalStore::unknown() const {
    std::vector<std::string> lines;
    if (!writer_) return lines;
    for (const auto& [id, raw] : writer_->kept().records) {
        lines.push_back("record of type " + std::to_string(id.type) + ", key " + std::to_string(id.key) + ", " +
                        std::to_string(raw.payload.size()) + " bytes");
    }
    for (const auto& [id, members] : writer_->kept().members)
        lines.push_back("members of a record of type " + std::to_string(id.type) + ", key " + std::to_string(id.key));
    return lines;
}

void JournalStore::release_memory() {
    if (writer_) writer_->release_memory();
    waiting_.lines.shrink_to_fit();
}

std::optional<kernel::PidRecord> JournalStore::pid_record(SpawnId spawn) const {
    if (!writer_) return std::nullopt;
    const journal::PidRecord prepared = journal::PidRecord::prepare(writer_->epoch(), spawn);
    kernel::PidRecord record;
    record.fd = file_.get();
    record.bytes.assign(prepared.bytes.begin(), prepared.bytes.end());
    record.pid_offset = journal::PidRecord::kPidOffset;
    record.crc_offset = journal::PidRecord::kCrcOffset;
    record.crc_begin = journal::PidRecord::kCrcBegin;
    record.crc_end = journal::PidRecord::kCrcEnd;
    return record;
}

}  // namespace abide::manager
