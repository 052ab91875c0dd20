// model/codec.cc -- the codec, compiled once for the structs that are journaled.
#include "model/codec.hpp"

namespace abide::model {

SpecText encode_spec(const ServiceSpec& spec) {
    SpecText out;
    out.text.reserve(1024);
    encode(out.text, spec);
    // Where a table stands in its file says nothing about the service.  That is the last member, and inside a string
    // no quote stands without a backslash, so this is where it begins.
    using Last = boost::mp11::mp_back<detail::Members<ServiceSpec>>;
    static_assert(Last::pointer == &ServiceSpec::source);
    constexpr std::string_view kKey = detail::kKey<Last>.view();
    std::string_view plain = out.text;
    if (spec.source != SourcePosition{})
        plain = plain.substr(0, plain.rfind(kKey));
    else
        plain.remove_suffix(1);
    const std::uint64_t hash = fnv1a("}", fnv1a(plain));
    out.hash = hash != 0 ? hash : 1;
    return out;
}

std::uint64_t spec_hash(const ServiceSpec& spec) {
    return encode_spec(spec).hash;
}

template void encode(std::string&, const Service&);
template void encode(std::string&, const Service&, const Unknown&);
template void encode(std::string&, const ServiceSpec&);
template void encode(std::string&, const ServiceSpec&, const Unknown&);
template void encode(std::string&, const Operation&);
template void encode(std::string&, const Operation&, const Unknown&);
template void encode(std::string&, const Instance&);
template void encode(std::string&, const Instance&, const Unknown&);
template void encode(std::string&, const Configuration&);
template Result<Service> decode(std::string_view);
template Result<Service> decode(std::string_view, Unknown&);
template Result<ServiceSpec> decode(std::string_view);
template Result<ServiceSpec> decode(std::string_view, Unknown&);
template Result<Operation> decode(std::string_view);
template Result<Operation> decode(std::string_view, Unknown&);
template Result<Instance> decode(std::string_view);
template Result<Instance> decode(std::string_view, Unknown&);
template Result<Configuration> decode(std::string_view);

}  // namespace abide::model
