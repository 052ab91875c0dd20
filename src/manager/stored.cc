// manager/stored.cc -- see the header.
#include "manager/stored.hpp"

#include <algorithm>
#include <set>

#include "kernel/files.hpp"
#include "manager/complain.hpp"
#include "manager/run_key.hpp"
#include "manager/token.hpp"

namespace abide::manager {

namespace {

constexpr int kCounterBits = 32;

}  // namespace

std::uint64_t Stored::put(SharedFd fd) {
    const std::uint64_t key = anchor_key(Keep::stored, (epoch_ << kCounterBits) | ++last_);
    anchor_.put(key, std::move(fd), false);
    return key;
}

void Stored::watch(std::uint64_t key, const std::string& service, SharedFd fd, bool poll) {
    const bool polled =
        poll && kernel::may_hang_up(fd->get()) && epoll_.add(fd->get(), 0, token_of(Watched::stored, key)).has_value();
    watched_.insert_or_assign(key, Entry{service, std::move(fd), polled});
}

std::vector<FdKey> Stored::keep(const std::string& service, std::vector<kernel::Fd> fds, bool poll) {
    std::vector<FdKey> keys;
    std::vector<kernel::Fd> known;
    for (kernel::Fd& fd : fds) {
        const bool twice = std::ranges::any_of(watched_, [&](const auto& one) {
            return one.second.service == service && kernel::is_same_file(one.second.fd->get(), fd.get());
        });
        if (twice) {
            known.push_back(std::move(fd));
            continue;
        }
        const SharedFd shared = share(std::move(fd));
        const std::uint64_t key = put(shared);
        watch(key, service, shared, poll);
        keys.push_back(FdKey{key});
    }
    discard(std::move(known));
    static_cast<void>(anchor_.flush());  // with the anchor before it is in the journal, as far as there is room
    return keys;
}

void Stored::discard(std::vector<kernel::Fd> fds) {
    for (kernel::Fd& fd : fds) {
        // A pipe's end, as a barrier has it, is closed at once: its owner waits for that.
        if (kernel::is_pipe(fd.get())) continue;
        anchor_.drop(put(share(std::move(fd))), false);
    }
}

void Stored::drop(FdKey key) {
    const auto found = watched_.find(key.value);
    if (found != watched_.end()) {
        if (found->second.polled) static_cast<void>(epoll_.remove(found->second.fd->get()));
        watched_.erase(found);  // the anchor still has its own
    }
    anchor_.drop(key.value, false);
}

void Stored::on_ready(std::uint64_t id) {
    const auto found = watched_.find(anchor_key(Keep::stored, id));
    if (found == watched_.end()) return;
    static_cast<void>(epoll_.remove(found->second.fd->get()));
    found->second.polled = false;
    inbox_.push(InputClass::notification, model::in::StoredLost{found->second.service, {FdKey{found->first}}});
}

Status Stored::recover(const core::Engine& engine, const std::vector<std::uint64_t>& kept) {
    std::set<std::uint64_t> unclaimed;
    for (const std::uint64_t key : kept) {
        if (keep_of(key) == Keep::stored) unclaimed.insert(key);
    }
    std::vector<std::uint64_t> claimed;
    std::map<std::uint64_t, const std::string*> owners;
    for (const model::Service* service : engine.services()) {
        std::vector<FdKey> lost;
        for (const model::StoredDescriptor& one : service->stored) {
            if (unclaimed.erase(one.key.value) == 0) {
                lost.push_back(one.key);
                continue;
            }
            claimed.push_back(one.key.value);
            owners.emplace(one.key.value, &service->name);
        }
        if (lost.empty()) continue;
        complain(service->name + ": " + std::to_string(lost.size()) + " stored descriptor(s) are lost");
        inbox_.push(InputClass::process, model::in::StoredLost{service->name, std::move(lost)});
    }
    for (const std::uint64_t key : unclaimed) anchor_.drop(key, false);
    if (claimed.empty()) return {};
    Result<AnchorLink::Kept> copies = anchor_.get_now(claimed);
    if (!copies) return std::unexpected(copies.error());
    for (auto& [key, copy] : *copies) watch(key, *owners.at(key), share(std::move(copy)), true);
    return {};
}

}  // namespace abide::manager
