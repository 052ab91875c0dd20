// kernel/hold.cc -- encodes what abide-hold is told.  It has the form of HoldHeader (spawn_plan.hpp), in a sealed
// memory file.
#include <cerrno>
#include <cstring>
#include <optional>

#include "kernel/files.hpp"
#include "kernel/spawn_flight.hpp"

namespace abide::kernel {
namespace {

// Appends pieces and gives their offsets.
class Blob {
  public:
    Blob() : bytes_(sizeof(HoldHeader), '\0') {}

    std::uint64_t text(const std::string& value) {
        const std::uint64_t at = bytes_.size();
        bytes_.append(value.c_str(), value.size() + 1);
        return at;
    }
    template <class T>
    std::uint64_t array(const std::vector<T>& values) {
        bytes_.resize((bytes_.size() + 7) / 8 * 8, '\0');
        const std::uint64_t at = bytes_.size();
        bytes_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
        return at;
    }
    // `open`: the one that has room for a pid behind its end, which is given in `room`.
    std::uint64_t texts(const std::vector<std::string>& values, std::optional<std::size_t> open = {},
                        std::uint64_t* room = nullptr) {
        std::vector<std::uint64_t> offsets;
        offsets.reserve(values.size() + 1);
        for (std::size_t i = 0; i < values.size(); ++i) {
            offsets.push_back(text(values[i]));
            if (open != i) continue;
            *room = bytes_.size() - 1;
            bytes_.append(kPidTextBytes, '\0');
        }
        offsets.push_back(0);
        return array(offsets);
    }
    std::string finish(HoldHeader header) {
        bytes_.push_back('\0');
        header.size = bytes_.size();
        std::memcpy(bytes_.data(), &header, sizeof(header));
        return std::move(bytes_);
    }

  private:
    std::string bytes_;
};

}  // namespace

Result<Fd> encode_hold_request(const SpawnRequest& request) {
    Blob blob;
    HoldHeader h{};
    h.magic = kHoldMagic;
    h.argv = blob.texts(request.argv);
    h.envp = blob.texts(request.envp, request.pid_variable, &h.pid_text);
    h.candidates = blob.texts(request.candidates);
    if (h.pid_text != 0) h.magic = kHoldMagicPid;
    if (!request.directory.empty()) h.directory = blob.text(request.directory);
    std::vector<PlanLimit> limits;
    for (const ResourceLimitValue& l : request.limits)
        limits.push_back({static_cast<std::uint64_t>(l.resource), l.soft, l.hard});
    h.limits = blob.array(limits);
    h.limit_count = static_cast<std::uint32_t>(limits.size());
    if (request.credentials) {
        h.has_credentials = true;
        h.uid = request.credentials->uid;
        h.gid = request.credentials->gid;
        h.groups = blob.array(request.credentials->groups);
        h.group_count = static_cast<std::uint32_t>(request.credentials->groups.size());
    }
    h.has_capabilities = request.capabilities.has_value();
    h.keep_capabilities = request.capabilities ? request.capabilities->keep : 0;
    h.has_nice = request.nice.has_value();
    h.nice = request.nice.value_or(0);
    h.has_umask = request.umask.has_value();
    h.umask = request.umask.value_or(0);
    h.no_new_privileges = request.no_new_privileges;
    h.private_tmp = request.hold.private_tmp;
    h.has_oom_score = request.hold.has_oom_score;
    h.oom_score_adjust = request.hold.oom_score_adjust;
    h.wait = request.hold.release_fd >= 0;
    const std::string bytes = blob.finish(h);
    if (bytes.size() > kHoldBytes) return fail_errno(E2BIG, "the command and environment are too long");
    Result<Fd> file = make_memfd("abide-hold-request", bytes);
    if (!file) return file;
    if (Status s = seal_memfd(file->get()); !s) return std::unexpected(s.error());
    return file;
}

}  // namespace abide::kernel
