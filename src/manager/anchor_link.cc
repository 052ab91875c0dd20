// manager/anchor_link.cc -- see the header.
#include "manager/anchor_link.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "base/check.hpp"
#include "kernel/clock.hpp"
#include "kernel/socket.hpp"
#include "manager/complain.hpp"
#include "manager/run_key.hpp"

namespace abide::manager {

namespace {

using anchor::Header;
using anchor::Verb;

constexpr Duration kStartPatience = seconds(8);
constexpr std::size_t kMostTheirs = 4096;
constexpr int kMostRefusals = 1000;  // in a row

template <class T>
std::string bytes_of(const T& value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
std::vector<T> items_of(std::string_view body, std::uint32_t count) {
    std::vector<T> items(body.size() / sizeof(T) < count ? body.size() / sizeof(T) : count);
    if (!items.empty()) std::memcpy(items.data(), body.data(), items.size() * sizeof(T));
    return items;
}

bool is_output(std::uint64_t key) {
    return keep_of(key) == Keep::log_pipe;
}

bool can_share_frame(Verb verb) {
    return verb == Verb::put || verb == Verb::drop || verb == Verb::reap || verb == Verb::peek || verb == Verb::mark;
}

}  // namespace

void AnchorLink::put(std::uint64_t key, SharedFd fd, bool ours) {
    hold(key, fd, ours);
    queue_.push_back({Verb::put, ours ? anchor::kOurs : std::uint16_t{0}, ++last_tag_, bytes_of(key), std::move(fd)});
}

void AnchorLink::drop(std::uint64_t key, bool ours) {
    // The anchor has it still, so this is not the close(2) that may block.
    if (!ours) theirs_.erase(key);
    if (is_output(key)) outputs_.erase(key);
    queue_.push_back({Verb::drop, ours ? anchor::kOurs : std::uint16_t{0}, 0, bytes_of(key), {}});
}

void AnchorLink::hold_theirs(std::size_t most_outputs) {
    most_theirs_ = kMostTheirs;
    most_outputs_ = std::min(most_outputs, kMostTheirs);
}

void AnchorLink::hold(Kept kept) {
    for (auto& [key, fd] : kept) hold(key, share(std::move(fd)), is_output(key));
}

void AnchorLink::hold(std::uint64_t key, SharedFd fd, bool ours) {
    if (!ours && theirs_.size() < most_theirs_)
        theirs_.insert_or_assign(key, std::move(fd));
    else if (is_output(key) && outputs_.size() < most_outputs_)
        outputs_.insert_or_assign(key, std::move(fd));
}

void AnchorLink::get(std::vector<std::uint64_t> keys, GotKept done) {
    CHECK(keys.size() <= anchor::kBatch, "too many keys in one question to the anchor");
    const std::uint32_t tag = ++last_tag_;
    questions_.emplace(tag, std::move(done));
    queue_.push_back({Verb::get,
                      0,
                      tag,
                      std::string(reinterpret_cast<const char*>(keys.data()), keys.size() * sizeof(std::uint64_t)),
                      {}});
}

void AnchorLink::ask(Verb verb, std::uint32_t count, std::string body,
                     std::function<void(std::uint32_t, std::string_view)> done) {
    const std::uint32_t tag = ++last_tag_;
    asked_.emplace(tag, std::move(done));
    queue_.push_back({verb, 0, tag, std::move(body), {}, count});
}

void AnchorLink::reap(std::int32_t pid) {
    queue_.push_back({Verb::reap, 0, 0, bytes_of(pid), {}});
}
void AnchorLink::peek(std::int32_t pid) {
    queue_.push_back({Verb::peek, 0, 0, bytes_of(pid), {}});
}
void AnchorLink::mark(std::int32_t pid, std::uint32_t flags) {
    queue_.push_back({Verb::mark, 0, 0, bytes_of(anchor::Mark{pid, flags}), {}});
}
void AnchorLink::ready() {
    queue_.push_back({Verb::ready, 0, 0, {}, {}});
}
void AnchorLink::working(std::uint64_t extend_ms) {
    queue_.push_back({Verb::working, 0, 0, bytes_of(anchor::Working{extend_ms}), {}});
}
void AnchorLink::took_wish(const News::Wished& wished) {
    queue_.push_back({Verb::wish, anchor::kAnswer, wished.tag, bytes_of(wished.wish), {}});
}
void AnchorLink::end(std::int32_t status, std::uint32_t grace_ms) {
    queue_.push_back({Verb::end, 0, ++last_tag_, bytes_of(anchor::End{status, grace_ms}), {}});
}

bool AnchorLink::flush() {
    while (!queue_.empty()) {
        if (!send_front()) return false;
    }
    return true;
}

// One frame of as many entries from the front as may share one.
bool AnchorLink::send_front() {
    const Entry& first = queue_.front();
    std::size_t taken = 1;
    if (can_share_frame(first.verb) && !first.alone) {
        while (taken < queue_.size() && taken < anchor::kBatch && queue_[taken].verb == first.verb &&
               queue_[taken].flags == first.flags && !queue_[taken].alone) {
            ++taken;
        }
    }
    std::string frame(sizeof(Header), '\0');
    std::vector<int> fds;
    for (std::size_t i = 0; i < taken; ++i) {
        frame += queue_[i].body;
        if (queue_[i].fd) fds.push_back(queue_[i].fd->get());
    }
    Header header;
    header.verb = static_cast<std::uint16_t>(first.verb);
    header.flags = first.flags;
    header.tag = first.tag;
    header.count = static_cast<std::uint32_t>(taken);
    if (first.verb == Verb::get) header.count = static_cast<std::uint32_t>(first.body.size() / sizeof(std::uint64_t));
    if (first.verb == Verb::ready) header.count = 0;
    if (!can_share_frame(first.verb) && first.count != 1) header.count = first.count;
    std::memcpy(frame.data(), &header, sizeof header);
    const Result<bool> sent = kernel::send(socket_.get(), std::as_bytes(std::span(frame)), fds);
    if (sent && !*sent) return false;
    if (!sent) {
        complain("anchor: " + describe(sent.error()));
        // What passes (no memory for it now) must not lose a word: it is said again.  The anchor's end shows as end of
        // file on the next read.
        if (!kernel::peer_gone(sent.error())) {
            if (++refusals_ > kMostRefusals) give_up("the anchor can't be told");
            return false;
        }
    }
    refusals_ = 0;
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(taken));
    return true;
}

AnchorLink::News AnchorLink::read() {
    News news = std::exchange(early_, {});
    while (!news.closed && take_frame(news)) {}
    return news;
}

bool AnchorLink::take_frame(News& news) {
    std::array<std::byte, anchor::kMaxFrameBytes> buffer;
    Result<kernel::Received> got = kernel::receive_even_cut(socket_.get(), buffer);
    if (!got) {
        complain("anchor: " + describe(got.error()));
        news.closed = got.error().err == ECONNRESET || got.error().err == ENOTCONN;
        return !news.closed;
    }
    if (got->end_of_stream) news.closed = true;
    if (got->nothing_now || got->end_of_stream) return false;
    if (got->size < sizeof(Header)) return true;
    Header header;
    std::memcpy(&header, buffer.data(), sizeof header);
    const std::string_view body(reinterpret_cast<const char*>(buffer.data()) + sizeof header,
                                got->size - sizeof header);
    dispatch(header, body, *got, news);
    return true;
}

// A key that is missing is not kept; where not all descriptors came along nothing is known of any.
Result<AnchorLink::Kept> AnchorLink::kept_of(const Header& header, std::string_view body, kernel::Received& got) {
    if (header.status != 0) {
        return fail_errno(static_cast<int>(header.status), "the anchor can't pass what it keeps");
    }
    const auto keys = items_of<std::uint64_t>(body, header.count);
    if (got.cut || got.fds.size() < keys.size()) return fail_errno(EMFILE, "no room for what the anchor keeps");
    Kept kept;
    for (std::size_t i = 0; i < keys.size(); ++i) kept.insert_or_assign(keys[i], std::move(got.fds[i]));
    return kept;
}

void AnchorLink::dispatch(const Header& header, std::string_view body, kernel::Received& got, News& news) {
    const auto verb = static_cast<Verb>(header.verb);
    const bool answer = (header.flags & anchor::kAnswer) != 0;
    if (answer && asked_.contains(header.tag)) {
        asked_.extract(header.tag).mapped()(header.status, body);
    } else if (verb == Verb::exited && !answer) {
        for (const anchor::Exit& exit : items_of<anchor::Exit>(body, header.count)) news.exits.push_back(exit);
    } else if (verb == Verb::wish && !answer) {
        for (const anchor::Wish& wish : items_of<anchor::Wish>(body, header.count))
            news.wishes.push_back({header.tag, wish});
    } else if (verb == Verb::peek && answer) {
        for (const anchor::Exit& exit : items_of<anchor::Exit>(body, header.count)) news.peeked.push_back(exit);
    } else if (verb == Verb::get && answer) {
        if (auto question = questions_.extract(header.tag)) question.mapped()(kept_of(header, body, got));
    } else if ((verb == Verb::hello || verb == Verb::list) && answer) {
        if (now_done_) now_done_(header, body);
    } else if (answer && header.status != 0) {
        complain("anchor: verb " + std::to_string(header.verb) +
                 " was refused: " + std::strerror(static_cast<int>(header.status)));
        if (auto question = questions_.extract(header.tag)) question.mapped()(Kept{});
    } else if (auto question = questions_.extract(header.tag)) {
        question.mapped()(Kept{});
    }
}

// Sends and receives until `done`; used at the start, when there is nothing else to do.
Status AnchorLink::pump_until(const bool& done) {
    Result<kernel::Epoll> epoll = kernel::Epoll::create();
    if (!epoll) return std::unexpected(epoll.error());
    if (Status added = epoll->add(socket_.get(), EPOLLIN, 0); !added) return added;
    const Mono deadline = kernel::mono_now() + kStartPatience;
    while (!done) {
        const bool all_sent = flush();
        if (Status set = epoll->modify(socket_.get(), EPOLLIN | (all_sent ? 0u : EPOLLOUT), 0); !set) return set;
        const auto ready = epoll->wait(deadline);
        if (!ready) return std::unexpected(ready.error());
        while (!early_.closed && take_frame(early_)) {}
        if (early_.closed) return fail(ErrorKind::unreachable, "the anchor closed the connection");
        if (!done && kernel::mono_now() >= deadline) return fail(ErrorKind::timed_out, "the anchor does not answer");
    }
    return {};
}

Result<anchor::HelloAnswer> AnchorLink::hello_now() {
    bool done = false;
    anchor::HelloAnswer result;
    now_done_ = [&](const Header&, std::string_view body) {
        std::memcpy(&result, body.data(), std::min(body.size(), sizeof result));
        done = true;
    };
    queue_.push_front({Verb::hello, 0, 0, bytes_of(anchor::Hello{}), {}});
    const Status pumped = pump_until(done);
    now_done_ = {};
    if (!pumped) return std::unexpected(pumped.error());
    return result;
}

Result<anchor::Generation> AnchorLink::generation_now() {
    bool done = false;
    anchor::Generation result;
    ask(Verb::generation, 0, {}, [&](std::uint32_t, std::string_view body) {
        std::memcpy(&result, body.data(), std::min(body.size(), sizeof result));
        done = true;
    });
    if (const Status pumped = pump_until(done); !pumped) return std::unexpected(pumped.error());
    return result;
}

Result<std::vector<std::uint64_t>> AnchorLink::list_now() {
    std::vector<std::uint64_t> all;
    while (true) {
        bool done = false;
        std::vector<std::uint64_t> keys;
        now_done_ = [&](const Header& header, std::string_view body) {
            keys = items_of<std::uint64_t>(body, header.count);
            done = true;
        };
        const std::uint64_t after = all.empty() ? 0 : all.back();
        queue_.push_back({Verb::list, 0, 0, bytes_of(after), {}});
        const Status pumped = pump_until(done);
        now_done_ = {};
        if (!pumped) return std::unexpected(pumped.error());
        if (keys.empty()) return all;
        all.insert(all.end(), keys.begin(), keys.end());
    }
}

Result<AnchorLink::Kept> AnchorLink::get_now(const std::vector<std::uint64_t>& keys) {
    Kept all;
    for (std::size_t begin = 0; begin < keys.size(); begin += anchor::kBatch) {
        const std::size_t end = std::min(keys.size(), begin + anchor::kBatch);
        bool done = false;
        Status passed;
        get({keys.begin() + static_cast<std::ptrdiff_t>(begin), keys.begin() + static_cast<std::ptrdiff_t>(end)},
            [&](Result<Kept> kept) {
                if (kept)
                    all.merge(*kept);
                else
                    passed = std::unexpected(kept.error());
                done = true;
            });
        if (const Status pumped = pump_until(done); !pumped) return std::unexpected(pumped.error());
        if (!passed) return std::unexpected(passed.error());
    }
    return all;
}

Status AnchorLink::put_now(std::uint64_t key, SharedFd fd) {
    put(key, std::move(fd), true);
    queue_.back().alone = true;  // a frame has one answer, under the tag of its first item
    bool done = false;
    questions_.emplace(last_tag_, [&](const Result<Kept>&) { done = true; });
    return pump_until(done);
}

}  // namespace abide::manager
