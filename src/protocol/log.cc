// protocol/log.cc -- the packet format of log.hpp.
//
// Packet: u8 version (1), u8 zero, u16 verb, u16 number of items, then each item as u16 length + that many bytes.
// Numbers are little endian.  A decoder skips what an item has beyond the fields it knows, so a later version may
// append fields.
#include "protocol/log.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "base/check.hpp"

namespace abide::protocol::log {
namespace {

enum class Verb : std::uint16_t {
    open = 1,
    close = 2,
    pattern = 3,
    configure = 4,
    drain_and_exit = 5,
    ring = 6,
    matched = 64,
    drained = 65,
    dropped = 66,
    problem = 67,
    refused = 68,
    listening = 69,
};

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 6;
constexpr std::size_t kNameBytes = 256;  // a full name: scope, name and instance
constexpr std::size_t kTextBytes = 512;  // of an explanation

template <class T>
void put(std::string& out, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
        out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xff));
}

void put_text(std::string& out, std::string_view text, std::size_t most) {
    text = text.substr(0, most);
    put(out, static_cast<std::uint16_t>(text.size()));
    out.append(text);
}

// Reads fields; past the end every field is zero or empty and ok() turns false.
class Fields {
  public:
    explicit Fields(std::string_view bytes) : bytes_(bytes) {}

    template <class T>
    T get() {
        std::uint64_t value = 0;
        if (bytes_.size() < sizeof(T)) {
            ok_ = false;
            bytes_ = {};
            return T{};
        }
        for (std::size_t i = 0; i < sizeof(T); ++i)
            value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes_[i])) << (8 * i);
        bytes_.remove_prefix(sizeof(T));
        return static_cast<T>(value);
    }

    std::string_view take(std::size_t size) {
        if (bytes_.size() < size) {
            ok_ = false;
            bytes_ = {};
            return {};
        }
        const std::string_view taken = bytes_.substr(0, size);
        bytes_.remove_prefix(size);
        return taken;
    }

    // Longer than its bound: no message.
    std::string text(std::size_t most) {
        const std::string_view taken = take(get<std::uint16_t>());
        ok_ = ok_ && taken.size() <= most;
        return std::string(taken);
    }
    bool ok() const { return ok_; }

  private:
    std::string_view bytes_;
    bool ok_ = true;
};

struct Packet {
    std::string bytes;
    std::uint16_t items = 0;

    explicit Packet(Verb verb) {
        put(bytes, kVersion);
        put(bytes, std::uint8_t{0});
        put(bytes, std::to_underlying(verb));
        put(bytes, std::uint16_t{0});
    }
    void add(std::string_view item) {
        put_text(bytes, item, UINT16_MAX);
        ++items;
    }
    std::string finish() && {
        CHECK(items <= kItems && bytes.size() <= kMessageBytes, "a log message beyond its bound");
        bytes[4] = static_cast<char>(items & 0xff);
        bytes[5] = static_cast<char>(items >> 8);
        return std::move(bytes);
    }
};

std::string one_item(Verb verb, const std::string& item) {
    Packet packet(verb);
    packet.add(item);
    return std::move(packet).finish();
}

std::string open_item(const OpenItem& item) {
    std::string out;
    put(out, item.key);
    put(out, item.run);
    put_text(out, item.service, kNameBytes);
    put(out, static_cast<std::uint8_t>(item.spec.mode));
    put(out, static_cast<std::uint8_t>(item.spec.compress));
    put(out, item.spec.keep);
    put(out, item.spec.max_size);
    put(out, item.spec.max_age.ns);
    put(out, static_cast<std::uint8_t>(item.resumed));
    return out;
}

