// manager/journal_store.hpp -- the journal as a file: a memfd that the anchor keeps.
//
// Owns the descriptor and when to compact.  Knows no meaning of a record.  Invariants: one turn is one write(2); a
// journal that can't be written ends the manager at once (what was not journaled must not be done, and a successor
// starts from what was); the anchor gets a compacted image only after it was read back and found equal.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "core/engine.hpp"
#include "journal/compact.hpp"
#include "journal/reader.hpp"
#include "journal/writer.hpp"
#include "kernel/fd.hpp"
#include "kernel/spawn.hpp"
#include "manager/anchor_link.hpp"
#include "manager/cursor.hpp"
#include "manager/mirror.hpp"

namespace abide::manager {

class JournalStore {
  public:
    // Reads what is there.  `sealed`: the anchor closed it, so a copy is made and given to the anchor.
    // `cursor` is told of each record before it is looked at, and says which ones are not to be.
    Result<core::Snapshot> open(kernel::Fd memfd, std::uint64_t epoch, bool sealed, AnchorLink& anchor, Cursor& cursor);

    // Everything that changed, as one batch, with the lines of the event log that tell of it, and those before them
    // that are in no file yet.  Does not return when it can't be written.
    void write(const core::Engine& engine, const core::Changes& changes, std::string_view event_lines);
    // All lines of events are in the log: the journal needs to tell of them no longer.
    void events_written() { waiting_.lines.clear(); }
    // The batch just written, in the mirror as well; before any effect of it.
    void mirror();
    // The lines of events that may not be in the log; at first those of a predecessor.
    [[nodiscard]] const std::string& event_lines() const { return waiting_.lines; }
    // From now on it is written to this folder as well.
    void mirror_to(kernel::Fd directory);
    // It is over: nothing is left for a later instance.
    void drop_mirror() { mirror_.remove(); }
    // Only while no child may be writing its own record, which would go to the old image.  True: it did, or tried.
    bool compact_when_due(const core::Engine& engine, AnchorLink& anchor, bool children_writing, Mono now);
    [[nodiscard]] Mono next_deadline() const { return compact_at_; }

    // All that is written, in a memory file of its own, sealed.
    Result<kernel::Fd> copy() const;
    // Another descriptor of it, to append to.
    Result<kernel::Fd> another() const { return file_.duplicate(); }
    // No child of a predecessor can make its pid durable from here on, and so none of them executes any more: what
    // children() does not say never will be.  Costs a compaction.
    Status fence(const core::Engine& engine, AnchorLink& anchor);
    // This program stays: from the next compaction on, which is due, the journal is in its own format.  Until then an
    // older program can go on from it.
    void raise_format();
    // What reading it has brought to light; for people.
    [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }
    [[nodiscard]] std::vector<std::string> unknown() const;
    [[nodiscard]] std::uint32_t format() const;

    // What a child appends before its exec; none before the journal is open.
    [[nodiscard]] std::optional<kernel::PidRecord> pid_record(SpawnId spawn) const;
    // What children of the predecessor appended.
    [[nodiscard]] const std::map<SpawnId, std::int32_t>& children() const { return children_; }
    void forget_children() { children_.clear(); }
    // This manager's, as its records say.
    [[nodiscard]] Epoch epoch() const { return writer_ ? writer_->epoch() : Epoch{}; }
    // No manager has written to it: what stands in it was asked for before the first one, and nothing was begun.
    [[nodiscard]] bool untouched() const { return untouched_; }
    void release_memory();
    [[nodiscard]] const std::vector<model::Variable>& environment() const { return environment_.variables; }

  private:
    Status replace(std::string_view image, const journal::Live& live);
    [[nodiscard]] journal::Take not_poisonous() const;
    void look_for_children();
    journal::Live live_of(const core::Snapshot& snapshot) const;
    journal::Live live_of(const core::Engine& engine) const;
    journal::Live live_beside() const;

    kernel::Fd file_;
    std::optional<journal::Writer> writer_;
    std::size_t size_ = 0, live_size_ = 0;
    bool untouched_ = false;
    journal::Environment environment_;
    journal::EventLines waiting_;
    std::optional<journal::BootRecord> boot_;
    std::map<FdKey, journal::Descriptor> descriptors_;
    std::map<SpawnId, std::int32_t> children_;
    std::optional<journal::Header> older_;  // the header to write, while this program may have to go again
    bool raise_due_ = false;
    bool wrote_ = false;        // since the last look at whether a compaction is due
    Mono compact_at_ = kNever;  // when it is due, and nothing is written until then
    const Cursor* cursor_ = nullptr;
    Mirror mirror_;
    std::string_view unmirrored_;  // the writer's, until the next write
    std::vector<std::string> problems_;
};

}  // namespace abide::manager
