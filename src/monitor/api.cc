// monitor/api.cc -- the public classes: handles that name what the core owns.
#include "abide/monitor.hpp"

#include "monitor/core.hpp"

namespace abide {

using detail::core;

// ---- process

process& process::operator=(process&& other) noexcept {
    if (this != &other) {
        if (core_) core_->drop(id_);
        core_ = std::move(other.core_);
        id_ = other.id_;
    }
    return *this;
}
process::~process() {
    if (core_) core_->drop(id_);
}
int process::pid() const {
    const detail::record* r = core_ ? core_->find(id_) : nullptr;
    return r != nullptr ? r->pid : 0;
}
int process::pidfd() const {
    const detail::record* r = core_ ? core_->find(id_) : nullptr;
    return r != nullptr ? r->pidfd.get() : -1;
}
std::string_view process::label() const {
    const detail::record* r = core_ ? core_->find(id_) : nullptr;
    return r != nullptr ? r->event.label : std::string_view();
}
bool process::running() const {
    const detail::record* r = core_ ? core_->find(id_) : nullptr;
    return r != nullptr && r->now != detail::phase::over;
}
std::optional<exit_event> process::exit() const {
    const detail::record* r = core_ ? core_->find(id_) : nullptr;
    if (r == nullptr || r->now != detail::phase::over) return std::nullopt;
    return r->event;
}
result<void> process::signal(int number, scope whom) {
    if (!core_) return error{start_stage::none, ESRCH, "no process"};
    return core_->signal(id_, number, whom);
}
result<void> process::stop(stop_ladder ladder) {
    if (!core_) return error{start_stage::none, ESRCH, "no process"};
    return core_->stop_process(id_, std::move(ladder));
}
std::optional<exit_event> process::wait(deadline until) {
    return core_ ? core_->wait(id_, until) : std::nullopt;
}
exit_awaiter process::exited() {
    return {core_, id_};
}
void process::on_exit(exit_handler handler) {
    detail::record* r = core_ ? core_->find(id_) : nullptr;
    if (r != nullptr && !r->told) r->handler = std::move(handler);
}
bool process::held() const {
    const detail::record* r = core_ ? core_->find(id_) : nullptr;
    return r != nullptr && r->now == detail::phase::running && r->holding == detail::hold::held;
}
result<void> process::release_hold() {
    if (!core_) return error{start_stage::none, ESRCH, "no process"};
    return core_->release_hold(id_);
}
process_id process::release() {
    if (const std::shared_ptr<core> mine = std::move(core_)) mine->release(id_);
    return id_;
}
int process::take_pipe(int descriptor) {
    detail::record* r = core_ && descriptor >= 0 && descriptor < 3 ? core_->find(id_) : nullptr;
    return r != nullptr ? r->pipes[static_cast<std::size_t>(descriptor)].release() : -1;
}
std::string process::take_output(int descriptor) {
    return core_ ? core_->take_output(id_, descriptor) : std::string();
}
void process::resume(int descriptor) {
    if (core_) core_->resume(id_, descriptor);
}
bool process::output_ended(int descriptor) const {
    return !core_ || core_->output_ended(id_, descriptor);
}

// ---- exit_awaiter

exit_awaiter::exit_awaiter(std::shared_ptr<core> core, process_id id) : core_(std::move(core)), id_(id) {
    event_.id = id;
}
exit_awaiter::~exit_awaiter() {
    if (core_ && linked_) core_->forget(*this);
}
bool exit_awaiter::await_ready() {
    const detail::record* r = core_ ? core_->find(id_) : nullptr;
    if (r != nullptr && r->now != detail::phase::over) return false;
    if (r != nullptr) event_ = r->event;
    return true;
}
void exit_awaiter::await_suspend(std::coroutine_handle<> waiting) {
    core_->await(*this, waiting);
}
exit_event exit_awaiter::await_resume() {
    return event_;
}

// ---- group

group& group::operator=(group&& other) noexcept {
    if (this != &other) {
        if (core_) core_->drop_group(id_);
        core_ = std::move(other.core_);
        id_ = other.id_;
    }
    return *this;
}
group::~group() {
    if (core_) core_->drop_group(id_);
}
group_tier group::tier() const {
    const detail::group_record* g = core_ ? core_->find_group(id_) : nullptr;
    return g != nullptr ? g->tier : group_tier::session;
}
std::string group::path() const {
    const detail::group_record* g = core_ ? core_->find_group(id_) : nullptr;
    return g != nullptr ? core_->group_path(*g) : std::string();
}
result<std::vector<int>> group::members() const {
    const detail::group_record* g = core_ ? core_->find_group(id_) : nullptr;
    if (g == nullptr) return std::vector<int>{};
    return core_->members(*g);
}
bool group::empty() const {
    const detail::group_record* g = core_ ? core_->find_group(id_) : nullptr;
    return g == nullptr || core_->group_empty(*g);
}
result<std::size_t> group::signal(int number) {
    detail::group_record* g = core_ ? core_->find_group(id_) : nullptr;
    if (g == nullptr) return std::size_t{0};
    return core_->signal_group(*g, number);
}
result<void> group::kill() {
    const result<std::size_t> sent = signal(SIGKILL);
    return sent ? result<void>{} : result<void>(sent.error());
}
result<void> group::stop(stop_ladder ladder) {
    if (!core_) return {};
    return core_->stop_group(id_, std::move(ladder));
}
result<void> group::freeze(deadline until) {
    detail::group_record* g = core_ ? core_->find_group(id_) : nullptr;
    return g == nullptr ? result<void>{} : core_->freeze_group(*g, until);
}
result<void> group::thaw() {
    detail::group_record* g = core_ ? core_->find_group(id_) : nullptr;
    return g == nullptr ? result<void>{} : core_->thaw_group(*g);
}
result<void> group::set(std::string_view file, std::string_view value) {
    detail::group_record* g = core_ ? core_->find_group(id_) : nullptr;
    if (g == nullptr) return error{start_stage::none, EINVAL, "no such group"};
    return core_->set_group(*g, file, value);
}
void group::on_empty(std::function<void()> handler) {
    if (core_) core_->on_group_empty(id_, std::move(handler));
}
bool group::wait_empty(deadline until) {
    return !core_ || core_->wait_group_empty(id_, until);
}

// ---- keeper

keeper& keeper::operator=(keeper&& other) noexcept {
    if (this != &other) {
        if (core_) core_->drop_keeper(id_);
        core_ = std::move(other.core_);
        id_ = other.id_;
    }
    return *this;
}
keeper::~keeper() {
    if (core_) core_->drop_keeper(id_);
}
process_id keeper::current() const {
    const detail::keep_record* k = core_ ? core_->find_keeper(id_) : nullptr;
    return k != nullptr ? k->current : process_id{};
}
int keeper::pid() const {
    const detail::record* r = core_ ? core_->find(current()) : nullptr;
    return r != nullptr && r->now != detail::phase::over ? r->pid : 0;
}
std::uint64_t keeper::restarts() const {
    const detail::keep_record* k = core_ ? core_->find_keeper(id_) : nullptr;
    return k != nullptr ? k->rules.restarts() : 0;
}
bool keeper::resting() const {
    const detail::keep_record* k = core_ ? core_->find_keeper(id_) : nullptr;
    return k == nullptr || (k->resting && k->current == process_id{});
}
result<void> keeper::stop(stop_ladder ladder) {
    if (!core_) return {};
    return core_->stop_keeper(id_, std::move(ladder));
}

// ---- monitor

monitor::monitor(std::shared_ptr<core> core) : core_(std::move(core)) {}
monitor::monitor(monitor&&) noexcept = default;
monitor& monitor::operator=(monitor&& other) noexcept {
    if (this != &other) {
        if (core_) core_->close(true);
        core_ = std::move(other.core_);
    }
    return *this;
}
monitor::~monitor() {
    if (core_) core_->close(true);
}
result<monitor> monitor::create(const monitor_options& options) {
    result<std::shared_ptr<core>> made = core::create(options);
    if (!made) return made.error();
    return monitor(std::move(*made));
}
int monitor::fd() const {
    return core_->fd();
}
std::size_t monitor::dispatch() {
    return core_->dispatch();
}
std::size_t monitor::run_once(deadline until) {
    return core_->run_once(until);
}
void monitor::run() {
    core_->run();
}
void monitor::stop() noexcept {
    core_->stop();
}
std::size_t monitor::close() {
    return core_->close(false);
}
result<process> monitor::spawn(const command& what, leave policy, exit_handler handler) {
    return core_->spawn(what, policy, std::move(handler));
}
void monitor::spawn_async(const command& what, leave policy, start_handler started, exit_handler handler) {
    core_->spawn_async(what, policy, std::move(started), std::move(handler));
}
result<process> monitor::adopt(int pidfd, leave policy, exit_handler handler, std::string_view label) {
    return core_->adopt(pidfd, policy, std::move(handler), label);
}
result<keeper> monitor::keep(const command& what, const restart_rules& rules, leave policy, keep_handler handler) {
    const result<std::uint64_t> id = core_->keep(what, rules, policy, std::move(handler));
    if (!id) return id.error();
    return keeper(core_, *id);
}
void monitor::route(router routes) {
    core_->route(std::move(routes));
}
void monitor::on_orphan(exit_handler handler) {
    core_->on_orphan(std::move(handler));
}
result<group> monitor::make_group(std::string_view name, leave policy, group_tier best) {
    const result<std::uint64_t> id = core_->make_group(name, policy, best);
    if (!id) return id.error();
    return group(core_, *id);
}
timer_id monitor::after(std::chrono::nanoseconds delay, std::function<void()> handler) {
    return core_->after(Duration{delay.count()}, std::move(handler), true);
}
bool monitor::cancel(timer_id timer) {
    return core_->cancel(timer);
}
abide::tier monitor::tier() const {
    return core_->tier();
}
std::size_t monitor::watched() const {
    return core_->watched();
}
void monitor::child_hint() noexcept {
    core_->child_hint();
}

}  // namespace abide
