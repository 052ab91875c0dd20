// monitor/router.cc -- see abide/monitor/router.hpp.
#include "abide/monitor/router.hpp"

#include <algorithm>

namespace abide {
namespace {

bool is_prefix(std::string_view pattern) {
    return pattern.ends_with('*');
}

// An exact pattern goes before all prefixes, a long prefix before a short one.
bool goes_before(std::string_view a, std::string_view b) {
    if (is_prefix(a) != is_prefix(b)) return !is_prefix(a);
    return a.size() > b.size();
}

bool matches(std::string_view pattern, std::string_view label) {
    if (!is_prefix(pattern)) return pattern == label;
    pattern.remove_suffix(1);
    return label.starts_with(pattern);
}

}  // namespace

router& router::on(std::string pattern, exit_handler handler) {
    const auto same = std::ranges::find(routes_, pattern, [](const auto& route) { return route.first; });
    if (same != routes_.end()) {
        same->second = std::move(handler);
        return *this;
    }
    const auto place =
        std::ranges::find_if(routes_, [&](const auto& route) { return goes_before(pattern, route.first); });
    routes_.emplace(place, std::move(pattern), std::move(handler));
    return *this;
}

const exit_handler* router::find(std::string_view label) const {
    for (const auto& [pattern, handler] : routes_) {
        if (matches(pattern, label)) return &handler;
    }
    return nullptr;
}

bool router::operator()(const exit_event& event) const {
    const exit_handler* handler = find(event.label);
    if (handler == nullptr || !*handler) return false;
    (*handler)(event);
    return true;
}

}  // namespace abide
