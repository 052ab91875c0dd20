// config/resolve.cc -- see resolve.hpp.  Linear in services and dependencies, times the logarithm of a look-up by name;
// only the first few unknown names are compared with all others for a likeness.
#include "config/resolve.hpp"

#include <map>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace abide::config {

namespace {

constexpr std::size_t kSuggestions = 50;

struct Provider {
    std::size_t service = 0;
    Position position;  // of the word in `provides`
};

class Resolver {
  public:
    Resolver(std::deque<Draft>& drafts, Report& report, bool open) : drafts_(drafts), report_(report), open_(open) {}

    void run() {
        for (std::size_t i = 0; i < drafts_.size(); ++i) {
            names_.emplace(drafts_[i].name, i);
            bytes_ += text_bytes(drafts_[i]);
        }
        const std::size_t written = drafts_.size();
        for (std::size_t i = 0; i < written; ++i) make_listed(drafts_[i]);
        collect_providers(0);
        // The list grows while dependencies on further instances are found.
        for (std::size_t i = 0; i < drafts_.size(); ++i) {
            for (std::size_t j = 0; j < drafts_[i].dependencies.size(); ++j) settle(drafts_[i], j);
        }
    }

  private:
    void error(const Draft& draft, Position position, const std::string& text, std::string advice = {}) {
        report_.error(position, "services." + draft.name + ": " + text, std::move(advice));
    }
    std::string place(Position position) const {
        return report_.file(position.file) + ":" + std::to_string(position.line);
    }

    // The new draft, or nullptr.
    Draft* make(const Draft& pattern, std::string_view instance, Position position) {
        if (drafts_.size() >= limits::kServices || bytes_ > limits::kConfigurationBytes) {
            if (!full_)
                error(pattern, position, "too many instances of templates",
                      "20000 services and 64M of text are the most");
            full_ = true;
            return nullptr;
        }
        Result<model::ServiceSpec> spec = instantiate(pattern, instance);
        if (!spec) {
            error(pattern, position, spec.error().what, spec.error().advice);
            return nullptr;
        }
        Draft& made = drafts_.emplace_back();
        static_cast<model::ServiceSpec&>(made) = std::move(*spec);
        made.dependency_positions = pattern.dependency_positions;
        made.provides_positions = pattern.provides_positions;
        made.position = position;
        bytes_ += text_bytes(made);
        names_.emplace(made.name, drafts_.size() - 1);
        return &made;
    }

    void make_listed(const Draft& pattern) {
        for (const auto& [instance, position] : pattern.instances) {
            const auto found = names_.find(pattern.name + instance);
            if (found != names_.end()) {
                error(pattern, position,
                      found->first + " is defined already, at " + place(drafts_[found->second].position),
                      "remove one of them");
                continue;
            }
            Draft* made = make(pattern, instance, position);
            if (made != nullptr) made->autostart = pattern.autostart_given.value_or(true);
        }
    }

    void collect_providers(std::size_t begin) {
        for (std::size_t i = begin; i < drafts_.size(); ++i) {
            const Draft& draft = drafts_[i];
            if (draft.is_template) continue;
            for (std::size_t j = 0; j < draft.provides.size(); ++j) {
                const std::string& name = draft.provides[j];
                const Position position = draft.provides_positions[j];
                if (const auto service = names_.find(name); service != names_.end()) {
                    error(draft, position,
                          "provides " + name + ", which is a service, at " + place(drafts_[service->second].position),
                          "rename one of them");
                    continue;
                }
                const auto [entry, fresh] = providers_.emplace(name, Provider{i, position});
                if (!fresh) {
                    error(draft, position,
                          "provides " + name + ", as " + drafts_[entry->second.service].name + " does, at " +
                              place(entry->second.position),
                          "one name has one provider");
                }
            }
        }
    }

