// manager/cursor.hpp -- what a manager is at, written before it does it, so that the next one knows what it died of.
//
// Theory.  A record, an input or an effect that makes the manager crash will make the next one crash in the same way.
// So before each of them its name is stored in a page that the anchor keeps; a manager that finds such a name, and a
// predecessor that crashed, counts one death for it.  After kDeaths of them that one thing is left out, quarantined,
// and all else goes on.  Deaths that can't be put down to one thing, as what was just heard, are counted together;
// after kUnplaced of them in a row without a turn in between, the manager does not even try, and goes to rescue
// (rescue.hpp).
//
// The page also has the number of the last signal that was given, noted just before: a signal must not be given twice,
// and a later number in the journal is one that was certainly not given.
//
// Invariant: SIGKILL counts for nothing: whoever sent it, it was not the record.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/shared_page.hpp"
#include "manager/anchor_link.hpp"
#include "model/effect.hpp"
#include "model/input.hpp"

namespace abide::manager {

enum class Phase : std::uint32_t {
    idle = 0,
    reading = 1,    // a record of the journal
    building = 2,   // the engine, out of all records
    comparing = 3,  // with the kernel
    stepping = 4,   // an input
    hearing = 5,    // what is ready to be read
    acting = 6,     // an effect
};

class Cursor {
  public:
    static constexpr std::uint32_t kDeaths = 2, kUnplaced = 3;

    // `crashed`: the predecessor ended by itself, by a signal that is not SIGKILL, or hung.  Without a page (the
    // machine has no memory for it) nothing is remembered.
    void open(AnchorLink& anchor, AnchorLink::Kept& kept, bool crashed);

    [[nodiscard]] bool counts() const { return page() != nullptr; }
    // Before it is done; `what` is for people, and may be left out for a record, of which there are thousands.
    void enter(Phase phase, std::uint32_t kind = 0, std::uint64_t key = 0, std::string_view what = {});
    void leave();
    // It has cost kDeaths managers their life.
    [[nodiscard]] bool poisonous(Phase phase, std::uint32_t kind, std::uint64_t key) const;
    // A whole turn was survived.
    void settled();
    [[nodiscard]] bool hopeless() const;
    // What is left out, a line each.
    [[nodiscard]] std::vector<std::string> quarantined() const;
    // Another program will do: all deaths are forgotten.
    void forget();

    // Without a page, or when it is a new one, nobody knows: all that was decided so far may have been given.
    struct Signalled {
        SignalId known{UINT64_MAX}, others{UINT64_MAX};
    };
    [[nodiscard]] Signalled signalled(SignalId decided);
    void signals(SignalId id);
    void signals_others(SignalId id);

    void set_rescue(bool on);
    [[nodiscard]] bool was_rescue() const;

  private:
    struct Page;
    [[nodiscard]] Page* page() const { return static_cast<Page*>(shared_.data()); }
    void count_death();
    void look_for_quarantined();

    kernel::SharedPage shared_;
    bool found_ = false;        // the page is a predecessor's
    bool quarantines_ = false;  // nearly always nothing is left out, and then nothing need be looked for
};

// What an input is about: the same for the same thing that happened, whichever manager hears of it.
std::uint64_t subject_of(const model::Input& input);
// And an effect.
std::uint64_t subject_of(const model::Effect& effect);

}  // namespace abide::manager
