// kernel/spawn_steps.hpp -- the steps from a new process to the program's first instruction, by raw system calls only.
// Shared by the child of the Spawner, which still lives in the manager's memory, and by abide-hold.  Everything here
// changes only the calling task; in particular never oom_score_adj, PR_SET_DUMPABLE or mlockall, which belong to the
// shared memory.
#pragma once

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <sys/resource.h>

#include <cerrno>

#include "kernel/raw.hpp"
#include "kernel/spawn.hpp"
#include "kernel/spawn_plan.hpp"

namespace abide::kernel::raw {

// Every step returns 0 or an errno, and has said its stage before.
struct Progress {
    std::uint32_t* stage;
    ABIDE_RAW void at(SpawnStage now) const {
        __atomic_store_n(stage, static_cast<std::uint32_t>(now), __ATOMIC_RELEASE);
    }
};

ABIDE_RAW_INLINE int error_of(long result) {
    return result < 0 ? static_cast<int>(-result) : 0;
}

// The child's own copy of a variable that only it can know, such as LISTEN_PID.
ABIDE_RAW_INLINE void write_pid_text(char* to) {
    const long pid = call(__NR_getpid);
    long power = 1;
    while (pid / power >= 10) power *= 10;
    for (; power > 0; power /= 10) *to++ = static_cast<char>('0' + pid / power % 10);
    *to = 0;
}

ABIDE_RAW_INLINE int set_limits(const SetupPlan* plan) {
    for (std::uint32_t i = 0; i < plan->limit_count; ++i) {
        const PlanLimit* limit = &plan->limits[i];
        const long r = call(__NR_prlimit64, 0, static_cast<long>(limit->resource), address(&limit->soft), 0);
        if (r < 0) return error_of(r);
    }
    return 0;
}

// The bounding set can only be cut while we are still privileged.
ABIDE_RAW_INLINE int cut_bounding_set(const SetupPlan* plan) {
    for (long c = 0; c < 64; ++c) {
        if ((plan->keep_capabilities >> c) & 1) continue;
        const long r = call(__NR_prctl, PR_CAPBSET_DROP, c);
        if (r == -EINVAL) break;  // past the kernel's last capability: prctl(2)
        if (r < 0) return error_of(r);
    }
    return 0;
}

ABIDE_RAW_INLINE int keep_only_capabilities(const SetupPlan* plan) {
    __user_cap_header_struct header;
    header.version = _LINUX_CAPABILITY_VERSION_3;
    header.pid = 0;
    __user_cap_data_struct data[2];
    long r = call(__NR_capget, address(&header), address(&data[0]));
    if (r < 0) return error_of(r);
    const bool for_other_user = plan->has_credentials && plan->uid != 0;
    for (int half = 0; half < 2; ++half) {
        const auto keep = static_cast<std::uint32_t>(plan->keep_capabilities >> (32 * half));
        data[half].permitted &= keep;
        data[half].effective = data[half].permitted;
        data[half].inheritable = for_other_user ? data[half].permitted : 0;
    }
    r = call(__NR_capset, address(&header), address(&data[0]));
    if (r < 0) return error_of(r);
    if (!for_other_user) return 0;
    for (long c = 0; c < 64; ++c) {
        if (((data[c / 32].permitted >> (c % 32)) & 1) == 0) continue;
        r = call(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c);
        if (r < 0) return error_of(r);
    }
    return 0;
}

ABIDE_RAW_INLINE int change_identity(const SetupPlan* plan, Progress progress) {
    int err = 0;
    if (plan->has_capabilities) {
        progress.at(SpawnStage::capabilities);
        if ((err = cut_bounding_set(plan)) != 0) return err;
    }
    if (plan->has_credentials) {
        progress.at(SpawnStage::groups);
        const long gid = plan->gid, uid = plan->uid;
        if ((err = error_of(call(__NR_setgroups, plan->group_count, address(plan->groups)))) != 0) return err;
        if ((err = error_of(call(__NR_setresgid, gid, gid, gid))) != 0) return err;
        progress.at(SpawnStage::user);
        // Without this the change of user would drop the capabilities that shall remain.  exec clears the flag.
        if (plan->has_capabilities && (err = error_of(call(__NR_prctl, PR_SET_KEEPCAPS, 1))) != 0) return err;
        if ((err = error_of(call(__NR_setresuid, uid, uid, uid))) != 0) return err;
    }
    if (plan->has_capabilities) {
        progress.at(SpawnStage::capabilities);
        if ((err = keep_only_capabilities(plan)) != 0) return err;
    }
    return 0;
}

ABIDE_RAW_INLINE int set_up(const SetupPlan* plan, Progress progress) {
    int err = 0;
    if (plan->limit_count > 0) {
        progress.at(SpawnStage::limits);
        if ((err = set_limits(plan)) != 0) return err;
    }
    if (plan->has_nice) {
        progress.at(SpawnStage::nice);
        if ((err = error_of(call(__NR_setpriority, PRIO_PROCESS, 0, plan->nice))) != 0) return err;
    }
    if (plan->has_umask) call(__NR_umask, plan->umask);
    if ((err = change_identity(plan, progress)) != 0) return err;
    if (plan->no_new_privileges) {
        progress.at(SpawnStage::privileges);
        if ((err = error_of(call(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))) != 0) return err;
    }
    if (plan->directory != nullptr) {
        progress.at(SpawnStage::directory);
        if ((err = error_of(call(__NR_chdir, address(plan->directory)))) != 0) return err;
    }
    return 0;
}

ABIDE_RAW_INLINE int clear_signals(std::uint64_t default_signals, Progress progress) {
    progress.at(SpawnStage::signals);
    for (int signal = 1; signal <= 64; ++signal) {
        if ((default_signals >> (signal - 1)) & 1) set_disposition(signal, 0);
    }
    std::uint64_t none = 0;
    return error_of(call(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, address(&none), 0, sizeof(none)));
}

// Tries the candidates as execvp(3) does; returns only on failure.
ABIDE_RAW_INLINE int execute(const SetupPlan* plan, Progress progress) {
    progress.at(SpawnStage::exec);
    int worst = ENOENT;
    for (const char* const* path = plan->candidates; *path != nullptr; ++path) {
        const int err = error_of(call(__NR_execve, address(*path), address(plan->argv), address(plan->envp)));
        if (err == EACCES) {
            worst = EACCES;
        } else if (err != ENOENT && err != ENOTDIR) {
            return err;
        }
    }
    return worst;
}

}  // namespace abide::kernel::raw
