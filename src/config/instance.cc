// config/instance.cc -- makes an instance of a template.  Knows no file and no TOML: the manager uses it too.
#include "config/instance.hpp"

#include "base/text.hpp"
#include "config/load.hpp"

namespace abide::config {

namespace {

// Substitutes in place, in every text of a specification that may name the instance; remembers the first error.
class Substitution {
  public:
    explicit Substitution(std::string_view instance) : instance_(instance) {}

    void text(std::string& value) {
        if (value.find('%') == std::string::npos || !status_) return;
        Result<std::string> changed = substitute_instance(value, instance_);
        if (changed) {
            value = std::move(*changed);
        } else {
            status_ = std::unexpected(std::move(changed.error()));
        }
    }
    void command(model::Command& value) {
        for (std::string& word : value.argv) text(word);
    }
    void commands(std::vector<model::Command>& value) {
        for (model::Command& one : value) command(one);
    }
    void probe(model::Probe& value) {
        text(value.target);
        command(value.command);
    }
    void name(std::string& value) {
        text(value);
        if (is_service_name(value) || !status_) return;
        status_ = fail(ErrorKind::usage, "not a service name: \"" + printable(value, 80) + "\"",
                       "names have letters, digits, _ . - and at most 64 bytes before and after one @");
    }
    Status status() { return std::move(status_); }

  private:
    std::string_view instance_;
    Status status_;
};

}  // namespace

Result<std::string> substitute_instance(std::string_view text, std::optional<std::string_view> instance) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char next = at + 1 < text.size() ? text[at + 1] : '\0';
        if (text[at] != '%' || (next != '%' && next != 'i')) {
            result += text[at];
            continue;
        }
        ++at;
        if (next == '%') {
            result += '%';
        } else if (instance) {
            result += *instance;
        } else {
            return fail(ErrorKind::usage, "%i outside a template or instance",
                        "write %% for a percent sign, or name it NAME@");
        }
    }
    return result;
}

std::string escape_instance(std::string_view text) {
    std::string escaped;
    escaped.reserve(text.size());
    for (const char c : text) {
        if (c == '%') escaped += '%';
        escaped += c;
    }
    return escaped;
}

Result<model::ServiceSpec> instantiate(const model::ServiceSpec& pattern, std::string_view instance) {
    if (!pattern.is_template || !pattern.name.ends_with('@')) {
        return fail(ErrorKind::usage, pattern.name + " is not a template", "only NAME@ has instances");
    }
    model::ServiceSpec spec = pattern;
    spec.name += instance;
    if (!is_service_name(spec.name)) {
        return fail(ErrorKind::usage, "not an instance name: \"" + printable(instance, 80) + "\"",
                    "use letters, digits, _ . -, at most 64 bytes, beginning with a letter or digit");
    }
    spec.is_template = false;
    spec.autostart = false;
    Substitution substitution(instance);
    substitution.command(spec.command);
    substitution.text(spec.description.edit());
    substitution.text(spec.directory.edit());
    for (model::Variable& variable : spec.environment) substitution.text(variable.value);
    for (model::Dependency& dependency : spec.dependencies) substitution.name(dependency.target);
    for (std::string& name : spec.provides) substitution.name(name);
    for (model::SocketSpec& socket : spec.sockets) substitution.text(socket.address);
    if (spec.hooks) {
        substitution.commands(spec.hooks->pre_start);
        substitution.commands(spec.hooks->post_start);
        substitution.commands(spec.hooks->pre_stop);
        substitution.commands(spec.hooks->post_stop);
    }
    if (spec.ready) substitution.probe(spec.ready->probe);
    if (spec.health) substitution.probe(spec.health->probe);
    if (spec.stop) substitution.command(spec.stop->command);
    if (spec.reload) substitution.command(spec.reload->command);
    if (Status status = substitution.status(); !status) {
        status.error().what = spec.name + ": " + status.error().what;
        return std::unexpected(std::move(status.error()));
    }
    return spec;
}

}  // namespace abide::config
