// journal/records.hpp -- the payloads that belong to the journal itself; the others are structs of model/.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "base/version.hpp"
#include "model/spec.hpp"

namespace abide::journal {

// First record of an image.  A reader older than `min_reader` must not use the image; one older than `min_writer` may,
// but must not append to it.  The defaults are nobody's values, so that all of it is always written out.
struct Header {
    std::string magic;  // kMagic
    std::uint32_t format = 0, min_reader = 0, min_writer = 0;
    std::string program;  // version of the program that wrote it
    bool operator==(const Header&) const = default;
};
BOOST_DESCRIBE_STRUCT(Header, (), (magic, format, min_reader, min_writer, program))
inline constexpr char kMagic[] = "abide-journal";
inline Header own_header(std::string_view program) {
    const JournalFormat own = journal_format();
    return {kMagic, own.format, own.min_reader, own.min_writer, std::string(program)};
}

// Deadlines on CLOCK_MONOTONIC and CLOCK_BOOTTIME mean nothing in another boot.
struct BootRecord {
    std::string boot_id;  // /proc/sys/kernel/random/boot_id
    Wall started{};       // of the instance
    Boot started_boot{};
    std::string runtime;  // the runtime folder
    std::string cgroup;   // the cgroup that the instance was started in
    bool operator==(const BootRecord&) const = default;
};
BOOST_DESCRIBE_STRUCT(BootRecord, (), (boot_id, started, started_boot, runtime, cgroup))

// Lines of the event log, each with its end.  They are journaled with the change that they speak of and written to the
// log after it: a manager that came back completes the log from here.
struct EventLines {
    std::string lines;
    bool operator==(const EventLines&) const = default;
};
BOOST_DESCRIBE_STRUCT(EventLines, (), (lines))

// What the anchor keeps under a key.
struct Descriptor {
    FdKey key;
    std::string purpose;  // "log", "notify", "socket", "stored", ...
    std::string service;
    RunNumber run;
    std::string name;  // FDNAME, name of a socket
    bool operator==(const Descriptor&) const = default;
};
BOOST_DESCRIBE_STRUCT(Descriptor, (), (key, purpose, service, run, name))

struct Environment {
    std::vector<model::Variable> variables;
    bool operator==(const Environment&) const = default;
};
BOOST_DESCRIBE_STRUCT(Environment, (), (variables))

// A child's own word: this spawn got this pid.  Not yet compared with the kernel.
struct PidEntry {
    SpawnId spawn;
    Epoch epoch;
    std::int32_t pid = 0;
    bool operator==(const PidEntry&) const = default;
};

}  // namespace abide::journal
