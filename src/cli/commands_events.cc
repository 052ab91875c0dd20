// cli/commands_events.cc -- events and emit.  Events are read from the files: no supervisor is asked, none is needed.
#include "abide/events.hpp"
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/event_view.hpp"
#include "events/line.hpp"
#include "kernel/files.hpp"

namespace abide::cli {

namespace {

constexpr std::size_t kPrintAtOnce = 64u << 10;
constexpr std::chrono::hours kIdle{1};

// False: nobody reads any more.
Result<bool> print_ready(Context& context, events::Reader& reader) {
    std::string out;
    for (;;) {
        const auto event = reader.next();
        if (!event) return std::unexpected(error_of(event.error()));
        if (*event) out += event_text(context, **event);
        if ((!*event || out.size() > kPrintAtOnce) && !out.empty()) {
            if (!context.print(out)) return false;
            out.clear();
        }
        if (!*event) return true;
    }
}

}  // namespace

CommandResult events_command(Context& context, const EventsOptions& options) {
    auto places = context.places();
    if (!places) return std::unexpected(places.error());
    const auto folder = events_folder(*places);
    if (!folder) return std::unexpected(folder.error());
    events::Options wanted;
    wanted.start = options.follow ? events::Start::now : events::Start::beginning;
    wanted.types = options.types;
    wanted.services = options.services;
    wanted.snapshot = options.snapshot;
    wanted.prompt = options.follow;
    if (!options.since.empty()) {
        if (options.snapshot) return fail(ErrorKind::usage, "--since and --snapshot exclude each other");
        if (const auto read = read_since(options.since, wanted); !read) return std::unexpected(read.error());
    }
    auto reader = events::Reader::open(*folder, wanted);
    if (!reader) return std::unexpected(error_of(reader.error()));
    if (!options.follow && !kernel::file_status(*folder)) {
        return fail(ErrorKind::not_found, "there are no events in " + *folder, "has this instance been started?");
    }
    bool told = false;
    for (;;) {
        const Result<bool> open = print_ready(context, *reader);
        if (!open) return std::unexpected(open.error());
        if (!*open || !options.follow) return 0;
        if (const std::string why = reader->polling(); !why.empty() && !std::exchange(told, true)) {
            context.note("abide: events are looked for four times a second: " + why);
        }
        const auto event = reader->wait(kIdle);
        if (!event) return std::unexpected(error_of(event.error()));
        if (*event && !context.print(event_text(context, **event))) return 0;
    }
}

CommandResult emit_command(Context& context, const EmitOptions& options) {
    std::string_view name = options.name;
    for (const std::string_view prefix : {"abide.", "user."}) {
        if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    }
    if (!is_plain_name(name)) {
        return fail(ErrorKind::usage, "\"" + printable(options.name, 80) + "\" is no name of an event",
                    "use letters, digits, _ . and -, beginning with a letter or digit");
    }
    control::EmitRequest request{std::string(name), {}};
    for (const std::string& field : options.fields) {
        const std::size_t equals = field.find('=');
        if (equals == std::string::npos || !is_plain_name(field.substr(0, equals)) || !is_utf8(field)) {
            return fail(ErrorKind::usage, "\"" + printable(field, 80) + "\": expected KEY=VALUE");
        }
        request.fields.push_back({field.substr(0, equals), field.substr(equals + 1)});
    }
    auto client = context.client();
    if (!client) return std::unexpected(client.error());
    const auto reply = client->operate(control::Method::emit, control::write(request), {});
    if (!reply) return std::unexpected(reply.error());
    if (reply->outcome != "done") return report_operation(context, *reply);
    const events::Cursor id{events::number(reply->detail), {}};
    context.print(context.json() ? "{\"id\":\"" + id.text() + "\"}\n" : reply->detail + "\n");
    return 0;
}

}  // namespace abide::cli
