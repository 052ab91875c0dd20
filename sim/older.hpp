// sim/older.hpp -- a program that is older than the journal it finds: what it does not know it keeps and writes back,
// so that the newer program, when it comes back, finds all of it.
//
// The real reader and writer do the work.  A value, like the life that it belongs to.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "core/engine.hpp"
#include "journal/writer.hpp"

namespace abide::sim {

class OlderJournal {
  public:
    // A newer program has written this state, with members in each record and with records that are not known here; it
    // is read by this program, which is the one that writes from now on.
    core::Snapshot begin(const core::Engine& engine);
    [[nodiscard]] bool begun() const { return writer_.has_value(); }
    // What a step has changed.
    void write(core::Engine& engine);
    // Empty: the newer program finds what it had written, wherever the thing itself is still there.
    [[nodiscard]] std::string problem(const core::Engine& engine) const;

  private:
    std::optional<journal::Writer> writer_;
    std::string image_;
    std::set<journal::RecordKey> marked_;
};

}  // namespace abide::sim
