// cli/status_view.cc -- see status_view.hpp.
#include "cli/status_view.hpp"

namespace abide::cli {

namespace {

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
    std::string out;
    for (const std::string& part : parts) {
        if (!out.empty()) out += between;
        out += part;
    }
    return out;
}

std::string since_text(const std::optional<std::string>& since, Wall now) {
    if (!since) return "-";
    const auto instant = control::parse_time(*since);
    return instant ? ago({now.ns - instant->ns}) : "-";
}

// The last column: the most useful thing that can be said in a few words.
std::string remark_of(const control::ServiceStatus& service) {
    if (!service.waiting_for.empty()) return "waits for " + joined(service.waiting_for, ", ");
    const bool at_rest = service.state != "running" && service.state != "starting";
    if (service.last_exit && at_rest) return exit_text(*service.last_exit);
    if (!at_rest || !service.detail || service.detail->last_reason == "none") return {};
    const std::string& cause = service.detail->last_cause;
    return service.detail->last_reason + (cause.empty() ? "" : " (" + cause + ")");
}

std::string state_of(const control::ServiceStatus& service) {
    const bool in_between = service.state == "starting" || service.state == "stopping" || service.state == "reloading";
    return in_between && service.stage ? service.state + " (" + *service.stage + ")" : service.state;
}

class Story {
  public:
    Story(const control::ServiceStatus& service, Wall now, const Look& look)
        : service_(service), now_(now), look_(look) {}

    void line(std::string_view label, const std::string& text, Colour colour = Colour::none) {
        if (text.empty()) return;
        rows_.push_back({{std::string(label) + ":", Colour::dim}, {safe(text), colour}});
    }
    void head() {
        line("state", state_of(service_) + ", since " + since_text(service_.since, now_), colour_of_state(service_));
        line("condition", joined(service_.conditions, ", "));
        line("wanted", service_.want);
        line("waits for", joined(service_.waiting_for, ", "));
        if (service_.pid) line("main pid", std::to_string(*service_.pid));
        line("restarts", std::to_string(service_.restarts));
        if (service_.last_exit)
            line("last exit", exit_text(*service_.last_exit) + ", " + short_time(service_.last_exit->time));
    }
    void detail(const control::StatusDetail& detail) {
        line("autostart", detail.enabled ? "" : "disabled");
        line("held", detail.held ? "stopped by hand until it is started by hand" : "");
        line("command", joined(detail.command, " "));
        line("folder", detail.directory);
        line("defined in", detail.source);
        for (const control::DependencyStatus& one : detail.dependencies) {
            line(one.relation, one.target + (one.await == "none" ? "" : " (" + one.await + ")"));
        }
        for (const control::RunStatus& run : detail.runs) runs(run);
        for (auto past = detail.past.rbegin(); past != detail.past.rend(); ++past) {
            line("run " + std::to_string(past->run), short_time(past->started) + " to " + short_time(past->ended) +
                                                         ", " + past->reason +
                                                         (past->cause.empty() ? "" : " (" + past->cause + ")") +
                                                         (past->exit ? ", " + exit_text(*past->exit) : ""));
        }
    }
    std::string text() const { return render_table(rows_, look_.coloured, 0); }

  private:
    void runs(const control::RunStatus& run) {
        const std::string label = "run " + std::to_string(run.run);
        line(label, run.state + (run.stage == "none" ? "" : " (" + run.stage + ")") + ", started " +
                        short_time(run.started) + ", " + run.reason +
                        (run.cause.empty() ? "" : " (" + run.cause + ")") +
                        (run.cgroup ? "" : ", tracked without a cgroup"));
        line("says", run.status_text);
        for (const control::ProcessStatus& process : run.processes) {
            line("process", std::to_string(process.pid) + " " + process.role +
                                (process.state == "alive" ? "" : " " + process.state));
        }
    }

    const control::ServiceStatus& service_;
    Wall now_;
    Look look_;
    std::vector<std::vector<Cell>> rows_;
};

}  // namespace

std::string exit_text(const control::LastExit& exit) {
    std::string out;
    if (exit.signal)
        out = "killed by " + *exit.signal;
    else if (exit.code)
        out = "exit code " + std::to_string(*exit.code);
    else
        out = "exit unknown";
    if (exit.oom) out += " (out of memory)";
    return exit.core_dumped ? out + " (core dumped)" : out;
}

Colour colour_of_state(const control::ServiceStatus& service) {
    if (service.state == "failed") return Colour::red;
    if (service.state == "running" || service.state == "completed") {
        for (const std::string& condition : service.conditions) {
            if (condition == "unhealthy" || condition == "degraded") return Colour::yellow;
        }
        return Colour::green;
    }
    return service.state == "inactive" ? Colour::dim : Colour::yellow;
}

std::string status_table(const std::vector<control::ServiceStatus>& services, Wall now, const Look& look) {
    std::vector<std::vector<Cell>> rows;
    rows.push_back({});
    for (const char* title : {"NAME", "STATE", "CONDITION", "PID", "SINCE", "RESTARTS", ""}) {
        rows.back().push_back({title, Colour::dim});
    }
    for (const control::ServiceStatus& one : services) {
        rows.push_back({{safe(one.name), Colour::bold},
                        {safe(state_of(one)), colour_of_state(one)},
                        {one.conditions.empty() ? "-" : safe(joined(one.conditions, ","))},
                        {one.pid ? std::to_string(*one.pid) : "-"},
                        {since_text(one.since, now)},
                        {std::to_string(one.restarts)},
                        {safe(remark_of(one)), one.state == "failed" ? Colour::red : Colour::none}});
    }
    return render_table(rows, look.coloured, look.columns);
}

std::string status_story(const control::ServiceStatus& service, const std::vector<std::string>& why,
                         const std::vector<std::string>& history, const std::vector<std::string>& log, Wall now,
                         const Look& look) {
    std::string out = paint(safe(service.name), Colour::bold, look.coloured) + " (" + safe(service.kind) + ")";
    if (!service.description.empty()) out += ": " + safe(service.description);
    out += '\n';
    Story story(service, now, look);
    story.head();
    if (service.detail) story.detail(*service.detail);
    out += story.text();
    const auto section = [&](std::string_view title, const std::vector<std::string>& lines) {
        if (lines.empty()) return;
        out += paint(title, Colour::dim, look.coloured) + "\n";
        for (const std::string& line : lines) out += "  " + safe(line) + "\n";
    };
    section("why:", why);
    section("history:", history);
    section("last lines:", log);
    return out;
}

}  // namespace abide::cli
