// journal/kept.hpp -- what this version found in a journal and does not understand, to be written back as it was.
//
// Invariant: keeping something never gives it meaning.  Nothing in here leads to a decision.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "journal/frame.hpp"
#include "model/codec_unknown.hpp"

namespace abide::journal {

struct RecordKey {
    std::uint16_t type = 0;  // without kRemoved
    std::uint64_t key = 0;
    auto operator<=>(const RecordKey&) const = default;
};
constexpr RecordKey record_key(RecordType type, std::uint64_t key) {
    return {static_cast<std::uint16_t>(type), key};
}

struct RawRecord {
    std::uint16_t schema = 0;
    std::string payload;
};

struct Kept {
    // Unknown members of records that are understood otherwise.
    std::map<RecordKey, model::Unknown> members;
    // Whole records: of an unknown type, or with a payload that could not be decoded.
    std::map<RecordKey, RawRecord> records;

    const model::Unknown* unknown(RecordKey key) const {
        const auto found = members.find(key);
        return found == members.end() ? nullptr : &found->second;
    }
    // The record was replaced by one of ours, or removed.
    void forget(RecordKey key) {
        members.erase(key);
        records.erase(key);
    }
};

}  // namespace abide::journal
