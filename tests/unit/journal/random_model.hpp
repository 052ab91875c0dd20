// tests/unit/journal/random_model.hpp -- a seeded value of any described struct, hard corners included.
#pragma once

#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "model/codec.hpp"

namespace abide::test {

class RandomModel {
  public:
    explicit RandomModel(std::uint64_t seed) : engine_(seed) {}

    template <class T>
    T make() {
        T value{};
        fill(value);
        return value;
    }
    std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }

    void fill(bool& value) { value = below(2) == 0; }
    void fill(std::string& value) {
        static const std::string kCorners[] = {"",
                                               "plain",
                                               "with \"quotes\" and \\",
                                               std::string("\0zero\n\t\r\x7f", 9),
                                               "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
                                               "\xff\xfe",
                                               "half \xc3",
                                               "{\"$b64\":\"AA==\"}",
                                               "\xed\xa0\x80 surrogate",
                                               "\xc0\x80"};
        value = kCorners[below(std::size(kCorners))];
        if (below(2) == 0) return;
        for (std::uint64_t left = below(12); left > 0; --left) value += static_cast<char>(below(256));
    }
    template <model::detail::Integer T>
    void fill(T& value) {
        switch (below(6)) {
            case 0: value = std::numeric_limits<T>::max(); return;
            case 1: value = std::numeric_limits<T>::min(); return;
            case 2: value = static_cast<T>((std::uint64_t{1} << 53) + below(3) - 1); return;
            case 3: value = static_cast<T>(engine_()); return;
            default: value = static_cast<T>(below(100)); return;
        }
    }
    template <model::detail::Instant T>
    void fill(T& value) {
        fill(value.ns);
    }
    template <class Tag>
    void fill(Id<Tag>& value) {
        fill(value.value);
    }
    template <model::detail::DescribedEnum E>
    void fill(E& value) {
        value = static_cast<E>(below(model::detail::EnumNames<E>::kNames.size()));
    }
    template <class T>
    void fill(std::optional<T>& value) {
        if (below(2) == 0) fill(value.emplace());
    }
    template <class T>
    void fill(Box<T>& value) {
        if (below(2) == 0) fill(value.ensure());
    }
    template <class T>
    void fill(std::vector<T>& values) {
        values.resize(below(4));
        for (T& value : values) fill(value);
    }
    template <class T>
    void fill(Rare<T>& rare) {
        fill(rare.edit());
    }
    template <model::detail::Described T>
    void fill(T& value) {
        boost::mp11::mp_for_each<model::detail::Members<T>>([&](auto descriptor) {
            // A third of the members keeps its default, so that leaving out is tried as well.
            if (below(3) != 0) fill(value.*decltype(descriptor)::pointer);
        });
    }

  private:
    std::mt19937_64 engine_;
};

}  // namespace abide::test
