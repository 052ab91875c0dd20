// events/history.cc -- see history.hpp.
#include "events/history.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <ranges>

#include "events/current.hpp"
#include "events/tail.hpp"
#include "kernel/event_watch.hpp"
#include "kernel/files.hpp"
#include "kernel/log_files.hpp"

namespace abide::events {

namespace {

using Visit = std::function<bool(Event&&)>;

constexpr std::size_t kPartBytes = 256u << 10;
constexpr std::string_view kCreated = "abide.service.created";

// A text as the writer escapes it: names of services need none.
std::string needle_of(std::string_view service) {
    return "\"subject\":\"" + std::string(service) + "\"";
}

std::string_view line_around(std::string_view lines, std::size_t at) {
    const std::size_t before = lines.rfind('\n', at), begin = before == std::string_view::npos ? 0 : before + 1;
    return lines.substr(begin, lines.find('\n', at) - begin);
}

// Of whole lines.  False: `visit` has seen enough.
bool each_backward_in(std::string_view lines, std::string_view service, std::uint64_t up_to, const Visit& visit) {
    const std::string needle = needle_of(service);
    const std::boyer_moore_horspool_searcher search(needle.begin(), needle.end());
    std::vector<std::string_view> found;
    for (auto at = std::search(lines.begin(), lines.end(), search); at != lines.end();) {
        found.push_back(line_around(lines, static_cast<std::size_t>(at - lines.begin())));
        at = std::search(found.back().end(), lines.end(), search);
    }
    return std::ranges::none_of(found | std::views::reverse, [&](std::string_view text) {
        const std::optional<Line> line = parse_line(text);
        return line && line->id <= up_to && line->subject == service && !visit(event_of(*line, text));
    });
}

// The last part first, since what is asked for is mostly there.
Result<bool> each_backward_in_segment(int segment, std::string_view service, std::uint64_t up_to, const Visit& visit) {
    const Result<kernel::OpenFileStatus> status = kernel::open_file_status(segment);
    if (!status) return std::unexpected(status.error());
    std::string part, cut;  // `cut`: what belongs to the last line of the part before
    for (std::uint64_t end = status->size, begin = 0; end > 0; end = begin) {
        begin = end > kPartBytes ? end - kPartBytes : 0;
        part.resize(static_cast<std::size_t>(end - begin));
        const Result<std::size_t> got = kernel::read_at(segment, part.data(), part.size(), begin);
        if (!got) return std::unexpected(got.error());
        part.resize(*got);
        part += cut;
        if (cut.empty()) part.resize(part.rfind('\n') + 1);  // behind it: a line that is being written, or damage
        const std::size_t first = begin == 0 ? 0 : part.find('\n') + 1;
        const bool has_line = begin == 0 || first != 0;
        cut = has_line ? part.substr(0, first) : part;
        if (has_line && !each_backward_in(std::string_view(part).substr(first), service, up_to, visit)) return false;
        if (cut.size() > kLineBytes) cut.clear();
    }
    return true;
}

}  // namespace

Status each_backward(int folder, std::string_view service, std::uint64_t up_to, const Visit& visit) {
    const Result<std::vector<std::uint64_t>> segments = list_segments(folder);
    if (!segments) return std::unexpected(segments.error());
    for (auto first = segments->rbegin(); first != segments->rend(); ++first) {
        if (*first > up_to) continue;
        const Result<kernel::Fd> segment = open_segment(folder, *first);
        if (!segment && segment.error().err == ENOENT) continue;  // forgotten meanwhile
        const Result<bool> goes_on = segment ? each_backward_in_segment(segment->get(), service, up_to, visit)
                                             : std::unexpected(segment.error());
        if (!goes_on) return std::unexpected(goes_on.error());
        if (!*goes_on) return {};
    }
    const Result<std::string> current = read_current(folder);
    if (!current) return std::unexpected(current.error());
    each_backward_in(*current, service, up_to, visit);
    return {};
}

Result<NewestRun> newest_run(int folder, std::string_view service) {
    const Result<LogEnd> end = find_log_end(folder);
    if (!end) return std::unexpected(end.error());
    NewestRun out;
    out.end = end->last_id;
    out.source = end->source;
    std::uint64_t run = 0;
    const Status read = each_backward(folder, service, end->last_id, [&](Event&& event) {
        if (event.run != 0 && run != 0 && event.run != run) return false;
        if (event.run != 0) run = event.run;
        out.events.push_back(std::move(event));
        // What was created is started later, as the same run.
        return out.events.back().type != kCreated;
    });
    if (!read) return std::unexpected(read.error());
    std::ranges::reverse(out.events);
    // What belongs to no run and stands before this one is of another one.
    const auto begin = std::ranges::find_if(out.events, [](const Event& event) { return event.run != 0; });
    if (begin != out.events.end()) out.events.erase(out.events.begin(), begin);
    return out;
}

Result<std::vector<Event>> last_events(int folder, std::string_view service, std::size_t count) {
    std::vector<Event> out;
    const Status read = each_backward(folder, service, UINT64_MAX, [&](Event&& event) {
        out.push_back(std::move(event));
        return out.size() < count;
    });
    if (!read) return std::unexpected(read.error());
    std::ranges::reverse(out);
    return out;
}

Result<std::optional<Event>> find_event(int folder, std::uint64_t id) {
    if (id == 0) return std::nullopt;
    Result<kernel::Fd> own = kernel::reopen(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!own) return std::unexpected(own.error());
    Tail tail(std::move(*own));
    if (Status sought = tail.seek_after(id - 1); !sought) return std::unexpected(sought.error());
    const auto item = tail.next();
    if (!item) return std::unexpected(item.error());
    if (*item && (*item)->line.id == id && (*item)->line.gap_from == 0) return event_of((*item)->line, (*item)->text);
    const Result<std::string> current = read_current(folder);
    if (!current) return std::unexpected(current.error());
    std::optional<Event> found;
    each_line(*current, [&](const Line& line, std::string_view text) {
        if (line.id == id) found = event_of(line, text);
    });
    return found;
}

Result<std::vector<Event>> causes(int folder, std::uint64_t id, std::size_t count) {
    std::vector<Event> out;
    while (id != 0 && out.size() < count) {
        Result<std::optional<Event>> found = find_event(folder, id);
        if (!found) return std::unexpected(found.error());
        if (!*found) break;
        const std::uint64_t cause = (*found)->cause;
        out.push_back(std::move(**found));
        if (cause >= id) break;  // a cause comes before: anything else is damage
        id = cause;
    }
    return out;
}

}  // namespace abide::events
