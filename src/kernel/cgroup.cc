// kernel/cgroup.cc -- the tree of one instance; see cgroup.hpp.  What is done with a single leaf is in cgroup_leaf.cc.
#include "kernel/cgroup.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "kernel/files.hpp"
#include "kernel/process.hpp"

namespace abide::kernel {
namespace {

constexpr std::size_t kMountinfoBytes = 8u << 20;
constexpr std::size_t kControlFileBytes = 64u << 10;
constexpr const char* kOwnLeaf = "abide";
constexpr int kDeepest = 16;
constexpr int kRemoveRounds = 3;
constexpr char kBeforeLeaf = '+';  // no escaped name has it

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> out;
    for (std::size_t at = 0; (at = line.find_first_not_of(" \n", at)) != std::string_view::npos;) {
        const std::size_t end = std::min(line.find_first_of(" \n", at), line.size());
        out.push_back(line.substr(at, end - at));
        at = end;
    }
    return out;
}

bool has_word(std::string_view line, std::string_view word) {
    const std::vector<std::string_view> words = words_of(line);
    return std::ranges::find(words, word) != words.end();
}

// mountinfo writes blanks and backslashes as three octal digits: proc_pid_mountinfo(5).
std::string unescape_octal(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            out.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
            i += 3;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

std::string join(const std::string& folder, std::string_view name) {
    return folder == "/" ? "/" + std::string(name) : folder + "/" + std::string(name);
}

// rmdir; with groups below, which a service may have made, those first.
Status remove_group(int parent, const std::string& name, int depth) {
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    if (errno != EBUSY) return fail_errno(errno, "can't remove the control group " + name);
    const Result<Fd> fd = open_beneath(parent, name, O_RDONLY | O_DIRECTORY);
    if (!fd) return std::unexpected(fd.error());
    const Result<std::vector<std::string>> names = list_directory(fd->get());
    for (const std::string& inner : names ? *names : std::vector<std::string>{}) {
        struct stat info{};
        const bool is_group =
            ::fstatat(fd->get(), inner.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
        if (!is_group || depth >= kDeepest) continue;
        if (Status s = remove_group(fd->get(), inner, depth + 1); !s) return s;
    }
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    if (errno == EBUSY) {
        return std::unexpected(Error{ErrorKind::refused, "processes are left in the control group " + name, EBUSY, {}});
    }
    return fail_errno(errno, "can't remove the control group " + name);
}

Result<Fd> open_group(int parent, const std::string& name) {
    return open_beneath(parent, name, O_RDONLY | O_DIRECTORY);
}

Result<Fd> make_group(int parent, const std::string& name) {
    if (::mkdirat(parent, name.c_str(), 0755) != 0 && errno != EEXIST) {
        return fail_errno(errno, "can't make the control group " + name);
    }
    return open_group(parent, name);
}

}  // namespace

Result<CgroupHome> parse_cgroup_home(std::string_view mountinfo, std::string_view self_cgroup) {
    std::string group;
    for (std::size_t at = 0; at < self_cgroup.size();) {
        const std::size_t end = std::min(self_cgroup.find('\n', at), self_cgroup.size());
        const std::string_view line = self_cgroup.substr(at, end - at);
        if (line.starts_with("0::")) group = line.substr(3);
        at = end + 1;
    }
    if (group.empty()) return fail(ErrorKind::refused, "no control groups of version 2");
    // "/../x": our group lies outside of what our namespace shows.
    if (group.find("/..") != std::string::npos)
        return fail(ErrorKind::refused, "our control group is out of sight: " + group);
    for (std::size_t at = 0; at < mountinfo.size();) {
        const std::size_t end = std::min(mountinfo.find('\n', at), mountinfo.size());
        const std::vector<std::string_view> w = words_of(mountinfo.substr(at, end - at));
        at = end + 1;
        const auto dash = std::ranges::find(w, "-");
        if (w.size() < 7 || dash == w.end() || w.end() - dash < 2 || *(dash + 1) != "cgroup2") continue;
        const std::string root = unescape_octal(w[3]);
        // The mount may show only a part of the hierarchy.
        if (root == "/") return CgroupHome{unescape_octal(w[4]), group};
        if (group == root) return CgroupHome{unescape_octal(w[4]), "/"};
        if (group.starts_with(root + "/")) return CgroupHome{unescape_octal(w[4]), group.substr(root.size())};
    }
    return fail(ErrorKind::refused, "no cgroup2 file system is mounted");
}

Result<CgroupHome> find_cgroup_home() {
    const Result<std::string> mounts = read_file("/proc/self/mountinfo", kMountinfoBytes);
    if (!mounts) return std::unexpected(mounts.error());
    const Result<std::string> own = read_file("/proc/self/cgroup", kControlFileBytes);
    if (!own) return std::unexpected(own.error());
    return parse_cgroup_home(*mounts, *own);
}

std::vector<std::string> controllers_within_reach(bool stays) {
    std::vector<std::string> out;
    const Result<CgroupHome> home = find_cgroup_home();
    if (!home) return out;
    const Result<Fd> group = open_directory(home->mount + (home->group == "/" ? "" : home->group));
    if (!group || ::faccessat(group->get(), ".", W_OK, AT_EACCESS) != 0) return out;
    const auto listed = [&](const char* file) {
        return read_file_beneath(group->get(), file, kControlFileBytes).value_or(std::string{});
    };
    const bool is_root = ::faccessat(group->get(), "cgroup.type", F_OK, 0) != 0;
    const std::vector<pid_t> members = is_root ? std::vector<pid_t>{} : parse_cgroup_procs(listed("cgroup.procs"));
    const bool gives_more = std::ranges::all_of(members, [&](pid_t pid) { return !stays && pid == ::getpid(); });
    const std::string given = listed("cgroup.subtree_control"), offered = listed("cgroup.controllers");
    for (const std::string_view name : words_of(std::string_view(offered).substr(0, offered.find('\n')))) {
        if (gives_more || has_word(given, name)) out.emplace_back(name);
    }
    return out;
}

std::string run_leaf_name(std::uint64_t run) {
    return "r" + std::to_string(run) + ".main";
}

std::string escape_cgroup_name(std::string_view name) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string out;
    for (std::size_t i = 0; i < name.size(); ++i) {
        const auto c = static_cast<unsigned char>(name[i]);
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        const bool inner_dot = c == '.' && i > 0 && i + 1 < name.size();
        if (letter || c == '-' || c == '_' || c == '@' || inner_dot) {
            out.push_back(static_cast<char>(c));
        } else {
            out += {'%', kHex[c >> 4], kHex[c & 15]};
        }
    }
    return out;
}

std::string unescape_cgroup_name(std::string_view name) {
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'A' + 10; };
    std::string out;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] == '%' && i + 2 < name.size()) {
            out.push_back(static_cast<char>(digit(name[i + 1]) * 16 + digit(name[i + 2])));
            i += 2;
        } else {
            out.push_back(name[i]);
        }
    }
    return out;
}

