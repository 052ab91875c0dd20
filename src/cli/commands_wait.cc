// cli/commands_wait.cc -- wait: until something is so of a service, from the event log.
//
// Theory.  What is so of the current run follows from its events, oldest first: each makes the goal true or takes it
// back.  The files tell the past up to an id and the same files tell what follows it, so nothing falls between: it does
// not matter whether the event or the wait came first.
#include "abide/events.hpp"
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/event_view.hpp"
#include "cli/patience.hpp"
#include "events/filter.hpp"
#include "events/history.hpp"
#include "events/tail.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"

namespace abide::cli {

namespace {

constexpr std::string_view kService = "abide.service.", kProcess = "abide.process.";

struct Goal {
    std::string_view name;
    std::vector<std::string_view> by, until;  // events that make it true, that take it back
};

// "stopped" is told of every end that stays: nobody of the run is left.  A run that ended by itself was created and
// started all the same; one that was stopped has made room for the next.
const Goal* find_goal(std::string_view name) {
    static const std::vector<Goal> kGoals = {
        {"created", {"created", "started", "ready"}, {"stopped", "removed"}},
        {"started", {"started", "ready"}, {"created", "starting", "stopped", "removed"}},
        {"ready",
         {"ready"},
         {"created", "starting", "unready", "stopping", "stopped", "completed", "failed", "backoff", "removed"}},
        {"healthy",
         {"healthy"},
         {"created", "starting", "unhealthy", "stopping", "stopped", "completed", "failed", "backoff", "removed"}},
        {"stopped", {"stopped", "completed", "failed", "removed"}, {"created", "starting"}},
        {"completed", {"completed"}, {"created", "starting"}},
        {"failed", {"failed"}, {"created", "starting"}},
    };
    const auto found = std::ranges::find(kGoals, name, &Goal::name);
    return found == kGoals.end() ? nullptr : &*found;
}

class Wait {
  public:
    Wait(std::string service, const Goal* goal, std::string type)
        : service_(std::move(service)), goal_(goal), type_(std::move(type)) {}

    // True: this event makes it so.
    bool see(const events::Event& event) {
        const bool is_service = event.type.starts_with(kService);
        const std::string_view word = is_service ? std::string_view(event.type).substr(kService.size()) : "";
        bool makes = false;
        if (goal_ == nullptr) {
            makes = event.type == type_ && (event.subject == service_ || event.subject.empty());
        } else if (is_service && event.subject == service_) {
            makes = std::ranges::find(goal_->by, word) != goal_->by.end();
            if (std::ranges::find(goal_->until, word) != goal_->until.end()) held_.reset();
        }
        if (makes && !held_) held_ = event;
        return makes;
    }
    void forget() { held_.reset(); }
    [[nodiscard]] const std::optional<events::Event>& held() const { return held_; }

    [[nodiscard]] events::Options options(std::uint64_t after) const {
        events::Options out;
        out.prompt = true;
        out.start = events::Start::after;
        out.after.id = after;
        // Not every event belongs to a service: those of users and of the supervisor do not.
        const bool of_service = goal_ != nullptr || type_.starts_with(kService) || type_.starts_with(kProcess);
        if (of_service)
            out.services = {service_};
        else
            out.types = {type_};
        return out;
    }

  private:
    std::string service_;
    const Goal* goal_;
    std::string type_;
    std::optional<events::Event> held_;
};

class Waiter {
  public:
    Waiter(Context& context, Places places, std::string folder, std::string name, Wait wait,
           std::optional<Mono> deadline)
        : context_(context),
          places_(std::move(places)),
          folder_(std::move(folder)),
          name_(std::move(name)),
          wait_(std::move(wait)),
          deadline_(deadline) {}

    CommandResult run(const std::string& since) {
        if (const Status known = since.empty() ? look_back() : open_since(since); !known)
            return std::unexpected(known.error());
        if (wait_.held()) return tell();
        if (const Status exists = check_name(); !exists) return std::unexpected(exists.error());
        return follow();
    }

