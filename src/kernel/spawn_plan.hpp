// kernel/spawn_plan.hpp -- what a child is told, as plain data without owners: everything it needs was computed by the
// parent. The pointers belong to the flight (spawn_flight.hpp) or to the request that abide-hold has mapped.
#pragma once

#include <cstddef>
#include <cstdint>

namespace abide::kernel {

// The layout of struct rlimit64 after the number.
struct PlanLimit {
    std::uint64_t resource, soft, hard;
};

// What the program shall find; carried out by the child itself or by abide-hold.
struct SetupPlan {
    const char* const* argv;
    const char* const* envp;
    const char* const* candidates;  // ends with nullptr
    const char* directory;          // nullptr: as it is
    const PlanLimit* limits;
    const std::uint32_t* groups;
    std::uint64_t keep_capabilities;
    std::uint32_t limit_count, group_count;
    std::uint32_t uid, gid, umask;
    std::int32_t nice;
    bool has_credentials, has_capabilities, has_nice, has_umask, no_new_privileges;
};

struct PlanDescriptor {
    std::int32_t source, target;
};

// Whether the child has a descriptor table of its own yet.
enum UnshareState : std::uint32_t {
    kTableShared = 0,
    kParentWaits = 1,    // set by the parent: write to the wake descriptor
    kTableUnshared = 2,  // set by the child
    kTableStuck = 3,     // set by the child: it couldn't, and is leaving
};

struct ChildPlan {
    SetupPlan setup;
    const PlanDescriptor* descriptors;
    std::byte* record;
    char* pid_text;  // where the child writes its pid in decimal, with a zero behind; nullptr: nowhere
    std::uint64_t record_size, record_pid_offset, record_pid_digits, record_crc_offset, record_crc_begin,
        record_crc_end;
    std::uint64_t default_signals;  // bit n-1: set signal n to its default
    std::uint32_t descriptor_count;
    std::int32_t block_begin, block_end;                           // staged descriptors: [begin, end)
    std::int32_t outcome, record_fd, cgroup_procs, program, wake;  // staged numbers, or -1
    std::int32_t raise_to;  // >= 0: first move the staged block there, since targets lie inside it
    std::int32_t highest;   // the highest descriptor in use, for a kernel without close_range
    bool shares_table;      // CLONE_FILES: unshare first.  Else `sources` are numbers anywhere.
    bool has_close_range, new_session, controlling_terminal;
    const std::int32_t* sources;  // without CLONE_FILES: what to stage, in the order of the block
    // Nonzero while the child uses our memory: the kernel clears it at exec and at death (CLONE_CHILD_CLEARTID,
    // set_tid_address(2)), when somebody else, we, uses the memory too.
    std::uint32_t in_our_memory;
    // Answers of the child.
    std::uint32_t unshare_state;  // UnshareState, exchanged atomically by both
    std::uint32_t stage;          // SpawnStage
    std::int32_t err;             // 0: none
};

// One status message of abide-hold on its outcome descriptor.
enum HoldWord : std::uint32_t {
    kHoldRunning = 1,  // it was executed
    kHoldHeld = 2,     // it waits to be released
    kHoldExec = 3,     // it executes the program now
    kHoldFailed = 4,   // stage and err say what
};
struct HoldMessage {
    std::uint32_t word;
    std::uint32_t stage;
    std::int32_t err;
};

inline constexpr std::uint64_t kPidTextBytes = 12;  // digits of a pid and a zero

// The request of abide-hold: this header, arrays of offsets, and texts, in one memory file.  Offsets count from the
// header; 0 means absent.  The last byte is zero, so every text ends.
inline constexpr std::uint32_t kHoldMagic = 0x31444841;     // "AHD1"
inline constexpr std::uint32_t kHoldMagicPid = 0x32444841;  // "AHD2": one that does not know pid_text must refuse it
inline constexpr std::uint64_t kHoldBytes = 8u << 20;
struct HoldHeader {
    std::uint32_t magic;
    std::int32_t oom_score_adjust;
    std::uint64_t size;
    std::uint64_t argv, envp, candidates;  // arrays of 64-bit offsets of texts, ended by a zero
    std::uint64_t directory;
    std::uint64_t limits, groups;  // arrays of PlanLimit and std::uint32_t
    std::uint64_t keep_capabilities;
    std::uint32_t limit_count, group_count;
    std::uint32_t uid, gid, umask;
    std::int32_t nice;
    bool has_credentials, has_capabilities, has_nice, has_umask, no_new_privileges;
    bool private_tmp, has_oom_score, wait;
    std::uint64_t pid_text;  // kHoldMagicPid only: where the pid goes in decimal, with room for kPidTextBytes
};

}  // namespace abide::kernel
