// kernel/spawn.hpp -- starting processes without ever waiting for them.
//
// Theory.  A child is cloned with CLONE_VM but without CLONE_VFORK: it runs on a small stack of its own in our memory,
// while we go on.  It shares our descriptor table (CLONE_FILES) until its first call, close_range(END, ~0,
// CLOSE_RANGE_UNSHARE), gives it a private one with only the lowest numbers in it, up to the last of its own; so the
// cost doesn't grow with our descriptors.  What a child needs is staged by us at numbers below 64 before the clone and
// taken away after it has unshared.  All other numbers below 64 are kept busy, so nothing else ever gets one.  A
// request that finds no room is queued, first come first served.
//
// The outcome comes through a pipe that closes on exec: end of file means that the child executed or died, and a slot
// in our memory says which.  Stack, arguments and environment are kept until then.  A hanging exec therefore costs one
// slot and blocks nobody.
//
// Invariants: the child changes nothing that it shares with us except its own flight's memory; we change neither the
// memory nor the staged descriptors of a flight before it says so or is dead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/epoll.hpp"
#include "kernel/fd.hpp"
#include "kernel/hold.hpp"
#include "kernel/rlimit.hpp"

namespace abide::kernel {

// How far a child came.  The names (spawn_stage_name) go into messages and journals: append only.
enum class SpawnStage : std::uint8_t {
    clone,         // no child came to be
    unshare,       // its own descriptor table
    cgroup,        // joining its control group
    record,        // making its pid durable
    session,       // setsid
    descriptors,   // its descriptors 0, 1, 2, ...
    terminal,      // taking its controlling terminal
    limits,        // resource limits
    nice,          // priority
    groups,        // setgroups, setresgid
    capabilities,  // bounding set, capset, ambient set
    user,          // setresuid
    privileges,    // no_new_privs
    directory,     // chdir
    signals,       // mask and dispositions
    exec,          // execve
    killed,        // it died before its exec, by somebody's hand
    hold,          // abide-hold couldn't be executed or didn't understand
    oom_score,     // abide-hold: /proc/self/oom_score_adj
    mounts,        // abide-hold: mount namespace, private /tmp
    released,      // abide-hold: nobody is left who could release it
};
std::string_view spawn_stage_name(SpawnStage stage);

struct Credentials {
    std::uint32_t uid = 0, gid = 0;
    std::vector<std::uint32_t> groups;  // supplementary
};

// Capabilities that remain: the bounding set is cut to them; for a user other than root they are made ambient, for root
// permitted and effective.
struct CapabilitySet {
    std::uint64_t keep = 0;  // bit n is capability n
};

// A record that the child completes with its pid and writes to `fd` by one write(2) before anything that its exec could
// need; when that fails (the journal is sealed: the manager was given up) it exits with status 77 and never executes.
// The pid is stored as decimal text of `pid_digits` bytes padded with leading spaces, or, with pid_digits 0, as four
// bytes little-endian.  The checksum is CRC-32C over bytes [crc_begin, crc_end) with the pid in place, four bytes
// little-endian at crc_offset; the range must not contain crc_offset.
struct PidRecord {
    int fd = -1;
    std::vector<std::byte> bytes;  // at most kPidRecordBytes
    std::size_t pid_offset = 0;
    std::size_t pid_digits = 0;
    std::size_t crc_offset = 0;
    std::size_t crc_begin = 0, crc_end = 0;
};
inline constexpr std::size_t kPidRecordBytes = 512;

struct SpawnRequest {
    std::vector<std::string> argv;
    std::vector<std::string> envp;  // "NAME=VALUE"
    // More of them, which many requests have in common: texts that `shared` keeps alive.
    std::vector<const char*> shared_envp;
    std::shared_ptr<const void> shared;
    // The entry of envp ("LISTEN_PID=") behind whose '=' the child writes its own pid in decimal.
    std::optional<std::size_t> pid_variable;
    std::vector<std::string> candidates;  // programs, tried in order; empty: argv[0] as it is.  See search_candidates.
    std::string directory;                // empty: ours.  Relative candidates are seen from it.
    std::optional<Credentials> credentials;
    std::optional<CapabilitySet> capabilities;
    std::vector<ResourceLimitValue> limits;
    std::optional<int> nice;
    std::optional<std::uint32_t> umask;
    bool no_new_privileges = false;
    bool new_session = true;
    bool controlling_terminal = false;  // descriptor 0 of the child becomes it; needs new_session
    bool as_parents_child = false;      // CLONE_PARENT: child of our parent.  EINVAL from the kernel when we are PID 1.
    int cgroup_fd = -1;                 // a leaf of CgroupTree; borrowed until Started
    // The child joins its group by itself instead of being born there.  Needed in a group that was ever killed by
    // cgroup.kill: Linux 6.14 and later kill what is cloned into it (they compare its count of kills with the one of
    // the parent's group; seen on 6.18).
    bool joins_cgroup = false;
    // Exactly these are open in the program: {source here, target there}.  Targets are distinct and below kTargetsEnd.
    // Sources are borrowed until Started or Failed, so a queued request must not lose them: see SpawnRequest::owned.
    std::vector<std::pair<int, int>> descriptors;
    std::vector<Fd> owned;  // kept alive with the request and closed after the child has its own
    std::optional<PidRecord> pid_record;
    HoldRequest hold;  // when needed(): through abide-hold
};
inline constexpr int kTargetsEnd = 1024;

// PATH lookup of execvp(3), but without touching the file system: the child tries each.  A name with a slash is itself.
std::vector<std::string> search_candidates(std::string_view program, std::string_view path);

enum class SpawnEventKind : std::uint8_t { started, held, executed, failed };

struct SpawnEvent {
    std::uint64_t token = 0;
    SpawnEventKind kind = SpawnEventKind::started;
    // started: the process is there; for each token this comes first, unless the clone itself failed.
    pid_t pid = 0;
    Fd pidfd;
    // When it started, in clock ticks after boot as /proc/PID/stat has it; 0: it can't be known any more.
    std::uint64_t start_ticks = 0;
    // failed: how far it came.  The process, if there was one, is dead or dying; its exit is reaped like any other.
    SpawnStage stage = SpawnStage::clone;
    int err = 0;
};

// Test switches: behave as if the kernel had none of these.  Each is also found out at run time, EPERM counting as
// ENOSYS since container profiles refuse system calls in both ways.
struct SpawnerOptions {
    bool without_clone3 = false;
    bool without_close_range = false;
    bool without_into_cgroup = false;
    bool without_clone_pidfd = false;
    // For a guest in somebody else's program: reserve no descriptor numbers.  Each child then takes a copy of the whole
    // table, whose cost grows with it.
    bool without_staging = false;
    // Only where nobody but this Spawner makes processes that copy the table: a child's outcome pipe is used again.
    bool reuses_pipes = false;
    int hold_program = -1;        // O_PATH descriptor of abide-hold, borrowed; -1: requests with hold are refused
    std::size_t in_flight = 256;  // children between clone and exec
    std::size_t queued = 20'000;  // requests that wait
};

class Spawner {
  public:
    // Construct it after the program has said which signals it ignores (children get them back at their default; with
    // SpawnerOptions::without_staging it may change its mind later).
    // Construct it before most descriptors are made: it fills all free numbers below 64.  Numbers that are in use
    // already make the staging area smaller; refused when it would be too small.
    static Result<std::unique_ptr<Spawner>> create(const SpawnerOptions& options = {});
    ~Spawner();
    Spawner(const Spawner&) = delete;
    Spawner& operator=(const Spawner&) = delete;

    // Starts a child now, or queues it.  An Error is a bad request (usage) or a full queue (refused); all that the
    // kernel has to say comes as an event.  Afterwards fd() is readable.
    Status spawn(SpawnRequest request, std::uint64_t token);

    // Goes on with a child of a predecessor that went through abide-hold with HoldRequest::told_read: `held` and the
    // outcome are told as for an own child.  `told` is a copy of that end; `pidfd` is borrowed, -1: it has ended and
    // was reaped.  `let_go`: it may have executed already.
    Status resume(std::uint64_t token, pid_t pid, int pidfd, Fd told, bool let_go);

    // Readable (EPOLLIN) whenever drain() has something to do.
    [[nodiscard]] int fd() const;
    // Carries on what waits, and tells what happened, in order.  Never blocks.
    std::vector<SpawnEvent> drain();

    [[nodiscard]] std::size_t in_flight() const;
    [[nodiscard]] std::size_t queued() const;

    // What a burst has made large.
    void release_memory();

    class Impl;
    explicit Spawner(std::unique_ptr<Impl> impl);  // for create() only

  private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace abide::kernel
