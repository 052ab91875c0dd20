// The codec under any text: what it takes it writes back so that reading it again gives the same value, and what it
// does not know it keeps.  The first byte chooses the struct.
#include "model/codec.hpp"

#include "fuzz.hpp"

namespace {

using namespace abide;
using fuzz::demand;

template <class T>
void check(std::string_view text) {
    model::Unknown unknown;
    const Result<T> value = model::decode<T>(text, unknown);
    model::Unknown unread;
    const Result<T> slowly = model::detail::decode_any<T>(text, &unread);
    demand(value.has_value() == slowly.has_value() && (!value || *value == *slowly), "a scan reads otherwise:", text);
    if (!value) return;
    std::string written;
    model::encode(written, *value);
    const Result<T> again = model::decode<T>(written);
    demand(again && *again == *value, "a value changes on its way:", written);
    std::string twice;
    model::encode(twice, *again);
    demand(twice == written, "equal values have two texts:", written);
    // Up, down and up again: what a newer version said is still there.
    std::string kept;
    model::encode(kept, *value, unknown);
    model::Unknown unknown_again;
    const Result<T> third = model::decode<T>(kept, unknown_again);
    demand(third && *third == *value, "unknown members change what is known:", kept);
    std::string kept_again;
    model::encode(kept_again, *third, unknown_again);
    demand(kept_again == kept, "unknown members change:", kept);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Bytes bytes(data, size);
    const std::uint8_t kind = bytes.byte();
    const std::string_view text = bytes.rest();
    switch (kind % 4) {
        case 0: check<model::Service>(text); break;
        case 1: check<model::ServiceSpec>(text); break;
        case 2: check<model::Operation>(text); break;
        default: check<model::Instance>(text); break;
    }
    return 0;
}
