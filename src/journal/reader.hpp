// journal/reader.hpp -- the bytes of a journal to what is known: the only way that state is ever loaded.
//
// Knows no descriptor and no policy.  Invariants, for any bytes whatever:
//   - a record whose checksum is wrong has no effect, and neither has one of a batch that was cut off;
//   - a record of an older manager than one already seen has no effect (it was given up and fenced);
//   - read() returns, in time and memory proportional to the bytes, and what was lost is said in `problems`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "journal/kept.hpp"
#include "journal/records.hpp"
#include "model/state.hpp"

namespace abide::journal {

struct Statistics {
    std::size_t bytes = 0;        // of the whole image
    std::size_t valid_bytes = 0;  // up to the end of the last whole batch (or pid record): where appending is safe
    std::size_t live_bytes = 0;   // of the records that stand: about what a compacted image would have
    std::size_t records = 0;      // whole, with a right checksum
    std::size_t torn_bytes = 0;   // dropped at the end
    std::size_t damaged = 0;      // records with a wrong checksum before the end, skipped
    std::size_t incomplete = 0;   // records dropped because the rest of their batch is missing
    std::size_t stale = 0;        // records of a manager that had been replaced
    std::size_t unknown = 0;      // records of types that are not known here; kept
    std::size_t undecodable = 0;  // records with a payload that is not understood here; kept
};

struct Recovered {
    std::optional<Header> header;
    std::map<std::uint64_t, model::ServiceSpec> specs;  // by model::spec_hash
    std::vector<model::Service> services;      // by name
    std::vector<model::Operation> operations;  // by id
    std::optional<model::Instance> instance;
    Environment environment;
    std::optional<BootRecord> boot;
    EventLines events;  // of the last batch that had any
    std::map<FdKey, Descriptor> descriptors;
    std::map<SpawnId, PidEntry> pids;  // the last word of each spawn
    Kept kept;
    Epoch last_epoch;  // the next manager is this plus one
    std::uint64_t last_sequence = 0;
    Statistics statistics;
    std::vector<std::string>
        problems;  // one line each, without secrets; empty: everything was whole and understood.  Bounded

    // Something newer demands not to be misread (Header::min_reader, a critical member): do not act on it.
    bool refused = false;
    // The caller must not append to this image (torn, damaged, or min_writer is newer) but write a compacted one.
    bool must_compact = false;
};

// Asked before each record is looked at; false: it is put aside as it is, and its owner is unknown here.
using Take = std::function<bool(RecordKey)>;
Recovered read(std::span<const std::byte> image, const Take& take = {});
Recovered read(std::string_view image, const Take& take = {});
// The pid records of a piece that may begin and end in the middle of one: what children added to a journal since it was
// read.
std::map<SpawnId, PidEntry> read_pids(std::string_view piece);

// Text, one line a fact, for people and for comparing; the environment only by names.
std::string dump(const Recovered& recovered);

}  // namespace abide::journal
