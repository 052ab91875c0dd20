// journal/walk.cc -- see the header.
#include "journal/walk.hpp"

#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "journal/crc.hpp"

namespace abide::journal {
namespace {

constexpr std::size_t kProblems = 100;

std::string count(std::size_t number, std::string_view what) {
    return std::to_string(number) + " " + std::string(what) + (number == 1 ? "" : "s");
}

}  // namespace

void add_problem(Recovered& result, std::string text) {
    if (result.problems.size() < kProblems) {
        result.problems.push_back(std::move(text));
    } else if (result.problems.size() == kProblems) {
        result.problems.push_back("more problems are not listed");
    }
}

void Walk::problem(std::string text) {
    add_problem(result_, std::move(text));
}

std::size_t Walk::end_of(std::size_t at) const {
    return at + kFrameBytes + load<std::uint32_t>(image_.data() + at + offset::kLength);
}

bool Walk::whole_at(std::size_t at) const {
    if (image_.size() < at + kFrameBytes) return false;
    const std::size_t end = end_of(at);
    if (end > image_.size() || end - at - kFrameBytes > limits::kRecordBytes) return false;
    return crc32c(image_.subspan(at + offset::kLength, end - at - offset::kLength)) ==
           load<std::uint32_t>(image_.data() + at + offset::kCrc);
}

std::map<RecordKey, Standing> Walk::run() {
    Statistics& statistics = result_.statistics;
    statistics.bytes = image_.size();
    std::size_t at = 0;
    while (at < image_.size()) {
        if (!whole_at(at)) {
            // Damage in the middle is passed over only when its length leads to a record that is whole beyond doubt.
            const bool header_there = at + kFrameBytes <= image_.size();
            if (!header_there || end_of(at) >= image_.size() || !whole_at(end_of(at))) {
                end_torn(at);
                break;
            }
            ++statistics.damaged;
            problem("the record at byte " + std::to_string(at) + " is damaged and was skipped");
            at = end_of(at);
            continue;
        }
        const Frame frame = read_frame(image_.data() + at);
        const std::size_t end = end_of(at);
        ++statistics.records;
        if (frame.type == static_cast<std::uint16_t>(RecordType::pid)) {
            take_pid(frame, at);
        } else if (!take(frame, at)) {
            ++statistics.stale;
        }
        at = end;
        if (pending_.empty()) statistics.valid_bytes = end;
    }
    drop_pending();
    result_.must_compact = statistics.torn_bytes + statistics.damaged + statistics.incomplete > 0;
    return std::move(standing_);
}

// False: of a manager that was replaced, or seen before.
bool Walk::take(const Frame& frame, std::size_t at) {
    const bool newer = frame.epoch > result_.last_epoch.value;
    if (frame.epoch < result_.last_epoch.value || (!newer && frame.sequence <= result_.last_sequence)) {
        if (!std::exchange(stale_told_, true)) {
            problem("the record at byte " + std::to_string(at) +
                    " was written by a manager that had been replaced (epoch " + std::to_string(frame.epoch) +
                    ", record " + std::to_string(frame.sequence) + "); such records are ignored");
        }
        return false;
    }
    if (newer) {
        drop_pending();  // its writer died within the write
    } else if (!pending_.empty() && frame.left + 1 != pending_.back().frame.left &&
               frame.left >= pending_.back().frame.left) {
        commit();  // the last record of that batch is damaged
    }
    if (result_.last_sequence != 0 && frame.sequence > result_.last_sequence + 1) {
        problem(count(static_cast<std::size_t>(frame.sequence - result_.last_sequence - 1), "record") +
                " missing before record " + std::to_string(frame.sequence));
    }
    result_.last_epoch = {frame.epoch};
    result_.last_sequence = std::max(result_.last_sequence, frame.sequence);
    pending_.push_back({frame, at});
    if (frame.left == 0) commit();
    return true;
}

void Walk::take_pid(const Frame& frame, std::size_t at) {
    const std::byte* payload = image_.data() + at + kFrameBytes;
    if (frame.length != PidRecord::kPayloadBytes || load<std::uint64_t>(payload) != frame.key) {
        ++result_.statistics.undecodable;
        problem("the pid record at byte " + std::to_string(at) + " is not understood");
        return;
    }
    const auto pid = static_cast<std::int32_t>(load<std::uint32_t>(image_.data() + at + PidRecord::kPidOffset));
    result_.pids[SpawnId{frame.key}] = {SpawnId{frame.key}, Epoch{load<std::uint64_t>(payload + 8)}, pid};
}

void Walk::commit() {
    for (const Found& found : pending_) {
        const Frame& frame = found.frame;
        const RecordKey id = record_key(frame.kind(), frame.key);
        if (frame.removed()) {
            standing_.erase(id);
            if (frame.kind() == RecordType::pid) result_.pids.erase(SpawnId{frame.key});
            continue;
        }
        const auto* payload = reinterpret_cast<const char*>(image_.data() + found.at + kFrameBytes);
        standing_[id] = {frame.schema, {payload, frame.length}};
    }
    pending_.clear();
}

void Walk::drop_pending() {
    if (pending_.empty()) return;
    result_.statistics.incomplete += pending_.size();
    problem(count(pending_.size(), "record") + " dropped: the rest of their write is missing");
    pending_.clear();
}

void Walk::end_torn(std::size_t at) {
    result_.statistics.torn_bytes = image_.size() - at;
    problem("the last " + count(image_.size() - at, "byte") + " are torn or damaged and were dropped");
    // Children of the manager that died in this write may have told their pids behind it.  That fixed form with its
    // checksum can't be met by chance, and a pid is compared with the kernel before anybody trusts it.
    look_for_pids(at + 1);
}

void Walk::look_for_pids(std::size_t at) {
    for (; at + PidRecord::kBytes <= image_.size(); ++at) {
        const std::byte* bytes = image_.data() + at;
        if (load<std::uint32_t>(bytes + offset::kLength) != PidRecord::kPayloadBytes) continue;
        if (load<std::uint16_t>(bytes + offset::kType) != static_cast<std::uint16_t>(RecordType::pid)) continue;
        if (!whole_at(at)) continue;
        ++result_.statistics.records;
        take_pid(read_frame(bytes), at);
        at += PidRecord::kBytes - 1;
    }
}

}  // namespace abide::journal