Result<CgroupTree> CgroupTree::create(const std::string& instance) {
    const Result<CgroupHome> home = find_cgroup_home();
    if (!home) return std::unexpected(home.error());
    // Started again below our own tree (by a manager that moved itself): the tree is where it was.
    std::string group = home->group;
    const std::string own_suffix = "/abide-" + escape_cgroup_name(instance) + "/" + kOwnLeaf;
    if (group.ends_with(own_suffix)) group.resize(group.size() - own_suffix.size());
    if (group.empty()) group = "/";
    Result<Fd> parent = open_directory(home->mount + (group == "/" ? "" : group));
    if (!parent) return std::unexpected(parent.error());
    return create_at(std::move(*parent), group, instance);
}

Result<CgroupTree> CgroupTree::create_at(Fd parent, const std::string& shown_parent, const std::string& instance) {
    CgroupTree tree;
    tree.parent_ = std::move(parent);
    tree.folder_ = "abide-" + escape_cgroup_name(instance);
    tree.path_ = join(shown_parent, tree.folder_);
    Result<Fd> root = make_group(tree.parent_.get(), tree.folder_);
    if (!root) return std::unexpected(Error{ErrorKind::refused, root.error().what, root.error().err, {}});
    tree.root_ = std::move(*root);
    Result<Fd> own = make_group(tree.root_.get(), kOwnLeaf);
    if (!own) return std::unexpected(Error{ErrorKind::refused, own.error().what, own.error().err, {}});
    tree.own_ = std::move(*own);
    if (const Result<Fd> procs = open_beneath(tree.own_.get(), "cgroup.procs", O_WRONLY); !procs) {
        return std::unexpected(
            Error{ErrorKind::refused, "can't place processes in control groups", procs.error().err, {}});
    }
    tree.inotify_ = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!tree.inotify_) return fail_errno(errno, "no inotify", "raise fs.inotify.max_user_instances");
    return tree;
}

Status CgroupTree::adopt_own(pid_t pid) {
    if (cgroup_of(pid).value_or(std::string{}) == join(path_, kOwnLeaf)) return {};
    return cgroup_join(own_.get(), pid);
}

