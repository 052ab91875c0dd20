// config/sources.cc -- see sources.hpp.
#include "config/sources.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "config/tables.hpp"
#include "config/toml.hpp"

namespace abide::config {

namespace {

constexpr KeyInfo kDocument[] = {
    {.name = "project", .shape = Shape::table, .doc = "The instance as a whole.", .table = "project"},
    {.name = "control",
     .shape = Shape::table,
     .doc = "Who, besides the owner and root, may do what.",
     .table = "control"},
    {.name = "events", .shape = Shape::table, .doc = "How much of the event log is kept.", .table = "events"},
    {.name = "include",
     .shape = Shape::texts,
     .doc = "More files of the same form, relative to the file that names them."},
    {.name = "services",
     .shape = Shape::named_tables,
     .doc = "The services, by name. `NAME@` is a template, `NAME@INSTANCE` an instance.",
     .table = "service"},
};

std::string place(const Report& report, Position position) {
    return report.file(position.file) + ":" + std::to_string(position.line);
}

}  // namespace

constinit const std::span<const KeyInfo> kDocumentKeys = kDocument;

void Sources::incomplete(Position position, std::string text, std::string advice) {
    complete_ = false;
    report_.error(position, std::move(text), std::move(advice));
}

bool Sources::parse(std::string_view text, std::uint32_t index, Value& root) {
    std::optional<SyntaxError> error = parse_toml(text, index, root);
    if (error) incomplete(error->position, std::move(error->text), std::move(error->advice));
    return !error;
}

bool Sources::count_file(Position named_at) {
    if (++count_ <= limits::kConfigFiles) return true;
    if (count_ == limits::kConfigFiles + 1) {
        reader_.error(named_at, "more than " + std::to_string(limits::kConfigFiles) + " files",
                      "put several services into one");
    }
    return false;
}

bool Sources::read_other(const std::string& path, bool may_be_missing, Position named_at, std::string& text,
                         std::uint32_t& index) {
    if (!count_file(named_at)) return false;
    Result<std::string> content = files_.read(path);
    if (!content) {
        if (content.error().kind == ErrorKind::not_found && may_be_missing) return false;
        report_.error(named_at, "can't read " + path + ": " + content.error().what, std::move(content.error().advice));
        return false;
    }
    if (content->size() > limits::kConfigFileBytes) {
        report_.error(named_at, path + " has more than " + format_size(limits::kConfigFileBytes) + " bytes",
                      "split it");
        return false;
    }
    index = report_.add_file(path);
    read_.push_back(path);
    text = std::move(*content);
    return true;
}

void Sources::add_entry(const std::string& path) {
    const bool may_be_missing = context_.mode != Mode::project;
    const std::string folder = folder_of(path);
    const std::uint32_t index = report_.add_file(path);
    add_file(path, Role::definition, {index, 0, 0}, may_be_missing);
    if (context_.mode != Mode::project) add_folder(join_path(folder, "services"), Role::definition);
    add_folder(join_path(folder, "abide.d"), Role::drop_in);
}

void Sources::add_folder(const std::string& folder, Role role) {
    const Result<std::vector<std::string>> names = files_.list(folder, ".toml");
    if (!names) {
        const std::uint32_t index = report_.add_file(folder);
        incomplete({index, 0, 0}, "can't be listed: " + names.error().what, names.error().advice);
        return;
    }
    if (names->empty()) return;
    const std::uint32_t index = report_.add_file(folder);
    for (const std::string& path : *names) add_file(path, role, {index, 0, 0}, false);
}

void Sources::add_file(const std::string& path, Role role, Position named_at, bool may_be_missing) {
    const std::string folded = join_path("", path);
    if (std::ranges::find(including_, folded) != including_.end()) {
        return report_.error(named_at, "a cycle of includes: " + including_.back() + " includes " + folded + " again",
                             "remove one of them");
    }
    // A file that two others include is read once.
    if (seen_.contains(folded)) return;
    if (including_.size() >= limits::kIncludeDepth) {
        return report_.error(named_at, "includes are more than " + std::to_string(limits::kIncludeDepth) + " deep",
                             "include it from the first file");
    }
    seen_.insert(folded);
    if (!count_file(named_at)) return;
    Result<std::string> text = files_.read(path);
    if (!text) {
        if (text.error().kind == ErrorKind::not_found && may_be_missing) return;
        // A file that the user or a folder named stands for itself in the message.
        const std::string subject =
            report_.file(named_at.file) == path ? "can't be read: " : "can't read " + path + ": ";
        return incomplete(named_at, subject + text.error().what, std::move(text.error().advice));
    }
    const std::uint32_t index = report_.file(named_at.file) == path ? named_at.file : report_.add_file(path);
    Value root;
    read_.push_back(path);
    if (!parse(*text, index, root)) return;
    text->clear();
    text->shrink_to_fit();
    including_.push_back(folded);
    add_document(std::move(root), role, path);
    including_.pop_back();
}

void Sources::add_text(const std::string& name, std::string_view text) {
    const std::uint32_t index = report_.add_file(name);
    Value root;
    if (parse(text, index, root)) add_document(std::move(root), Role::text, name);
}

void Sources::add_document(Value root, Role role, const std::string& path) {
    const Value* includes = nullptr;
    for (Member& member : root.members) {
        const auto row = std::ranges::find(kDocumentKeys, member.key, &KeyInfo::name);
        if (row == kDocumentKeys.end()) {
            std::vector<std::string_view> known;
            for (const KeyInfo& key : kDocumentKeys) known.push_back(key.name);
            report_unknown(reader_, member, known);
            continue;
        }
        if (role == Role::text && member.key != "services") {
            reader_.error(member.position, "\"" + member.key + "\" is not possible when services are added",
                          "give only [services.NAME]");
            continue;
        }
        const Reader::Nest nest(reader_, member.key);
        if (!reader_.expect(*row, member.value, row->shape == Shape::texts ? ValueType::array : ValueType::table))
            continue;
        if (member.key == "include") includes = &member.value;
        if (member.key == "services") add_services(std::move(member.value), role);
        if (member.key == "project") merge(kProjectKeys, project_, std::move(member.value), role);
        if (member.key == "control") merge(kControlKeys, control_, std::move(member.value), role);
        if (member.key == "events") merge(kEventsKeys, events_, std::move(member.value), role);
    }
    if (includes != nullptr) add_includes(*includes, role, path);
}

void Sources::add_includes(const Value& list, Role role, const std::string& path) {
    for (const Value& item : list.items) {
        if (item.type != ValueType::text || item.text.empty()) {
            reader_.error(item.position,
                          "include: expected the path of a file, not " + std::string(describe(item.type)));
            continue;
        }
        add_file(join_path(folder_of(path), item.text), role, item.position, false);
    }
}

void Sources::add_services(Value table, Role role) {
    for (Member& member : table.members) {
        if (!is_service_name(member.key) && !is_template_name(member.key)) {
            reader_.error(
                member.position, "not a service name: \"" + printable(member.key, 80) + "\"",
                "use letters, digits, _ . - and at most one @, 64 bytes each side, beginning with a letter or digit");
            continue;
        }
        if (is_reserved_name(member.key)) {
            reader_.error(member.position,
                          "\"" + member.key + "\" is the name of a file of Abide's own in the log folder",
                          "choose another name");
            continue;
        }
        const auto [entry, fresh] = services_.try_emplace(member.key);
        const Reader::Nest nest(reader_, member.key);
        if (fresh) {
            if (services_.size() == limits::kServices + 1) {
                reader_.error(member.position, "more than " + std::to_string(limits::kServices) + " services");
            }
            entry->second = {std::move(member.value), member.position};
        } else if (role != Role::drop_in) {
            reader_.error(member.position, "is defined already, at " + place(report_, entry->second.position),
                          "change single keys of it in abide.d/*.toml");
        } else if (member.value.type != ValueType::table || entry->second.table.type != ValueType::table) {
            reader_.error(member.value.position, "expected a table, not " + std::string(describe(member.value.type)));
        } else {
            merge(kServiceKeys, entry->second.table, std::move(member.value), role);
        }
    }
}

template <class Row>
void Sources::merge(std::span<const Row> rows, Value& base, Value table, Role role) {
    if (base.members.empty()) base.position = table.position;
    for (Member& member : table.members) {
        const auto old = std::ranges::find(base.members, member.key, &Member::key);
        if (old == base.members.end()) {
            base.members.push_back(std::move(member));
            continue;
        }
        const Reader::Nest nest(reader_, member.key);
        if (role != Role::drop_in) {
            reader_.error(member.position, "is set already, at " + place(report_, old->position), "remove one of them");
            continue;
        }
        const auto row = std::ranges::find(rows, member.key, [](const Row& key) { return key.info.name; });
        const bool both_tables = old->value.type == ValueType::table && member.value.type == ValueType::table;
        if (row == rows.end() || !row->info.merges || !both_tables) {
            *old = std::move(member);
            continue;
        }
        std::map<std::string_view, Member*> places;
        for (Member& inner : old->value.members) places.emplace(inner.key, &inner);
        std::vector<Member> added;
        for (Member& inner : member.value.members) {
            const auto found = places.find(inner.key);
            if (found == places.end()) {
                added.push_back(std::move(inner));
            } else {
                found->second->position = inner.position;
                found->second->value = std::move(inner.value);
            }
        }
        std::ranges::move(added, std::back_inserter(old->value.members));
    }
}

}  // namespace abide::config
