// events/current.cc -- see current.hpp.
#include "events/current.hpp"

#include <algorithm>
#include <cerrno>

#include "events/tail.hpp"
#include "kernel/files.hpp"

namespace abide::events {

namespace {

constexpr std::string_view kOfAService = "\"type\":\"abide.service.";  // as the writer has it

}  // namespace

void each_line(std::string_view bytes, const std::function<void(const Line&, std::string_view text)>& visit) {
    for (std::size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
        const std::string_view text = bytes.substr(0, end);
        bytes.remove_prefix(end + 1);
        if (const std::optional<Line> line = parse_line(text)) visit(*line, text);
    }
}

void Current::add(std::string_view lines) {
    while (!lines.empty()) {
        const std::size_t end = std::min(lines.find('\n'), lines.size() - 1);
        const std::string_view text = lines.substr(0, end);
        lines.remove_prefix(end + 1);
        // Most lines are of processes, and to look at one whole takes long.
        if (text.find(kOfAService) == std::string_view::npos) continue;
        const std::optional<Line> line = parse_line(text);
        if (!line || line->subject.empty() || line->gap_from != 0) continue;
        const std::uint64_t run = number(member(line->data, "run"));
        if (run == 0 || !is_current_(line->subject, run)) continue;
        last_.insert_or_assign({std::string(line->subject), std::string(line->type)},
                               std::pair{line->id, std::string(text)});
    }
}

std::string Current::text() const {
    std::map<std::uint64_t, std::string_view> in_order;
    for (const auto& [key, one] : last_) in_order.emplace(one.first, one.second);
    std::string out;
    for (const auto& [id, text] : in_order) out.append(text) += '\n';
    return out;
}

Result<std::string> read_current(int folder) {
    Result<std::string> text = kernel::read_file_beneath(folder, kCurrentFile, kCurrentBytes);
    if (!text && text.error().err == ENOENT) return std::string();
    if (!text) return text;
    const Result<std::vector<std::uint64_t>> segments = list_segments(folder);
    if (!segments || segments->empty()) return text;
    // A segment that was about to be forgotten, and was not.
    std::string older;
    each_line(*text, [&](const Line& line, std::string_view whole) {
        if (line.id < segments->front()) older.append(whole) += '\n';
    });
    return older;
}

}  // namespace abide::events
