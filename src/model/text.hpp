// model/text.hpp -- the names of enumerators as users know them: `requires_` is "requires", `start_timeout` is
// "start-timeout".
#pragma once

#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <string>
#include <string_view>

namespace abide::model {

// The enumerator's name with `_` as `-` and without a trailing `_` (which only keeps it from being a keyword).
template <class E>
std::string to_text(E value) {
    std::string text;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>([&](auto d) {
        if (d.value == value) text = d.name;
    });
    while (!text.empty() && text.back() == '_') text.pop_back();
    for (char& c : text) {
        if (c == '_') c = '-';
    }
    return text;
}

// Why a run ended, with the commands of its stop that failed.
inline std::string with_failures(std::string cause, std::string_view failures) {
    if (!cause.empty() && !failures.empty()) cause += "; ";
    return cause.append(failures);
}

}  // namespace abide::model
