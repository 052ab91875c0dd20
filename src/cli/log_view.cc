// cli/log_view.cc -- see log_view.hpp.
#include "cli/log_view.hpp"

#include <algorithm>
#include <array>

#include "logger/escape.hpp"
#include "model/codec.hpp"
#include "protocol/control.hpp"

namespace abide::cli {

namespace {

constexpr std::size_t kWidestPrefix = 24;

// The same service has the same colour in every window.
Colour colour_of(std::string_view service) {
    constexpr std::array kColours = {Colour::cyan, Colour::green, Colour::yellow, Colour::blue, Colour::magenta};
    return kColours[model::fnv1a(service) % kColours.size()];
}

std::string as_json(const logger::LogLine& line) {
    std::string out = "{\"service\":";
    varlink::append_json_string(out, line.service);
    out += ",\"time\":";
    varlink::append_json_string(out, control::time_text(line.time));
    out += ",\"text\":";
    varlink::append_json_string(out, line.text);
    out += line.continues ? ",\"continues\":true}\n" : ",\"continues\":false}\n";
    return out;
}

}  // namespace

void LogView::expect(const std::vector<std::string>& names) {
    for (const std::string& name : names) width_ = std::max(width_, std::min(kWidestPrefix, display_width(name)));
}

std::string LogView::prefix(const std::string& service, std::string_view mark) {
    expect({service});
    const std::size_t width = display_width(service);
    std::string text = service + std::string(width_ > width ? width_ - width : 0, ' ');
    return paint(text.append(" ").append(mark).append(" "), colour_of(service), look_.coloured);
}

std::string LogView::show(const StateLine& line) {
    return prefix(line.who.empty() ? "abide" : line.who, "*") +
           paint(look_.escaped ? safe(line.text) : line.text, line.colour, look_.coloured) + "\n";
}

std::string LogView::show(const logger::LogLine& line) {
    if (look_.json) return as_json(line);
    std::string out =
        look_.times ? paint(control::time_text(line.time), Colour::dim, look_.coloured) + " " : std::string();
    out += prefix(line.service, "|");
    out += look_.escaped ? logger::escape_for_terminal(line.text) : line.text;
    return out + "\n";
}

}  // namespace abide::cli
