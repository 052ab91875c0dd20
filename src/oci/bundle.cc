// oci/bundle.cc -- see the header.
#include "oci/bundle.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "base/text.hpp"

namespace abide::oci {

namespace json = boost::json;

namespace {

constexpr std::size_t kIdName = 64;

bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
}

std::uint64_t hash(std::string_view text) {  // FNV-1a
    std::uint64_t value = 0xcbf29ce484222325u;
    for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    return value;
}

Error wrong(std::string what) {
    return {ErrorKind::usage, "config.json: " + std::move(what), 0, "see config.md of the OCI runtime specification"};
}

json::object* child(json::object& object, std::string_view name) {
    json::value* value = object.if_contains(name);
    return value == nullptr ? nullptr : value->if_object();
}

std::string text_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string{};
}

void make_absolute(json::object& object, std::string_view name, const std::string& base) {
    const std::string path = text_of(object, name);
    if (!path.empty() && path.front() != '/') object[name] = base + "/" + path;
}

bool is_bind(const json::object& mount) {
    if (text_of(mount, "type") == "bind") return true;
    const json::value* options = mount.if_contains("options");
    if (options == nullptr || !options->is_array()) return false;
    return std::ranges::any_of(options->get_array(), [](const json::value& option) {
        return option.is_string() && (option.get_string() == "bind" || option.get_string() == "rbind");
    });
}

Result<json::object> parse(std::string_view text, std::string_view what) {
    json::error_code problem;
    json::value value = json::parse(text, problem);
    if (problem) return fail(ErrorKind::usage, std::string(what) + ": not JSON: " + problem.message());
    if (!value.is_object()) return fail(ErrorKind::usage, std::string(what) + ": not a JSON object");
    return std::move(value.get_object());
}

}  // namespace

std::string container_id(std::string_view runtime_folder, std::string_view service) {
    std::string id;
    for (const char c : service.substr(0, kIdName)) id += is_plain(c) ? c : '_';
    if (id.empty() || id.front() == '.' || id.front() == '-') id.insert(id.begin(), '_');
    const std::uint64_t value = hash(std::string(runtime_folder) + "\n" + std::string(service));
    id += '-';
    for (int shift = 28; shift >= 0; shift -= 4) id += "0123456789abcdef"[(value >> shift) & 15];
    return id;
}

Result<Derived> derive_config(std::string_view config, const Place& place) {
    Result<json::object> root = parse(config, "config.json");
    if (!root) return std::unexpected(root.error());
    json::object* process = child(*root, "process");
    if (process == nullptr) return std::unexpected(wrong("no \"process\""));
    if (const json::value* args = process->if_contains("args");
        args == nullptr || !args->is_array() || args->get_array().empty())
        return std::unexpected(wrong("\"process.args\" is no list of words"));
    const json::value* terminal = process->if_contains("terminal");
    if (terminal != nullptr && !terminal->is_bool())
        return std::unexpected(wrong("\"process.terminal\" is not true or false"));
    json::object* filesystem = child(*root, "root");
    if (filesystem == nullptr || text_of(*filesystem, "path").empty())
        return std::unexpected(wrong("no \"root.path\""));
    make_absolute(*filesystem, "path", place.bundle);
    if (json::value* mounts = root->if_contains("mounts"); mounts != nullptr && mounts->is_array()) {
        for (json::value& mount : mounts->get_array()) {
            if (mount.is_object() && is_bind(mount.get_object()))
                make_absolute(mount.get_object(), "source", place.bundle);
        }
    }
    if (!place.cgroup.empty()) {
        json::object* platform = child(*root, "linux");
        if (platform == nullptr) platform = &(*root)["linux"].emplace_object();
        (*platform)["cgroupsPath"] = place.cgroup;
    }
    return Derived{json::serialize(*root), terminal != nullptr && terminal->get_bool()};
}

Result<State> parse_state(std::string_view text) {
    const Result<json::object> root = parse(text, "the runtime's state");
    if (!root) return std::unexpected(root.error());
    State state{text_of(*root, "status"), text_of(*root, "bundle"), 0};
    if (const json::value* pid = root->if_contains("pid"); pid != nullptr && pid->is_int64())
        state.pid = static_cast<std::int32_t>(std::clamp<std::int64_t>(pid->get_int64(), 0, INT32_MAX));
    if (state.status.empty()) return fail(ErrorKind::failed, "the runtime's state has no status");
    return state;
}

std::string pid_file(std::string_view folder) {
    return std::string(folder) + "/pid";
}

std::vector<std::string> create_words(std::string_view runtime, std::string_view id, std::string_view folder) {
    return {std::string(runtime), "--log",      failure_file(folder), "--log-format", "json", "create", "--bundle",
            std::string(folder),  "--pid-file", pid_file(folder),     std::string(id)};
}
std::vector<std::string> create_words_with_console(std::string_view runtime, std::string_view id,
                                                   std::string_view folder) {
    std::vector<std::string> words = create_words(runtime, id, folder);
    words.insert(words.end() - 1, {"--console-socket", std::string(kConsoleName)});
    return words;
}
std::vector<std::string> state_words(std::string_view runtime, std::string_view id) {
    return {std::string(runtime), "state", std::string(id)};
}
std::vector<std::string> start_words(std::string_view runtime, std::string_view id) {
    return {std::string(runtime), "start", std::string(id)};
}
std::vector<std::string> delete_words(std::string_view runtime, std::string_view id) {
    return {std::string(runtime), "delete", "--force", std::string(id)};
}
std::vector<std::string> exec_words(std::string_view runtime, std::string_view id, std::vector<std::string> command) {
    command.insert(command.begin(), {std::string(runtime), "exec", std::string(id)});
    return command;
}

std::vector<std::string> helper_create_words(std::string_view runtime, std::string_view id, std::string_view folder,
                                             const Place& place) {
    return {std::string(kHelperName), "create",     std::string(runtime), std::string(id),
            std::string(folder),      place.bundle, place.cgroup};
}
std::vector<std::string> helper_delete_words(std::string_view runtime, std::string_view id, std::string_view folder,
                                             bool again) {
    std::vector<std::string> words = {std::string(kHelperName), "delete", std::string(runtime), std::string(id),
                                      std::string(folder)};
    if (again) words.emplace_back(kWithoutHooks);
    return words;
}

std::string failure_file(std::string_view folder) {
    return std::string(folder) + "/failure";
}

std::string failure_line(std::string_view message) {
    return json::serialize(json::object{{"level", "error"}, {"msg", message}}) + "\n";
}

std::string failure_of(std::string_view log) {
    std::string last;
    for (const std::string_view line : split(log, '\n')) {
        json::error_code problem;
        const json::value value = json::parse(line, problem);
        if (problem || !value.is_object()) continue;
        const std::string message = text_of(value.get_object(), "msg");
        const std::string level = text_of(value.get_object(), "level");
        if (!message.empty() && level != "debug" && level != "info" && level != "warning") last = message;
    }
    return last;
}

}  // namespace abide::oci
