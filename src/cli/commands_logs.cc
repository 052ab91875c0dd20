// cli/commands_logs.cc -- logs: reads the files that the logger writes; needs no running supervisor.
#include <algorithm>
#include <limits>
#include <optional>

#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/configuration.hpp"
#include "cli/log_view.hpp"
#include "kernel/clock.hpp"
#include "model/text.hpp"

namespace abide::cli {

namespace {

constexpr std::size_t kDefaultLines = 100;
constexpr std::int64_t kMostLines = 1'000'000'000;

std::optional<Wall> parse_instant(const std::string& text) {
    if (const auto instant = control::parse_time(text)) return instant;
    if (const auto day = control::parse_time(text + "T00:00:00Z")) return day;
    return control::parse_time(text + "Z");
}

// A duration back from now, or an instant.
Result<Wall> parse_since(const std::string& text, Wall now) {
    constexpr std::size_t kYearDigits = 4;
    constexpr std::string_view kLeapYear = "2260", kLastYear = "2261";  // that an instant can be of
    if (const auto instant = parse_instant(text)) return *instant;
    if (text.size() > kYearDigits && text.substr(0, kYearDigits) > kLastYear &&
        parse_instant(std::string(kLeapYear) + text.substr(kYearDigits)))
        return Wall{std::numeric_limits<std::int64_t>::max()};
    const auto duration = parse_duration(text);
    if (!duration) {
        return fail(ErrorKind::usage, "--since " + text + ": neither a duration nor a time",
                    "like 10m or 2026-11-21T09:00:00Z");
    }
    return Wall{std::max<std::int64_t>(0, now.ns - duration->ns)};
}

Result<std::optional<std::size_t>> parse_lines(const std::optional<std::string>& text) {
    if (!text) return std::nullopt;
    const auto number = parse_integer(*text, 0, kMostLines);
    if (!number) return fail(ErrorKind::usage, "--lines " + *text + ": not a number of lines", "like 20");
    return static_cast<std::size_t>(*number);
}

// Of those that were named and have written nothing: that this is as they were told to.
void tell_silent(Context& context, const Places& places, const logger::LogReader& reader,
                 const std::vector<std::string>& names) {
    const auto known = reader.known_services();
    for (const std::string& name : names) {
        if (places.forced_socket || !known || std::ranges::find(*known, name) != known->end()) continue;
        const config::Loaded loaded = load_files(places, {places.configuration});
        for (const model::ServiceSpec& spec : loaded.configuration.services) {
            const model::LogMode mode = spec.log.or_default().mode;
            if (spec.name != name || mode == model::LogMode::file) continue;
            context.note("abide: " + name + " has no log: the configuration says log = \"" + model::to_text(mode) +
                         "\"");
        }
    }
}

Result<std::string> log_folder(const Places& places) {
    if (!places.forced_socket) return places.log;
    Client client(places.control);
    const auto where = client.call<control::WhereReply>(control::Method::where, control::Nothing{});
    if (!where) return std::unexpected(where.error());
    return where->log;
}

// Names that nobody knows are an error, said once; without a supervisor the folders are what is known.
Status check_names(const Places& places, const logger::LogReader& reader, const std::vector<std::string>& names) {
    const auto known = reader.known_services();
    if (!known) return std::unexpected(known.error());
    for (const std::string& name : names) {
        if (std::ranges::find(*known, name) != known->end()) continue;
        Client client(places.control);
        const auto status =
            client.call<control::StatusReply>(control::Method::status, control::StatusRequest{{name}, false});
        if (status) continue;
        const std::vector<std::string_view> candidates(known->begin(), known->end());
        const auto like = closest(name, candidates);
        return fail(ErrorKind::not_found, name + ": there is no such service",
                    like ? "did you mean " + std::string(*like) + "?" : "see `abide status`");
    }
    return {};
}

CommandResult follow(Context& context, logger::LogReader& reader, LogView& view) {
    constexpr Duration kLongest = seconds(3600);
    for (;;) {
        auto lines = reader.more();
        if (!lines) return std::unexpected(lines.error());
        std::string out;
        for (const logger::LogLine& line : *lines) out += view.show(line);
        if (!out.empty() && !context.print(out)) return 0;
        if (!reader.at_end()) continue;
        if (const auto waited = reader.wait(kLongest); !waited) return std::unexpected(waited.error());
    }
}

}  // namespace

CommandResult logs_command(Context& context, const LogsOptions& options) {
    const auto most = parse_lines(options.lines);
    if (!most) return std::unexpected(most.error());
    auto places = context.places();
    if (!places) return std::unexpected(places.error());
    auto folder = log_folder(*places);
    if (!folder) return std::unexpected(folder.error());
    auto reader = logger::LogReader::open(*folder, options.names);
    if (!reader) {
        if (reader.error().kind != ErrorKind::not_found) return std::unexpected(reader.error());
        return fail(ErrorKind::not_found, "there are no logs in " + *folder, "has this instance been started?");
    }
    if (const Status known = check_names(*places, *reader, options.names); !known)
        return std::unexpected(known.error());
    tell_silent(context, *places, *reader, options.names);
    const auto shown =
        options.names.empty() ? reader->known_services() : Result<std::vector<std::string>>(options.names);
    LogView view({context.coloured(), context.on_terminal(), context.json(), !context.json()});
    if (shown) view.expect(*shown);
    if (!options.since.empty()) {
        const auto from = parse_since(options.since, kernel::now().wall);
        if (!from) return std::unexpected(from.error());
        std::vector<logger::LogLine> kept;  // with -n: the last of them
        bool open = true;
        const Status read = reader->since(*from, [&](logger::LogLine&& line) {
            if (!*most) return open = context.print(view.show(line));
            kept.push_back(std::move(line));
            if (kept.size() > 2 * **most + 1024) kept.erase(kept.begin(), kept.end() - static_cast<long>(**most));
            return true;
        });
        if (!read) return std::unexpected(read.error());
        if (!open) return 0;
        if (*most && kept.size() > **most) kept.erase(kept.begin(), kept.end() - static_cast<long>(**most));
        for (const logger::LogLine& line : kept) {
            if (!context.print(view.show(line))) return 0;
        }
    } else {
        const auto lines = reader->tail(most->value_or(kDefaultLines));
        if (!lines) return std::unexpected(lines.error());
        std::string out;
        for (const logger::LogLine& line : *lines) out += view.show(line);
        if (!context.print(out)) return 0;
    }
    return options.follow ? follow(context, *reader, view) : CommandResult(0);
}

}  // namespace abide::cli
