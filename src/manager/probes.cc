// manager/probes.cc -- see the header.
#include "manager/probes.hpp"

#include <array>
#include <cstring>

#include "kernel/socket.hpp"
#include "manager/complain.hpp"
#include "manager/probe_target.hpp"
#include "manager/token.hpp"

namespace abide::manager {

namespace {

constexpr std::size_t kHeadBytes = 256;  // more of a reply is never needed

Result<kernel::Address> address_of(model::ProbeKind kind, const std::string& target) {
    if (kind == model::ProbeKind::tcp) return kernel::parse_tcp(target);
    if (kind == model::ProbeKind::unix_) return kernel::parse_address("unix:" + target);
    const Result<HttpTarget> http = parse_http_target(target);
    if (!http) return std::unexpected(http.error());
    return kernel::parse_tcp(http->host_port);
}

}  // namespace

void Probes::ask(const model::in::Probed& question, model::ProbeKind kind, const std::string& target, Mono deadline) {
    const std::uint64_t number = question.probe;
    const auto refuse = [&](const Error& error) {
        model::in::Probed answer = question;
        answer.healthy = false;
        answer.detail = describe(error);
        answers_.push_back(std::move(answer));
    };
    const Result<kernel::Address> address = address_of(kind, target);
    if (!address) return refuse(address.error());
    Result<kernel::Fd> socket = kernel::connect_nonblocking(*address);
    if (!socket) return refuse(socket.error());
    if (const Status added = epoll_.add(socket->get(), EPOLLOUT, token_of(Watched::probe, number)); !added) {
        return refuse(added.error());
    }
    Asked asked{
        question, std::move(*socket), address->text, deadline, kind == model::ProbeKind::http, Phase::connecting, {},
        0};
    if (asked.http) asked.text = http_request(*parse_http_target(target));
    deadlines_.emplace(deadline, number);
    asked_.insert_or_assign(number, std::move(asked));
}

void Probes::answer(std::uint64_t number, bool healthy, std::string detail) {
    auto asked = asked_.extract(number);
    if (!asked) return;
    deadlines_.erase({asked.mapped().deadline, number});
    static_cast<void>(epoll_.remove(asked.mapped().socket.get()));
    model::in::Probed answer = std::move(asked.mapped().answer);
    answer.healthy = healthy;
    answer.detail = std::move(detail);
    answers_.push_back(std::move(answer));
}

void Probes::on_ready(std::uint64_t number) {
    const auto it = asked_.find(number);
    if (it == asked_.end()) return;
    Asked& asked = it->second;
    if (asked.phase == Phase::connecting) {
        const int err = kernel::connect_result(asked.socket.get());
        if (err != 0) return answer(number, false, "can't connect to " + asked.where + ": " + std::strerror(err));
        if (!asked.http) return answer(number, true, {});
        asked.phase = Phase::sending;
    }
    if (asked.phase == Phase::sending) return send_request(number, asked);
    read_reply(number, asked);
}

void Probes::send_request(std::uint64_t number, Asked& asked) {
    const std::string_view rest = std::string_view(asked.text).substr(asked.sent);
    const Result<std::size_t> sent = kernel::send_some(asked.socket.get(), rest.data(), rest.size());
    if (!sent) return answer(number, false, describe(sent.error()));
    asked.sent += *sent;
    if (asked.sent < asked.text.size()) return;
    asked.phase = Phase::reading;
    asked.text.clear();
    if (const Status set = epoll_.modify(asked.socket.get(), EPOLLIN, token_of(Watched::probe, number)); !set) {
        answer(number, false, describe(set.error()));
    }
}

void Probes::read_reply(std::uint64_t number, Asked& asked) {
    std::array<char, kHeadBytes> buffer;
    const Result<std::size_t> got = kernel::read_some(asked.socket.get(), buffer.data(), buffer.size());
    if (!got) return answer(number, false, describe(got.error()));
    if (*got == kernel::kNothingNow) return;
    if (*got == 0) return answer(number, false, "the server closed without an answer");
    asked.text.append(buffer.data(), *got);
    const std::optional<int> status = http_status(asked.text);
    if (!status) return;
    const bool healthy = *status >= 200 && *status < 400;
    answer(number, healthy,
           healthy        ? std::string{}
           : *status == 0 ? "not an HTTP answer"
                          : "HTTP status " + std::to_string(*status));
}

void Probes::expire(Mono now) {
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
        answer(deadlines_.begin()->second, false, "no answer in time");
    }
}

}  // namespace abide::manager
