// abide/monitor/command.hpp -- what to run, and how it shall find the world.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <abide/monitor/result.hpp>

namespace abide {

class group;
namespace detail {
struct command_parts;
}

/// What a sink of captured output wants next.
enum class flow : std::uint8_t {
    more,   ///< go on
    pause,  ///< stop reading: the pipe fills, then the program's write(2) waits, until process::resume()
};

/// Takes captured output.  Called from dispatch(), with at most 64 KiB, and once with an empty text at the end of file.
using output_sink = std::function<flow(std::string_view bytes)>;

/// What one standard descriptor of the child is connected to.  A value.
class stdio {
  public:
    /// The same as ours.  The default.
    ABIDE_API static stdio inherit();
    /// /dev/null.
    ABIDE_API static stdio null();
    /// A descriptor of the caller, borrowed until spawn() has returned (spawn_async(): until `started` was told).
    ABIDE_API static stdio descriptor(int fd);
    /// A file.  For input it is opened for reading; for output it is made if need be (mode 0644 less umask) and
    /// truncated, or appended to.
    ABIDE_API static stdio file(std::string path, bool append = false);
    /// A pipe whose other end is the caller's: process::take_pipe().
    ABIDE_API static stdio pipe();
    /// Output to a sink, with back-pressure (see flow).
    ABIDE_API static stdio capture(output_sink sink);
    /// Output into a buffer of the monitor of at most `limit` bytes; when it is full the program waits until
    /// process::take_output().
    ABIDE_API static stdio buffer(std::size_t limit = std::size_t{1} << 20);
    /// For standard error: wherever standard output goes.
    ABIDE_API static stdio to_output();

  private:
    friend class command;
    friend struct command_access;
    enum class kind : std::uint8_t { inherit, null, descriptor, file, pipe, capture, buffer, to_output };
    kind kind_ = kind::inherit;
    int fd_ = -1;
    bool append_ = false;
    std::size_t limit_ = 0;
    std::string path_;
    output_sink sink_;
};

/// A command: program, arguments, and all that a start can arrange.  A value: copies are independent, and one command
/// may be started any number of times.  Nothing is checked before it is started.
///
/// The child has exactly the descriptors that are named here (standard input, output and error by default), an empty
/// signal mask, default dispositions, and is the leader of a session of its own unless new_session(false) is said.
class command {
  public:
    /// `program` without a slash is looked for in PATH as seen by the child.
    ABIDE_API explicit command(std::string program);
    ABIDE_API command(std::string program, std::vector<std::string> arguments);
    ABIDE_API command(const command&);
    ABIDE_API command(command&&) noexcept;
    ABIDE_API command& operator=(const command&);
    ABIDE_API command& operator=(command&&) noexcept;
    ABIDE_API ~command();

    /// Adds one argument, or several.
    ABIDE_API command& arg(std::string argument);
    ABIDE_API command& args(const std::vector<std::string>& arguments);
    /// The file to execute when it is not what argv[0] says.
    ABIDE_API command& executable(std::string path);
    /// What the process is called in exit_event::label, and by which a router finds its handler.  Default: the
    /// program's name.
    ABIDE_API command& label(std::string text);

    /// The environment begins as a copy of ours at the time of the start.
    ABIDE_API command& env(std::string name, std::string value);
    ABIDE_API command& env_remove(std::string name);
    /// Begin with an empty one instead; what env() said stays.
    ABIDE_API command& env_clear();
    /// This variable gets the child's own pid in decimal (LISTEN_PID).
    ABIDE_API command& env_own_pid(std::string name);

    ABIDE_API command& directory(std::string path);
    ABIDE_API command& in(stdio what);
    ABIDE_API command& out(stdio what);
    ABIDE_API command& err(stdio what);
    /// One more descriptor: `source` here, `target` (3 to 1023) there; borrowed like stdio::descriptor().
    ABIDE_API command& descriptor(int source, int target);

    /// By name or number, from /etc/passwd and /etc/group only: no name service is asked, so it never hangs.  Its
    /// group and supplementary groups come with it.  Needs the privilege to change them.
    ABIDE_API command& user(std::string name_or_number);
    /// Another group than the user's own.
    ABIDE_API command& with_group(std::string name_or_number);
    /// Exactly these supplementary groups.
    ABIDE_API command& supplementary_groups(std::vector<std::uint32_t> gids);
    /// Only these capabilities remain ("net_bind_service", ...); none for an empty list.
    ABIDE_API command& capabilities(std::vector<std::string> names);
    ABIDE_API command& no_new_privileges(bool on = true);

    /// `resource` is RLIMIT_*; ~0 is no limit.
    ABIDE_API command& limit(int resource, std::uint64_t soft, std::uint64_t hard);
    ABIDE_API command& nice(int value);
    ABIDE_API command& umask(unsigned mask);
    ABIDE_API command& new_session(bool on = true);
    /// Standard input becomes its controlling terminal; needs new_session.
    ABIDE_API command& controlling_terminal(bool on = true);
    /// Member of this group from its first instruction.  The group must belong to the same monitor.
    ABIDE_API command& member_of(const class group& where);

    /// -1000 to 1000.  This, private_tmp() and held() need the helper program abide-hold
    /// (monitor_options::hold_program), since a process that still shares its parent's memory may not do them.
    ABIDE_API command& oom_score(int adjust);
    /// A mount namespace with its own /tmp and /var/tmp.
    ABIDE_API command& private_tmp(bool on = true);
    /// Child of our parent instead of ours (CLONE_PARENT): our own death changes nothing for it.  Its end is then told
    /// as for an adopted process.
    ABIDE_API command& as_sibling(bool on = true);
    /// Sets up everything and then waits before the exec: that is when spawn() returns, and when spawn_async() tells.
    /// process::release_hold() executes the program; it never runs when the handle goes before.  Not with keep().
    ABIDE_API command& held(bool on = true);

  private:
    friend struct command_access;
    std::unique_ptr<detail::command_parts> parts_;
};

}  // namespace abide
