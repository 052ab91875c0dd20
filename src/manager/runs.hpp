// manager/runs.hpp -- what a run has beside its processes: log pipe, notify socket, readiness pipe, a container's
// terminal.
//
// Owns the manager's ends.  The other copies are kept by the anchor under keys computed from the run's name, so that
// they outlive the manager.  Knows no policy.  Invariant: a thing is put at the anchor before a process can use it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/engine.hpp"
#include "kernel/epoll.hpp"
#include "kernel/fd.hpp"
#include "manager/anchor_link.hpp"
#include "manager/hold_pipes.hpp"
#include "manager/last_resort.hpp"
#include "manager/logger_keeper.hpp"
#include "manager/run_key.hpp"

namespace abide::manager {

// How the master of a container's terminal comes, and what becomes of it then.
struct ConsoleWay {
    kernel::Fd socket;
    protocol::log::OpenItem item;
    std::optional<protocol::log::Pattern> pattern;
};

struct RunThings {
    std::string service;
    RunNumber run;
    bool has_log = false;  // a pipe of it is at the anchor
    kernel::Fd log_write;  // until the first process has it
    kernel::Fd notify;
    kernel::Fd ready_read, ready_write;  // write end: until the main process has it
    bool hold = false;                   // the anchor has the pipes of a main process that is held
    bool is_container = false;
    std::optional<std::uint32_t> user;    // of its processes, once somebody asked
    std::unique_ptr<ConsoleWay> console;  // on which that comes, until it has come
    kernel::Fd release, told;             // of a main process that is held: to let it go, and how it goes
};

class Runs {
  public:
    Runs(kernel::Epoll& epoll, AnchorLink& anchor, LoggerKeeper& logger)
        : epoll_(epoll), anchor_(anchor), logger_(logger) {}

    // Where notify sockets are made: an absolute path, which services are told, and its descriptor.
    void set_notify_directory(std::string path, kernel::Fd directory) {
        notify_path_ = std::move(path);
        notify_directory_ = std::move(directory);
    }
    // Where the runtime folder is, below which each container has a folder of its own.
    void set_runtime_folder(std::string path) { runtime_folder_ = std::move(path); }
    [[nodiscard]] std::string container_id(std::string_view service) const;
    [[nodiscard]] std::string container_folder(std::string_view service) const;
    // Keys that the anchor holds from before.
    void set_kept(const std::vector<std::uint64_t>& keys);

    // The things of a run, made when it has none yet.
    Result<RunThings*> prepare(const model::Service& service, const model::Run& run, const model::ServiceSpec& spec,
                               Now now);
    // For a main process: the write end of its readiness pipe died with a manager that had not come to start it.
    Status renew_ready(RunThings& things, const model::ServiceSpec& spec);
    // After a manager came back: takes over what the anchor kept.
    void recover(const model::Service& service, const model::Run& run, const model::ServiceSpec& spec,
                 AnchorLink::Kept& kept);
    // Then: what the anchor keeps of runs that the journal does not know, since who released them died before he said
    // so.
    void drop_unclaimed(const std::vector<std::uint64_t>& keys);
    // What recover() needs of the anchor.
    static std::vector<std::uint64_t> keys_of(const model::Service& service, const model::Run& run,
                                              const model::ServiceSpec& spec);
    // For a main process that is to be held: our ends are kept here and at the anchor, the others are given.
    Result<HoldEnds> make_hold(RunThings& things);
    // A container's terminal: the process that creates it hands on the master by what it is given here.  The message
    // waits in a socket that the anchor keeps, so it may come while there is no manager.
    Result<kernel::Fd> make_console(RunThings& things, const model::ServiceSpec& spec, Wall since);
    // Something came on that way: takes the master to the anchor and to the logger.
    void on_console(std::uint64_t key);
    // By what services speak to us, and we to those that are held: where the anchor is gone, nobody else has it.
    void add_heirlooms(Heirlooms& heirlooms) const;
    // It is not held any more.
    void drop_hold(std::string_view service, RunNumber run);
    // A word of kernel/hold.hpp.  No error when it executed, or ended, meanwhile: that is news on its way.
    static Status tell_held(const RunThings& things, char word);
    void release(std::string_view service, RunNumber run);

    RunThings* find(std::uint64_t key);
    RunThings* find(std::string_view service, RunNumber run) { return find(run_key(service, run)); }
    [[nodiscard]] std::string notify_path(std::uint64_t key) const;

    // Listening sockets live as long as the instance.
    [[nodiscard]] bool has_listener(std::uint64_t key) const { return kept_.contains(key); }
    void made_listener(std::uint64_t key) { kept_.insert(key); }

  private:
    Status make_log(RunThings& things, const model::ServiceSpec& spec, Now now);
    Status make_notify(RunThings& things, bool foreign_user);
    Status make_ready(RunThings& things);
    Status watch_console(RunThings& things, kernel::Fd socket, const model::ServiceSpec& spec, Wall since);
    void take_console(RunThings& things);
    void end_console_way(RunThings& things);
    void recover_console(RunThings& things, const model::ServiceSpec& spec, Wall since, AnchorLink::Kept& kept);
    void release_console(RunThings& things);
    bool find_log_again(const model::Run& run, std::uint64_t key);
    void drop_hold(RunThings& things);

    kernel::Epoll& epoll_;
    AnchorLink& anchor_;
    LoggerKeeper& logger_;
    std::string runtime_folder_;
    std::string notify_path_;
    kernel::Fd notify_directory_;
    std::unordered_map<std::uint64_t, RunThings> runs_;  // by run key
    std::set<std::uint64_t> kept_;                       // keys of listening sockets and log pipes at the anchor
};

}  // namespace abide::manager
