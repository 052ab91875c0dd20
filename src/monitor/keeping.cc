// monitor/keeping.cc -- processes that are started again: a command, a restart policy, and the process of the moment.
#include <cerrno>

#include "kernel/clock.hpp"
#include "monitor/core.hpp"
#include "monitor/parts.hpp"

namespace abide::detail {

result<std::uint64_t> core::keep(const command& what, const restart_rules& rules, leave policy, keep_handler handler) {
    if (command_access::parts_of(what).held) {
        return error{start_stage::none, EINVAL, "what is kept can't be held: nobody could let it go"};
    }
    const std::uint64_t id = ++last_keeper_;
    result<process> first = spawn(what, policy, {}, id);
    if (!first) return first.error();
    std::uint64_t seed = 0;
    static_cast<void>(kernel::random_bytes(&seed, sizeof(seed)));
    keepers_.emplace(
        id, keep_record{id, what, restart_policy(rules, seed), policy, std::move(handler), first->release(), 0, false});
    return id;
}

keep_record* core::find_keeper(std::uint64_t id) {
    const auto found = keepers_.find(id);
    return found == keepers_.end() ? nullptr : &found->second;
}

void core::kept_ended(std::uint64_t keeper, const exit_event& event) {
    keep_record* k = find_keeper(keeper);
    if (k == nullptr || k->current != event.id) return;
    k->current = process_id{};
    follow(*k, event, k->resting ? restart_decision{} : k->rules.next(event.status, event.started, event.seen));
}

void core::kept_failed(std::uint64_t keeper, const error& why) {
    keep_record* k = find_keeper(keeper);
    if (k == nullptr) return;
    k->current = process_id{};
    exit_event event;
    event.label = intern(command_access::parts_of(k->what).label);
    stamp(event);
    event.started = event.seen;
    restart_decision decision = k->resting ? restart_decision{} : k->rules.next_after_failed_start(event.seen);
    decision.failure = why;
    follow(*k, event, decision);
}

// Whoever has a handler hears of every decision: what gave up in silence would be missed by nobody.
void core::follow(keep_record& k, const exit_event& event, const restart_decision& decision) {
    const std::uint64_t id = k.id;
    if (decision.what == restart_decision::action::restart) {
        k.timer = after(Duration{decision.delay.count()}, [this, id] { start_kept(id); }, false);
    } else {
        k.resting = true;
    }
    const keep_handler handler = k.handler;
    if (handler && !silent_) handler(event, decision);
}

void core::start_kept(std::uint64_t keeper) {
    keep_record* k = find_keeper(keeper);
    if (k == nullptr) return;
    k->timer = 0;
    const result<process_id> begun = begin(k->what, k->policy, {}, false);
    if (!begun) return kept_failed(keeper, begun.error());
    k->current = *begun;
    record* r = find(*begun);
    r->keeper = keeper;
    r->started = [this, keeper](result<process> outcome) {
        if (outcome) {
            outcome->release();
        } else {
            kept_failed(keeper, outcome.error());
        }
    };
}

result<void> core::stop_keeper(std::uint64_t id, stop_ladder ladder) {
    keep_record* k = find_keeper(id);
    if (k == nullptr) return error{start_stage::none, ESRCH, "it is not kept any more"};
    k->resting = true;
    if (k->timer != 0) cancel(std::exchange(k->timer, 0));
    if (k->current == process_id{}) return {};
    return stop_process(k->current, std::move(ladder));
}

void core::drop_keeper(std::uint64_t id) {
    keep_record* k = find_keeper(id);
    if (k == nullptr) return;
    if (k->timer != 0) cancel(k->timer);
    const process_id current = k->current;
    keepers_.erase(id);
    if (current != process_id{}) drop(current);
}

}  // namespace abide::detail
