// manager/start.cc -- how a manager comes to work: the first one and every later one in the same way.
#include <fcntl.h>

#include <algorithm>

#include "base/text.hpp"
#include "base/version.hpp"
#include "kernel/alarm.hpp"
#include "kernel/cgroup.hpp"
#include "kernel/clock.hpp"
#include "kernel/event_watch.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "kernel/rlimit.hpp"
#include "manager/complain.hpp"
#include "manager/loop.hpp"
#include "manager/recovery.hpp"
#include "manager/rescue.hpp"
#include "manager/token.hpp"

namespace abide::manager {

namespace {

constexpr std::uint64_t key(anchor::Key well_known) {
    return static_cast<std::uint64_t>(well_known);
}
constexpr std::size_t kRecordBytes = 1u << 20;
constexpr std::uint64_t kRecoveryMs = 60'000;
constexpr Duration kRecoveryPatience = seconds(60);
constexpr std::uint64_t kPartForOutputs = 8;  // one descriptor of so many may be the output pipe of a run

std::string reason_of(anchor::Start start) {
    switch (start) {
        case anchor::Start::first: return "first";
        case anchor::Start::crashed: return "crashed";
        case anchor::Start::killed: return "killed";
        case anchor::Start::hung: return "hung";
        case anchor::Start::upgraded: return "upgraded";
        case anchor::Start::rolled_back: return "rolled-back";
        case anchor::Start::adopted: return "adopted";
    }
    return "unknown";
}

// The position of a shared descriptor is anybody's; a description of our own begins at the start.
Result<std::string> read_from_start(int fd) {
    const Result<kernel::Fd> own = kernel::reopen(fd, O_RDONLY | O_CLOEXEC);
    if (!own) return std::unexpected(own.error());
    return kernel::read_all(own->get(), kRecordBytes);
}

Result<std::string> content_of(const AnchorLink::Kept& kept, anchor::Key well_known) {
    const auto found = kept.find(key(well_known));
    if (found == kept.end()) return std::string{};
    return read_from_start(found->second.get());
}

}  // namespace

Result<std::unique_ptr<Loop>> Loop::create(kernel::Fd anchor_socket) {
    // 1. Greet the anchor, and take what it keeps.
    AnchorLink anchor(std::move(anchor_socket));
    const Result<anchor::HelloAnswer> hello = anchor.hello_now();
    if (!hello) return std::unexpected(hello.error());
    anchor.working(kRecoveryMs);
    Result<AnchorLink::Kept> kept = anchor.get_now(
        {key(anchor::Key::journal), key(anchor::Key::control), key(anchor::Key::runtime), key(anchor::Key::environment),
         key(anchor::Key::cgroup), key(anchor::Key::places), key(anchor::Key::hold_program), key(anchor::Key::cursor),
         anchor_key(Keep::logger, 1), anchor_key(Keep::logger, 2)});
    if (!kept) return std::unexpected(kept.error());
    for (auto& [number, fd] : *kept) {
        if (Status raised = kernel::raise_above_staging(fd); !raised) return std::unexpected(raised.error());
    }
    // 2. The Spawner takes the low descriptors; the loop's own lie above them.
    kernel::SpawnerOptions options;
    options.reuses_pipes = true;
    if (const auto hold = kept->find(key(anchor::Key::hold_program)); hold != kept->end())
        options.hold_program = hold->second.get();
    Result<std::unique_ptr<kernel::Spawner>> spawner = kernel::Spawner::create(options);
    if (!spawner) return std::unexpected(spawner.error());
    Result<kernel::Epoll> epoll = kernel::Epoll::create(), ends = kernel::Epoll::create();
    if (!epoll) return std::unexpected(epoll.error());
    if (!ends) return std::unexpected(ends.error());
    std::unique_ptr<Loop> loop(new Loop(std::move(*epoll), std::move(*ends), std::move(*spawner), std::move(anchor)));
    loop->hello_ = *hello;
    loop->kept_ = std::move(*kept);
    return loop;
}

Status Loop::start() {
    const kernel::Alarm bound(kRecoveryPatience);
    // What did the predecessor die of?
    const auto start = static_cast<anchor::Start>(hello_.start);
    cursor_.open(anchor_, kept_, start == anchor::Start::crashed || start == anchor::Start::hung);
    if (start == anchor::Start::upgraded || start == anchor::Start::rolled_back) cursor_.forget();
    // As many descriptors as the machine allows; children get the old limit back.
    const Result<kernel::ResourceLimitValue> limit = kernel::raise_descriptor_limit();
    if (!limit) return std::unexpected(limit.error());
    if (cursor_.hopeless()) return fail(ErrorKind::failed, "managers die of this state again and again");
    // Read the journal: what was true when the last record was written.
    auto journal = kept_.extract(key(anchor::Key::journal));
    if (!journal) return fail(ErrorKind::failed, "the anchor keeps no journal");
    Result<core::Snapshot> snapshot = journal_.open(std::move(journal.mapped()), hello_.epoch,
                                                    (hello_.flags & anchor::kJournalSealed) != 0, anchor_, cursor_);
    if (!snapshot) return std::unexpected(snapshot.error());
    cursor_.enter(Phase::building);
    engine_ = core::Engine(std::move(*snapshot));
    cursor_.enter(Phase::comparing);
    // Places, environment, control groups, event log, control socket, logger.
    if (Status taken = take_places(); !taken) return taken;
    const Result<std::string> environment = content_of(kept_, anchor::Key::environment);
    if (!environment) return std::unexpected(environment.error());
    std::vector<model::Variable> variables =
        environment->empty() ? journal_.environment() : parse_environment(*environment);
    if (Status ready = launcher_.prepare(std::move(variables), *limit); !ready) return ready;
    if (Status taken = take_tracking(); !taken) return taken;
    if (Status taken = take_runtime(); !taken) return taken;
    logger_.set_directory(places_.where.log);
    logger_.adopt(kept_);
    places_.where.logger_pid = logger_.pid();
    control_.set_places(places_);
    control_.set_comparing(true, kernel::now());
    kept_.erase(key(anchor::Key::environment));
    kept_.erase(key(anchor::Key::places));
    // After all that is kept for the instance as a whole has been put there.
    last_resort_.prepare(anchor_, hello_, places_.where.runtime, *limit);
    // Compare with the kernel, and go on.
    return recover();
}

bool Loop::leave_to_next(const Error& error) {
    if (error.err == 0 || cursor_.hopeless()) return false;
    if (!cursor_.counts()) return hello_.failures < Cursor::kUnplaced;
    cursor_.enter(Phase::comparing);  // a death that is nobody's fault in particular
    return true;
}

int Loop::rescue(const std::string& why) {
    cursor_.set_rescue(true);
    cursor_.leave();
    return run_rescue({anchor_, *spawner_, hello_, why});
}

Status Loop::take_places() {
    const Result<std::string> text = content_of(kept_, anchor::Key::places);
    if (!text) return std::unexpected(text.error());
    if (!text->empty()) {
        boost::json::error_code wrong;
        const boost::json::value json = boost::json::parse(*text, wrong);
        if (wrong || !json.is_object()) return fail(ErrorKind::failed, "the record of places is no JSON object");
        auto where = control::read<control::WhereReply>(json.get_object());
        if (!where) return fail(ErrorKind::failed, "the record of places is wrong at '" + where.error() + "'");
        places_.where = std::move(*where);
    }
    places_.where.anchor_pid = hello_.anchor_pid;
    places_.where.manager_pid = kernel::own_pid();
    places_.epoch = hello_.epoch;
    control_.set_places(places_);
    return {};
}

Status Loop::take_tracking() {
    tracking_.set_reaper(hello_.anchor_pid);
    const Result<kernel::CgroupHome> here = kernel::find_cgroup_home();
    if (!here) {
        complain("no control groups: " + describe(here.error()) + "; services are tracked by session");
        return {};
    }
    if (auto home = kept_.extract(key(anchor::Key::cgroup))) {
        home_ = std::move(home.mapped());
    } else {
        // Found by the first manager only: the later ones live in a leaf of their own below it.
        Result<kernel::Fd> opened = kernel::open_directory(here->mount + here->group);
        if (!opened) {  // named by the kernel and covered by another mount, as in some containers
            complain("no control groups: " + describe(opened.error()) + "; services are tracked by session");
            return {};
        }
        home_ = std::move(*opened);
        Result<kernel::Fd> copy = home_.duplicate();
        if (!copy) return std::unexpected(copy.error());
        anchor_.put(key(anchor::Key::cgroup), share(std::move(*copy)), true);
    }
    const Result<std::string> path = kernel::real_path("/proc/self/fd/" + std::to_string(home_.get()));
    if (!path) return std::unexpected(path.error());
    std::string shown = path->starts_with(here->mount) ? path->substr(here->mount.size()) : std::string{};
    if (shown.empty()) shown = "/";
    Result<kernel::Fd> parent = home_.duplicate();
    if (!parent) return std::unexpected(parent.error());
    std::string name(last_component(places_.where.runtime));
    if (name.empty()) name = engine_.instance().spec.name;
    tracking_.start(std::move(*parent), shown, name, {hello_.anchor_pid, kernel::own_pid()});
    if (tracking_.watch_fd() < 0) return {};
    return epoll_.add(tracking_.watch_fd(), EPOLLIN, token_of(Watched::cgroups));
}

Status Loop::take_runtime() {
    auto runtime = kept_.extract(key(anchor::Key::runtime));
    if (!runtime) return fail(ErrorKind::failed, "the anchor keeps no runtime folder");
    runtime_ = std::move(runtime.mapped());
    // Services with a user of their own must reach their sockets, so the folder may be passed through, not listed.
    Result<kernel::Fd> notify = kernel::make_directory_beneath(runtime_.get(), "notify", 0711);
    if (!notify) return std::unexpected(notify.error());
    const Result<std::string> path = kernel::real_path("/proc/self/fd/" + std::to_string(notify->get()));
    if (!path) return std::unexpected(path.error());
    runs_.set_runtime_folder(folder_of(*path));
    runs_.set_notify_directory(*path, std::move(*notify));
    take_event_log();
    // Whoever was to do it may have died before he could.
    share_control();
    auto control = kept_.extract(key(anchor::Key::control));
    if (!control) return fail(ErrorKind::failed, "the anchor keeps no control socket");
    return control_.listen(std::move(control.mapped()));
}

// Who may connect; what a caller may do is decided by his credentials (permissions.hpp).
void Loop::share_control() {
    const bool shared = engine_.instance().spec.shared();
    if (shared_ == shared) return;
    shared_ = shared;
    const std::uint32_t folder = control::folder_mode(shared, kernel::effective_uid());
    for (const Status& done : {kernel::set_group_and_mode(runtime_.get(), kernel::kNoGroup, folder),
                               kernel::set_socket_mode(places_.where.control, control::socket_mode(shared))}) {
        if (!done) complain("[control]: " + describe(done.error()));
    }
}

// After the first answers: it is a copy of all.  With process 1 everything ends, so nobody would read it.
void Loop::begin_mirror() {
    if (std::exchange(mirror_begun_, true) || (hello_.flags & anchor::kIsPid1) != 0) return;
    if (Result<kernel::Fd> copy = runtime_.duplicate()) journal_.mirror_to(std::move(*copy));
}

void Loop::take_event_log() {
    events_.set_folder([this] { return kernel::make_directory_beneath(runtime_.get(), "events", 0750); });
    events_.set_ringer([this](int doorbell, bool another) { return logger_.ring(doorbell, another); });
    events_.set_current([this](std::string_view service, std::uint64_t run) {
        const model::Service* known = engine_.find(service);
        return known != nullptr && known->last_run.value == run;
    });
    events_.set_source(engine_.instance().spec.name, engine_.instance().stream);
    events_.reserve(places_.where.log, engine_.instance().stream, engine_.instance().reserved_events);
    events_.configure(engine_.instance().spec);
    newest_event_ = events_.take_over(journal_.event_lines(), engine_.instance().last_event, kernel::now());
}

// Held here too, where the anchor can be killed.
Status Loop::hold_theirs(const std::vector<std::uint64_t>& keys) {
    if ((hello_.flags & anchor::kIsPid1) != 0) return {};
    std::vector<std::uint64_t> wanted;
    for (const std::uint64_t key : keys) {
        if (keep_of(key) == Keep::listener || keep_of(key) == Keep::stored) wanted.push_back(key);
    }
    Result<AnchorLink::Kept> kept = wanted.empty() ? AnchorLink::Kept{} : anchor_.get_now(wanted);
    if (!kept) return std::unexpected(kept.error());
    const Result<kernel::ResourceLimitValue> limit = kernel::get_limit(RLIMIT_NOFILE);
    anchor_.hold_theirs(limit ? limit->soft / kPartForOutputs : 0);
    anchor_.hold(std::move(*kept));
    return {};
}

// The pipes and terminals that they write to.  Nobody waits for these: there are many.
void Loop::hold_outputs(const std::vector<std::uint64_t>& keys) {
    if ((hello_.flags & anchor::kIsPid1) != 0) return;
    std::vector<std::uint64_t> wanted;
    for (const std::uint64_t key : keys) {
        if (keep_of(key) == Keep::log_pipe || keep_of(key) == Keep::console) wanted.push_back(key);
    }
    wanted.resize(std::min(wanted.size(), anchor_.room_for_outputs()));
    for (std::size_t begin = 0; begin < wanted.size(); begin += anchor::kBatch) {
        const auto first = wanted.begin() + static_cast<std::ptrdiff_t>(begin);
        const auto last = wanted.begin() + static_cast<std::ptrdiff_t>(std::min(wanted.size(), begin + anchor::kBatch));
        anchor_.get({first, last}, [this](Result<AnchorLink::Kept> kept) {
            if (!kept) return complain("not held for the day on which the anchor is killed: " + describe(kept.error()));
            std::erase_if(*kept, [this](const auto& one) { return runs_.find(one.first & kTokenIdMask) == nullptr; });
            anchor_.hold(std::move(*kept));
        });
    }
}

Status Loop::recover() {
    if (static_cast<anchor::Start>(hello_.start) == anchor::Start::adopted) {
        if (Status inherited = LastResort::inherit(anchor_); !inherited) return inherited;
    }
    const Result<std::vector<std::uint64_t>> keys = anchor_.list_now();
    if (!keys) return std::unexpected(keys.error());
    if (Status held = hold_theirs(*keys); !held) return held;
    runs_.set_kept(*keys);
    stored_.set_epoch(journal_.epoch().value);
    if (Status added = epoll_.add(anchor_.fd(), EPOLLIN, token_of(Watched::anchor)); !added) return added;
    if (Status added = epoll_.add(spawner_->fd(), EPOLLIN, token_of(Watched::spawner)); !added) return added;
    model::in::Recovered recovered;
    // Not the anchor's word: the first manager may have died before it began anything.
    if (!journal_.untouched()) {
        Result<model::in::Recovered> found = manager::recover(
            {engine_, epoll_, ends_, anchor_, processes_, runs_, tracking_, *spawner_, journal_, hello_.anchor_pid},
            [this] { answer_meanwhile(); });
        if (!found) return std::unexpected(found.error());
        recovered = std::move(*found);
        runs_.drop_unclaimed(*keys);
        tracking_.drop_unclaimed(engine_);
        if (Status stored = stored_.recover(engine_, *keys); !stored) return stored;
    } else {
        recovered.first = true;
    }
    cursor_.leave();
    recovered.rescue = cursor_.was_rescue();
    cursor_.set_rescue(false);
    journal_.forget_children();
    const Result<anchor::Generation> told = anchor_.generation_now();
    if (!told) return std::unexpected(told.error());
    for (const model::in::Recovered::Found& found : recovered.processes) note_rederived(found);
    recovered.last_event = newest_event_;
    const Cursor::Signalled signalled = cursor_.signalled(engine_.instance().last_signal);
    recovered.signalled = signalled.known;
    recovered.signalled_others = signalled.others;
    const std::vector<model::RescueUpgrade> asked = asked_of_rescue(anchor_);
    recovered.upgrades = asked;
    inbox_.push(InputClass::process, std::move(recovered));
    upgrader_.set_places(places_.where.control, hello_.epoch);
    control_.set_vouch([this](const control::VouchRequest& request) { upgrader_.vouch(request); });
    upgrader_.recovered(*told, static_cast<anchor::Start>(hello_.start), asked);
    describe_generation(*told);
    anchor_.ready();
    anchor_.working(0);
    hold_outputs(*keys);
    // Exits that were pushed while we were asking are taken now: nothing else would wake the loop for them.
    on_anchor(kernel::now());
    control_.published(events_.folder_fd(), events_.written().value, {});
    return {};
}

// Questions that the journal has answered need not wait for the comparison with the kernel: what they are told is what
// the predecessor would have said.  All other descriptors stay ready for the first turn.
void Loop::answer_meanwhile() {
    const auto ready = epoll_.wait(Mono{});
    if (!ready || ready->empty()) return;
    cursor_.leave();
    const Now now = kernel::now();
    for (const kernel::Ready& one : *ready) {
        const Watched kind = kind_of(one.token);
        if (kind == Watched::control || kind == Watched::connection) on_ready(one, now);
    }
    cursor_.enter(Phase::comparing);
}

void Loop::note_rederived(const model::in::Recovered::Found& found) {
    const core::Engine::Owner owner = engine_.owner_of(found.spawn);
    if (owner.process == nullptr) return;
    const std::string who = owner.service->name + ": process of spawn " + std::to_string(found.spawn.value);
    std::vector<std::string>& lines = places_.generation.rederived;
    if (found.never_ran)
        lines.push_back(who + " was asked for and never ran");
    else if (owner.process->pid == 0)
        lines.push_back(who + " is pid " + std::to_string(found.pid));
    else if (!found.alive)
        lines.push_back(who + " (pid " + std::to_string(found.pid) + ") had ended");
}

void Loop::note_commit() {
    places_.generation.probation = "committed";
    places_.generation.swaps += 1;
    places_.generation.format = journal_.format();
    control_.set_places(places_);
}

void Loop::describe_generation(const anchor::Generation& told) {
    control::GenerationReply& generation = places_.generation;
    generation.version = version();
    generation.program = kernel::read_link("/proc/self/exe").value_or(std::string());
    const Result<kernel::Fd> self = kernel::open_file("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (const auto status = self ? kernel::fd_status(self->get()) : std::unexpected(self.error()))
        generation.identity = std::to_string(status->device) + ":" + std::to_string(status->inode);
    generation.format = journal_.format();
    generation.anchor_version = told.version;
    generation.anchor_execs = told.execs;
    generation.epoch = static_cast<std::int64_t>(hello_.epoch);
    generation.reason = reason_of(static_cast<anchor::Start>(hello_.start));
    // From the end of the predecessor, or from when it was asked to go, to now: what is left to do is the first answer.
    const bool planned = static_cast<anchor::Start>(hello_.start) == anchor::Start::upgraded;
    const std::uint64_t since = planned ? told.asked_ns : told.gone_ns;
    if (since != 0 && hello_.epoch > 1)
        generation.last_swap_us = (kernel::mono_now().ns - static_cast<std::int64_t>(since)) / 1000;
    generation.probation = words_of(told);
    generation.swaps = static_cast<std::int64_t>(told.swaps);
    generation.rollbacks = told.rollbacks;
    generation.unknown = journal_.unknown();
    generation.problems = journal_.problems();
    generation.quarantined = cursor_.quarantined();
    control_.set_places(places_);
}

}  // namespace abide::manager
