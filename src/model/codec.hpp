// model/codec.hpp -- the one codec of the model: described structs to compact JSON text and back.
//
// Owns the written form of every struct that has a BOOST_DESCRIBE_STRUCT.  Knows no file and no record.  Invariants:
//   - a member of the struct without a description does not compile;
//   - decode(encode(x)) == x for every value, byte strings that are not UTF-8 and 64-bit integers included;
//   - encode gives equal text for equal values, so that texts may be hashed and compared.
//
// The form: a struct is an object, its members in the order of declaration under their own names (without a trailing
// `_`); a member that equals the default of its struct, an absent optional and an absent Box are left out, so absence
// means the default.  An enumerator is a string ("on-failure").  Ids, durations and instants are integers; integers
// beyond +-2^53 are strings, and the reader takes both.  Bytes that are not UTF-8 are {"$b64":"..."}. Reading: an
// unknown member is ignored or kept (Unknown), a value of a wrong type or an unknown enumerator is an error that names
// its path (`runs[0].state`).  Bounded: limits::kMessageBytes of text, 32 levels, memory in proportion to the text.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "model/codec_names.hpp"
#include "model/codec_read.hpp"
#include "model/codec_unknown.hpp"
#include "model/codec_write.hpp"
#include "model/spec.hpp"
#include "model/state.hpp"

namespace abide::model {

// Appends the value's text.
template <detail::Described T>
void encode(std::string& out, const T& value) {
    detail::encode_value(out, value, nullptr);
}

// The same, with the unknown members that `decode` found in this value put back: at the end of the object they came
// from; an element of a list is found again by the id that is its first member, else by its position.
template <detail::Described T>
void encode(std::string& out, const T& value, const Unknown& unknown) {
    detail::encode_value(out, value, unknown.empty() ? nullptr : &unknown);
}

template <detail::Described T>
Result<T> decode(std::string_view text) {
    return detail::decode_document<T>(text, nullptr);
}

// The same; what has no member here is put into `unknown` (replacing it).
template <detail::Described T>
Result<T> decode(std::string_view text, Unknown& unknown) {
    unknown = {};
    return detail::decode_document<T>(text, &unknown);
}

// FNV-1a, 64 bits, of the encoding without its place in the source; never 0.  Names a specification in the journal.
std::uint64_t spec_hash(const ServiceSpec& spec);

// Both, for the price of one.
struct SpecText {
    std::string text;
    std::uint64_t hash = 0;
};
SpecText encode_spec(const ServiceSpec& spec);

// FNV-1a, 64 bits; of what follows bytes that have `hash`.
constexpr std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash = 0xcbf29ce484222325) {
    for (char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

// Instantiated once, in codec.cc.
extern template void encode(std::string&, const Service&);
extern template void encode(std::string&, const Service&, const Unknown&);
extern template void encode(std::string&, const ServiceSpec&);
extern template void encode(std::string&, const ServiceSpec&, const Unknown&);
extern template void encode(std::string&, const Operation&);
extern template void encode(std::string&, const Operation&, const Unknown&);
extern template void encode(std::string&, const Instance&);
extern template void encode(std::string&, const Instance&, const Unknown&);
extern template void encode(std::string&, const Configuration&);
extern template Result<Service> decode(std::string_view);
extern template Result<Service> decode(std::string_view, Unknown&);
extern template Result<ServiceSpec> decode(std::string_view);
extern template Result<ServiceSpec> decode(std::string_view, Unknown&);
extern template Result<Operation> decode(std::string_view);
extern template Result<Operation> decode(std::string_view, Unknown&);
extern template Result<Instance> decode(std::string_view);
extern template Result<Instance> decode(std::string_view, Unknown&);
extern template Result<Configuration> decode(std::string_view);

}  // namespace abide::model
