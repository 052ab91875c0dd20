// logger/store.cc -- the table of services and the writing of lines.  Files and rotation: store_files.cc.
#include "logger/store.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include "base/check.hpp"
#include "kernel/files.hpp"
#include "kernel/log_files.hpp"

namespace abide::logger {
namespace {

constexpr std::size_t kFlushBytes = 64u << 10;
constexpr std::int64_t kRetryNs = 1'000'000'000;

}  // namespace

std::uint32_t Store::intern(const Rules& rules) {
    const auto index = static_cast<std::uint32_t>(std::find(rules_.begin(), rules_.end(), rules) - rules_.begin());
    if (index == rules_.size()) rules_.push_back(rules);
    return index;
}

std::vector<std::uint32_t>::iterator Store::position(const std::string& name) {
    return std::lower_bound(
        by_name_.begin(), by_name_.end(), name,
        [this](std::uint32_t index, const std::string& wanted) { return services_[index].name < wanted; });
}

Result<std::uint32_t> Store::acquire(const std::string& service, const model::LogSpec& spec) {
    if (!folder_name(service)) return fail(ErrorKind::usage, "the name can't be a log folder");
    const Rules rules{std::max(spec.max_size, kSmallestFile), spec.max_age.ns, spec.keep, spec.compress};
    const auto at = position(service);
    if (at != by_name_.end() && services_[*at].name == service) {
        Service& known = services_[*at];
        known.rules = intern(rules);
        ++known.users;
        return *at;
    }
    std::uint32_t index = static_cast<std::uint32_t>(services_.size());
    if (free_.empty()) {
        services_.emplace_back();
    } else {
        index = free_.back();
        free_.pop_back();
    }
    Service& fresh = services_[index];
    fresh.name = service;
    fresh.rules = intern(rules);
    fresh.users = 1;
    by_name_.insert(at, index);
    return index;
}

void Store::release(std::uint32_t index) {
    Service& service = services_[index];
    CHECK(service.users > 0, "a log service released more often than acquired");
    if (--service.users > 0) return;
    if (service.trouble && service.trouble->bytes > 0)
        reports_.push_back({index, true, 0, {}, service.trouble->bytes, service.trouble->lines});
    by_name_.erase(position(service.name));
    forget_file(service);
    service = Service{};
    free_.push_back(index);
}

std::vector<StoreReport> Store::take_reports() {
    return std::exchange(reports_, {});
}

// Never before the last line's: lines of a file are searched by time.
std::int64_t Store::line_time(Service& service, const Writer& writer, Instant now) {
    if (now.wall_ns < service.last_ns - kClockSetBackNs) rotate(service, writer, now);
    const std::int64_t max_age = rules_[service.rules].max_age_ns;
    if (max_age > 0 && service.first_ns > 0 && now.wall_ns - service.first_ns >= max_age) rotate(service, writer, now);
    return std::max(now.wall_ns, service.last_ns);
}

void Store::append(std::uint32_t index, const Writer& writer, std::string_view chunk, Instant now) {
    Service& service = services_[index];
    if (service.trouble && !recovered(service, writer, now)) {
        split_lines(*writer.line, chunk, [&](const Piece& piece) {
            service.trouble->bytes += piece.text.size() + (piece.ends ? 1 : 0);
            service.trouble->lines += piece.ends ? 1 : 0;
        });
        return;
    }
    std::int64_t wall_ns = 0;
    if (!service.trouble) {
        if (const Status opened = ensure_open(service, &writer, now); !opened)
            begin_trouble(service, opened.error(), now);
        else
            wall_ns = line_time(service, writer, now);
    }
    split_lines(*writer.line, chunk, [&](const Piece& piece) { put(service, writer, piece, wall_ns, now); });
    flush(service, now);
}

void Store::end_line(std::uint32_t index, const Writer& writer, Instant now) {
    Service& service = services_[index];
    *writer.line = {};
    if (!service.line_open || service.owner != writer.id || service.trouble) return;
    if (const Status opened = ensure_open(service, nullptr, now); !opened)
        return begin_trouble(service, opened.error(), now);
    if (!service.line_open) return;  // another file lies there now
    out_.push_back('\n');
    service.line_open = false;
    flush(service, now);
}

void Store::put_head(Service& service, char mark, std::int64_t wall_ns) {
    wall_ns = std::max(wall_ns, service.last_ns);
    if (open_[service.open].size + out_.size() == 0) service.first_ns = wall_ns;
    service.last_ns = wall_ns;
    out_ += stamp_.text(wall_ns);
    out_.push_back(mark);
}

void Store::put(Service& service, const Writer& writer, const Piece& piece, std::int64_t wall_ns, Instant now) {
    const bool goes_on = piece.start == Start::no && service.line_open && service.owner == writer.id;
    if (!service.trouble && !goes_on) {
        if (service.line_open) out_.push_back('\n');
        service.line_open = false;
        const std::uint64_t size = open_[service.open].size + out_.size();
        if (size > 0 && size + kHeadBytes + piece.text.size() + 1 > rules_[service.rules].max_size)
            rotate(service, writer, now);
        if (!service.trouble) put_head(service, piece.start == Start::first ? kFirstMark : kContinuationMark, wall_ns);
    }
    if (service.trouble) {
        service.trouble->bytes += piece.text.size() + (piece.ends ? 1 : 0);
        service.trouble->lines += piece.ends ? 1 : 0;
        return;
    }
    out_ += piece.text;
    if (piece.ends) out_.push_back('\n');
    service.line_open = !piece.ends;
    service.owner = writer.id;
    if (out_.size() >= kFlushBytes) flush(service, now);
}

void Store::flush(Service& service, Instant now) {
    std::string_view rest = out_;
    while (!service.trouble && !rest.empty()) {
        OpenFile& file = open_[service.open];
        const Result<std::size_t> wrote = kernel::write_some(file.file.get(), rest.data(), rest.size());
        if (wrote && *wrote > 0) {
            file.size += *wrote;
            service.line_open = rest[*wrote - 1] != '\n';
            rest.remove_prefix(*wrote);
            continue;
        }
        const Error full{ErrorKind::failed, "write", EAGAIN, {}};
        begin_trouble(service, wrote ? full : wrote.error(), now);
        count_unwritten(*service.trouble, rest);
    }
    out_.clear();
}

// What a service wrote, without the heads that we put before its lines.
void Store::count_unwritten(Trouble& trouble, std::string_view rest) const {
    while (!rest.empty()) {
        const std::size_t newline = rest.find('\n');
        const std::string_view line = rest.substr(0, newline == rest.npos ? rest.size() : newline + 1);
        trouble.bytes += line.size() - (parse_head(line) ? kHeadBytes : 0);
        trouble.lines += newline == rest.npos ? 0 : 1;
        rest.remove_prefix(line.size());
    }
}

void Store::begin_trouble(Service& service, const Error& error, Instant now) {
    if (service.trouble) return;
    service.trouble = std::make_unique<Trouble>();
    service.trouble->err = error.err != 0 ? error.err : EIO;
    service.trouble->retry_mono_ns = now.mono_ns + kRetryNs;
    const auto index = *position(service.name);
    reports_.push_back({index, false, service.trouble->err,
                        fmt::format("can't write the log of {}: {}: {}", service.name, error.what,
                                    kernel::error_words(service.trouble->err)),
                        0, 0});
}

// Tries to write again, once a second; the first line tells what is missing.
bool Store::recovered(Service& service, const Writer& writer, Instant now) {
    if (now.mono_ns < service.trouble->retry_mono_ns) return false;
    const Trouble before = *service.trouble;
    service.trouble.reset();
    const std::size_t reports = reports_.size();
    forget_file(service);
    if (const Status opened = ensure_open(service, nullptr, now); !opened) begin_trouble(service, opened.error(), now);
    std::int64_t wall_ns = 0;
    if (!service.trouble) wall_ns = line_time(service, writer, now);
    if (!service.trouble) {
        if (service.line_open) out_.push_back('\n');
        service.line_open = false;
        put_head(service, kFirstMark, wall_ns);
        out_ += fmt::format("abide: {} bytes of output in {} lines were lost: {}\n", before.bytes, before.lines,
                            kernel::error_words(before.err));
        flush(service, now);
    }
    if (service.trouble) {
        reports_.resize(reports);  // the same trouble, told already
        *service.trouble = before;
        service.trouble->retry_mono_ns = now.mono_ns + kRetryNs;
        return false;
    }
    const std::uint32_t index = *position(service.name);
    reports_.push_back({index, true, 0, {}, before.bytes, before.lines});
    reports_.push_back({index, false, 0, "the log of " + service.name + " is written again", 0, 0});
    return true;
}

}  // namespace abide::logger