OpenItem read_open_item(Fields& in) {
    OpenItem item;
    item.key = in.get<std::uint64_t>();
    item.run = in.get<std::uint64_t>();
    item.service = in.text(kNameBytes);
    const auto mode = in.get<std::uint8_t>();
    // A mode of a later version: the output is kept in files, which loses nothing.
    item.spec.mode = mode <= static_cast<std::uint8_t>(model::LogMode::none) ? static_cast<model::LogMode>(mode)
                                                                             : model::LogMode::file;
    item.spec.compress = in.get<std::uint8_t>() != 0;
    item.spec.keep = in.get<std::uint32_t>();
    item.spec.max_size = in.get<std::uint64_t>();
    item.spec.max_age.ns = in.get<std::int64_t>();
    item.resumed = in.get<std::uint8_t>() != 0;
    return item;
}

struct Encoder {
    std::string operator()(const Unknown& m) const { return Packet(static_cast<Verb>(m.verb)).finish(); }
    std::string operator()(const Open& m) const {
        Packet packet(Verb::open);
        for (const OpenItem& item : m.items) packet.add(open_item(item));
        return std::move(packet).finish();
    }
    std::string operator()(const Close& m) const {
        Packet packet(Verb::close);
        for (const std::uint64_t key : m.keys) {
            std::string item;
            put(item, key);
            packet.add(item);
        }
        return std::move(packet).finish();
    }
    std::string operator()(const Pattern& m) const {
        std::string item;
        put(item, m.key);
        put(item, m.run);
        put(item, static_cast<std::uint8_t>(m.literal));
        put(item, m.since_ns);
        put_text(item, m.text, kPatternBytes);
        return one_item(Verb::pattern, item);
    }
    std::string operator()(const Configure&) const { return Packet(Verb::configure).finish(); }
    std::string operator()(const DrainAndExit&) const { return Packet(Verb::drain_and_exit).finish(); }
    std::string operator()(const Ring&) const { return Packet(Verb::ring).finish(); }
    std::string operator()(const Matched& m) const {
        std::string item;
        put(item, m.key);
        put(item, m.run);
        put_text(item, m.line, kMatchedLineBytes);
        return one_item(Verb::matched, item);
    }
    std::string operator()(const Drained& m) const {
        std::string item;
        put(item, m.key);
        put(item, m.bytes);
        put(item, static_cast<std::uint8_t>(m.final_));
        return one_item(Verb::drained, item);
    }
    std::string operator()(const Dropped& m) const {
        std::string item;
        put(item, m.key);
        put(item, m.bytes);
        put(item, m.lines);
        return one_item(Verb::dropped, item);
    }
    std::string operator()(const Problem& m) const {
        std::string item;
        put(item, m.key);
        put(item, m.err);
        put_text(item, m.text, kTextBytes);
        return one_item(Verb::problem, item);
    }
    std::string operator()(const Refused& m) const {
        std::string item;
        put(item, m.key);
        put(item, m.run);
        put_text(item, m.why, kTextBytes);
        return one_item(Verb::refused, item);
    }
    std::string operator()(const Listening&) const { return Packet(Verb::listening).finish(); }
};

struct Raw {
    std::uint16_t verb = 0;
    std::size_t count = 0;
    std::array<std::string_view, kItems> items;
};

std::optional<Raw> split(std::string_view packet) {
    if (packet.size() > kMessageBytes) return std::nullopt;
    Fields in(packet);
    const auto version = in.get<std::uint8_t>();
    in.get<std::uint8_t>();
    Raw raw;
    raw.verb = in.get<std::uint16_t>();
    raw.count = in.get<std::uint16_t>();
    if (!in.ok() || version == 0 || raw.count > kItems) return std::nullopt;
    for (std::size_t i = 0; i < raw.count; ++i) raw.items[i] = in.take(in.get<std::uint16_t>());
    if (!in.ok()) return std::nullopt;
    return raw;
}

// The one item that most verbs have; nullopt when there is none or a field is missing.
template <class Message, class Read>
std::optional<Message> read_one(const Raw& raw, Read read) {
    if (raw.count == 0) return std::nullopt;
    Fields in(raw.items[0]);
    Message message = read(in);
    if (!in.ok()) return std::nullopt;
    return message;
}

