// cli/follow.hpp -- the foreground of `abide up`: shows what the services say and what becomes of them, until the
// instance ends or the user does.
//
// Owns the positions in the logs and in the events, and the answer to signals.  Invariant: of an instance that it
// didn't start it stops nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "abide/events.hpp"
#include "cli/context.hpp"
#include "cli/launch.hpp"
#include "cli/log_view.hpp"
#include "cli/state_lines.hpp"
#include "kernel/program.hpp"
#include "logger/read.hpp"

namespace abide::cli {

enum class FollowRole {
    owner,    // we started it: INT, TERM and HUP stop it in order, a second one shortens that
    guest,    // it was up: they only detach
    printer,  // the child of `up --init`: it ends with the instance
};

class Follower {
  public:
    // Takes INT, TERM and HUP as data from here on, and shows lines from `since` on, or from the present ends of the
    // logs.
    static Result<Follower> create(Context& context, const Places& places, FollowRole role,
                                   std::vector<std::string> names, std::optional<Wall> since = {});
    // The exit status of `up`.  `anchor` is valid for the owner.
    CommandResult run(std::optional<Anchor> anchor);

  private:
    Follower(Context& context, Places places, FollowRole role, kernel::SignalWatch signals);
    bool open_log();
    void print_since(Wall from);
    void open_events(std::optional<Wall> since);
    bool print_new();     // false: nobody reads any more
    bool print_states();  // likewise
    void drain();
    void on_signal();
    void ask_to_stop(std::optional<std::int64_t> timeout_ms);
    bool supervisor_gone();
    Status wait(const std::optional<Anchor>& anchor);
    CommandResult status_of(const Anchor& anchor);

    Context* context_;
    Places places_;
    FollowRole role_;
    std::vector<std::string> names_;
    kernel::SignalWatch signals_;
    std::optional<logger::LogReader> reader_;
    std::optional<events::Reader> events_;
    StateLines states_;
    LogView view_;
    std::vector<Connection> connections_;  // of stops under way; answered when nobody needs the answer any more
    std::optional<Connection> lifeline_;   // of a guest or printer: hung up when the manager goes
    int interrupts_ = 0;
    bool detached_ = false;
};

}  // namespace abide::cli
