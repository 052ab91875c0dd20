// manager/handover.cc -- see the header.
#include "manager/handover.hpp"

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
#include "model/signal.hpp"
#include "protocol/anchor.hpp"

namespace abide::manager {

namespace {

constexpr Duration kWitnessPatience = seconds(20);  // its own deadlines are shorter
constexpr std::uint32_t kReadyMs = 10'000;          // from our end to a new manager that was vouched for
constexpr std::uint32_t kCommitSlackMs = 10'000;    // beyond the probation, for the commit to come

constexpr std::uint64_t key(anchor::Key well_known) {
    return static_cast<std::uint64_t>(well_known);
}

std::int64_t milliseconds_of(Duration time) {
    return time.ns / 1'000'000;
}

}  // namespace

void drop_programs(AnchorLink& anchor) {
    anchor.drop(key(anchor::Key::next_program), true);
    anchor.drop(key(anchor::Key::program_copy), true);
}

std::string refusal_of(std::uint32_t error) {
    if (error == ENOSYS) return "the anchor is of an older version; `abide upgrade --anchor` first";
    if (error == EBUSY) return "another upgrade is on probation";
    return "the anchor refused it (error " + std::to_string(error) + ")";
}

void Handover::close_link() {
    if (link_) static_cast<void>(uses_.epoll.remove(link_.get()));
    link_.reset();
    witness_.reset();
    program_.reset();
    request_.reset();
    deadline_ = kNever;
}

void Handover::refuse(std::string why) {
    if (!request_) return;
    refused_(request_->operation, std::move(why));
    close_link();
}

Status Handover::begin(Request request, kernel::Fd journal, Mono now) {
    request_ = std::move(request);
    deadline_ = now + kWitnessPatience;
    Status started = start_witness(std::move(journal));
    if (!started) close_link();
    return started;
}

Status Handover::start_witness(kernel::Fd journal) {
    Result<kernel::Fd> program = kernel::open_file(request_->program, O_PATH | O_CLOEXEC);
    if (!program) return std::unexpected(program.error());
    Result<kernel::Fd> again = program->duplicate();
    if (!again) return std::unexpected(again.error());
    Result<std::pair<kernel::Fd, kernel::Fd>> pair = kernel::make_socket_pair(SOCK_SEQPACKET, true);
    if (!pair) return std::unexpected(pair.error());
    Result<kernel::Fd> null = kernel::open_file("/dev/null", O_RDWR | O_CLOEXEC);
    if (!null) return std::unexpected(null.error());
    program_ = std::move(*program);
    link_ = std::move(pair->first);
    if (Status added = uses_.epoll.add(link_.get(), EPOLLIN, token_of(Watched::witness)); !added) return added;
    kernel::SpawnRequest request;
    request.argv = {kWitnessName,
                    request_->control,
                    std::to_string(request_->operation.value),
                    std::to_string(milliseconds_of(request_->probation)),
                    std::to_string(request_->epoch),
                    request_->rescue ? kWitnessOfRescue : ""};
    request.candidates = {"/proc/self/exe"};  // of the old program, whatever happened to its file
    request.as_parents_child = true;
    request.directory = "/";
    request.descriptors = {{null->get(), 0},
                           {2, 1},
                           {2, 2},
                           {pair->second.get(), kWitnessLink},
                           {journal.get(), kWitnessJournal},
                           {again->get(), kWitnessProgram}};
    for (kernel::Fd* one : {&*null, &pair->second, &journal, &*again}) request.owned.push_back(std::move(*one));
    return uses_.spawner.spawn(std::move(request), kWitnessToken);
}

void Handover::on_spawn(kernel::SpawnEvent event) {
    if (event.kind == kernel::SpawnEventKind::started) witness_ = std::move(event.pidfd);
    if (event.kind == kernel::SpawnEventKind::failed)
        refuse("the witness could not be started (error " + std::to_string(event.err) + ")");
}

void Handover::on_link() {
    if (!request_) return close_link();
    std::array<std::byte, 4096> buffer{};
    Result<kernel::Received> received = kernel::receive(link_.get(), buffer);
    if (received && received->nothing_now) return;
    const bool over = !received || received->end_of_stream;
    const std::string text(reinterpret_cast<const char*>(buffer.data()), over ? 0 : received->size);
    if (text == "pass" && received->fds.size() == 1) return passed(std::move(received->fds.front()));
    constexpr std::string_view kRefuse = "refuse ";
    refuse("rehearsal: " + (text.starts_with(kRefuse) ? text.substr(kRefuse.size()) : "the witness ended early"));
}

// From here on the anchor decides.  The link stays open: that it ends tells the witness that our place is free.
void Handover::passed(kernel::Fd copy) {
    deadline_ = kNever;
    uses_.anchor.put(key(anchor::Key::next_program), share(std::move(program_)), true);
    uses_.anchor.put(key(anchor::Key::program_copy), share(std::move(copy)), true);
    anchor::Swap swap;
    swap.ticket = request_->operation.value;
    swap.ready_ms = kReadyMs;
    swap.commit_ms = static_cast<std::uint32_t>(milliseconds_of(request_->probation)) + kCommitSlackMs;
    const std::string bytes(reinterpret_cast<const char*>(&swap), sizeof swap);
    uses_.anchor.ask(anchor::Verb::swap, 1, bytes, [this](std::uint32_t status, std::string_view) {
        if (status == 0) {
            given_ = true;
            return;
        }
        constexpr std::string_view kStop = "stop";
        static_cast<void>(kernel::send(link_.get(), std::as_bytes(std::span(kStop))));
        drop_programs(uses_.anchor);
        refuse(refusal_of(status));
    });
}

void Handover::expire(Mono now) {
    if (deadline_ > now || !request_) return;
    if (witness_) static_cast<void>(kernel::send_signal(witness_.get(), model::kKill));
    refuse("rehearsal: it took too long");
}

}  // namespace abide::manager