    void settle(Draft& draft, std::size_t index) {
        model::Dependency& dependency = draft.dependencies[index];
        const std::string& target = dependency.target;
        if (draft.is_template && target.find('%') != std::string::npos) return;
        const Position position = draft.dependency_positions[index];
        if (target == draft.name) return error(draft, position, "depends on itself", "remove the dependency");
        if (names_.contains(target)) return;
        if (const auto provider = providers_.find(target); provider != providers_.end()) {
            dependency.target = drafts_[provider->second.service].name;
            if (dependency.target == draft.name)
                error(draft, position, "depends on itself, by " + provider->first, "remove the dependency");
            return;
        }
        const std::size_t at = target.find('@');
        if (at != std::string::npos) {
            const auto pattern = names_.find(target.substr(0, at + 1));
            if (pattern != names_.end()) {
                const std::size_t before = drafts_.size();
                if (make(drafts_[pattern->second], target.substr(at + 1), position) != nullptr)
                    collect_providers(before);
                return;
            }
        }
        if (!open_) error(draft, position, "no service \"" + target + "\"", likeness(target));
    }

    std::string likeness(const std::string& target) {
        if (suggested_++ >= kSuggestions) return "";
        if (candidates_.empty()) {
            for (const auto& [name, index] : names_) {
                if (!drafts_[index].is_template) candidates_.push_back(name);
            }
            for (const auto& [name, provider] : providers_) candidates_.push_back(name);
        }
        const std::string advice = suggestion(target, candidates_);
        return advice.empty() ? "define it, or remove the dependency" : advice;
    }

    std::deque<Draft>& drafts_;
    Report& report_;
    bool open_;
    bool full_ = false;
    std::size_t bytes_ = 0, suggested_ = 0;
    std::map<std::string, std::size_t> names_;
    std::map<std::string, Provider> providers_;
    std::vector<std::string_view> candidates_;
};

std::size_t bytes_of(const model::Command& command) {
    std::size_t bytes = 0;
    for (const std::string& word : command.argv) bytes += word.size() + 1;
    return bytes;
}

std::size_t bytes_of(const std::vector<model::Command>& commands) {
    std::size_t bytes = 0;
    for (const model::Command& command : commands) bytes += bytes_of(command);
    return bytes;
}

}  // namespace

void resolve(std::deque<Draft>& drafts, Report& report, bool open) {
    Resolver(drafts, report, open).run();
}

std::size_t text_bytes(const model::ServiceSpec& spec) {
    std::size_t bytes = spec.name.size() + bytes_of(spec.command) + spec.description.size() + spec.directory.size();
    for (const model::Variable& variable : spec.environment) bytes += variable.name.size() + variable.value.size() + 2;
    for (const model::Dependency& dependency : spec.dependencies) bytes += dependency.target.size() + 16;
    for (const std::string& name : spec.provides) bytes += name.size() + 1;
    for (const model::SocketSpec& socket : spec.sockets) bytes += socket.name.size() + socket.address.size();
    bytes += 16 * spec.success_exit.size();
    if (spec.hooks) {
        bytes += bytes_of(spec.hooks->pre_start) + bytes_of(spec.hooks->post_start);
        bytes += bytes_of(spec.hooks->pre_stop) + bytes_of(spec.hooks->post_stop);
    }
    if (spec.ready) bytes += spec.ready->probe.target.size() + bytes_of(spec.ready->probe.command);
    if (spec.health) bytes += spec.health->probe.target.size() + bytes_of(spec.health->probe.command);
    if (spec.stop) bytes += bytes_of(spec.stop->command);
    if (spec.oci) bytes += spec.oci->bundle.size() + spec.oci->runtime.size();
    if (spec.reload) bytes += bytes_of(spec.reload->command);
    if (spec.restart_delay) bytes += 16 * (spec.restart_delay->prevent.size() + spec.restart_delay->force.size());
    if (spec.identity) {
        for (const std::string& group : spec.identity->groups) bytes += group.size() + 1;
    }
    return bytes;
}

}  // namespace abide::config
