// kernel/spawn_flight.hpp -- one child between its request and its exec: everything that it reads, kept at a fixed
// address, and what we hold of it.  Known to the Spawner only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernel/spawn.hpp"
#include "kernel/spawn_plan.hpp"

namespace abide::kernel {

// All that the child reads.  Never touched by us between the clone and the end of the flight, except unshare_state.
struct FlightMemory {
    SpawnRequest request;
    std::vector<const char*> argv, envp, candidates;
    std::vector<PlanLimit> limits;
    std::vector<std::uint32_t> groups;
    std::vector<PlanDescriptor> descriptors;
    std::vector<std::string> hold_argv;
    // What has to be staged, and the place of each in the block.  -1: a place that may be filled later.
    std::vector<std::int32_t> sources;
    int outcome_place = -1, record_place = -1, cgroup_place = -1, program_place = -1;
    Fd hold_request;
    ChildPlan plan{};
};

struct Flight {
    std::uint64_t token = 0;
    std::unique_ptr<FlightMemory> memory;
    std::byte* stack = nullptr;
    pid_t pid = 0;
    Fd pidfd;                              // our own, besides the caller's
    Fd outcome;                            // read end
    Fd outcome_end;                        // write end, ours until somebody sleeps on the read end
    int block_begin = 0, block_count = 0;  // staged by us and not taken back yet
    bool shares_table = false;
    bool watched = false;  // the pidfd is in our epoll, since the child may die before it has unshared
    bool outcome_watched = false;
    bool through_hold = false;
    std::uint32_t hold_word = 0;  // the last HoldWord
    SpawnStage hold_stage = SpawnStage::hold;
    int hold_err = 0;
    bool let_go = false;  // by a predecessor, which may have read a part of the outcome
    bool held = false;
    bool not_in_count = false;  // held: may stay so for long, and occupies no stack
};

// Checks the request and prepares all but the numbers that depend on staging.  `hold_program`: as in SpawnerOptions.
Status check_request(const SpawnRequest& request, int hold_program);
Result<std::unique_ptr<FlightMemory>> prepare_memory(SpawnRequest request, int hold_program);
// The highest number that the child fills.
int highest_target(const FlightMemory& memory);
// Fills in the staged numbers, counted from block_begin, and the rest of the plan.
void place_plan(FlightMemory& memory, int block_begin, bool shares_table);
// The request of abide-hold as a memory file.
Result<Fd> encode_hold_request(const SpawnRequest& request);

}  // namespace abide::kernel
