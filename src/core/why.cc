// core/why.cc -- reasons in words: what a service waits for, and the chain of causes behind its state.
#include "base/limits.hpp"
#include "core/machine.hpp"
#include "model/signal.hpp"
#include "model/text.hpp"

namespace abide::core {

using namespace model;

std::string describe(const ExitStatus& exit) {
    switch (exit.kind) {
        case ExitKind::code: return "exited with " + std::to_string(exit.value);
        case ExitKind::signal:
            return "killed by " + signal_name(exit.value) + (exit.oom ? " (out of memory)" : "") +
                   (exit.core_dumped ? " (core dumped)" : "");
        case ExitKind::unknown: return "ended with an unknown status";
    }
    return "";
}

std::string describe(Reason reason) {
    switch (reason) {
        case Reason::none: return "no reason";
        case Reason::requested: return "asked for";
        case Reason::dependency: return "needed";
        case Reason::autostart: return "starts by itself";
        case Reason::restart_policy: return "restarted by its policy";
        case Reason::exited: return "its main process ended";
        case Reason::spawn_failed: return "its program could not be started";
        case Reason::start_timeout: return "its start took too long";
        case Reason::stop_timeout: return "its stop took too long";
        case Reason::watchdog: return "its watchdog was not fed";
        case Reason::unhealthy: return "its health check failed";
        case Reason::hook_failed: return "a command before or after its start failed";
        case Reason::restart_limit: return "its restart limit was reached";
        case Reason::dependency_failed: return "something that it requires failed";
        case Reason::dependency_lost: return "something that it needs went away";
        case Reason::conflict: return "something that conflicts was started";
        case Reason::config_changed: return "its configuration changed";
        case Reason::removed: return "it was removed";
        case Reason::shutdown: return "the instance stops";
        case Reason::force_destroyed: return "destroyed by force";
        case Reason::cancelled: return "its start was cancelled";
        case Reason::refused: return "refused";
        case Reason::signalled: return "its main process ended of a signal that was asked for";
        case Reason::essential_ended: return "an essential service ended";
    }
    return "";
}

std::string bounded(std::string text) {
    if (text.size() <= limits::kFailureBytes) return text;
    std::size_t end = limits::kFailureBytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;  // not within a character
    text.resize(end);
    return text;
}

namespace {

std::string seconds_text(Duration d) {
    const std::int64_t ms = d.ns / 1'000'000;
    return std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) + " s";
}

std::string stage_text(const Run& run) {
    switch (run.stage) {
        case Stage::none:
            if (run.paused && run.state == State::running) return "its processes to stand still";
            return run.state == State::reloading ? "its reload to end" : "";
        case Stage::pre_start: return "pre-start command " + std::to_string(run.step + 1) + " to end";
        case Stage::main: return "its program to be executed";
        case Stage::ready_wait:
            return "its readiness" +
                   (run.probe_failure.empty() ? "" : " (its last probe: " + run.probe_failure.value() + ")");
        case Stage::post_start: return "post-start command " + std::to_string(run.step + 1) + " to end";
        case Stage::pre_stop: return "its pre-stop commands to end";
        case Stage::stop_command: return "its stop command to end";
        case Stage::signal: return "its processes to end after the stop signal";
        case Stage::kill: return "its processes to end after SIGKILL";
        case Stage::post_stop:
            if (run.deletion.or_default().clearing) return "what its container left behind to end";
            if (run.container) return "its container to be deleted";
            return "post-stop command " + std::to_string(run.step + 1) + " to end";
    }
    return "";
}

std::string cause(Reason reason, const std::string& what) {
    return describe(reason) + (what.empty() ? "" : " (" + what + ")");
}

// What does not go well with a run that lives.
void tell_troubles(std::vector<std::string>& lines, const Service& s, const Run& run) {
    if (run.state == State::stopping) {
        lines.push_back(s.name +
                        " stops: " + cause(run.stop_reason, with_failures(run.cause, run.stop_failures.value())));
        return;
    }
    if (run.unhealthy) lines.push_back(s.name + " is not ready: " + cause(Reason::unhealthy, run.probe_failure));
    if (const std::string& failure = run.reload.or_default().failure; !failure.empty())
        lines.push_back(s.name + " is not reloaded: its last reload failed (" + failure + ")");
}

}  // namespace

std::vector<std::string> Engine::waiting_for(const Service& service) const {
    std::vector<std::string> reasons;
    if (service.runs.empty()) {
        const auto slot = service.state == State::waiting ? slot_of(service.name) : std::nullopt;
        if (slot) Machine::start_gate(*this, *slot, &reasons);
        if (service.state == State::backoff)
            reasons.push_back("its restart delay of " + seconds_text(service.backoff_delay));
        return reasons;
    }
    const Run& run = service.runs.back();
    const bool leaving = run.state != State::stopping && (service.want == Want::down || run.restart_after);
    if (leaving) {
        const std::optional<Slot> slot = slot_of(service.name);
        if (!slot) return reasons;
        const Slot blocker = Machine::stop_blocker(*this, *slot);
        if (blocker != *slot) reasons.push_back(nodes_[blocker].service.name + " to stop first");
        return reasons;
    }
    if (spec_of(run).kind == Kind::task && run.stage == Stage::ready_wait) {
        reasons.push_back("its command to end");
        return reasons;
    }
    if (run.state == State::created) {
        reasons.push_back("somebody to start it: it was only created");
        return reasons;
    }
    const std::string stage = stage_text(run);
    if (!stage.empty()) reasons.push_back(stage);
    return reasons;
}

std::vector<std::string> Engine::why(const Service& service, const Now& now) const {
    std::vector<std::string> lines;
    std::set<std::string> seen;
    const Service* at = &service;
    // Each line is a cause of the one before; a cause that is another service is followed.
    while (at != nullptr && seen.insert(at->name).second) {
        const Service& s = *at;
        at = nullptr;
        std::string line = s.name + " is " + to_text(s.state);
        if (s.want == Want::up)
            line += ", wanted up: " + cause(s.want_reason, s.want_cause);
        else if (s.want_reason != Reason::none)
            line += ", wanted down: " + cause(s.want_reason, s.want_cause);
        else
            line += ", and nobody asked for it";
        lines.push_back(std::move(line));
        for (const std::string& wait : waiting_for(s)) lines.push_back(s.name + " waits for " + wait);
        if (s.backoff_until && *s.backoff_until > now.mono) {
            lines.push_back(s.name + " will be tried again in " + seconds_text(*s.backoff_until - now.mono));
        }
        if (!s.runs.empty()) tell_troubles(lines, s, s.runs.back());
        if (s.last_reason != Reason::none) {
            std::string last =
                s.name + " ended last: " + cause(s.last_reason, with_failures(s.last_cause, s.last_failures.value()));
            if (s.last_exit && s.last_reason != Reason::exited) last += ", " + describe(*s.last_exit);
            if (s.restarts != 0) last += "; restarts since it was asked for: " + std::to_string(s.restarts);
            lines.push_back(std::move(last));
        }
        for (const PastRun& past : s.past) {
            lines.push_back(s.name + " run " + std::to_string(past.number.value) + ": " +
                            cause(past.reason, with_failures(past.cause, past.failures.value())));
        }
        if (s.last_reason == Reason::dependency_failed || s.last_reason == Reason::dependency_lost)
            at = find(s.last_cause.value());
        if (at == nullptr && s.runs.empty() && s.state == State::waiting) {
            const Machine::Gate gate = Machine::start_gate(*this, *slot_of(s.name));
            if (!gate.open) at = find(gate.culprit);
        }
    }
    return lines;
}

}  // namespace abide::core
