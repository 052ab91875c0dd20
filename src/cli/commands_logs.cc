// cli/commands_logs.cc -- logs: reads the files that the logger writes; needs no running supervisor.
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/log_view.hpp"
#include "kernel/clock.hpp"

namespace abide::cli {

namespace {

constexpr std::size_t kDefaultLines = 100;

// A duration back from now, or an instant.
Result<Wall> parse_since(const std::string& text, Wall now) {
    if (const auto instant = control::parse_time(text)) return *instant;
    if (const auto day = control::parse_time(text + "T00:00:00Z")) return *day;
    if (const auto local = control::parse_time(text + "Z")) return *local;
    const auto duration = parse_duration(text);
    if (!duration) {
        return fail(ErrorKind::usage, "--since " + text + ": neither a duration nor a time",
                    "like 10m or 2026-11-21T09:00:00Z");
    }
    return Wall{std::max<std::int64_t>(0, now.ns - duration->ns)};
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
            if (!options.lines) return open = context.print(view.show(line));
            kept.push_back(std::move(line));
            if (kept.size() > 2 * *options.lines + 1024)
                kept.erase(kept.begin(), kept.end() - static_cast<long>(*options.lines));
            return true;
        });
        if (!read) return std::unexpected(read.error());
        if (!open) return 0;
        if (options.lines && kept.size() > *options.lines)
            kept.erase(kept.begin(), kept.end() - static_cast<long>(*options.lines));
        for (const logger::LogLine& line : kept) {
            if (!context.print(view.show(line))) return 0;
        }
    } else {
        const auto lines = reader->tail(options.lines.value_or(kDefaultLines));
        if (!lines) return std::unexpected(lines.error());
        std::string out;
        for (const logger::LogLine& line : *lines) out += view.show(line);
        if (!context.print(out)) return 0;
    }
    return options.follow ? follow(context, *reader, view) : CommandResult(0);
}

}  // namespace abide::cli
