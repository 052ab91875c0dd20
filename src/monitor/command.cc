// monitor/command.cc -- the builder: a value that remembers what was said.
#include "abide/monitor/command.hpp"

#include "abide/monitor/group.hpp"
#include "monitor/parts.hpp"

namespace abide {

stdio stdio::inherit() {
    return {};
}
stdio stdio::null() {
    stdio io;
    io.kind_ = kind::null;
    return io;
}
stdio stdio::descriptor(int fd) {
    stdio io;
    io.kind_ = kind::descriptor;
    io.fd_ = fd;
    return io;
}
stdio stdio::file(std::string path, bool append) {
    stdio io;
    io.kind_ = kind::file;
    io.path_ = std::move(path);
    io.append_ = append;
    return io;
}
stdio stdio::pipe() {
    stdio io;
    io.kind_ = kind::pipe;
    return io;
}
stdio stdio::capture(output_sink sink) {
    stdio io;
    io.kind_ = kind::capture;
    io.sink_ = std::move(sink);
    return io;
}
stdio stdio::buffer(std::size_t limit) {
    stdio io;
    io.kind_ = kind::buffer;
    io.limit_ = limit;
    return io;
}
stdio stdio::to_output() {
    stdio io;
    io.kind_ = kind::to_output;
    return io;
}

command::command(std::string program) : parts_(std::make_unique<detail::command_parts>()) {
    parts_->label = program;
    parts_->argv.push_back(std::move(program));
}
command::command(std::string program, std::vector<std::string> arguments) : command(std::move(program)) {
    args(arguments);
}
command::command(const command& other) : parts_(std::make_unique<detail::command_parts>(*other.parts_)) {}
command::command(command&&) noexcept = default;
command& command::operator=(const command& other) {
    if (this != &other) parts_ = std::make_unique<detail::command_parts>(*other.parts_);
    return *this;
}
command& command::operator=(command&&) noexcept = default;
command::~command() = default;

command& command::arg(std::string argument) {
    parts_->argv.push_back(std::move(argument));
    return *this;
}
command& command::args(const std::vector<std::string>& arguments) {
    parts_->argv.insert(parts_->argv.end(), arguments.begin(), arguments.end());
    return *this;
}
command& command::executable(std::string path) {
    parts_->executable = std::move(path);
    return *this;
}
command& command::label(std::string text) {
    parts_->label = std::move(text);
    return *this;
}
command& command::env(std::string name, std::string value) {
    parts_->environment.emplace_back(std::move(name), std::move(value));
    return *this;
}
command& command::env_remove(std::string name) {
    parts_->environment.emplace_back(std::move(name), std::nullopt);
    return *this;
}
command& command::env_clear() {
    parts_->clear_environment = true;
    return *this;
}
command& command::env_own_pid(std::string name) {
    parts_->own_pid_variable = std::move(name);
    return *this;
}
command& command::directory(std::string path) {
    parts_->directory = std::move(path);
    return *this;
}
command& command::in(stdio what) {
    parts_->io[0] = std::move(what);
    return *this;
}
command& command::out(stdio what) {
    parts_->io[1] = std::move(what);
    return *this;
}
command& command::err(stdio what) {
    parts_->io[2] = std::move(what);
    return *this;
}
command& command::descriptor(int source, int target) {
    parts_->descriptors.emplace_back(source, target);
    return *this;
}
command& command::user(std::string name_or_number) {
    parts_->user = std::move(name_or_number);
    return *this;
}
command& command::with_group(std::string name_or_number) {
    parts_->group = std::move(name_or_number);
    return *this;
}
command& command::supplementary_groups(std::vector<std::uint32_t> gids) {
    parts_->supplementary = std::move(gids);
    return *this;
}
command& command::capabilities(std::vector<std::string> names) {
    parts_->capabilities = std::move(names);
    return *this;
}
command& command::no_new_privileges(bool on) {
    parts_->no_new_privileges = on;
    return *this;
}
command& command::limit(int resource, std::uint64_t soft, std::uint64_t hard) {
    parts_->limits.push_back({resource, soft, hard});
    return *this;
}
command& command::nice(int value) {
    parts_->nice = value;
    return *this;
}
command& command::umask(unsigned mask) {
    parts_->umask = mask;
    return *this;
}
command& command::new_session(bool on) {
    parts_->new_session = on;
    return *this;
}
command& command::controlling_terminal(bool on) {
    parts_->controlling_terminal = on;
    return *this;
}
command& command::member_of(const class group& where) {
    parts_->group_core = where.core_;
    parts_->group_id = where.id_;
    return *this;
}
command& command::oom_score(int adjust) {
    parts_->oom_score = adjust;
    return *this;
}
command& command::private_tmp(bool on) {
    parts_->private_tmp = on;
    return *this;
}
command& command::as_sibling(bool on) {
    parts_->as_sibling = on;
    return *this;
}
command& command::held(bool on) {
    parts_->held = on;
    return *this;
}

}  // namespace abide