std::optional<Open> read_open(const Raw& raw) {
    Open open;
    for (const std::string_view bytes : std::span(raw.items).first(raw.count)) {
        Fields in(bytes);
        open.items.push_back(read_open_item(in));
        if (!in.ok()) return std::nullopt;
    }
    return open;
}

std::optional<Close> read_close(const Raw& raw) {
    Close close;
    for (const std::string_view bytes : std::span(raw.items).first(raw.count)) {
        Fields in(bytes);
        close.keys.push_back(in.get<std::uint64_t>());
        if (!in.ok()) return std::nullopt;
    }
    return close;
}

Pattern read_pattern(Fields& in) {
    Pattern pattern;
    pattern.key = in.get<std::uint64_t>();
    pattern.run = in.get<std::uint64_t>();
    pattern.literal = in.get<std::uint8_t>() != 0;
    pattern.since_ns = in.get<std::int64_t>();
    pattern.text = in.text(kPatternBytes);
    return pattern;
}

}  // namespace

std::string encode(const ToLogger& message) {
    return std::visit(Encoder{}, message);
}
std::string encode(const ToManager& message) {
    return std::visit(Encoder{}, message);
}

std::vector<Open> batches(std::vector<OpenItem> items) {
    // The fixed fields of an item with their length prefixes take less than 64 bytes; names make the rest.
    static_assert(kHeaderBytes + kItems * (64 + kNameBytes) <= kMessageBytes);
    std::vector<Open> result;
    for (OpenItem& item : items) {
        if (result.empty() || result.back().items.size() == kItems) result.emplace_back();
        result.back().items.push_back(std::move(item));
    }
    return result;
}

std::optional<ToLogger> decode_to_logger(std::string_view packet) {
    const std::optional<Raw> raw = split(packet);
    if (!raw) return std::nullopt;
    // Verbs of the other direction are as unknown as those of a later version, hence the plain numbers.
    switch (static_cast<unsigned>(raw->verb)) {
        case static_cast<unsigned>(Verb::open): return read_open(*raw);
        case static_cast<unsigned>(Verb::close): return read_close(*raw);
        case static_cast<unsigned>(Verb::pattern): return read_one<Pattern>(*raw, read_pattern);
        case static_cast<unsigned>(Verb::configure): return Configure{};
        case static_cast<unsigned>(Verb::drain_and_exit): return DrainAndExit{};
        case static_cast<unsigned>(Verb::ring): return Ring{};
        default: return Unknown{raw->verb};
    }
}

std::optional<ToManager> decode_to_manager(std::string_view packet) {
    const std::optional<Raw> raw = split(packet);
    if (!raw) return std::nullopt;
    switch (static_cast<unsigned>(raw->verb)) {
        case static_cast<unsigned>(Verb::matched):
            return read_one<Matched>(*raw, [](Fields& in) {
                return Matched{in.get<std::uint64_t>(), in.get<std::uint64_t>(), in.text(kMatchedLineBytes)};
            });
        case static_cast<unsigned>(Verb::drained):
            return read_one<Drained>(*raw, [](Fields& in) {
                return Drained{in.get<std::uint64_t>(), in.get<std::uint64_t>(), in.get<std::uint8_t>() != 0};
            });
        case static_cast<unsigned>(Verb::dropped):
            return read_one<Dropped>(*raw, [](Fields& in) {
                return Dropped{in.get<std::uint64_t>(), in.get<std::uint64_t>(), in.get<std::uint64_t>()};
            });
        case static_cast<unsigned>(Verb::problem):
            return read_one<Problem>(*raw, [](Fields& in) {
                return Problem{in.get<std::uint64_t>(), in.get<std::int32_t>(), in.text(kTextBytes)};
            });
        case static_cast<unsigned>(Verb::refused):
            return read_one<Refused>(*raw, [](Fields& in) {
                return Refused{in.get<std::uint64_t>(), in.get<std::uint64_t>(), in.text(kTextBytes)};
            });
        case static_cast<unsigned>(Verb::listening): return Listening{};
        default: return Unknown{raw->verb};
    }
}

}  // namespace abide::protocol::log
