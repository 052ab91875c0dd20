// manager/executor.cc -- see the header.
#include "manager/executor.hpp"

#include "base/text.hpp"
#include "kernel/exit.hpp"
#include "kernel/files.hpp"
#include "kernel/hold.hpp"
#include "kernel/process.hpp"
#include "kernel/socket.hpp"
#include "manager/complain.hpp"
#include "manager/exited.hpp"
#include "manager/launch_request.hpp"
#include "manager/token.hpp"
#include "model/signal.hpp"
#include "oci/bundle.hpp"

namespace abide::manager {

using namespace model;

namespace {

constexpr std::size_t kPidFileBytes = 64, kReasonBytes = 400;
constexpr int kAskAgain = 200;  // a millisecond apart

// For whoever asks what was quarantined.
std::string words_of(const Effect& effect) {
    return std::visit(
        [](const auto& one) {
            if constexpr (requires { one.service; }) return "what was done for " + one.service;
            return std::string("something that was done for the instance");
        },
        effect);
}

}  // namespace

void Executor::carry_out(const std::vector<Effect>& effects, const Now& now) {
    now_ = &now;
    for (const Effect& effect : effects) {
        const auto kind = static_cast<std::uint32_t>(effect.index());
        const std::uint64_t subject = subject_of(effect);
        if (uses_.cursor.poisonous(Phase::acting, kind, subject)) {
            refuse(effect);
            continue;
        }
        uses_.cursor.enter(Phase::acting, kind, subject, words_of(effect));
        std::visit([this](const auto& one) { run(one); }, effect);
    }
    for (const out::Signal* effect : std::exchange(half_sent_, {})) signal_others(*effect);
    now_ = nullptr;
}

// Managers died of it.  Who waits for an answer to it gets one.
void Executor::refuse(const Effect& effect) {
    if (const auto* spawn = std::get_if<out::Spawn>(&effect)) return uses_.launcher.refuse(*spawn);
    if (const auto* probe = std::get_if<out::Probe>(&effect)) {
        uses_.inbox.push(InputClass::notification,
                         in::Probed{probe->service, probe->run, probe->probe, false, std::string(kManagersDied)});
    }
    complain("left out, since managers died of it: " + words_of(effect));
}

const Run* Executor::run_of(const std::string& service, RunNumber number) const {
    const Service* found = uses_.engine.find(service);
    if (found == nullptr) return nullptr;
    for (const Run& run : found->runs) {
        if (run.number == number) return &run;
    }
    return nullptr;
}

void Executor::run(const out::Spawn& effect) {
    uses_.launcher.launch(effect, *now_);
}

void Executor::run(const out::LetGo& effect) {
    const RunThings* things = uses_.runs.find(effect.service, effect.run);
    if (things == nullptr || !things->release) return;  // it executed, or ended, meanwhile
    const Status told = Runs::tell_held(*things, kernel::kHoldGo);
    if (told) return;
    // Nobody will say it again: that is a start that failed.
    complain(effect.service + " can't be let go: " + describe(told.error()));
    signal_process(effect.spawn, kKill, effect.service);
}

void Executor::signal_process(SpawnId spawn, int signal, const std::string& service) {
    const Processes::Tracked* process = uses_.processes.find(spawn);
    if (process == nullptr || !process->pidfd) return;  // its exit is on its way
    const Status sent = kernel::send_signal(process->pidfd.get(), signal);
    if (!sent && sent.error().kind != ErrorKind::not_found) complain(service + ": " + describe(sent.error()));
}

// The anchor reaps a child only when we have said so: until then its pid is nobody else's.
std::vector<std::int32_t> Executor::children_of(const Run& run) const {
    std::vector<std::int32_t> pids;
    for (const Process& process : run.processes) {
        const Processes::Tracked* tracked = uses_.processes.find(process.spawn);
        if (tracked != nullptr && tracked->child && tracked->pidfd) pids.push_back(tracked->pid);
    }
    return pids;
}

void Executor::signal_known(const out::Signal& effect, const Run& run) {
    for (const Process& process : run.processes) {
        const Processes::Tracked* tracked = uses_.processes.find(process.spawn);
        if (tracked != nullptr && tracked->child) signal_process(process.spawn, effect.signal, effect.service);
    }
}

void Executor::signal_others(const out::Signal& effect) {
    uses_.cursor.signals_others(effect.id);
    const Run* run = run_of(effect.service, effect.run);
    const std::vector<std::int32_t> have_it = run == nullptr ? std::vector<std::int32_t>{} : children_of(*run);
    const Status sent = uses_.tracking.signal_all(effect.service, effect.run, effect.signal, have_it);
    if (!sent) complain(effect.service + ": " + describe(sent.error()));
}

// Those that we hold get it at once; who else is in the group takes longer to find out than a process takes to end, so
// that comes when all services have theirs.  Without a group nobody is looked for by what we hold.
void Executor::run(const out::Signal& effect) {
    const Run* run = run_of(effect.service, effect.run);
    if (effect.others) return half_sent_.push_back(&effect);
    uses_.cursor.signals(effect.id);
    if (effect.signal == kKill) static_cast<void>(uses_.tracking.had_oom(effect.service, effect.run));
    if (effect.scope == StopScope::all) {
        if (!uses_.tracking.has_cgroups() || run == nullptr) {
            uses_.cursor.signals_others(effect.id);
            const Status sent = uses_.tracking.signal_all(effect.service, effect.run, effect.signal);
            if (!sent) complain(effect.service + ": " + describe(sent.error()));
            return;
        }
        signal_known(effect, *run);
        half_sent_.push_back(&effect);
        return;
    }
    if (run == nullptr) return;
    for (const Process& process : run->processes) {
        if (process.role == Role::main) signal_process(process.spawn, effect.signal, effect.service);
    }
}

void Executor::run(const out::KillAll& effect) {
    static_cast<void>(uses_.tracking.had_oom(effect.service, effect.run));  // what was before is not the cause
    const Status killed = uses_.tracking.kill_all(effect.service, effect.run);
    if (!killed) complain(effect.service + ": " + describe(killed.error()));
    // Without control groups a process may have left its session: those that we know are killed by name.
    if (uses_.tracking.has_cgroups()) return;
    if (const Run* run = run_of(effect.service, effect.run)) {
        for (const Process& process : run->processes) signal_process(process.spawn, kKill, effect.service);
    }
}

void Executor::run(const out::KillProcess& effect) {
    signal_process(effect.spawn, kKill, "a command");
}

void Executor::run(const out::Adopt& effect) {
    uses_.processes.unclaim(effect.pid);
    Result<kernel::Fd> pidfd = kernel::open_checked(effect.pid, effect.start_ticks);
    if (!pidfd) {
        ExitStatus unknown;
        unknown.time = now_->wall;
        uses_.inbox.push(InputClass::process, in::Exited{effect.spawn, unknown});
        return;
    }
    // Were it a child of the anchor, which orphans become, then its exit status must be kept for us.
    uses_.anchor.mark(effect.pid, anchor::kManaged);
    const Status watched = uses_.epoll.add(pidfd->get(), EPOLLIN, token_of(Watched::process, effect.spawn.value));
    if (!watched) complain(effect.service + ": " + describe(watched.error()));
    uses_.processes.add(effect.spawn, effect.pid, std::move(*pidfd), false, true);
    // It may have ended before it was known by this name.
    if (const std::optional<Processes::Ended> ended = uses_.processes.settle(effect.spawn, false))
        uses_.inbox.push(InputClass::process, exited(uses_.engine, uses_.tracking, *ended, now_->wall));
}

// The runtime wrote the pid of the container's first process, which became the anchor's child when the runtime's
// command ended: until we acknowledge its end its pid is nobody else's.
void Executor::run(const out::FindMain& effect) {
    in::FoundMain answer{effect.service, effect.run, 0, 0, {}};
    const std::string folder = uses_.runs.container_folder(effect.service), path = oci::pid_file(folder);
    if (effect.failed) {
        const Result<std::string> told = kernel::read_file(oci::failure_file(folder), oci::kFailureBytes);
        const std::string why = told ? printable(oci::failure_of(*told), kReasonBytes) : std::string{};
        answer.detail = why.empty() ? "its container could not be created, and the runtime did not say why" : why;
        return uses_.inbox.push(InputClass::process, std::move(answer));
    }
    const Result<std::string> text = kernel::read_regular_file(path, kPidFileBytes, kernel::LastLink::refuse);
    const std::optional<std::int64_t> pid = text ? parse_integer(trim(*text), 1, INT32_MAX) : std::nullopt;
    if (!pid) {
        answer.detail = text ? "the runtime wrote no pid to " + path : describe(text.error());
    } else {
        const auto number = static_cast<std::int32_t>(*pid);
        const Result<kernel::ProcessStat> stat = kernel::process_stat(number);
        const bool ours =
            stat && stat->parent == uses_.anchor_pid &&
            (!uses_.tracking.has_cgroups() || uses_.tracking.contains(effect.service, effect.run, number));
        if (ours) {
            uses_.processes.claim(number);
            answer.pid = number;
            answer.start_ticks = stat->start_ticks;
        } else {
            answer.detail = "process " + std::to_string(number) + ", which the runtime named, is not of this container";
        }
    }
    uses_.inbox.push(InputClass::process, std::move(answer));
}

bool Executor::on_peeked(const anchor::Exit& exit, const Now& now) {
    if (static_cast<anchor::Ended>(exit.kind) == anchor::Ended::running) return true;  // its exit will be told
    anchor::Exit told = exit;
    if (static_cast<anchor::Ended>(exit.kind) == anchor::Ended::unknown && !ask_the_kernel(told)) return false;
    const std::optional<Processes::Ended> ended = uses_.processes.ended(told, false);
    if (ended) uses_.inbox.push(InputClass::process, exited(uses_.engine, uses_.tracking, *ended, now.wall));
    return true;
}

// Nobody's child of ours (adopted, or the anchor before this one was killed): its pidfd may know.
bool Executor::ask_the_kernel(anchor::Exit& exit) {
    const std::optional<SpawnId> spawn = uses_.processes.by_pid(exit.pid);
    const Processes::Tracked* process = spawn ? uses_.processes.find(*spawn) : nullptr;
    if (process == nullptr || !process->pidfd) return true;
    const std::optional<int> raw = kernel::exit_info(process->pidfd.get());
    if (!raw) {
        const Result<kernel::ProcessStat> stat = kernel::process_stat(exit.pid);
        const bool may_come = stat && stat->state == 'Z' && ++asked_again_[exit.pid] < kAskAgain;
        if (!may_come) asked_again_.erase(exit.pid);
        return !may_come;
    }
    asked_again_.erase(exit.pid);
    const kernel::ExitReport report = kernel::decode_wait_status(*raw);
    const anchor::Ended by_signal = report.dumped ? anchor::Ended::dumped : anchor::Ended::killed;
    exit.kind = static_cast<std::uint32_t>(report.by_signal ? by_signal : anchor::Ended::exited);
    exit.status = report.value;
    return true;
}

void Executor::run(const out::Freeze& effect) {
    const Run* run = run_of(effect.service, effect.run);
    const bool container = run != nullptr && uses_.engine.spec_of(*run).oci;
    const Result<bool> done = uses_.tracking.freeze(effect.service, effect.run, effect.frozen, container);
    if (done && !*done) return;  // Tracking tells when
    const std::string error = done ? "" : describe(done.error());
    if (!done) complain(effect.service + ": " + error);
    uses_.inbox.push(InputClass::notification, in::Frozen{effect.service, effect.run, effect.frozen, error});
}

void Executor::run(const out::Probe& effect) {
    in::Probed question{effect.service, effect.run, effect.probe, false, {}};
    const Run* run = run_of(effect.service, effect.run);
    if (run == nullptr) return;
    const ServiceSpec& spec = uses_.engine.spec_of(*run);
    const model::Probe& probe = effect.health ? spec.health.or_default().probe : spec.ready.or_default().probe;
    const Result<std::string> target = uses_.launcher.expanded(spec, probe.target, effect.service, effect.run);
    if (!target) {
        question.detail = describe(target.error());
        uses_.inbox.push(InputClass::notification, std::move(question));
        return;
    }
    switch (probe.kind) {
        case ProbeKind::tcp:
        case ProbeKind::unix_:
        case ProbeKind::http: return uses_.probes.ask(question, probe.kind, *target, now_->mono + effect.timeout);
        case ProbeKind::pidfile: return probe_pid_file(question, *target, effect.health);
        case ProbeKind::exec_success:
        case ProbeKind::notify:
        case ProbeKind::fd:
        case ProbeKind::exec:
        case ProbeKind::log:
        case ProbeKind::delay: break;
    }
    question.detail = "this kind of probe is never asked";
    uses_.inbox.push(InputClass::notification, std::move(question));
}

bool Executor::is_of_run(const in::Probed& question, std::int32_t pid) {
    const model::Service* service = uses_.engine.find(question.service);
    const auto user = service != nullptr ? user_of(uses_.engine.spec_of(*service)) : std::unexpected(Error{});
    return user && uses_.tracking.claims(question.service, question.run, pid, *user);
}

// Readiness by a pid file also says which process is the main one; it must be of this run.
void Executor::probe_pid_file(const in::Probed& question, const std::string& path, bool health) {
    in::Probed answer = question;
    const Result<std::string> text = kernel::read_regular_file(path, kPidFileBytes, kernel::LastLink::refuse);
    const std::optional<std::int64_t> pid = text ? parse_integer(trim(*text), 1, INT32_MAX) : std::nullopt;
    if (!pid) {
        answer.detail = text ? "no pid in " + path : describe(text.error());
    } else {
        const auto number = static_cast<std::int32_t>(*pid);
        const Result<kernel::ProcessStat> stat = kernel::process_stat(number);
        if (stat && stat->state != 'Z' && is_of_run(question, number)) {
            if (!health) {
                uses_.inbox.push(InputClass::notification,
                                 in::BecameReady{question.service, question.run, number, stat->start_ticks});
                return;
            }
            answer.healthy = true;
        }
        if (!answer.healthy)
            answer.detail = "process " + std::to_string(number) + " of " + path + " is not of this service";
    }
    uses_.inbox.push(InputClass::notification, std::move(answer));
}

void Executor::run(const out::WatchEmpty& effect) {
    if (!uses_.tracking.watch_empty(effect.service, effect.run)) return;
    uses_.inbox.push(InputClass::process, in::Emptied{effect.service, effect.run});
}

void Executor::run(const out::Release& effect) {
    uses_.tracking.release(effect.service, effect.run);
    uses_.runs.release(effect.service, effect.run);
}

void Executor::run(const out::DropStored& effect) {
    uses_.stored.drop(effect.key);
}
void Executor::run(const out::Reply& effect) {
    replies_.push_back(effect.operation);
}
void Executor::run(const out::Publish&) {
    // Told already: its line went into the journal with the change that it speaks of (Loop::decide).
}
void Executor::run(const out::Upgrade& effect) {
    uses_.upgrader.begin(effect, *now_);
}
void Executor::run(const out::EndInstance& effect) {
    ended_ = effect.exit_status;
}

}  // namespace abide::manager
