// events/filter.cc -- see filter.hpp.
#include "events/filter.hpp"

#include <algorithm>
#include <iterator>

#include "base/text.hpp"

namespace abide::events {

namespace {

constexpr std::string_view kPrefix = "abide.", kUser = "user", kService = "service.";

constexpr std::string_view kTypes[] = {
    "service.created",
    "service.starting",
    "service.started",
    "service.ready",
    "service.unready",
    "service.healthy",
    "service.unhealthy",
    "service.reloading",
    "service.reloaded",
    "service.stopping",
    "service.stopped",
    "service.backoff",
    "service.completed",
    "service.failed",
    "service.paused",
    "service.unpaused",
    "service.removed",
    "process.exited",
    "process.orphan",
    "supervisor.started",
    "supervisor.recovered",
    "supervisor.upgraded",
    "supervisor.rolled-back",
    "supervisor.rescue",
    "supervisor.stopping",
    "refresh.staged",
    "refresh.gated",
    "refresh.held",
    "refresh.switching",
    "refresh.soaking",
    "refresh.committed",
    "refresh.reverted",
    "refresh.failed",
    "refresh.revision-released",
    "timer.elapsed",
    "stream.gap",
    "user",
};

// `whole` is `begin`, or goes on after it with a new word.
bool begins(std::string_view whole, std::string_view begin) {
    return whole.starts_with(begin) && (whole.size() == begin.size() || whole[begin.size()] == '.');
}

std::unexpected<Error> unknown(std::string_view name) {
    std::vector<std::string_view> candidates(std::begin(kTypes), std::end(kTypes));
    for (const std::string_view type : kTypes) candidates.push_back(type.substr(type.find('.') + 1));
    const auto like = closest(name, candidates);
    return fail(ErrorKind::not_found, "there is no event \"" + printable(name, 80) + "\"",
                like ? "did you mean " + std::string(*like) + "?" : "docs/events.md lists them");
}

}  // namespace

std::span<const std::string_view> known_types() {
    return kTypes;
}

Result<std::string> full_type(std::string_view name) {
    const std::string_view bare = name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
    const bool user = begins(bare, kUser) && is_plain_name(bare.substr(std::min(bare.size(), kUser.size() + 1)));
    if (user || (bare != kUser && std::ranges::find(kTypes, bare) != std::end(kTypes)))
        return std::string(kPrefix) + std::string(bare);
    const std::string of_service = std::string(kService) + std::string(bare);
    if (std::ranges::find(kTypes, std::string_view(of_service)) != std::end(kTypes))
        return std::string(kPrefix) + of_service;
    return unknown(name);
}

Result<Filter> Filter::make(const std::vector<std::string>& types, std::vector<std::string> services) {
    Filter out;
    for (const std::string& type : types) {
        std::string_view bare = type;
        if (bare.ends_with(".*")) bare.remove_suffix(2);
        if (bare == "abide") continue;  // all of them
        if (bare.starts_with(kPrefix)) bare.remove_prefix(kPrefix.size());
        const bool known = std::ranges::any_of(kTypes, [&](std::string_view one) { return begins(one, bare); });
        if (known && !bare.empty()) {
            out.types_.push_back(std::string(kPrefix) + std::string(bare));
            continue;
        }
        Result<std::string> full = full_type(bare);
        if (!full) return std::unexpected(full.error());
        out.types_.push_back(std::move(*full));
    }
    for (const std::string& service : services) {
        if (service.empty()) return fail(ErrorKind::usage, "an empty name matches no service");
    }
    out.services_ = std::move(services);
    return out;
}

bool Filter::passes(const Line& line) const {
    if (line.gap_from != 0) return true;
    const auto type = [&](const std::string& one) { return begins(line.type, one); };
    const auto service = [&](const std::string& one) { return matches_pattern(one, line.subject); };
    return (types_.empty() || std::ranges::any_of(types_, type)) &&
           (services_.empty() || (!line.subject.empty() && std::ranges::any_of(services_, service)));
}

// Without recursion: the last * takes one more character whenever the rest does not match.
bool matches_pattern(std::string_view pattern, std::string_view text) {
    std::size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

}  // namespace abide::events
