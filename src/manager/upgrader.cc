// manager/upgrader.cc -- see the header.
#include "manager/upgrader.hpp"

#include <fcntl.h>

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

constexpr Duration kWitnessPatience = seconds(20);  // its own deadlines are shorter
constexpr std::uint32_t kReadyMs = 10'000;          // from our end to a new manager that was vouched for
constexpr std::uint32_t kCommitSlackMs = 10'000;    // beyond the probation, for the commit to come
constexpr int kKill = 9;

constexpr std::uint64_t key(anchor::Key well_known) {
    return static_cast<std::uint64_t>(well_known);
}

template <class T>
std::string bytes_of(const T& value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string refusal_of(std::uint32_t error) {
    if (error == ENOSYS) return "the anchor is of an older version; `abide upgrade --anchor` first";
    if (error == EBUSY) return "another upgrade is on probation";
    return "the anchor refused it (error " + std::to_string(error) + ")";
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

void Upgrader::end(OperationId operation, Outcome outcome, std::string detail) {
    uses_.inbox.push(InputClass::notification, model::in::UpgradeEnded{operation, outcome, std::move(detail)});
}

void Upgrader::close_link() {
    if (link_) static_cast<void>(uses_.epoll.remove(link_.get()));
    link_.reset();
    witness_.reset();
    program_.reset();
    rehearsing_.reset();
    deadline_ = kNever;
}

void Upgrader::begin(const model::out::Upgrade& effect, const Now& now) {
    if (effect.anchor) return begin_anchor(effect.operation, effect.program);
    if (rehearsing_) return end(effect.operation, Outcome::refused, "another upgrade is being rehearsed");
    if (Status started = start_witness(effect); !started) {
        close_link();
        return end(effect.operation, Outcome::refused, describe(started.error()));
    }
    rehearsing_ = effect;
    deadline_ = now.mono + kWitnessPatience;
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

Status Upgrader::start_witness(const model::out::Upgrade& effect) {
    Result<kernel::Fd> program = kernel::open_file(effect.program, O_PATH | O_CLOEXEC);
    if (!program) return std::unexpected(program.error());
    Result<kernel::Fd> again = program->duplicate();
    if (!again) return std::unexpected(again.error());
    Result<kernel::Fd> image = uses_.journal.copy();
    if (!image) return std::unexpected(image.error());
    Result<std::pair<kernel::Fd, kernel::Fd>> pair = kernel::make_socket_pair(SOCK_SEQPACKET, true);
    if (!pair) return std::unexpected(pair.error());
    Result<kernel::Fd> null = kernel::open_file("/dev/null", O_RDWR | O_CLOEXEC);
    if (!null) return std::unexpected(null.error());
    program_ = std::move(*program);
    link_ = std::move(pair->first);
    if (Status added = uses_.epoll.add(link_.get(), EPOLLIN, token_of(Watched::witness)); !added) return added;
    kernel::SpawnRequest request;
    request.argv = {kWitnessName, control_, std::to_string(effect.operation.value),
                    std::to_string(effect.probation.ns / 1'000'000), std::to_string(epoch_)};
    request.candidates = {"/proc/self/exe"};  // of the old program, whatever happened to its file
    request.as_parents_child = true;
    request.directory = "/";
    request.descriptors = {{null->get(), 0},
                           {2, 1},
                           {2, 2},
                           {pair->second.get(), kWitnessLink},
                           {image->get(), kWitnessJournal},
                           {again->get(), kWitnessProgram}};
    for (kernel::Fd* one : {&*null, &pair->second, &*image, &*again}) request.owned.push_back(std::move(*one));
    return uses_.spawner.spawn(std::move(request), kWitnessToken);
}

void Upgrader::on_spawn(kernel::SpawnEvent event) {
    if (event.kind == kernel::SpawnEventKind::started) witness_ = std::move(event.pidfd);
    if (event.kind != kernel::SpawnEventKind::failed || !rehearsing_) return;
    end(rehearsing_->operation, Outcome::refused,
        "the witness could not be started (error " + std::to_string(event.err) + ")");
    close_link();
}

void Upgrader::on_link() {
    if (!rehearsing_) return close_link();
    std::array<std::byte, 4096> buffer{};
    Result<kernel::Received> received = kernel::receive(link_.get(), buffer);
    if (received && received->nothing_now) return;
    const bool over = !received || received->end_of_stream;
    const std::string text(reinterpret_cast<const char*>(buffer.data()), over ? 0 : received->size);
    if (text == "pass" && received->fds.size() == 1) return passed(std::move(received->fds.front()));
    constexpr std::string_view kRefuse = "refuse ";
    const std::string why = text.starts_with(kRefuse) ? text.substr(kRefuse.size()) : "the witness ended early";
    end(rehearsing_->operation, Outcome::refused, "rehearsal: " + why);
    close_link();
}

// From here on the anchor decides.  The link stays open: that it ends tells the witness that our place is free.
void Upgrader::passed(kernel::Fd copy) {
    deadline_ = kNever;
    if (uses_.engine.instance().shutting_down) {
        end(rehearsing_->operation, Outcome::refused, "the instance is stopping");
        return close_link();
    }
    uses_.anchor.put(key(anchor::Key::next_program), share(std::move(program_)), true);
    uses_.anchor.put(key(anchor::Key::program_copy), share(std::move(copy)), true);
    anchor::Swap swap;
    swap.ticket = rehearsing_->operation.value;
    swap.ready_ms = kReadyMs;
    swap.commit_ms = static_cast<std::uint32_t>(rehearsing_->probation.ns / 1'000'000) + kCommitSlackMs;
    uses_.anchor.ask(anchor::Verb::swap, 1, bytes_of(swap), [this](std::uint32_t status, std::string_view) {
        if (status == 0) {
            handing_over_ = true;
            return;
        }
        constexpr std::string_view kStop = "stop";
        static_cast<void>(kernel::send(link_.get(), std::as_bytes(std::span(kStop))));
        uses_.anchor.drop(key(anchor::Key::next_program), true);
        uses_.anchor.drop(key(anchor::Key::program_copy), true);
        end(rehearsing_->operation, Outcome::refused, refusal_of(status));
        close_link();
    });
}

void Upgrader::expire(Mono now) {
    if (deadline_ > now || !rehearsing_) return;
    if (witness_) static_cast<void>(kernel::send_signal(witness_.get(), kKill));
    end(rehearsing_->operation, Outcome::refused, "rehearsal: it took too long");
    close_link();
}

void Upgrader::committed(OperationId operation) {
    uses_.journal.raise_format();
    uses_.anchor.drop(key(anchor::Key::program_copy), true);
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

void Upgrader::recovered(const anchor::Generation& told, anchor::Start start) {
    // The first one is the one that was begun; those that joined it end with it.
    bool told_one = false;
    for (const auto& [id, operation] : uses_.engine.operations()) {
        if (operation.outcome != Outcome::pending || told_one) continue;
        const bool ours = operation.verb == model::Verb::upgrade;
        if (!ours && operation.verb != model::Verb::upgrade_anchor) continue;
        told_one = true;
        if (!ours || told.ticket != id.value) {
            end(id, Outcome::failed, "it was interrupted; nothing was changed");
            continue;
        }
        const auto verdict = static_cast<anchor::Verdict>(told.verdict);
        if (verdict == anchor::Verdict::pending) continue;  // this manager is the one on probation
        if (verdict == anchor::Verdict::committed) {
            committed(id);
            continue;
        }
        uses_.anchor.drop(key(anchor::Key::program_copy), true);
        end(id, Outcome::rolled_back, words_of(told));
    }
    if (start != anchor::Start::upgraded || static_cast<anchor::Verdict>(told.verdict) != anchor::Verdict::pending)
        uses_.journal.raise_format();
}

}  // namespace abide::manager