  private:
    int tell() {
        context_.print(event_text(context_, *wait_.held()));
        return 0;
    }

    // What is so of the current run; then what follows.
    Status look_back() {
        reader_.reset();
        wait_.forget();
        const auto opened = kernel::open_directory(folder_);
        if (!opened) {
            if (opened.error().err != ENOENT) return std::unexpected(opened.error());
            return open_reader({});  // no instance yet
        }
        auto run = events::newest_run(opened->get(), name_);
        if (!run) return std::unexpected(run.error());
        known_ = !run->events.empty();
        for (const events::Event& event : run->events) (void)wait_.see(event);
        if (wait_.held()) return {};
        events::Options options = wait_.options(run->end);
        // A user's event is looked for since the run began.
        if (known_ && !options.types.empty()) options.after.id = run->events.front().id - 1;
        return open_reader(options);
    }

    Status open_since(const std::string& since) {
        events::Options options = wait_.options(0);
        if (const auto read = read_since(since, options); !read) return std::unexpected(read.error());
        return open_reader(options);
    }

    Status open_reader(events::Options options) {
        if (options.types.empty() && options.services.empty()) {
            options = wait_.options(0);
            options.start = events::Start::now;
        }
        auto reader = events::Reader::open(folder_, options);
        if (!reader) return std::unexpected(error_of(reader.error()));
        reader_.emplace(std::move(*reader));
        return {};
    }

    // A name that nobody knows can't become anything.
    Status check_name() const {
        if (known_) return {};
        Client client(places_.control);
        const auto status =
            client.call<control::StatusReply>(control::Method::status, control::StatusRequest{{name_}, false});
        if (status || status.error().kind != ErrorKind::not_found) return {};
        return std::unexpected(status.error());
    }

    // All that was in the log when we came is looked at, however little time there is.
    CommandResult follow() {
        const auto folder = kernel::open_directory(folder_);
        const auto end = folder ? events::find_log_end(folder->get()) : std::unexpected(folder.error());
        const std::uint64_t there = end ? end->last_id : 0;
        Patience patience(places_, deadline_.value_or(kNever));
        for (;;) {
            const auto event = reader_->wait(patience.left());
            if (!event) return std::unexpected(error_of(event.error()));
            if (*event && (*event)->is_gap()) {
                // What was missed may have made it so.
                context_.note("abide: " + event_remark(**event) + " in the event log");
                if (const Status again = look_back(); !again) return std::unexpected(again.error());
            } else if (*event) {
                (void)wait_.see(**event);
            }
            if (wait_.held()) return tell();
            if (*event && ((*event)->id <= there || !patience.is_late())) continue;
            if (const Status on = patience.go_on(context_, *reader_, name_ + ": not true in time"); !on)
                return std::unexpected(on.error());
        }
    }

    Context& context_;
    Places places_;
    std::string folder_, name_;
    Wait wait_;
    std::optional<Mono> deadline_;
    std::optional<events::Reader> reader_;
    bool known_ = false;
};

}  // namespace

CommandResult wait_command(Context& context, const WaitOptions& options) {
    std::optional<Mono> deadline;
    if (!options.timeout.empty()) {
        const auto timeout = duration_option(options.timeout, "--timeout");
        if (!timeout) return std::unexpected(timeout.error());
        deadline = kernel::mono_now() + *timeout;
    }
    std::string type;
    const Goal* goal = find_goal(options.goal);
    if (goal == nullptr) {
        Result<std::string> full = events::full_type(options.goal);
        if (!full) return std::unexpected(full.error());
        if (*full == events::kGapType)
            return fail(ErrorKind::usage, "a gap in the event log is nothing to wait for",
                        "`abide events -f` tells it");
        type = std::move(*full);
    }
    auto places = context.places();
    if (!places) return std::unexpected(places.error());
    auto folder = events_folder(*places);
    if (!folder) return std::unexpected(folder.error());
    Waiter waiter(context, std::move(*places), std::move(*folder), options.name, Wait(options.name, goal, type),
                  deadline);
    return waiter.run(options.since);
}

}  // namespace abide::cli