std::vector<std::string> CgroupTree::enable_controllers(const std::vector<std::string>& wanted) {
    const auto listed = [](const Fd& group, const char* file) {
        return read_file_beneath(group.get(), file, kControlFileBytes).value_or(std::string{});
    };
    // Asked first, since a write waits for a grace period also when it changes nothing.
    const std::string on = listed(root_, "cgroup.subtree_control"), offered = listed(parent_, "cgroup.controllers");
    std::vector<std::string> absent;
    for (const std::string& name : wanted) {
        if (has_word(on, name)) continue;
        if (!has_word(offered, name)) {
            absent.push_back(name);
            continue;
        }
        // In the group that we were started in it works only when nobody else is left there.
        static_cast<void>(write_control_file(parent_.get(), "cgroup.subtree_control", "+" + name));
        if (!write_control_file(root_.get(), "cgroup.subtree_control", "+" + name)) absent.push_back(name);
    }
    return absent;
}

std::string CgroupTree::folder_of(std::string_view service, std::string_view leaf) {
    return escape_cgroup_name(service) + kBeforeLeaf + escape_cgroup_name(leaf);
}

Result<Fd> CgroupTree::make_leaf(std::string_view service, std::string_view leaf) {
    if (!std::exchange(makes_leaves_, true)) FoldersAhead::stand_back(root_.get());
    const std::string folder = folder_of(service, leaf);
    // Those that somebody made ahead come first, and to look for one waits for nobody.
    if (made_ahead_) {
        if (Result<Fd> there = open_group(root_.get(), folder); there) return there;
        made_ahead_ = false;
    }
    return make_group(root_.get(), folder);
}

std::unique_ptr<FoldersAhead> CgroupTree::make_leaves_ahead(const std::vector<std::string>& services,
                                                            std::string_view leaf) {
    std::vector<std::string> folders;
    for (const std::string& service : services) folders.push_back(folder_of(service, leaf));
    Result<Fd> root = root_.duplicate();
    return root ? FoldersAhead::begin(std::move(*root), std::move(folders)) : nullptr;
}

Result<Fd> CgroupTree::open_leaf(std::string_view service, std::string_view leaf) {
    return open_beneath(root_.get(), folder_of(service, leaf), O_RDONLY | O_DIRECTORY);
}

