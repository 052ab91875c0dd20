// manager/loop.cc -- the turn.  See the header; the start is in start.cc, the end in finish.cc.
#include "manager/loop.hpp"

#include <algorithm>
#include <cstdlib>

#include "kernel/alarm.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/memory.hpp"
#include "kernel/program.hpp"
#include "manager/complain.hpp"
#include "manager/exited.hpp"
#include "manager/token.hpp"

namespace abide::manager {

namespace {

constexpr Duration kPatienceWithAnchor = milliseconds(1);
constexpr std::size_t kBurst = 250;  // inputs, or KiB of replies; so long after the last of them memory is given back
constexpr Duration kQuiet = milliseconds(200);
constexpr std::size_t kKiB = 1024;
constexpr int kRounds = 4;  // of decisions in a turn
// Nothing in a turn waits for anybody, so a step that takes so long will never end.  The anchor sees a manager that
// hangs only when it owes an answer; one that spins while clients wait owes it none.
constexpr Duration kStepPatience = seconds(15);
constexpr std::size_t kManyEnded = 16;  // more than that at once: most of their signals were lost

// The anchor looked at the clock when it saw the process ended.
Wall time_of(const anchor::Exit& exit, const Now& now) {
    const auto seen = static_cast<std::int64_t>(exit.seen_ns);
    return seen == 0 || seen > now.mono.ns ? now.wall : Wall{now.wall.ns - (now.mono.ns - seen)};
}

}  // namespace

Loop::Loop(kernel::Epoll epoll, kernel::Epoll ends, std::unique_ptr<kernel::Spawner> spawner, AnchorLink anchor)
    : epoll_(std::move(epoll)),
      ends_(std::move(ends)),
      spawner_(std::move(spawner)),
      anchor_(std::move(anchor)),
      logger_(epoll_, anchor_, *spawner_),
      runs_(epoll_, anchor_, logger_),
      probes_(epoll_),
      stored_(epoll_, anchor_, inbox_),
      notify_(engine_, inbox_, tracking_, runs_, anchor_, stored_),
      upgrader_({engine_, epoll_, *spawner_, anchor_, inbox_, journal_}),
      launcher_({engine_, ends_, *spawner_, anchor_, inbox_, processes_, runs_, tracking_, logger_, journal_, upgrader_,
                 cursor_}),
      executor_({engine_, epoll_, anchor_, inbox_, processes_, runs_, tracking_, launcher_, probes_, stored_, upgrader_,
                 cursor_, hello_.anchor_pid}),
      control_(epoll_, engine_, inbox_) {}

namespace {

// For whoever asks what was quarantined.
std::string words_of(const model::Input& input) {
    return std::visit(
        [](const auto& in) {
            std::string text = "what happened to ";
            if constexpr (requires { in.service; }) return text + in.service;
            if constexpr (requires { in.spawn; })
                return text + "the process of spawn " + std::to_string(in.spawn.value);
            if constexpr (requires { in.names; })
                return "a request about " + (in.names.empty() ? std::string("all") : in.names.front());
            return std::string("something that happened to the instance");
        },
        input);
}

}  // namespace

int Loop::run() {
    trim_at_ = kernel::mono_now() + kQuiet;  // to come to work is a burst as well
    for (bool first = true; !anchor_gone_; first = false) {
        turn();
        // Only now the engine knows what the comparison found.
        if (first) control_.set_comparing(false, kernel::now());
        if (ending_ == Ending::told && anchor_.flushed()) return 0;
        if (upgrader_.handing_over()) std::_Exit(0);  // a planned crash: nothing is tidied
    }
    if (ending_ == Ending::told) return 0;
    wait_for_orphanhood();
    complain("the anchor is gone; starting another one");
    Result<kernel::Fd> journal = journal_.another();
    if (journal) last_resort_.set_journal(share(std::move(*journal)));
    auto [socket, pidfd] = logger_.share_link();
    last_resort_.set_logger(std::move(socket), std::move(pidfd));
    Heirlooms heirlooms;
    for (const auto& [key, fd] : anchor_.theirs()) heirlooms.emplace_back(key, fd->get());
    runs_.add_heirlooms(heirlooms);
    for (const auto& [key, fd] : anchor_.outputs()) heirlooms.emplace_back(key, fd->get());
    if (last_resort_.start(*spawner_, hello_.epoch, heirlooms)) std::_Exit(0);
    complain("there is no anchor any more; the manager ends");
    return 1;
}

// One that had a fault of its own has closed its end as well, and is about to replace us; one that was killed is not
// our parent any more in a moment.
void Loop::wait_for_orphanhood() const {
    constexpr Duration kPatience = seconds(1);
    const Mono until = kernel::mono_now() + kPatience;
    while (kernel::parent_pid() == hello_.anchor_pid && kernel::mono_now() < until) kernel::sleep_for(milliseconds(1));
}

void Loop::turn() {
    const auto ready = epoll_.wait(inbox_.empty() ? deadline() : Mono{});
    kernel::Alarm bound(kStepPatience);
    const Now now = kernel::now();
    if (!ready) return complain(describe(ready.error()));
    cursor_.enter(Phase::hearing);
    // The span is the epoll object's: no handler waits on it.
    for (const kernel::Ready& one : *ready) on_ready(one, now);
    look_at_clocks(now);
    cursor_.leave();
    decide_and_act(bound);
    bound.renew();
    speak(now);
    if (ending_ != Ending::no) go_on_ending(now);
}

Mono Loop::deadline() const {
    return std::min({engine_.next_deadline(), probes_.next_deadline(), control_.next_deadline(), tracking_.next_look(),
                     logger_.next_deadline(), events_.next_deadline(), journal_.next_deadline(), peek_at_, trim_at_,
                     end_deadline_, upgrader_.next_deadline()});
}

void Loop::on_ready(const kernel::Ready& ready, const Now& now) {
    const std::uint64_t id = id_of(ready.token);
    switch (kind_of(ready.token)) {
        case Watched::anchor: return on_anchor(now);
        case Watched::spawner: return launcher_.on_spawner(now);
        case Watched::cgroups: break;  // look_at_clocks() drains them in every turn
        case Watched::logger:
            for (const protocol::log::Matched& line : logger_.on_ready(ready.events)) {
                const RunThings* things = runs_.find(id_of(line.key));
                if (things == nullptr) continue;
                inbox_.push(InputClass::notification, model::in::BecameReady{things->service, things->run, 0, 0});
            }
            return;
        case Watched::control: return control_.on_listener(now);
        case Watched::connection: return control_.on_connection(id, ready.events, now);
        case Watched::process: return on_process(SpawnId{id}, epoll_, now);
        case Watched::notify:
            // Without cgroups a sender is known by its session, which the Spawner tells.
            if (!tracking_.has_cgroups()) launcher_.on_spawner(now);
            return notify_.on_ready(id);
        case Watched::ready_pipe: return notify_.on_ready_pipe(id);
        case Watched::probe: return probes_.on_ready(id);
        case Watched::stored: return stored_.on_ready(id);
        case Watched::witness: return upgrader_.on_link();
        case Watched::console: return runs_.on_console(id);
    }
}

void Loop::on_anchor(const Now& now) {
    // What the Spawner knows about a start comes before what the anchor knows about its end.
    launcher_.on_spawner(now);
    const AnchorLink::News news = anchor_.read();
    anchor_gone_ = anchor_gone_ || news.closed;
    for (const anchor::Exit& exit : news.exits) on_exit(exit, now);
    for (const anchor::Exit& exit : news.peeked) {
        if (executor_.on_peeked(exit, now)) continue;
        if (const std::optional<SpawnId> spawn = processes_.by_pid(exit.pid)) unheard_.push_back(*spawn);
        peek_at_ = std::min(peek_at_, now.mono + kPatienceWithAnchor);
    }
    for (const AnchorLink::News::Wished& wished : news.wishes) {
        inbox_.push(InputClass::notification, model::in::Signalled{wished.wish.signal});
        anchor_.took_wish(wished);  // sent after the turn's journal write
    }
    told_of_ends_ = told_of_ends_ || !news.exits.empty();
}

// Signals of children coalesce: what the anchor was not told of ended not long before what it was told of.
void Loop::look_for_more_ends(const Now& now) {
    const auto ended = ends_.wait(Mono{});
    if (!ended) return complain(describe(ended.error()));
    for (const kernel::Ready& one : *ended) on_process(SpawnId{id_of(one.token)}, ends_, now);
    if (peek_at_ <= now.mono) ask_about_unheard();
}

void Loop::on_exit(const anchor::Exit& exit, const Now& now) {
    if (logger_.is_logger(exit.pid)) {
        logger_.on_exit(now.mono);
        events_.ring_again();
        processes_.acknowledge(exit.pid);
        return;
    }
    const bool spawning = spawner_->in_flight() + spawner_->queued() != 0;
    const std::optional<Processes::Ended> ended = processes_.ended(exit, spawning);
    if (!ended) return;
    if (std::erase(unheard_, ended->spawn) != 0 && unheard_.empty()) peek_at_ = kNever;
    inbox_.push(InputClass::process, exited(engine_, tracking_, *ended, time_of(ended->exit, now)));
}

// A process has ended.  Usually the anchor is about to say so; it is asked when it does not.
void Loop::on_process(SpawnId spawn, kernel::Epoll& watched, const Now& now) {
    const Processes::Tracked* process = processes_.find(spawn);
    if (process == nullptr || !process->pidfd) return;
    static_cast<void>(watched.remove(process->pidfd.get()));
    unheard_.push_back(spawn);
    peek_at_ = unheard_.size() >= kManyEnded ? now.mono : std::min(peek_at_, now.mono + kPatienceWithAnchor);
}

void Loop::ask_about_unheard() {
    for (const SpawnId spawn : std::exchange(unheard_, {})) {
        if (const Processes::Tracked* process = processes_.find(spawn)) anchor_.peek(process->pid);
    }
    peek_at_ = kNever;
}

void Loop::look_at_clocks(const Now& now) {
    if (peek_at_ <= now.mono) ask_about_unheard();
    for (Tracking::Empty& empty : tracking_.drain(now.mono)) {
        inbox_.push(InputClass::process, model::in::Emptied{std::move(empty.service), empty.run});
    }
    for (Tracking::Frozen& one : tracking_.drain_frozen(now.mono)) {
        model::in::Frozen told{std::move(one.service), one.run, true, std::move(one.error)};
        inbox_.push(InputClass::notification, std::move(told));
    }
    probes_.expire(now.mono);
    for (model::in::Probed& answer : probes_.take()) inbox_.push(InputClass::notification, std::move(answer));
    control_.expire(now);
    logger_.ensure(now.mono);
    upgrader_.expire(now.mono);
    if (engine_.next_deadline() <= now.mono) inbox_.push(InputClass::notification, model::in::Ticked{});
}

// What follows at once, as the start of a run from the end of the last one, comes before the answers.
void Loop::decide_and_act(kernel::Alarm& bound) {
    const auto goes_on = [&] { return !inbox_.empty() && ending_ == Ending::no; };
    const std::size_t under_way = spawner_->in_flight();
    for (int round = 0; round == 0 || (round < kRounds && goes_on()); ++round) {
        const Now now = kernel::now();
        bound.renew();
        decide(now);
        bound.renew();
        act(now);
    }
    // Who was just cloned needs the processor more than the anchor does, and his start ends the next wait.
    if (spawner_->in_flight() > under_way) return;
    for (const std::int32_t pid : processes_.take_acknowledged()) anchor_.reap(pid);
}

// The engine takes what happened; what changed goes to the journal with one write.
void Loop::decide(const Now& now) {
    const std::vector<Inbox::Item> items = inbox_.take();
    if (items.empty()) return;
    for (const Inbox::Item& item : items) {
        const auto kind = static_cast<std::uint32_t>(item.input.index());
        const std::uint64_t subject = subject_of(item.input);
        if (cursor_.poisonous(Phase::stepping, kind, subject)) {
            control_.refuse(item.ticket);
            continue;
        }
        cursor_.enter(Phase::stepping, kind, subject, words_of(item.input));
        std::vector<model::Effect> effects = engine_.step(item.input, now);
        for (const model::Effect& effect : effects) {
            if (const auto* told = std::get_if<model::out::Publish>(&effect)) events_.append(told->event);
        }
        if (effects_.empty())
            effects_ = std::move(effects);
        else
            std::ranges::move(effects, std::back_inserter(effects_));
        if (item.ticket.connection != 0) stepped_.emplace_back(item.ticket, engine_.instance().last_operation);
    }
    cursor_.leave();
    note_work(items.size(), now);
    control_.changed();
    const core::Changes changes = engine_.take_changes();
    journal_.write(engine_, changes, events_.fresh());
    tracking_.follow(engine_, changes.services);
    if (!changes.instance) return;
    events_.configure(engine_.instance().spec);
    share_control();
}

void Loop::act(const Now& now) {
    notify_.journaled(epoll_);
    // Who waits for an event is woken first.
    events_.flush(now);
    if (events_.all_written()) journal_.events_written();
    journal_.mirror();
    processes_.close_ended();
    if (std::exchange(told_of_ends_, false)) look_for_more_ends(now);
    control_.published(events_.folder_fd(), events_.written().value, events_.batch());
    executor_.carry_out(effects_, now);
    effects_.clear();
    launcher_.spawn_prepared();
    cursor_.leave();
    launcher_.end_turn();
    processes_.end_turn(spawner_->in_flight() + spawner_->queued() != 0);
    if (const std::optional<std::int32_t> status = executor_.ended(); status && ending_ == Ending::no)
        begin_end(*status, now);
}

void Loop::speak(const Now& now) {
    // A pipe goes to the anchor before the logger has it, and away from it after the logger gave it up.
    anchor_.flush();
    logger_.flush();
    anchor_.flush();
    for (const auto& [ticket, operation] : stepped_) control_.stepped(ticket, operation);
    stepped_.clear();
    for (const model::Operation& operation : executor_.take_replies()) control_.ended(operation);
    control_.flush(now);
    note_work(control_.take_replied() / kKiB, now);
    if (places_.where.logger_pid != logger_.pid()) {
        places_.where.logger_pid = logger_.pid();
        control_.set_places(places_);
    }
    if (upgrader_.take_committed()) note_commit();
    if (upgrader_.take_told_of_rescue()) anchor_.drop(kAskedOfRescueKey, true);
    if (upgrader_.take_committed_anchor()) {
        last_resort_.look_at_anchor(hello_.anchor_pid);
        places_.generation.anchor_execs += 1;
        control_.set_places(places_);
    }
    begin_mirror();
    // A compaction copies all that there is.  What that took is given back when it is quiet: to map memory and code
    // again in the middle of work costs as much as the compaction.
    const bool children_writing = launcher_.prepares() || spawner_->in_flight() + spawner_->queued() != 0;
    if (journal_.compact_when_due(engine_, anchor_, children_writing, now.mono))
        trim_at_ = worked_at_ == now.mono ? now.mono + kQuiet : now.mono;
    watch_anchor_room();
    if (trim_at_ <= now.mono) give_back_memory();
    cursor_.settled();
    shorten_own_log();
}

// supervisor.log, which anchor, manager and logger of a detached instance share as their standard error.
void Loop::shorten_own_log() {
    constexpr int kStandardError = 2;
    constexpr std::uint64_t kMostBytes = 1u << 20;
    complained_ += take_complained();
    if (complained_ < kLookAfter) return;
    complained_ = 0;
    const std::string& folder = places_.where.log.empty() ? places_.where.runtime : places_.where.log;
    const Status done = kernel::shorten_shared_log(kStandardError, folder + "/supervisor.log", kMostBytes);
    if (!done) complain(describe(done.error()));
}

void Loop::note_work(std::size_t amount, const Now& now) {
    taken_ += amount;
    if (amount > 0) worked_at_ = now.mono;
    if (amount > 0 && taken_ >= kBurst) trim_at_ = now.mono + kQuiet;
}

// After a burst the heap is full of holes between what stays, buffers are as large as they ever were, and most of the
// code has been used.
void Loop::give_back_memory() {
    trim_at_ = kNever;
    taken_ = 0;
    effects_.shrink_to_fit();
    stepped_.shrink_to_fit();
    inbox_.release_memory();
    journal_.release_memory();
    events_.release_memory();
    logger_.release_memory();
    processes_.release_memory();
    spawner_->release_memory();
    engine_.release_memory();
    kernel::give_back_memory();
}

void Loop::watch_anchor_room() {
    const bool wants = !anchor_.flushed();
    if (wants == anchor_wants_room_) return;
    anchor_wants_room_ = wants;
    must(epoll_.modify(anchor_.fd(), EPOLLIN | (wants ? EPOLLOUT : 0u), token_of(Watched::anchor)), "anchor");
}

}  // namespace abide::manager
