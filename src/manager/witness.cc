// manager/witness.cc -- see the header.
#include "manager/witness.hpp"

#include <elf.h>
#include <fcntl.h>

#include <array>
#include <cstring>
#include <map>
#include <span>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "kernel/clock.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "kernel/program_copy.hpp"
#include "kernel/rlimit.hpp"
#include "kernel/socket.hpp"
#include "kernel/spawn.hpp"
#include "kernel/users.hpp"
#include "manager/complain.hpp"
#include "manager/rehearse.hpp"
#include "model/signal.hpp"
#include "protocol/anchor.hpp"
#include "protocol/control.hpp"

namespace abide::manager {

namespace {

constexpr std::size_t kImageBytes = std::size_t{1} << 30;
constexpr std::size_t kReportBytes = std::size_t{1} << 28;
constexpr Duration kRehearsalPatience = seconds(10);
constexpr Duration kPartingPatience = seconds(10);  // of the manager, from our word to its end
constexpr Duration kReadyPatience = seconds(10);    // for the new manager to answer
constexpr Duration kCallPatience = seconds(5);
constexpr Duration kBetweenLooks = seconds(1);
constexpr std::uint64_t kMemory = std::uint64_t{1} << 30;  // and so much for each byte of the journal:
constexpr std::uint64_t kMemoryPerByte = 64;
constexpr std::size_t kWhyBytes = 2000;  // one message to the manager

struct Task {
    std::string control;
    std::int64_t operation = 0, epoch = 0;
    Duration probation{};
};

// ---- the file

struct Program {
    Elf64_Half machine = 0;
    bool interpreted = false;
};

Result<Program> look_at(int fd) {
    Result<kernel::Fd> file = kernel::reopen(fd, O_RDONLY | O_CLOEXEC);
    if (!file) return std::unexpected(file.error());
    const Result<std::string> bytes = kernel::read_all(file->get(), std::size_t{1} << 30);
    if (!bytes) return std::unexpected(bytes.error());
    Elf64_Ehdr header{};
    if (bytes->size() < sizeof header) return fail(ErrorKind::refused, "it is no program");
    std::memcpy(&header, bytes->data(), sizeof header);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64)
        return fail(ErrorKind::refused, "it is no program (not ELF)");
    Program out{header.e_machine, false};
    for (std::size_t i = 0; i < header.e_phnum; ++i) {
        Elf64_Phdr segment{};
        const std::size_t at = header.e_phoff + i * sizeof segment;
        if (at + sizeof segment > bytes->size()) return fail(ErrorKind::refused, "its file is cut off");
        std::memcpy(&segment, bytes->data() + at, sizeof segment);
        if (segment.p_type == PT_INTERP) out.interpreted = true;
        if (segment.p_type == PT_LOAD && segment.p_offset + segment.p_filesz > bytes->size())
            return fail(ErrorKind::refused, "its file is cut off");
    }
    return out;
}

// Why it can't take the place of our own program; empty: it may.
std::string unfit(int fd) {
    const Result<Program> program = look_at(fd);
    if (!program) return describe(program.error());
    const Result<kernel::Fd> self = kernel::open_file("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const Result<Program> own = self ? look_at(self->get()) : Result<Program>(std::unexpected(self.error()));
    if (!own) return {};  // nothing to compare with: the rehearsal will say
    if (program->machine != own->machine) return "it is for another machine";
    if (program->interpreted && !own->interpreted)
        return "it needs a loader and libraries, which may be replaced under it";
    return {};
}

// ---- the rehearsal

kernel::SpawnRequest rehearsal_request(int program, int journal, int output, int null, std::size_t journal_bytes) {
    constexpr int kProgramTarget = 4;
    kernel::SpawnRequest request;
    request.argv = {anchor::kManagerName, std::string(control::kRehearse)};
    request.candidates = {"/proc/self/fd/" + std::to_string(kProgramTarget)};
    request.descriptors = {{null, 0}, {output, 1}, {2, 2}, {journal, kRehearsalJournal}, {program, kProgramTarget}};
    request.directory = "/";
    request.no_new_privileges = true;
    const std::uint64_t memory = kMemory + kMemoryPerByte * journal_bytes;
    request.limits = {{RLIMIT_AS, memory, memory}, {RLIMIT_FSIZE, 0, 0}, {RLIMIT_CORE, 0, 0},
                      {RLIMIT_NPROC, 0, 0},        {RLIMIT_CPU, 30, 30}, {RLIMIT_NOFILE, 1024, 1024}};
    if (kernel::effective_uid() == 0) request.capabilities = kernel::CapabilitySet{};
    return request;
}

class Rehearsal {
  public:
    // The report as text, or why there is none.
    Result<std::string> run(kernel::Spawner& spawner, int program, int journal, std::size_t journal_bytes) {
        // The program that rehearses writes as it likes; only we must not wait for it.
        Result<kernel::Pipe> pipe = kernel::make_pipe();
        if (!pipe) return std::unexpected(pipe.error());
        if (Status set = kernel::set_nonblocking(pipe->read.get()); !set) return std::unexpected(set.error());
        const Result<kernel::Fd> null = kernel::open_file("/dev/null", O_RDWR);
        if (!null) return std::unexpected(null.error());
        deadline_ = kernel::mono_now() + kRehearsalPatience;
        auto request = rehearsal_request(program, journal, pipe->write.get(), null->get(), journal_bytes);
        if (Status asked = spawner.spawn(std::move(request), 1); !asked) return std::unexpected(asked.error());
        Result<std::string> report = collect(spawner, *pipe);
        if (child_) {
            static_cast<void>(kernel::send_signal(child_.get(), model::kKill));
            const Result<kernel::Reaped> end = kernel::reap(child_.get(), true);
            if (report && end && (end->by_signal || end->value != 0) && report->find('\n') == std::string::npos)
                return fail(ErrorKind::refused, how_it_ended(*end));
        }
        if (report && report->find('\n') == std::string::npos)
            return fail(ErrorKind::refused, "it ended without a report");
        return report;
    }

  private:
    static std::string how_it_ended(const kernel::Reaped& end) {
        return std::string("it ") + (end.by_signal ? "was ended by signal " : "exited with status ") +
               std::to_string(end.value) + " in the rehearsal";
    }

    Result<std::string> collect(kernel::Spawner& spawner, kernel::Pipe& pipe) {
        std::string report;
        std::vector<char> buffer(64u << 10);
        for (;;) {
            for (kernel::SpawnEvent& event : spawner.drain()) {
                if (event.kind == kernel::SpawnEventKind::started) child_ = std::move(event.pidfd);
                if (event.kind == kernel::SpawnEventKind::executed) pipe.write.reset();
                if (event.kind == kernel::SpawnEventKind::failed) {
                    return fail_errno(
                        event.err, "it can't be executed (" + std::string(kernel::spawn_stage_name(event.stage)) + ")");
                }
            }
            const Result<std::size_t> got = kernel::read_some(pipe.read.get(), buffer.data(), buffer.size());
            if (!got) return std::unexpected(got.error());
            if (*got == 0) return report;
            if (*got != kernel::kNothingNow) {
                report.append(buffer.data(), *got);
                if (report.size() > kReportBytes) return fail(ErrorKind::refused, "its report has no end");
                continue;
            }
            if (kernel::mono_now() >= deadline_) return fail(ErrorKind::refused, "it hangs in the rehearsal");
            const std::array<int, 2> fds{spawner.fd(), pipe.read.get()};
            if (const auto waited = kernel::wait_readable(fds, deadline_); !waited)
                return std::unexpected(waited.error());
        }
    }

    kernel::Fd child_;
    Mono deadline_{};
};

// ---- the new manager, as its clients see it

class Client {
  public:
    explicit Client(std::string path) : path_(std::move(path)) {}

    template <class Reply, class Request>
    std::optional<Reply> call(control::Method method, const Request& request) const {
        const auto reply = exchange(varlink::build_call(control::info(method).name, control::write(request)));
        if (!reply || !reply->error.empty()) return std::nullopt;
        auto value = control::read<Reply>(reply->parameters);
        return value ? std::optional<Reply>(std::move(*value)) : std::nullopt;
    }

  private:
    std::optional<varlink::Reply> exchange(const std::string& message) const {
        const Result<kernel::Fd> socket = kernel::connect_unix(path_);
        if (!socket || !kernel::set_nonblocking(socket->get())) return std::nullopt;
        const Result<std::size_t> sent = kernel::send_some(socket->get(), message.data(), message.size());
        if (!sent || *sent != message.size()) return std::nullopt;
        const Mono deadline = kernel::mono_now() + kCallPatience;
        varlink::MessageReader reader(limits::kMessageBytes);
        std::vector<char> buffer(64u << 10);
        for (;;) {
            if (const auto reply = reader.next()) {
                auto parsed = varlink::parse_reply(*reply);
                return parsed ? std::optional(std::move(*parsed)) : std::nullopt;
            }
            const int fd = socket->get();
            const auto ready = kernel::wait_readable({&fd, 1}, deadline);
            if (!ready || (!*ready && kernel::mono_now() >= deadline)) return std::nullopt;
            const Result<std::size_t> got = kernel::read_some(fd, buffer.data(), buffer.size());
            if (!got || *got == 0) return std::nullopt;
            if (*got != kernel::kNothingNow && !reader.feed({buffer.data(), *got})) return std::nullopt;
        }
    }

    std::string path_;
};

// Each service that ran is there, and in the same life it has the same process.
bool untouched(const Client& client, const std::vector<control::ServiceStatus>& before) {
    const auto now = client.call<control::StatusReply>(control::Method::status, control::StatusRequest{});
    if (!now) return false;
    std::map<std::string, const control::ServiceStatus*> found;
    for (const control::ServiceStatus& service : now->services) found.emplace(service.name, &service);
    for (const control::ServiceStatus& was : before) {
        const auto is = found.find(was.name);
        if (is == found.end()) return false;
        const bool same_life = was.pid && is->second->pid && was.run == is->second->run;
        if (same_life && was.pid != is->second->pid && was.state == "running" && is->second->state == "running" &&
            was.kind != "task")
            return false;
    }
    return true;
}

control::RehearsalReport seen_by_rescue(const Client& client) {
    control::RehearsalReport seen;
    auto status = client.call<control::StatusReply>(control::Method::status, control::StatusRequest{});
    if (status) seen.services = std::move(status->services);
    return seen;
}

// Waits until the new manager answers; its epoch, or 0.
std::int64_t await_new(const Client& client, const Task& task) {
    const Mono deadline = kernel::mono_now() + kReadyPatience;
    while (kernel::mono_now() < deadline) {
        const auto ping = client.call<control::PingReply>(control::Method::ping, control::Nothing{});
        if (ping && ping->epoch > task.epoch) return ping->epoch;
        kernel::sleep_for(milliseconds(5));
    }
    return 0;
}

int attend(const Task& task, const std::vector<control::ServiceStatus>& before) {
    const Client client(task.control);
    const std::int64_t epoch = await_new(client, task);
    if (epoch == 0) return 1;
    control::VouchRequest vouch{task.operation, false};
    if (!untouched(client, before)) {
        complain("upgrade: the new manager does not know the services as they are");
        return 1;
    }
    if (!client.call<control::Nothing>(control::Method::vouch, vouch)) return 1;
    const Mono end = kernel::mono_now() + task.probation;
    while (kernel::mono_now() < end) {
        kernel::sleep_for(std::min(kBetweenLooks, end - kernel::mono_now()));
        const auto ping = client.call<control::PingReply>(control::Method::ping, control::Nothing{});
        if (!ping || ping->epoch != epoch) return 1;
    }
    vouch.final_ = true;
    if (task.probation.ns > 0 && !client.call<control::StatusReply>(control::Method::status, control::StatusRequest{}))
        return 1;
    return client.call<control::Nothing>(control::Method::vouch, vouch) ? 0 : 1;
}

// ---- the story

int refuse(int link, const std::string& why) {
    const std::string text = "refuse " + why.substr(0, kWhyBytes);
    static_cast<void>(kernel::send(link, std::as_bytes(std::span(text))));
    return 1;
}

// True: the manager has gone.  False: it changed its mind.
bool manager_leaves(int link) {
    const Mono deadline = kernel::mono_now() + kPartingPatience;
    const auto ready = kernel::wait_readable({&link, 1}, deadline);
    std::array<std::byte, 256> buffer{};
    if (!ready || !*ready) return false;
    const auto received = kernel::receive(link, buffer);
    return !received || received->end_of_stream;
}

}  // namespace

int run_witness(int argc, char** argv) {
    constexpr int kWords = 6;
    if (argc != kWords) return 2;
    const bool rescue = argv[5] == std::string_view(kWitnessOfRescue);
    const auto operation = parse_integer(argv[2], 1, INT64_MAX), probation = parse_integer(argv[3], 0, INT32_MAX);
    const auto epoch = parse_integer(argv[4], 1, INT64_MAX);
    if (!operation || !probation || !epoch) return 2;
    const Task task{argv[1], *operation, *epoch, milliseconds(*probation)};
    kernel::Fd link(kWitnessLink), journal(kWitnessJournal), program(kWitnessProgram);
    for (kernel::Fd* fd : {&link, &journal, &program}) {
        if (Status raised = kernel::raise_above_staging(*fd); !raised) return 2;
    }
    // 1. What is right: what our own program makes of the journal, or the rescue of the processes.
    const Result<kernel::Fd> own = kernel::reopen(journal.get(), O_RDONLY | O_CLOEXEC);
    const Result<std::string> image =
        own ? kernel::read_all(own->get(), kImageBytes) : Result<std::string>(std::unexpected(own.error()));
    if (!image) return refuse(link.get(), describe(image.error()));
    const control::RehearsalReport ours = rescue ? seen_by_rescue(Client(task.control)) : rehearse(*image);
    // 2. The file, and what the new program makes of it.
    if (const std::string why = unfit(program.get()); !why.empty()) return refuse(link.get(), why);
    const auto spawner = kernel::Spawner::create();
    if (!spawner) return refuse(link.get(), describe(spawner.error()));
    const Result<std::string> report = Rehearsal().run(**spawner, program.get(), journal.get(), image->size());
    if (!report) return refuse(link.get(), describe(report.error()));
    const std::string different = rescue ? first_flaw(ours, *report) : first_difference(control::write(ours), *report);
    if (!different.empty()) return refuse(link.get(), different);
    // 3. The way back, in memory.
    const Result<kernel::Fd> self = kernel::open_file("/proc/self/exe", O_PATH | O_CLOEXEC);
    const Result<kernel::Fd> copy = self ? kernel::copy_program(self->get()) : std::unexpected(self.error());
    if (!copy) return refuse(link.get(), describe(copy.error()));
    const int passed = copy->get();
    constexpr std::string_view kPass = "pass";
    if (!kernel::send(link.get(), std::as_bytes(std::span(kPass)), {&passed, 1})) return 1;
    // 4. The manager gives its place; the new one is watched.
    return manager_leaves(link.get()) ? attend(task, ours.services) : 1;
}

}  // namespace abide::manager
