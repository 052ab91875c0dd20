// protocol/control_model.cc -- the model as scripts see it: what `status --json` and operation replies say of it, and
// times as text.  Knows the meaning of no state: it only shows.  See control.hpp.
#include <span>

#include "model/signal.hpp"
#include "model/text.hpp"
#include "protocol/control.hpp"

namespace abide::control {

namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

// Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back (H. Hinnant, "chrono-compatible
// low-level date algorithms").
constexpr std::int64_t days_of(std::int64_t year, unsigned month, unsigned day) {
    year -= month <= 2;
    const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
    const auto yoe = static_cast<unsigned>(year - era * 400);
    const unsigned doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146'097 + static_cast<std::int64_t>(doe) - 719'468;
}

struct Date {
    std::int64_t year = 1970;
    unsigned month = 1, day = 1;
};
constexpr Date date_of(std::int64_t days) {
    days += 719'468;
    const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
    const auto doe = static_cast<unsigned>(days - era * 146'097);
    const unsigned yoe = (doe - doe / 1460 + doe / 36'524 - doe / 146'096) / 365;
    const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const unsigned mp = (5 * doy + 2) / 153;
    const unsigned month = mp < 10 ? mp + 3 : mp - 9;
    return {static_cast<std::int64_t>(yoe) + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1};
}

// Fills `place` with the last digits of `value`.
void put_digits(std::span<char> place, std::uint64_t value) {
    for (auto digit = place.rbegin(); digit != place.rend(); ++digit, value /= 10)
        *digit = static_cast<char>('0' + value % 10);
}

// Takes a number of exactly `width` digits from the front.
std::optional<unsigned> take_digits(std::string_view& text, std::size_t width) {
    if (text.size() < width) return std::nullopt;
    unsigned value = 0;
    for (std::size_t i = 0; i < width; ++i) {
        if (text[i] < '0' || text[i] > '9') return std::nullopt;
        value = value * 10 + static_cast<unsigned>(text[i] - '0');
    }
    text.remove_prefix(width);
    return value;
}

bool take_char(std::string_view& text, std::string_view any_of) {
    if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
}

// ".123" at the front -> nanoseconds; more than nine digits are cut.
std::int64_t take_fraction(std::string_view& text) {
    if (!take_char(text, ".")) return 0;
    std::int64_t ns = 0, unit = kNsPerSecond / 10;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
        ns += unit * (text.front() - '0');
        unit /= 10;
        text.remove_prefix(1);
    }
    return ns;
}

// "Z", "+02:00" -> seconds east of UTC.
std::optional<std::int64_t> take_offset(std::string_view& text) {
    if (take_char(text, "Zz")) return 0;
    const bool west = text.starts_with('-');
    if (!take_char(text, "+-")) return std::nullopt;
    const auto hours = take_digits(text, 2);
    if (!hours || !take_char(text, ":")) return std::nullopt;
    const auto minutes = take_digits(text, 2);
    if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
    const std::int64_t seconds_east = *hours * 3600 + *minutes * 60;
    return west ? -seconds_east : seconds_east;
}

std::optional<std::string> nonzero_time(Wall time) {
    return time.ns == 0 ? std::nullopt : std::optional(time_text(time));
}

std::vector<std::string> conditions_of(const model::Service& service) {
    std::vector<std::string> out;
    if (!service.runs.empty()) {
        const model::Run& run = service.runs.back();
        if (is_ready(run)) out.emplace_back("ready");
        if (run.healthy) out.emplace_back("healthy");
        if (run.unhealthy) out.emplace_back("unhealthy");
        if (run.degraded) out.emplace_back("degraded");
        if (run.draining) out.emplace_back("draining");
        if (run.state == model::State::paused) out.emplace_back("paused");
    }
    if (service.held) out.emplace_back("held");
    return out;
}

std::optional<std::int64_t> main_pid_of(const model::Run& run) {
    for (const model::Process& process : run.processes) {
        if (process.role == model::Role::main && process.pid > 0) return process.pid;
    }
    return std::nullopt;
}

RunStatus run_of(const model::Run& run) {
    RunStatus out;
    out.run = static_cast<std::int64_t>(run.number.value);
    out.state = model::to_text(run.state);
    out.stage = model::to_text(run.stage);
    out.started = time_text(run.started_at);
    out.ready = time_text(run.ready_at);
    out.reason = model::to_text(run.start_reason);
    out.cause = run.cause;
    out.stop_reason = model::to_text(run.stop_reason);
    out.status_text = run.status_text;
    out.error_number = run.error_number;
    out.cgroup = run.cgroup;
    for (const model::Process& process : run.processes) {
        out.processes.push_back(
            {process.pid, model::to_text(process.role), model::to_text(process.state), process.adopted});
    }
    return out;
}

}  // namespace

model::Outcome outcome_of(std::string_view text) {
    model::Outcome found = model::Outcome::failed;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<model::Outcome>>([&](auto one) {
        if (model::to_text(one.value) == text) found = one.value;
    });
    return found;
}

LastExit exit_of(const model::ExitStatus& status) {
    LastExit out;
    switch (status.kind) {
        case model::ExitKind::code: out.code = status.value; break;
        case model::ExitKind::signal: out.signal = model::signal_name(status.value); break;
        case model::ExitKind::unknown: break;
    }
    out.core_dumped = status.core_dumped;
    out.oom = status.oom;
    out.time = time_text(status.time);
    out.rusage = {status.rusage.user_us, status.rusage.system_us, status.rusage.max_rss_kib};
    return out;
}

