// cli/commands_oci.cc -- oci event: the life of one container as the OCI proposal of an `event` operation has it
// (runtime-spec pull request 508): one JSON object a line, pushed, what has happened before included, so that it does
// not matter which of `create` and `event` came first.
//
// Reads the event log and asks nobody.  The past that is told is that of the container's current life: an id is used
// again.
#include <array>
#include <boost/json.hpp>

#include "abide/events.hpp"
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/event_view.hpp"
#include "events/line.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "oci/bundle.hpp"

namespace abide::cli {

namespace {

constexpr std::string_view kService = "abide.service.";
constexpr std::chrono::hours kIdle{1};

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
        if (event.type == "abide.service.starting") past_.clear();
        if (!word_of(event).empty()) past_.push_back(event);
    }
    // True: all that was asked for has been told.
    bool tell_past() {
        if (options_.no_history) return false;
        return std::ranges::any_of(past_, [&](const events::Event& event) { return tell(event); });
    }
    bool present(const events::Event& event) { return is_ours(event) && !word_of(event).empty() && tell(event); }

  private:
    bool is_ours(const events::Event& event) {
        if (event.subject.empty()) return false;
        return event.subject == options_.id || oci::container_id(runtime_, event.subject) == options_.id;
    }
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
};

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
    for (;;) {
        const auto event = reader->next();
        if (!event) return std::unexpected(error_of(event.error()));
        if (!*event) break;
        follower.past(**event);
    }
    if (follower.tell_past()) return 0;
    while (kernel::mono_now() < deadline) {
        const std::chrono::nanoseconds left{deadline == kNever ? 0 : (deadline - kernel::mono_now()).ns};
        const auto event = reader->wait(deadline == kNever ? std::chrono::nanoseconds(kIdle) : left);
        if (!event) return std::unexpected(error_of(event.error()));
        if (*event && follower.present(**event)) return 0;
    }
    return fail(ErrorKind::timed_out, "no such event of " + options.id + " in time");
}

}  // namespace abide::cli
