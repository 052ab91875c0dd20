// journal/reader.cc -- the second half of reading: what the records that stand mean.
#include "journal/reader.hpp"

#include <algorithm>
#include <utility>

#include "journal/walk.hpp"
#include "model/codec.hpp"

namespace abide::journal {
namespace {

std::string_view type_name(RecordType type) {
    switch (type) {
        case RecordType::header: return "header";
        case RecordType::spec: return "specification";
        case RecordType::service: return "service";
        case RecordType::operation: return "operation";
        case RecordType::instance: return "instance";
        case RecordType::environment: return "environment";
        case RecordType::pid: return "pid";
        case RecordType::descriptor: return "descriptor";
        case RecordType::boot: return "boot";
        case RecordType::events: return "events";
    }
    return {};
}

class Meaning {
  public:
    explicit Meaning(Recovered& result) : result_(result) {}

    void take(RecordKey id, const Standing& record) {
        const auto type = static_cast<RecordType>(id.type);
        if (id.key != 0 && is_single(type)) return put_unknown(id, record);
        switch (type) {
            case RecordType::header:
                if (auto header = decode<Header>(id, record)) take_header(std::move(*header));
                return;
            case RecordType::spec:
                if (auto spec = decode<model::ServiceSpec>(id, record)) result_.specs.emplace(id.key, std::move(*spec));
                return;
            case RecordType::service:
                if (auto service = decode<model::Service>(
                        id, record, [&](const model::Service& s) { return name_key(s.name) == id.key; })) {
                    result_.services.push_back(std::move(*service));
                }
                return;
            case RecordType::operation:
                if (auto operation = decode<model::Operation>(
                        id, record, [&](const model::Operation& o) { return o.id.value == id.key; })) {
                    result_.operations.push_back(std::move(*operation));
                }
                return;
            case RecordType::instance: result_.instance = decode<model::Instance>(id, record); return;
            case RecordType::environment:
                result_.environment = decode<Environment>(id, record).value_or(Environment{});
                return;
            case RecordType::events: result_.events = decode<EventLines>(id, record).value_or(EventLines{}); return;
            case RecordType::boot: result_.boot = decode<BootRecord>(id, record); return;
            case RecordType::descriptor:
                if (auto descriptor =
                        decode<Descriptor>(id, record, [&](const Descriptor& d) { return d.key.value == id.key; })) {
                    result_.descriptors.emplace(FdKey{id.key}, std::move(*descriptor));
                }
                return;
            case RecordType::pid: break;  // never here: the walk took them
        }
        put_unknown(id, record);
    }

    // Whoever asked for it knows why: it is no problem of the journal.
    void put_aside(RecordKey id, const Standing& record) { keep(id, record); }

  private:
    // There is one of these, and it has no key: another is none of ours.
    static bool is_single(RecordType type) {
        return type == RecordType::header || type == RecordType::instance || type == RecordType::environment ||
               type == RecordType::events || type == RecordType::boot;
    }

    void put_unknown(RecordKey id, const Standing& record) {
        ++result_.statistics.unknown;
        keep(id, record);
    }

    template <class T>
    std::optional<T> decode(RecordKey id, const Standing& record) {
        return decode<T>(id, record, [](const T&) { return true; });
    }

    template <class T, class Matches>
    std::optional<T> decode(RecordKey id, const Standing& record, Matches matches) {
        model::Unknown unknown;
        Result<T> value = model::decode<T>(record.payload, unknown);
        if (!value || !matches(*value)) {
            ++result_.statistics.undecodable;
            add_problem(result_, std::string(type_name(static_cast<RecordType>(id.type))) + " record " +
                                     std::to_string(id.key) + " is not understood and was put aside: " +
                                     (value ? "it speaks of something else than its key" : value.error().what));
            keep(id, record);
            return std::nullopt;
        }
        if (unknown.critical()) {
            result_.refused = true;
            add_problem(result_, std::string(type_name(static_cast<RecordType>(id.type))) + " record " +
                                     std::to_string(id.key) + " has a critical member of a newer version");
        }
        if (!unknown.empty()) result_.kept.members.emplace(id, std::move(unknown));
        return std::move(*value);
    }

    void keep(RecordKey id, const Standing& record) {
        result_.kept.records.emplace(id, RawRecord{record.schema, std::string(record.payload)});
    }

    void take_header(Header header) {
        const std::uint32_t own = journal_format().format;
        if (header.magic != kMagic || header.min_reader > own) {
            result_.refused = true;
            add_problem(result_, "the journal was written in format " + std::to_string(header.format) +
                                     " and may be read from format " + std::to_string(header.min_reader) +
                                     " on; this program reads format " + std::to_string(own));
        }
        if (header.min_writer > own) result_.must_compact = true;
        result_.header = std::move(header);
    }

    Recovered& result_;
};

}  // namespace

Recovered read(std::span<const std::byte> image, const Take& take) {
    Recovered result;
    const std::map<RecordKey, Standing> standing = Walk(image, result).run();
    Meaning meaning(result);
    for (const auto& [id, record] : standing) {
        result.statistics.live_bytes += kFrameBytes + record.payload.size();
        if (take && !take(id)) {
            meaning.put_aside(id, record);
            continue;
        }
        meaning.take(id, record);
    }
    std::ranges::sort(result.services, {}, &model::Service::name);
    if (!result.header && result.statistics.records > 0)
        add_problem(result, "the journal has no header that can be read");
    return result;
}

Recovered read(std::string_view image, const Take& take) {
    return read(std::as_bytes(std::span(image.data(), image.size())), take);
}

std::map<SpawnId, PidEntry> read_pids(std::string_view piece) {
    Recovered result;
    Walk(std::as_bytes(std::span(piece.data(), piece.size())), result).look_for_pids(0);
    return std::move(result.pids);
}

}  // namespace abide::journal
