// cli/commands_oci.cc -- oci event: the life of one container as the OCI proposal of an `event` operation has it
// (runtime-spec pull request 508): one JSON object a line, pushed, what has happened before included, so that it does
// not matter which of `create` and `event` came first.
//
// Reads the event log and asks nobody.  The past that is told is that of the container's current life: an id is used
// again.
#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "abide/events.hpp"
#include "base/text.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/event_view.hpp"
#include "cli/patience.hpp"
#include "events/line.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "oci/bundle.hpp"

namespace abide::cli {

namespace {

constexpr std::string_view kService = "abide.service.";

struct Word {
    std::string_view ours, theirs;
};
constexpr std::array<Word, 8> kWords = {{{"created", "created"},
                                         {"started", "started"},
                                         {"paused", "paused"},
                                         {"unpaused", "resumed"},
                                         {"stopped", "stopped"},
                                         {"completed", "stopped"},
                                         {"failed", "stopped"},
                                         {"backoff", "stopped"}}};

// The proposal's word for an event; empty: it has none.
std::string_view word_of(const events::Event& event) {
    if (!event.type.starts_with(kService)) return {};
    const std::string_view ours = std::string_view(event.type).substr(kService.size());
    const auto found = std::ranges::find(kWords, ours, &Word::ours);
    return found == kWords.end() ? std::string_view{} : found->theirs;
}

class Follower {
  public:
    Follower(Context& context, const OciEventOptions& options, std::string runtime)
        : context_(context), options_(options), runtime_(std::move(runtime)) {}

    // What was said before we came: only the last life of the container counts.
    void past(const events::Event& event) {
        if (!is_ours(event)) return;
        known_ = true;
        if (event.type == "abide.service.starting") past_.clear();
        if (!word_of(event).empty()) past_.push_back(event);
    }
    // True: all that was asked for has been told.
    bool tell_past() {
        if (options_.no_history) return false;
        return std::ranges::any_of(past_, [&](const events::Event& event) { return tell(event); });
    }
    // Nothing was ever heard of it.
    [[nodiscard]] bool is_new() const { return !known_; }
    // Is this the service whose container is meant?
    [[nodiscard]] bool is_named(const std::string& service) const {
        return service == options_.id || oci::container_id(runtime_, service) == options_.id;
    }
    bool present(const events::Event& event) { return is_ours(event) && !word_of(event).empty() && tell(event); }

  private:
    bool is_ours(const events::Event& event) { return !event.subject.empty() && is_named(event.subject); }
    bool tell(const events::Event& event) {
        const std::string_view word = word_of(event);
        const bool all = options_.types.empty();
        if (!all && std::ranges::find(options_.types, word) == options_.types.end()) return false;
        boost::json::object line;
        line["type"] = word;
        line["id"] = oci::container_id(runtime_, event.subject);
        line["timestamp"] = events::unescape(events::member(event.line, "time"));
        if (event.pid > 0) line["pid"] = event.pid;
        line["cursor"] = events::cursor_text(event.id);
        context_.print(boost::json::serialize(line) + "\n");
        return !all || word == "stopped";
    }

    Context& context_;
    const OciEventOptions& options_;
    std::string runtime_;
    std::vector<events::Event> past_;
    bool known_ = false;
};

// What nobody knows will never be a container.
Status check_id(const Follower& follower, const Places& places, const std::string& id) {
    if (!follower.is_new()) return {};
    Client client(places.control);
    const auto status = client.call<control::StatusReply>(control::Method::status, control::StatusRequest{});
    if (!status) return {};
    const bool known = std::ranges::any_of(
        status->services, [&](const control::ServiceStatus& one) { return follower.is_named(one.name); });
    return known ? Status{} : fail(ErrorKind::not_found, "no container \"" + printable(id, 80) + "\" here");
}

// What happens from now on, until all that was asked for is told.
CommandResult follow(Context& context, Follower& follower, events::Reader& reader, const Places& places,
                     const std::string& id, Mono deadline) {
    Patience patience(places, deadline);
    for (;;) {
        const auto event = reader.wait(patience.left());
        if (!event) return std::unexpected(error_of(event.error()));
        if (*event && (*event)->is_gap()) context.note("abide: " + event_remark(**event) + " in the event log");
        if (*event && follower.present(**event)) return 0;
        if (*event && !patience.is_late()) continue;
        if (const Status on = patience.go_on(context, reader, "no such event of " + id + " in time"); !on)
            return std::unexpected(on.error());
    }
}

Result<void> check_types(const OciEventOptions& options) {
    for (const std::string& type : options.types) {
        if (std::ranges::find(kWords, type, &Word::theirs) != kWords.end()) continue;
        return fail(ErrorKind::usage, "\"" + printable(type, 40) + "\" is no event of a container",
                    "use created, started, paused, resumed or stopped");
    }
    return {};
}

}  // namespace

CommandResult oci_event_command(Context& context, const OciEventOptions& options) {
    if (const auto good = check_types(options); !good) return std::unexpected(good.error());
    Mono deadline = kNever;
    if (!options.timeout.empty()) {
        const auto timeout = duration_option(options.timeout, "--timeout");
        if (!timeout) return std::unexpected(timeout.error());
        deadline = kernel::mono_now() + *timeout;
    }
    auto places = context.places();
    if (!places) return std::unexpected(places.error());
    const auto folder = events_folder(*places);
    if (!folder) return std::unexpected(folder.error());
    const Result<std::string> runtime = kernel::real_path(places->runtime);
    Follower follower(context, options, runtime ? *runtime : places->runtime);
    events::Options wanted;
    wanted.start = events::Start::beginning;
    wanted.prompt = true;
    auto reader = events::Reader::open(*folder, wanted);
    if (!reader) return std::unexpected(error_of(reader.error()));
    if (const Status begun = each_current(*places, [&](events::Event event) { follower.past(event); }); !begun)
        return std::unexpected(begun.error());
    for (;;) {
        const auto event = reader->next();
        if (!event) return std::unexpected(error_of(event.error()));
        if (!*event) break;
        follower.past(**event);
    }
    if (follower.tell_past()) return 0;
    if (const Status known = check_id(follower, *places, options.id); !known) return std::unexpected(known.error());
    return follow(context, follower, *reader, *places, options.id, deadline);
}

}  // namespace abide::cli
