// base/flat_map.hpp -- a map whose entries lie side by side, in the order of their keys: for thousands of small ones,
// of which a node of std::map takes three times as much memory.
//
// Theory.  Keys are counted up (ids, pids), so what is new nearly always goes to the end.  What is taken out leaves its
// place marked as dead; when more than half of the places are dead they are closed up.  So both cost next to nothing,
// whichever end the keys leave from.  A new key in the middle moves what is behind it.
//
// Invariant: whoever keeps a pointer to a value loses it with the next insertion.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace abide {

template <class Key, class Value>
class FlatMap {
  public:
    struct Entry {
        Key key;
        bool dead = false;
        Value value;
    };

    [[nodiscard]] std::size_t size() const { return entries_.size() - dead_; }
    [[nodiscard]] bool empty() const { return size() == 0; }

    Value* find(const Key& key) {
        const auto at = place(key);
        return at != entries_.end() && at->key == key && !at->dead ? &at->value : nullptr;
    }
    const Value* find(const Key& key) const { return const_cast<FlatMap*>(this)->find(key); }
    [[nodiscard]] bool contains(const Key& key) const { return find(key) != nullptr; }

    Value& insert_or_assign(const Key& key, Value value) {
        auto at = place(key);
        if (at == entries_.end() || at->key != key) {
            at = entries_.insert(at, Entry{key, false, std::move(value)});
        } else {
            if (std::exchange(at->dead, false)) --dead_;
            at->value = std::move(value);
        }
        return at->value;
    }
    bool erase(const Key& key) {
        const auto at = place(key);
        if (at == entries_.end() || at->key != key || at->dead) return false;
        at->dead = true;
        at->value = Value{};
        ++dead_;
        if (2 * dead_ > entries_.size()) close_up();
        return true;
    }

    // In the order of the keys; `visit` gets (key, value), and must not change the map.
    template <class Visit>
    void for_each(Visit visit) const {
        for (const Entry& entry : entries_) {
            if (!entry.dead) visit(entry.key, entry.value);
        }
    }

    // Nothing is kept for what was, or for what may come.
    void shrink_to_fit() {
        close_up();
        entries_.shrink_to_fit();
    }

  private:
    auto place(const Key& key) { return std::ranges::lower_bound(entries_, key, {}, &Entry::key); }
    void close_up() {
        std::erase_if(entries_, [](const Entry& entry) { return entry.dead; });
        dead_ = 0;
    }

    std::vector<Entry> entries_;
    std::size_t dead_ = 0;
};

}  // namespace abide
