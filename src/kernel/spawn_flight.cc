// kernel/spawn_flight.cc -- from a request to the plain data of a child.
#include "kernel/spawn_flight.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "base/check.hpp"

namespace abide::kernel {
namespace {

constexpr std::size_t kMaxDescriptors = 512;

bool has_zero_byte(const std::vector<std::string>& texts) {
    return std::ranges::any_of(texts, [](const std::string& t) { return t.find('\0') != std::string::npos; });
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
    std::vector<const char*> out;
    out.reserve(texts.size() + 1);
    for (const std::string& text : texts) out.push_back(text.c_str());
    out.push_back(nullptr);
    return out;
}

int highest_target(const SpawnRequest& request) {
    int highest = 2;
    for (const auto& [source, target] : request.descriptors) highest = std::max(highest, target);
    return highest;
}

// The place of a source in the block; equal sources share one.
int place_of(FlightMemory& memory, int source) {
    const auto found = std::ranges::find(memory.sources, source);
    if (found != memory.sources.end()) return static_cast<int>(found - memory.sources.begin());
    memory.sources.push_back(source);
    return static_cast<int>(memory.sources.size()) - 1;
}

// Places for what only we know of: they must not be shared with a source of the caller's.
int own_place(FlightMemory& memory, int source) {
    memory.sources.push_back(source);
    return static_cast<int>(memory.sources.size()) - 1;
}

void fill_setup(FlightMemory& memory) {
    const SpawnRequest& request = memory.request;
    SetupPlan& setup = memory.plan.setup;
    setup.directory = request.directory.empty() ? nullptr : request.directory.c_str();
    for (const ResourceLimitValue& limit : request.limits) {
        memory.limits.push_back({static_cast<std::uint64_t>(limit.resource), limit.soft, limit.hard});
    }
    setup.limits = memory.limits.data();
    setup.limit_count = static_cast<std::uint32_t>(memory.limits.size());
    setup.has_credentials = request.credentials.has_value();
    if (request.credentials) {
        memory.groups = request.credentials->groups;
        setup.uid = request.credentials->uid;
        setup.gid = request.credentials->gid;
    }
    setup.groups = memory.groups.data();
    setup.group_count = static_cast<std::uint32_t>(memory.groups.size());
    setup.has_capabilities = request.capabilities.has_value();
    setup.keep_capabilities = request.capabilities ? request.capabilities->keep : 0;
    setup.has_nice = request.nice.has_value();
    setup.nice = request.nice.value_or(0);
    setup.has_umask = request.umask.has_value();
    setup.umask = request.umask.value_or(0);
    setup.no_new_privileges = request.no_new_privileges;
}

void fill_record(FlightMemory& memory) {
    ChildPlan& plan = memory.plan;
    if (!memory.request.pid_record) return;
    PidRecord& record = *memory.request.pid_record;
    plan.record = record.bytes.data();
    plan.record_size = record.bytes.size();
    plan.record_pid_offset = record.pid_offset;
    plan.record_pid_digits = record.pid_digits;
    plan.record_crc_offset = record.crc_offset;
    plan.record_crc_begin = record.crc_begin;
    plan.record_crc_end = record.crc_end;
}

Status fill_hold(FlightMemory& memory, int hold_program) {
    Result<Fd> request = encode_hold_request(memory.request);
    if (!request) return std::unexpected(request.error());
    memory.hold_request = std::move(*request);
    memory.program_place = own_place(memory, hold_program);
    int target = highest_target(memory.request) + 1;
    memory.hold_argv = {"abide-hold"};
    const auto hand_over = [&](int place) {
        memory.descriptors.push_back({place, target});
        memory.hold_argv.push_back(std::to_string(target++));
    };
    hand_over(own_place(memory, memory.hold_request.get()));
    hand_over(memory.outcome_place);
    if (memory.request.hold.release_fd >= 0) hand_over(place_of(memory, memory.request.hold.release_fd));
    memory.argv = pointers(memory.hold_argv);
    memory.envp = {nullptr};
    // abide-hold does the set-up, since mounts need the privileges that it takes away.
    memory.plan.setup = SetupPlan{};
    return {};
}

}  // namespace

Status check_request(const SpawnRequest& request, int hold_program) {
    const auto refuse = [](const char* what) { return fail(ErrorKind::usage, what); };
    if (request.argv.empty() || request.argv[0].empty()) return refuse("the command is empty");
    if (has_zero_byte(request.argv) || has_zero_byte(request.envp) || has_zero_byte(request.candidates) ||
        request.directory.find('\0') != std::string::npos) {
        return refuse("a zero byte in the command, environment or directory");
    }
    if (request.descriptors.size() > kMaxDescriptors) return refuse("too many descriptors for one process");
    std::vector<bool> seen(kTargetsEnd, false);
    for (const auto& [source, target] : request.descriptors) {
        if (source < 0 || target < 0 || target >= kTargetsEnd) return refuse("a descriptor number out of bounds");
        if (seen[static_cast<std::size_t>(target)]) return refuse("two descriptors for one number");
        seen[static_cast<std::size_t>(target)] = true;
    }
    for (const ResourceLimitValue& limit : request.limits) {
        if (limit.resource < 0 || limit.resource >= static_cast<int>(RLIM_NLIMITS))
            return refuse("an unknown resource limit");
    }
    if (request.controlling_terminal && !request.new_session)
        return refuse("a controlling terminal needs a new session");
    if (request.pid_record) {
        const PidRecord& r = *request.pid_record;
        const std::size_t size = r.bytes.size(), pid_size = r.pid_digits == 0 ? 4 : r.pid_digits;
        const bool fits = size <= kPidRecordBytes && pid_size <= 20 && r.pid_offset <= size &&
                          pid_size <= size - r.pid_offset && r.crc_offset <= size && 4 <= size - r.crc_offset &&
                          r.crc_begin <= r.crc_end && r.crc_end <= size;
        if (!fits || r.fd < 0) return refuse("a pid record whose places lie outside it");
    }
    if (request.pid_variable && *request.pid_variable >= request.envp.size()) {
        return refuse("a pid variable that is not there");
    }
    if (request.hold.needed() && hold_program < 0) {
        return fail(ErrorKind::refused, "abide-hold is missing, which namespaces, oom score and create need");
    }
    return {};
}

Result<std::unique_ptr<FlightMemory>> prepare_memory(SpawnRequest request, int hold_program) {
    auto memory = std::make_unique<FlightMemory>();
    memory->request = std::move(request);
    SpawnRequest& r = memory->request;
    if (r.candidates.empty()) r.candidates.push_back(r.argv[0]);
    memory->outcome_place = own_place(*memory, -1);
    if (r.pid_record) memory->record_place = own_place(*memory, r.pid_record->fd);
    if (r.cgroup_fd >= 0) memory->cgroup_place = own_place(*memory, -1);
    for (const auto& [source, target] : r.descriptors)
        memory->descriptors.push_back({place_of(*memory, source), target});
    fill_setup(*memory);
    fill_record(*memory);
    if (r.hold.needed()) {
        for (const char* variable : r.shared_envp) r.envp.emplace_back(variable);
        if (Status s = fill_hold(*memory, hold_program); !s) return std::unexpected(s.error());
    } else {
        if (r.pid_variable) {
            std::string& variable = r.envp[*r.pid_variable];
            const std::size_t name_size = variable.size();
            variable.append(kPidTextBytes, '\0');
            memory->plan.pid_text = variable.data() + name_size;
        }
        memory->argv = pointers(r.argv);
        memory->envp = pointers(r.envp);
        memory->envp.insert(memory->envp.end() - 1, r.shared_envp.begin(), r.shared_envp.end());
        memory->candidates = pointers(r.candidates);
    }
    memory->plan.setup.argv = memory->argv.data();
    memory->plan.setup.envp = memory->envp.data();
    memory->plan.setup.candidates = memory->candidates.data();
    return memory;
}

int highest_target(const FlightMemory& memory) {
    int highest = 0;
    for (const PlanDescriptor& d : memory.descriptors) highest = std::max(highest, d.target);
    return highest;
}

void place_plan(FlightMemory& memory, int block_begin, bool shares_table) {
    ChildPlan& plan = memory.plan;
    const auto at = [&](int place) { return place < 0 ? -1 : block_begin + place; };
    const int count = static_cast<int>(memory.sources.size());
    plan.block_begin = block_begin;
    plan.block_end = block_begin + count;
    plan.outcome = at(memory.outcome_place);
    plan.record_fd = at(memory.record_place);
    plan.cgroup_procs = -1;  // decided at the clone: at(cgroup_place) when the kernel doesn't place the child
    plan.program = at(memory.program_place);
    plan.shares_table = shares_table;
    plan.sources = memory.sources.data();
    plan.new_session = memory.request.new_session;
    plan.controlling_terminal = memory.request.controlling_terminal;
    for (PlanDescriptor& d : memory.descriptors) d.source = at(d.source);
    plan.descriptors = memory.descriptors.data();
    plan.descriptor_count = static_cast<std::uint32_t>(memory.descriptors.size());
    const int highest = highest_target(memory);
    const bool overlap = highest >= block_begin;
    plan.raise_to = overlap ? std::max(std::max(kStagingEnd, highest + 1), plan.block_end) : -1;
}

}  // namespace abide::kernel
