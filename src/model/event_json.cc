// model/event_json.cc -- see the header.
#include "model/event_json.hpp"

#include "model/codec_names.hpp"
#include "model/json_writer.hpp"
#include "model/signal.hpp"

namespace abide::model {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kSecondsPerDay = 86'400;

struct Date {
    std::int64_t year = 0;
    unsigned month = 0, day = 0;
};

// Days since 1970 to a date of the proleptic Gregorian calendar, counted in eras of 400 years that begin on 1 March, so
// that the leap day is the last of its year (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
constexpr Date date_of(std::int64_t days) {
    days += 719'468;
    const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
    const auto day_of_era = static_cast<unsigned>(days - era * 146'097);
    const unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
    const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const unsigned shifted = (5 * day_of_year + 2) / 153;
    const unsigned month = shifted < 10 ? shifted + 3 : shifted - 9;
    return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day_of_year - (153 * shifted + 2) / 5 + 1};
}
static_assert(date_of(0).year == 1970 && date_of(59).month == 3 && date_of(11'016).day == 29);

void append_padded(std::string& out, std::uint64_t value, int digits) {
    char text[20];
    for (int i = digits - 1; i >= 0; --i) {
        text[i] = static_cast<char>('0' + value % 10);
        value /= 10;
    }
    out.append(text, static_cast<std::size_t>(digits));
}

// Members of an object, with the commas between them.
class Members {
  public:
    explicit Members(std::string& out) : out_(out) { out_ += '{'; }
    std::string& next(std::string_view name) {
        if (!first_) out_ += ',';
        first_ = false;
        out_ += '"';
        out_ += name;
        out_ += "\":";
        return out_;
    }
    void text(std::string_view name, std::string_view value) { json::append_text(next(name), value); }
    void cursor(std::string_view name, EventId id) {
        append_cursor(next(name) += '"', id);
        out_ += '"';
    }
    template <class Int>
    void number(std::string_view name, Int value) {
        json::append_number(next(name), value);
    }
    void end() { out_ += '}'; }

  private:
    std::string& out_;
    bool first_ = true;
};

void append_data(std::string& out, const Event& event) {
    Members data(out);
    if (event.run) data.number("run", event.run.value);
    if (event.pid != 0) data.number("pid", event.pid);
    if (event.cause) data.cursor("cause", event.cause);
    if (event.reason != Reason::none) data.text("reason", enum_name(event.reason));
    if (event.exit) append_exit(data.next("exit"), *event.exit);
    // Rounded up: a delay that is there is never shown as none.
    if (event.delay.ns > 0)
        data.number("delay_ms", event.delay.ns / 1'000'000 + (event.delay.ns % 1'000'000 != 0 ? 1 : 0));
    if (event.outcome != Outcome::pending) data.text("outcome", enum_name(event.outcome));
    if (!event.program.empty()) data.text("program", event.program);
    if (!event.detail.empty()) data.text("detail", event.detail);
    if (event.gap_from) {
        data.cursor("from", event.gap_from);
        data.cursor("to", event.id);
        data.number("count", event.id.value - event.gap_from.value + 1);
    }
    if (event.type == EventType::user) {
        std::string& fields = data.next("fields") += '{';
        for (const Variable& field : event.fields) {
            if (fields.back() != '{') fields += ',';
            json::append_text(fields, field.name);
            json::append_text(fields += ':', field.value);
        }
        fields += '}';
    }
    data.end();
}

}  // namespace

std::string event_type_name(EventType type) {
    std::string name = "abide.";
    name += enum_name(type);
    // service_restart_x is written service.restart-x: only the first word is a part of its own.
    const std::size_t first = name.find('-');
    if (first != std::string::npos) name[first] = '.';
    if (type == EventType::user) name += '.';
    return name;
}

void append_cursor(std::string& out, EventId id) {
    append_padded(out, id.value, 20);
}

void append_rfc3339(std::string& out, Wall time) {
    std::int64_t seconds = time.ns / kNsPerSecond, ns = time.ns % kNsPerSecond;
    if (ns < 0) {
        ns += kNsPerSecond;
        --seconds;
    }
    std::int64_t days = seconds / kSecondsPerDay, rest = seconds % kSecondsPerDay;
    if (rest < 0) {
        rest += kSecondsPerDay;
        --days;
    }
    const Date date = date_of(days);
    append_padded(out, static_cast<std::uint64_t>(date.year), 4);
    append_padded(out += '-', date.month, 2);
    append_padded(out += '-', date.day, 2);
    append_padded(out += 'T', static_cast<std::uint64_t>(rest / 3600), 2);
    append_padded(out += ':', static_cast<std::uint64_t>(rest / 60 % 60), 2);
    append_padded(out += ':', static_cast<std::uint64_t>(rest % 60), 2);
    append_padded(out += '.', static_cast<std::uint64_t>(ns), 9);
    out += 'Z';
}

void append_exit(std::string& out, const ExitStatus& exit) {
    Members members(out);
    switch (exit.kind) {
        case ExitKind::code: members.number("code", exit.value); break;
        case ExitKind::signal: members.text("signal", signal_name(exit.value)); break;
        case ExitKind::unknown: members.text("code", "unknown"); break;
    }
    members.next("core_dumped") += exit.core_dumped ? "true" : "false";
    if (exit.oom) members.next("oom") += "true";
    if (exit.time.ns != 0) {
        append_rfc3339(members.next("time") += '"', exit.time);
        out += '"';
    }
    Members rusage(members.next("rusage"));
    rusage.number("user_us", exit.rusage.user_us);
    rusage.number("system_us", exit.rusage.system_us);
    rusage.number("max_rss_kib", exit.rusage.max_rss_kib);
    rusage.end();
    members.end();
}

void encode_event(std::string& out, const Event& event, std::string_view source) {
    Members line(out);
    line.text("specversion", "1.0");
    append_cursor(line.next("id") += '"', event.id);
    out += '"';
    line.text("source", source);
    line.text("type", event_type_name(event.type) + event.name);
    if (!event.subject.empty()) line.text("subject", event.subject);
    append_rfc3339(line.next("time") += '"', event.time);
    out += '"';
    append_data(line.next("data"), event);
    line.end();
}

}  // namespace abide::model
