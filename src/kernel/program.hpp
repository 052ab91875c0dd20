// kernel/program.hpp -- the running program itself: its environment, its terminal, the signals it takes as data, and
// replacing it by another.  For the command line; services are started by kernel/spawn.hpp.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "kernel/fd.hpp"

namespace abide::kernel {

bool is_terminal(int fd);
// The end of a pseudo terminal at which its programs' output is read and their input written (pts(4)).
bool is_terminal_master(int fd);
// Columns of the terminal, 0 when it isn't one or doesn't say.
std::size_t terminal_columns(int fd);

// "NAME=VALUE", as the program was started with.
std::vector<std::string> environment();
std::optional<std::string> environment_value(std::string_view name);

std::int32_t own_pid();
std::int32_t parent_pid();

// Numbers 0 to 2 that are closed become /dev/null, so that no other file is taken for them.
void fill_standard_descriptors();
// A write to a pipe or socket that nobody reads then fails with EPIPE instead of ending the program.
void ignore_broken_pipes();

// Signals that arrive as data instead of doing something.
class SignalWatch {
  public:
    static Result<SignalWatch> create(std::initializer_list<int> signals);
    // Readable when a signal waits.
    [[nodiscard]] int fd() const { return fd_.get(); }
    // The next one; 0 when none waits.
    int next();

  private:
    explicit SignalWatch(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;
};

// Waits until one of these is readable or closed; -1 entries are left out.  False: the deadline passed, or a signal
// came.
Result<bool> wait_readable(std::span<const int> fds, Mono deadline);
void sleep_for(Duration duration);
// This thread gets the processor soon after it is woken, also from one that is at work, for so short a time at a go.
// Costs others nothing; kernels before 6.12 take no notice.
void ask_for_short_slices();

// Does this program go on after its terminal is closed or its user logs out?  True when /var/lib/systemd/linger has the
// user, or there is no systemd that would end the session's processes.
bool session_lingers(std::string_view user_name);

// Becomes another program, in this process: descriptors {source here, target there} and nothing else, clean signal mask
// and dispositions.  Returns only with an error; descriptors may have moved then.
Status replace_program(const std::string& path, const std::vector<std::string>& argv,
                       const std::vector<std::string>& envp, std::span<const std::pair<int, int>> descriptors);

}  // namespace abide::kernel
