// oci/bundle.hpp -- what a bundle and a runtime's answers mean, and what a runtime is asked: text to text.
//
// Knows config.json (OCI runtime specification, config.md), the state of `RUNTIME state` (runtime.md) and the words
// that crun and runc share; no file, no process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace abide::oci {

inline constexpr std::size_t kConfigBytes = 4u << 20;
inline constexpr std::size_t kStateBytes = 1u << 20;

// The container id of a service: its name, and a hash of the place of its instance, so that two instances of one
// machine never speak of the same container.  Only letters, digits, '_', '-' and '.', which every runtime takes.
std::string container_id(std::string_view runtime_folder, std::string_view service);

// The bundle that the runtime is given is one of our own: its config.json is the user's, with what is relative to the
// bundle made absolute, and in our control group.
struct Place {
    std::string bundle;  // absolute
    std::string cgroup;  // where the container goes, as /proc/PID/cgroup shows it; empty: where config.json says
};
struct Derived {
    std::string config;
    bool terminal = false;  // `process.terminal`: its output comes by a console socket
};
Result<Derived> derive_config(std::string_view config, const Place& place);

// What `RUNTIME state ID` says.
struct State {
    std::string status, bundle;
    std::int32_t pid = 0;
};
Result<State> parse_state(std::string_view json);

// The command lines.  `folder` is that of the run: its config.json and the file that the runtime writes the pid to.
std::string pid_file(std::string_view folder);
// Where a create that fails says why: the runtime by `--log`, our own command in the same form.
std::string failure_file(std::string_view folder);
inline constexpr std::size_t kFailureBytes = 64u << 10;
std::string failure_line(std::string_view message);
// The last message of such a file; empty when there is none.  Not fit for a terminal as it is.
std::string failure_of(std::string_view log);
std::vector<std::string> create_words(std::string_view runtime, std::string_view id, std::string_view folder);
// Likewise with a console socket.  Its name is relative to the folder, in which the runtime is started: a whole path
// may be too long for a socket's address (unix(7)).
std::vector<std::string> create_words_with_console(std::string_view runtime, std::string_view id,
                                                   std::string_view folder);
inline constexpr std::string_view kConsoleName = "console";
std::vector<std::string> state_words(std::string_view runtime, std::string_view id);
std::vector<std::string> start_words(std::string_view runtime, std::string_view id);
std::vector<std::string> delete_words(std::string_view runtime, std::string_view id);
std::vector<std::string> exec_words(std::string_view runtime, std::string_view id, std::vector<std::string> command);

// Our own short commands around the runtime's (oci/helper.hpp).
inline constexpr std::string_view kHelperName = "abide-oci";
inline constexpr std::string_view kWithoutHooks = "without-hooks";
inline constexpr int kConsoleFd = 3;  // of `create`: where it hands on the master of the container's terminal
std::vector<std::string> helper_create_words(std::string_view runtime, std::string_view id, std::string_view folder,
                                             const Place& place);
// `again`: the hooks have had their time.
std::vector<std::string> helper_delete_words(std::string_view runtime, std::string_view id, std::string_view folder,
                                             bool again);

}  // namespace abide::oci
