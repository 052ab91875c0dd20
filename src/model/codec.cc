// model/codec.cc -- the codec, compiled once for the structs that are journaled.
#include "model/codec.hpp"

namespace abide::model {

std::uint64_t spec_hash(const ServiceSpec& spec) {
    std::string text;
    text.reserve(1024);
    ServiceSpec plain = spec;
    plain.source = {};  // where a table stands in its file says nothing about the service
    encode(text, plain);
    const std::uint64_t hash = fnv1a(text);
    return hash != 0 ? hash : 1;
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
