// manager/upgrader.cc -- see the header.
#include "manager/upgrader.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/socket.hpp"
#include "manager/complain.hpp"
#include "manager/token.hpp"
#include "manager/witness.hpp"

namespace abide::manager {

namespace {

using model::Outcome;

constexpr const char* kInterrupted = "it was interrupted; nothing was changed";

constexpr std::uint64_t key(anchor::Key well_known) {
    return static_cast<std::uint64_t>(well_known);
}

template <class T>
std::string bytes_of(const T& value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

std::string words_of(const anchor::Generation& told) {
    const auto status = std::to_string(told.last_status);
    switch (static_cast<anchor::Verdict>(told.verdict)) {
        case anchor::Verdict::none: return "none";
        case anchor::Verdict::pending: return "pending";
        case anchor::Verdict::committed: return "committed";
        case anchor::Verdict::crashed:
            if (static_cast<anchor::Ended>(told.last_kind) == anchor::Ended::exited)
                return "it exited with status " + status;
            return "it was ended by signal " + status;
        case anchor::Verdict::hung: return "it hung";
        case anchor::Verdict::late: return "it was not ready, or did not answer as it should, in time";
        case anchor::Verdict::garbage: return "it sent garbage to the anchor";
        case anchor::Verdict::uncommitted: return "it did not answer as it should at the end of its probation";
    }
    return "it failed";
}

UpgradeEnd end_of(OperationId operation, const anchor::Generation& told) {
    if (told.ticket != operation.value) return {Outcome::failed, kInterrupted};
    const auto verdict = static_cast<anchor::Verdict>(told.verdict);
    if (verdict == anchor::Verdict::pending) return {Outcome::pending, {}};
    if (verdict == anchor::Verdict::committed) return {Outcome::done, {}};
    return {Outcome::rolled_back, words_of(told)};
}

void Upgrader::end(OperationId operation, Outcome outcome, std::string detail) {
    told_of_rescue_ = told_of_rescue_ || operation == asked_of_rescue_;
    uses_.inbox.push(InputClass::notification, model::in::UpgradeEnded{operation, outcome, std::move(detail)});
}

Upgrader::Upgrader(Uses uses)
    : uses_(uses), handover_({uses.epoll, uses.spawner, uses.anchor}, [this](OperationId operation, std::string why) {
          end(operation, Outcome::refused, std::move(why));
      }) {}

void Upgrader::begin(const model::out::Upgrade& effect, const Now& now) {
    if (effect.anchor) return begin_anchor(effect.operation, effect.program);
    if (handover_.under_way()) return end(effect.operation, Outcome::refused, "another upgrade is being rehearsed");
    Result<kernel::Fd> image = uses_.journal.copy();
    if (!image) return end(effect.operation, Outcome::refused, describe(image.error()));
    const Status begun = handover_.begin({effect.operation, effect.program, effect.probation, control_, epoch_},
                                         std::move(*image), now.mono);
    if (!begun) end(effect.operation, Outcome::refused, describe(begun.error()));
}

// The anchor rehearses its successor itself, in a child, and answers when one of the two goes on.
void Upgrader::begin_anchor(OperationId operation, const std::string& program) {
    Result<kernel::Fd> opened = kernel::open_file(program, O_PATH | O_CLOEXEC);
    if (!opened) return end(operation, Outcome::refused, describe(opened.error()));
    uses_.anchor.put(key(anchor::Key::next_anchor), share(std::move(*opened)), true);
    uses_.anchor.ask(anchor::Verb::exec_self, 0, {}, [this, operation](std::uint32_t status, std::string_view) {
        if (status == 0) {
            committed_anchor_ = true;
            return end(operation, Outcome::done, "the anchor");
        }
        if (status == ENOSYS)
            return end(operation, Outcome::refused, "the anchor is of a version that can't replace itself");
        uses_.anchor.drop(key(anchor::Key::next_anchor), true);
        end(operation, Outcome::refused,
            status == ENOEXEC ? "rehearsal: the program is no anchor, or can't read the state of this one"
                              : refusal_of(status));
    });
}

void Upgrader::on_link() {
    if (uses_.engine.instance().shutting_down) return handover_.refuse("the instance is stopping");
    handover_.on_link();
}

void Upgrader::committed(OperationId operation) {
    uses_.journal.raise_format();
    drop_programs(uses_.anchor);
    committed_ = true;
    end(operation, Outcome::done, "");
}

void Upgrader::vouch(const control::VouchRequest& request) {
    anchor::Commit commit;
    commit.ticket = static_cast<std::uint64_t>(request.operation);
    commit.flags = request.final_ ? anchor::kFinal : 0;
    const OperationId operation{commit.ticket};
    const bool final_word = request.final_;
    uses_.anchor.ask(anchor::Verb::commit, 1, bytes_of(commit),
                     [this, operation, final_word](std::uint32_t status, std::string_view) {
                         if (status == 0 && final_word) committed(operation);
                     });
}

// What the anchor says about its swap.
void Upgrader::settle(OperationId operation, const anchor::Generation& told) {
    UpgradeEnd ended = end_of(operation, told);
    if (ended.outcome == Outcome::pending) return;  // this manager is the one on probation
    if (ended.outcome == Outcome::done) return committed(operation);
    end(operation, ended.outcome, std::move(ended.detail));
}

void Upgrader::recovered(const anchor::Generation& told, anchor::Start start,
                         const std::vector<model::RescueUpgrade>& asked) {
    const bool on_probation = static_cast<anchor::Verdict>(told.verdict) == anchor::Verdict::pending;
    if (!on_probation) drop_programs(uses_.anchor);
    // The first one is the one that was begun; those that joined it end with it.
    bool told_one = false;
    for (const auto& [id, operation] : uses_.engine.operations()) {
        const auto is_this = [&id](const model::RescueUpgrade& one) { return one.operation.id == id; };
        if (operation.outcome != Outcome::pending || told_one || std::ranges::any_of(asked, is_this)) continue;
        const bool ours = operation.verb == model::Verb::upgrade;
        if (!ours && operation.verb != model::Verb::upgrade_anchor) continue;
        told_one = true;
        if (ours)
            settle(id, told);
        else
            end(id, Outcome::failed, kInterrupted);
    }
    if (!asked.empty()) recovered(told, asked.back());
    if (start != anchor::Start::upgraded || !on_probation) uses_.journal.raise_format();
}

// Those before the last have an outcome, and are told of as they are taken over.
void Upgrader::recovered(const anchor::Generation& told, const model::RescueUpgrade& last) {
    asked_of_rescue_ = last.operation.id;
    const model::Operation* known = uses_.engine.operation(last.operation.id);
    const bool was_told = known != nullptr && known->outcome != Outcome::pending;  // by one that could not say so
    told_of_rescue_ = was_told || last.outcome != Outcome::pending;
    if (!told_of_rescue_) settle(last.operation.id, told);
}

}  // namespace abide::manager