Result<std::size_t> CgroupTree::signal_leaf(std::string_view service, std::string_view leaf, int signal,
                                            std::span<const pid_t> have_it) {
    const std::string folder = folder_of(service, leaf);
    struct stat info{};
    const bool flat = ::fstatat(root_.get(), folder.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_nlink == 2;
    const Result<std::string> text =
        flat ? read_file_beneath(root_.get(), folder + "/cgroup.procs", kControlFileBytes) : std::string{};
    const bool all_have_it = flat && text && std::ranges::all_of(parse_cgroup_procs(*text), [&](pid_t pid) {
                                 return std::ranges::find(have_it, pid) != have_it.end();
                             });
    if (all_have_it) return 0;
    const Result<Fd> fd = open_beneath(root_.get(), folder, O_RDONLY | O_DIRECTORY);
    if (!fd) return fd.error().kind == ErrorKind::not_found ? Result<std::size_t>{0} : std::unexpected(fd.error());
    return cgroup_signal_all(fd->get(), signal, have_it);
}

Result<bool> CgroupTree::leaf_populated(std::string_view service, std::string_view leaf) const {
    const Result<bool> populated = cgroup_populated(root_.get(), folder_of(service, leaf));
    if (!populated && populated.error().kind == ErrorKind::not_found) return false;
    return populated;
}

std::string CgroupTree::leaf_path(std::string_view service, std::string_view leaf) const {
    return join(path_, folder_of(service, leaf));
}

Status CgroupTree::remove_leaf(std::string_view service, std::string_view leaf) {
    return remove_group(root_.get(), folder_of(service, leaf), 0);
}

Result<std::vector<CgroupTree::LeafName>> CgroupTree::list_leaves() const {
    std::vector<LeafName> out;
    const Result<std::vector<std::string>> names = list_directory(root_.get());
    if (!names) return std::unexpected(names.error());
    for (const std::string& name : *names) {
        const std::size_t at = name.find(kBeforeLeaf);  // the kernel's own files have none
        if (at == std::string::npos) continue;
        out.push_back({unescape_cgroup_name(name.substr(0, at)), unescape_cgroup_name(name.substr(at + 1))});
    }
    return out;
}

// Again, if somebody was just making leaves ahead.
Status CgroupTree::remove() {
    Status removed;
    for (int round = 0; round < kRemoveRounds; ++round) {
        removed = remove_group(parent_.get(), folder_, 0);
        if (removed) break;
    }
    return removed;
}

Result<int> CgroupTree::watch_events(int group) {
    const std::string events = "/proc/self/fd/" + std::to_string(group) + "/cgroup.events";
    const int watch = ::inotify_add_watch(inotify_.get(), events.c_str(), IN_MODIFY);
    if (watch < 0) return fail_errno(errno, "can't watch a control group", "raise fs.inotify.max_user_watches");
    return watch;
}

// One file has one watch, whatever it is watched for.
void CgroupTree::unwatch(int watch) {
    const auto same = [&](const auto& entry) { return entry.second.watch == watch; };
    if (!watches_.contains(watch) && std::ranges::none_of(freezing_, same)) ::inotify_rm_watch(inotify_.get(), watch);
}

Result<bool> CgroupTree::watch_empty(std::string_view service, std::string_view leaf, std::uint64_t token) {
    Result<Fd> fd = open_leaf(service, leaf);
    if (!fd) {
        if (fd.error().kind == ErrorKind::not_found) return false;
        return std::unexpected(fd.error());
    }
    const Result<int> watch = watch_events(fd->get());
    if (!watch) return std::unexpected(watch.error());
    watches_[*watch] = Watch{token, std::move(*fd)};
    // Looked at after the watch is there, so that no change falls between.
    const Result<bool> populated = cgroup_populated(watches_[*watch].leaf.get());
    if (populated && *populated) return true;
    forget_watch(token);
    if (!populated) return std::unexpected(populated.error());
    return false;
}

void CgroupTree::forget_watch(std::uint64_t token) {
    for (auto it = watches_.begin(); it != watches_.end();) {
        const auto [watch, found] = std::pair{it->first, it->second.token == token};
        it = found ? watches_.erase(it) : std::next(it);
        if (found) unwatch(watch);
    }
}

Result<bool> CgroupTree::freeze(std::string_view service, std::string_view leaf, std::string_view below, bool frozen,
                                std::uint64_t token) {
    forget_freeze(token);
    Result<Fd> whole = open_leaf(service, leaf);
    if (!whole) return std::unexpected(whole.error());
    Result<Fd> part = fail(ErrorKind::not_found, "no group below");
    if (!below.empty()) part = open_group(whole->get(), std::string(below));
    if (!frozen) {
        const Status one = part ? cgroup_freeze(part->get(), false) : Status{},
                     other = cgroup_freeze(whole->get(), false);
        if (!one || !other) return std::unexpected((one ? other : one).error());
        return true;
    }
    Fd group = std::move(part ? *part : *whole);
    const Result<int> watch = watch_events(group.get());
    if (!watch) return std::unexpected(watch.error());
    const Status asked = cgroup_freeze(group.get(), true);
    const Result<bool> done = asked ? cgroup_frozen(group.get()) : std::unexpected(asked.error());
    if (done && !*done)
        freezing_[token] = Freezing{*watch, std::move(group)};
    else
        unwatch(*watch);
    return done;
}

void CgroupTree::forget_freeze(std::uint64_t token) {
    const auto found = freezing_.extract(token);
    if (found) unwatch(found.mapped().watch);
}

std::vector<std::uint64_t> CgroupTree::drain_frozen() {
    std::vector<std::uint64_t> out;
    for (const auto& [token, freezing] : freezing_) {
        const Result<bool> frozen = cgroup_frozen(freezing.group.get());
        if (frozen ? *frozen : frozen.error().err == ENODEV || frozen.error().err == ENOENT) out.push_back(token);
    }
    for (const std::uint64_t token : out) forget_freeze(token);
    return out;
}

std::vector<std::uint64_t> CgroupTree::drain_empty() {
    std::vector<std::uint64_t> out;
    alignas(inotify_event) std::array<char, 4096> buffer;
    for (;;) {
        const Result<std::size_t> n = read_some(inotify_.get(), buffer.data(), buffer.size());
        if (!n || *n == kNothingNow || *n == 0) break;
        bool lost = false;
        for (std::size_t at = 0; at + sizeof(inotify_event) <= *n;) {
            inotify_event event{};
            std::memcpy(&event, buffer.data() + at, sizeof(event));
            at += sizeof(event) + event.len;
            lost = lost || (event.mask & IN_Q_OVERFLOW) != 0;
            if (watches_.contains(event.wd)) changed_.push_back(event.wd);
        }
        if (!lost) continue;
        for (const auto& [watch, entry] : watches_) changed_.push_back(watch);
    }
    for (const int watch : std::exchange(changed_, {})) {
        const auto found = watches_.find(watch);
        if (found == watches_.end()) continue;
        const Result<bool> populated = cgroup_populated(found->second.leaf.get());
        if (populated && *populated) continue;
        // A group that is gone is empty too; one that can't be read (no descriptor for it, no memory) is looked at
        // again.
        const bool gone = !populated && (populated.error().err == ENODEV || populated.error().err == ENOENT);
        if (!populated && !gone) {
            changed_.push_back(watch);
            continue;
        }
        out.push_back(found->second.token);
        watches_.erase(found);
        unwatch(watch);
    }
    return out;
}

}  // namespace abide::kernel