ServiceStatus status_of(const model::Service& service, const model::ServiceSpec& spec,
                        std::vector<std::string> waiting_for) {
    ServiceStatus out;
    out.name = service.name;
    out.kind = model::to_text(spec.kind);
    out.state = model::to_text(service.state);
    out.conditions = conditions_of(service);
    out.want = model::to_text(service.want);
    if (!service.runs.empty()) {
        const model::Run& run = service.runs.back();
        if (run.stage != model::Stage::none) out.stage = model::to_text(run.stage);
        out.pid = main_pid_of(run);
    }
    if (service.last_run) out.run = static_cast<std::int64_t>(service.last_run.value);
    out.since = nonzero_time(service.since);
    out.restarts = static_cast<std::int64_t>(service.restarts);
    if (service.last_exit) out.last_exit = exit_of(*service.last_exit);
    out.waiting_for = std::move(waiting_for);
    out.description = spec.description;
    return out;
}

StatusDetail detail_of(const model::Service& service, const model::ServiceSpec& spec) {
    StatusDetail out;
    out.command = spec.command.argv;
    out.directory = spec.directory;
    if (!spec.source.file.empty()) out.source = spec.source.file + ":" + std::to_string(spec.source.line);
    for (const model::Run& run : service.runs) out.runs.push_back(run_of(run));
    for (const model::PastRun& past : service.past) {
        PastRunStatus one{static_cast<std::int64_t>(past.number.value),
                          time_text(past.started_at),
                          time_text(past.ended_at),
                          model::to_text(past.reason),
                          model::with_failures(past.cause, past.failures.value()),
                          {}};
        if (past.exit) one.exit = exit_of(*past.exit);
        out.past.push_back(std::move(one));
    }
    for (const model::Dependency& dependency : spec.dependencies) {
        out.dependencies.push_back(
            {model::to_text(dependency.relation), dependency.target, model::to_text(dependency.await)});
    }
    out.want_reason = model::to_text(service.want_reason);
    out.want_cause = service.want_cause;
    out.last_reason = model::to_text(service.last_reason);
    out.last_cause = model::with_failures(service.last_cause, service.last_failures.value());
    out.enabled = service.enabled;
    out.held = service.held;
    return out;
}

OperationReply operation_of(const model::Operation& operation, std::vector<std::string> progress) {
    OperationReply out;
    out.operation = static_cast<std::int64_t>(operation.id.value);
    out.verb = model::to_text(operation.verb);
    out.outcome = model::to_text(operation.outcome);
    out.detail = operation.detail;
    for (const model::TargetResult& target : operation.targets) {
        TargetReply one{target.name, model::to_text(target.outcome), {}, target.detail};
        if (target.run) one.run = static_cast<std::int64_t>(target.run.value);
        out.targets.push_back(std::move(one));
    }
    out.progress = std::move(progress);
    return out;
}

LastUpgrade upgrade_of(const model::UpgradeResult& result) {
    return {result.anchor, result.program, model::to_text(result.outcome), result.detail, time_text(result.ended_at)};
}

std::string time_text(Wall time) {
    if (time.ns == 0) return {};
    std::int64_t seconds_since = time.ns / kNsPerSecond, ns = time.ns % kNsPerSecond;
    if (ns < 0) {
        ns += kNsPerSecond;
        --seconds_since;
    }
    std::int64_t days = seconds_since / 86'400, second = seconds_since % 86'400;
    if (second < 0) {
        second += 86'400;
        --days;
    }
    const Date date = date_of(days);
    std::string out = "0000-00-00T00:00:00.000000000Z";
    const auto put = [&](std::size_t at, std::size_t width, std::int64_t value) {
        put_digits(std::span(out).subspan(at, width), static_cast<std::uint64_t>(value));
    };
    put(0, 4, date.year);
    put(5, 2, date.month);
    put(8, 2, date.day);
    put(11, 2, second / 3600);
    put(14, 2, second / 60 % 60);
    put(17, 2, second % 60);
    put(20, 9, ns);
    return out;
}

std::optional<Wall> parse_time(std::string_view text) {
    const auto year = take_digits(text, 4);
    if (!year || !take_char(text, "-")) return std::nullopt;
    const auto month = take_digits(text, 2);
    if (!month || !take_char(text, "-")) return std::nullopt;
    const auto day = take_digits(text, 2);
    if (!day || !take_char(text, "Tt ")) return std::nullopt;
    const auto hour = take_digits(text, 2);
    if (!hour || !take_char(text, ":")) return std::nullopt;
    const auto minute = take_digits(text, 2);
    if (!minute || !take_char(text, ":")) return std::nullopt;
    const auto second = take_digits(text, 2);
    if (!second || *month < 1 || *month > 12 || *day < 1 || *day > 31 || *hour > 23 || *minute > 59 || *second > 60) {
        return std::nullopt;
    }
    if (*year < 1970 || *year > 2261) return std::nullopt;  // what 63 bits of nanoseconds hold
    const std::int64_t ns = take_fraction(text);
    const auto offset = take_offset(text);
    if (!offset || !text.empty()) return std::nullopt;
    const std::int64_t seconds_since =
        days_of(*year, *month, *day) * 86'400 + *hour * 3600 + *minute * 60 + *second - *offset;
    return Wall{seconds_since * kNsPerSecond + ns};
}

}  // namespace abide::control
