// cli/import_limits.cc -- see import_limits.hpp and systemd.exec(5), systemd.resource-control(5).
#include "cli/import_limits.hpp"

#include <array>

#include "base/text.hpp"

namespace abide::cli {

namespace {

// One bound of LimitNOFILE=: a number, a size or infinity.
std::optional<std::string> bound_of(std::string_view text) {
    if (text == "infinity") return toml_string("unlimited");
    if (const auto number = parse_integer(text, 0, INT64_MAX)) return std::to_string(*number);
    if (const auto size = parse_size(text); size && *size <= static_cast<std::uint64_t>(INT64_MAX))
        return std::to_string(*size);
    return std::nullopt;
}
std::optional<std::string> limit_of(std::string_view text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return bound_of(text);
    const auto soft = bound_of(text.substr(0, colon)), hard = bound_of(text.substr(colon + 1));
    if (!soft || !hard) return std::nullopt;
    return "{ soft = " + *soft + ", hard = " + *hard + " }";
}

void write_number(Unit& unit, ImportWriter& writer, std::string_view theirs, std::string_view ours, std::int64_t low,
                  std::int64_t high) {
    const IniEntry* entry = unit.last("Service", theirs);
    if (entry == nullptr || entry->value == "infinity") return;
    if (const auto number = parse_integer(entry->value, low, high))
        writer.set("limits." + std::string(ours), std::to_string(*number));
    else
        writer.leave_out(*entry, "it is not a number from " + std::to_string(low) + " to " + std::to_string(high));
}

}  // namespace

void write_unit_limits(Unit& unit, ImportWriter& writer) {
    constexpr std::array<std::array<std::string_view, 2>, 15> kResources{{{"LimitNOFILE", "nofile"},
                                                                          {"LimitNPROC", "nproc"},
                                                                          {"LimitCORE", "core"},
                                                                          {"LimitMEMLOCK", "memlock"},
                                                                          {"LimitSTACK", "stack"},
                                                                          {"LimitAS", "as"},
                                                                          {"LimitDATA", "data"},
                                                                          {"LimitFSIZE", "fsize"},
                                                                          {"LimitRSS", "rss"},
                                                                          {"LimitCPU", "cpu"},
                                                                          {"LimitLOCKS", "locks"},
                                                                          {"LimitSIGPENDING", "sigpending"},
                                                                          {"LimitMSGQUEUE", "msgqueue"},
                                                                          {"LimitRTPRIO", "rtprio"},
                                                                          {"LimitRTTIME", "rttime"}}};
    for (const auto& [theirs, ours] : kResources) {
        const IniEntry* entry = unit.last("Service", theirs);
        if (entry == nullptr) continue;
        if (const auto limit = limit_of(entry->value))
            writer.set("limits." + std::string(ours), *limit);
        else
            writer.leave_out(*entry, "it is not a number, a size or SOFT:HARD");
    }
    for (const auto& [theirs, ours] : {std::array<std::string_view, 2>{"MemoryMax", "memory-max"},
                                       std::array<std::string_view, 2>{"MemoryHigh", "memory-high"}}) {
        const IniEntry* entry = unit.last("Service", theirs);
        if (entry == nullptr || entry->value == "infinity") continue;
        const auto size = parse_size(entry->value);
        if (size && *size > 0 && *size <= static_cast<std::uint64_t>(INT64_MAX))
            writer.set("limits." + std::string(ours), toml_string(format_size(*size)));
        else
            writer.leave_out(*entry, "it is not a size");
    }
    write_number(unit, writer, "TasksMax", "pids-max", 1, 4'194'304);
    write_number(unit, writer, "CPUWeight", "cpu-weight", 1, 10'000);
    write_number(unit, writer, "Nice", "nice", -20, 19);
    write_number(unit, writer, "OOMScoreAdjust", "oom-score-adjust", -1000, 1000);
    if (const IniEntry* entry = unit.last("Service", "UMask")) {
        if (is_umask(entry->value))
            writer.set_text("limits.umask", entry->value);
        else
            writer.leave_out(*entry, "it is not octal");
    }
}

}  // namespace abide::cli
