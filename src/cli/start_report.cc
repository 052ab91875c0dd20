// cli/start_report.cc -- see start_report.hpp.
#include "cli/start_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "protocol/control.hpp"

namespace abide::cli {

namespace {

constexpr std::size_t kEventsKept = 200'000;
constexpr std::size_t kChain = 1000;

std::string seconds_text(std::int64_t ns) {
    return fmt::format("{}.{:03}s", ns / 1'000'000'000, ns / 1'000'000 % 1000);
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '<')
            out += "&lt;";
        else if (c == '&')
            out += "&amp;";
        else
            out += c;
    }
    return out;
}

}  // namespace

void StartReport::see(events::Event event) {
    if (event.type == "abide.supervisor.started") {
        begun_ns_ = event.time_ns;
        starts_.clear();
        runs_.clear();
        events_.clear();
    }
    if (begun_ns_ == 0) begun_ns_ = event.time_ns;
    if (!event.subject.empty() && event.run != 0 &&
        runs_.try_emplace(event.subject, event.run).first->second == event.run) {
        StartOf& start = starts_[event.subject];
        start.service = event.subject;
        const std::string_view type = event.type;
        const bool ends = type == "abide.service.completed" || type == "abide.service.failed" ||
                          type == "abide.service.stopped" || type == "abide.service.backoff";
        if (type == "abide.service.starting") start.starting_ns = event.time_ns;
        if (type == "abide.service.started") start.started_ns = event.time_ns;
        if (type == "abide.service.ready" && start.ready_ns == 0) start.ready_ns = event.time_ns;
        if (ends && start.ended_ns == 0) start.ended_ns = event.time_ns;
        if (type == "abide.service.failed") start.failed = start.ready_ns == 0;
        if (start.ready_ns == event.time_ns || (ends && start.ready_ns == 0)) start.last_event = event.id;
    }
    if (events_.size() < kEventsKept) events_.emplace(event.id, std::move(event));
}

std::vector<StartOf> StartReport::sorted() const {
    std::vector<StartOf> all;
    for (const auto& [name, start] : starts_) {
        if (start.starting_ns != 0) all.push_back(start);
    }
    return all;
}

std::vector<StartOf> StartReport::longest_first() const {
    std::vector<StartOf> all = sorted();
    std::ranges::stable_sort(all, std::ranges::greater(), &StartOf::took_ns);
    return all;
}

std::string StartReport::blame() const {
    std::string out;
    for (const StartOf& one : longest_first()) {
        out += one.done_ns() == 0 ? fmt::format("{:>10}  {}, not ready yet\n", "-", one.service)
                                  : fmt::format("{:>10}  {}{}\n", seconds_text(one.took_ns()), one.service,
                                                one.failed ? ", failed" : "");
    }
    return out;
}

std::string StartReport::blame_json() const {
    std::string out = "[";
    for (const StartOf& one : longest_first()) {
        out += out.size() > 1 ? ",\n {\"service\":" : "{\"service\":";
        varlink::append_json_string(out, one.service);
        out += ",\"began\":\"" + control::time_text(Wall{one.starting_ns}) + "\",\"took_ns\":";
        out += one.done_ns() == 0 ? "null" : std::to_string(one.took_ns());
        out += one.failed ? ",\"failed\":true}" : ",\"failed\":false}";
    }
    return out + "]\n";
}

std::vector<StartReport::Link> StartReport::chain() const {
    const std::vector<StartOf> all = sorted();
    const auto last = std::ranges::max_element(all, {}, &StartOf::done_ns);
    std::vector<Link> links;
    if (last == all.end() || last->last_event == 0) return links;
    std::uint64_t id = last->last_event;
    while (links.size() < kChain) {
        const auto found = events_.find(id);
        if (found == events_.end()) break;
        const events::Event& event = found->second;
        const auto before = events_.find(event.cause);
        const std::int64_t took = before == events_.end() ? 0 : event.time_ns - before->second.time_ns;
        links.push_back({&event, event.time_ns - begun_ns_, took});
        if (event.cause == 0 || event.cause >= id) break;
        id = event.cause;
    }
    return links;
}

std::string StartReport::critical_chain() const {
    const std::vector<Link> links = chain();
    if (links.empty()) return "nothing is ready yet\n";
    std::string out;
    for (const Link& link : links) {
        const std::string_view type = link.event->type;
        out += fmt::format("{:>10} {:>10}  {}{}\n", "@" + seconds_text(link.at_ns), "+" + seconds_text(link.took_ns),
                           type.substr(std::min<std::size_t>(type.size(), 6)),
                           link.event->subject.empty() ? "" : " " + link.event->subject);
    }
    return out;
}

std::string StartReport::critical_chain_json() const {
    std::string out = "[";
    for (const Link& link : chain()) {
        out += out.size() > 1 ? ",\n {\"type\":" : "{\"type\":";
        varlink::append_json_string(out, link.event->type);
        out += ",\"service\":";
        varlink::append_json_string(out, link.event->subject);
        out += fmt::format(",\"at_ns\":{},\"took_ns\":{}}}", link.at_ns, link.took_ns);
    }
    return out + "]\n";
}

std::string StartReport::plot() const {
    std::vector<StartOf> all = sorted();
    std::ranges::stable_sort(all, {}, &StartOf::starting_ns);
    std::int64_t end = begun_ns_ + 1'000'000;
    for (const StartOf& one : all) end = std::max({end, one.done_ns(), one.started_ns});
    constexpr double kLeft = 20, kWidth = 900, kRow = 20, kTop = 40;
    const auto x = [&](std::int64_t ns) {
        return kLeft + kWidth * static_cast<double>(ns - begun_ns_) / static_cast<double>(end - begun_ns_);
    };
    const double height = kTop + kRow * static_cast<double>(all.size()) + 20;
    std::string out = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1300\" height=\"{:.0f}\" font-family=\"sans-serif\" "
        "font-size=\"12\">\n<text x=\"{}\" y=\"20\">all ready or ended after {}; dark: until its program ran, light: "
        "until it was ready</text>\n",
        height, kLeft, seconds_text(end - begun_ns_));
    const auto bar = [&](std::int64_t from, std::int64_t to, double y, const char* colour) {
        if (from == 0 || to < from) return;
        out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"14\" fill=\"{}\"/>\n", x(from), y,
                           std::max(1.0, x(to) - x(from)), colour);
    };
    for (std::size_t row = 0; row < all.size(); ++row) {
        const StartOf& one = all[row];
        const double y = kTop + kRow * static_cast<double>(row);
        const std::int64_t done = one.done_ns() != 0 ? one.done_ns() : end;
        const std::int64_t started = one.started_ns != 0 ? one.started_ns : done;
        bar(one.starting_ns, started, y, "#446");
        bar(started, done, y, one.failed ? "#c33" : "#8ac");
        out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{} {}</text>\n", x(done) + 4, y + 11, escaped(one.service),
                           seconds_text(one.took_ns()));
    }
    return out + "</svg>\n";
}

}  // namespace abide::cli
