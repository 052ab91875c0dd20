// manager/cursor.cc -- see the header.
#include "manager/cursor.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "kernel/files.hpp"
#include "manager/complain.hpp"
#include "manager/run_key.hpp"
#include "model/text.hpp"

namespace abide::manager {

namespace {

constexpr std::uint64_t kMagic = 0x31524f5352554341;  // "ACURSOR1"
constexpr std::size_t kPlaces = 24, kWords = 72;

void copy_words(char (&words)[kWords], std::string_view text) {
    const std::size_t size = std::min(text.size(), kWords - 1);
    std::memcpy(words, text.data(), size);
    words[size] = 0;
}

}  // namespace

// In memory that outlives us, so a later version appends and never moves anything.
struct Cursor::Page {
    struct Place {
        std::uint32_t phase, kind;
        std::uint64_t key;
        std::uint32_t deaths, reserved;
        char what[kWords];
    };
    std::uint64_t magic;
    Place at;  // phase idle: at nothing
    std::uint32_t unplaced;
    std::uint32_t rescue;
    std::uint32_t next;  // of `places`, when all are in use
    std::uint32_t reserved;
    Place places[kPlaces];
    std::uint64_t signalled, signalled_others;
};

void Cursor::open(AnchorLink& anchor, AnchorLink::Kept& kept, bool crashed) {
    static_assert(sizeof(Page) <= kernel::SharedPage::kBytes);
    constexpr auto key = static_cast<std::uint64_t>(anchor::Key::cursor);
    auto found = kept.extract(key);
    Result<kernel::Fd> file =
        found ? Result<kernel::Fd>(std::move(found.mapped())) : kernel::make_memfd("abide-cursor");
    Result<kernel::SharedPage> mapped =
        file ? kernel::SharedPage::map(file->get()) : Result<kernel::SharedPage>(std::unexpected(file.error()));
    if (!mapped) return complain("cursor: " + describe(mapped.error()));
    shared_ = std::move(*mapped);
    if (!found) anchor.put(key, share(std::move(*file)), true);
    found_ = page()->magic == kMagic;
    if (!found_) {
        std::memset(page(), 0, sizeof(Page));
        page()->magic = kMagic;
    }
    if (crashed) count_death();
    look_for_quarantined();
    leave();
}

void Cursor::look_for_quarantined() {
    quarantines_ = std::any_of(page()->places, page()->places + kPlaces,
                               [](const Page::Place& one) { return one.deaths >= kDeaths; });
}

void Cursor::count_death() {
    const Page::Place& at = page()->at;
    if (at.phase == static_cast<std::uint32_t>(Phase::idle)) return;
    if (at.key == 0) {
        page()->unplaced += 1;
        return;
    }
    Page::Place* end = page()->places + kPlaces;
    Page::Place* place = std::find_if(page()->places, end, [&](const Page::Place& one) {
        return one.phase == at.phase && one.kind == at.kind && one.key == at.key;
    });
    if (place == end) place = std::find_if(page()->places, end, [](const Page::Place& one) { return one.phase == 0; });
    if (place == end) place = page()->places + page()->next++ % kPlaces;
    const bool same = place->phase == at.phase && place->kind == at.kind && place->key == at.key;
    const std::uint32_t deaths = same ? place->deaths + 1 : 1;
    *place = at;
    place->deaths = deaths;
    if (at.what[0] == 0)
        copy_words(place->what, "record of type " + std::to_string(at.kind) + ", key " + std::to_string(at.key));
    if (deaths == kDeaths) complain("quarantined, since it made managers crash: " + std::string(place->what));
}

void Cursor::enter(Phase phase, std::uint32_t kind, std::uint64_t key, std::string_view what) {
    if (page() == nullptr) return;
    Page::Place& at = page()->at;
    at.phase = static_cast<std::uint32_t>(Phase::idle);
    at.kind = kind;
    at.key = key;
    copy_words(at.what, what);
    // Stores are seen by the next process in the order of the program: it reads them after our end.
    at.phase = static_cast<std::uint32_t>(phase);
}

void Cursor::leave() {
    if (page() != nullptr) page()->at.phase = static_cast<std::uint32_t>(Phase::idle);
}

bool Cursor::poisonous(Phase phase, std::uint32_t kind, std::uint64_t key) const {
    if (!quarantines_ || key == 0) return false;
    return std::any_of(page()->places, page()->places + kPlaces, [&](const Page::Place& one) {
        return one.phase == static_cast<std::uint32_t>(phase) && one.kind == kind && one.key == key &&
               one.deaths >= kDeaths;
    });
}

void Cursor::settled() {
    if (page() != nullptr) page()->unplaced = 0;
}

bool Cursor::hopeless() const {
    return page() != nullptr && page()->unplaced >= kUnplaced;
}

std::vector<std::string> Cursor::quarantined() const {
    std::vector<std::string> lines;
    if (page() == nullptr) return lines;
    for (const Page::Place& one : page()->places) {
        if (one.deaths >= kDeaths) lines.emplace_back(one.what, ::strnlen(one.what, kWords));
    }
    return lines;
}

void Cursor::forget() {
    if (page() == nullptr) return;
    std::memset(page()->places, 0, sizeof page()->places);
    page()->unplaced = 0;
    quarantines_ = false;
}

Cursor::Signalled Cursor::signalled(SignalId decided) {
    if (page() == nullptr) return {};
    if (!std::exchange(found_, true)) page()->signalled = page()->signalled_others = decided.value;
    return {SignalId{page()->signalled}, SignalId{page()->signalled_others}};
}

void Cursor::signals(SignalId id) {
    if (page() != nullptr && id) std::atomic_ref(page()->signalled).store(id.value);
}

void Cursor::signals_others(SignalId id) {
    if (page() != nullptr && id) std::atomic_ref(page()->signalled_others).store(id.value);
}

void Cursor::set_rescue(bool on) {
    if (page() != nullptr) page()->rescue = on ? 1 : 0;
}

bool Cursor::was_rescue() const {
    return page() != nullptr && page()->rescue != 0;
}

namespace {

std::uint64_t subject(const model::in::Requested& in) {
    std::uint64_t hash = fnv1a(model::to_text(in.verb));
    for (const std::string& name : in.names) hash = fnv1a(name, hash);
    return hash;
}
std::uint64_t subject(const model::in::Configured& in) {
    std::uint64_t hash = kFnvBasis;
    for (const model::ServiceSpec& spec : in.configuration.services) hash = fnv1a(spec.name, hash);
    return hash;
}
// The comparison with the kernel as a whole: no single thing to blame.
std::uint64_t subject(const model::in::Recovered&) {
    return 0;
}
// Time passes for all.
std::uint64_t subject(const model::in::Ticked&) {
    return 0;
}
std::uint64_t subject(const model::in::Signalled& in) {
    return static_cast<std::uint64_t>(in.signal);
}
std::uint64_t subject(const model::in::StoredLost& in) {
    return fnv1a(in.service);
}
std::uint64_t subject(const model::in::Emitted& in) {
    return fnv1a(in.name);
}
std::uint64_t subject(const model::in::UpgradeEnded& in) {
    return in.operation.value;
}
template <class T>
    requires requires(const T& in) { in.spawn.value; }
std::uint64_t subject(const T& in) {
    return in.spawn.value;
}
template <class T>
    requires requires(const T& in) {
        in.run.value;
        in.service;
    }
std::uint64_t subject(const T& in) {
    return run_key(in.service, in.run);
}

}  // namespace

std::uint64_t subject_of(const model::Input& input) {
    return std::visit([](const auto& one) { return subject(one); }, input);
}

// 0: it is about nothing in particular.
std::uint64_t subject_of(const model::Effect& effect) {
    return std::visit(
        [](const auto& one) -> std::uint64_t {
            if constexpr (requires { one.run.value; })
                return run_key(one.service, one.run);
            else if constexpr (requires { one.spawn.value; })
                return one.spawn.value;
            else if constexpr (requires { one.operation.value; })
                return one.operation.value;
            else
                return 0;
        },
        effect);
}

}  // namespace abide::manager
