// anchor/table.hpp -- a table of fixed size, keyed by a number: open addressing, linear probing, no heap.
//
// Owns its slots, which live in .bss: pages that were never touched cost no memory.  Neighbouring keys land in
// neighbouring slots, so a small instance touches one page.  Invariants: key 0 means an empty slot; no probe ever meets
// a tombstone, since removing moves later entries back.  Reading from left to right while removing may meet an entry
// twice or not at all.
#pragma once

#include <cstdint>

namespace abide::anchor {

template <class Entry, std::uint32_t kSlots, std::uint32_t kMost>
struct Table {
    static_assert((kSlots & (kSlots - 1)) == 0 && kMost <= kSlots / 2);

    Entry slots[kSlots];
    std::uint32_t count;

    static std::uint32_t home(std::uint64_t key) { return std::uint32_t(key + (key >> 32) * 40503) & (kSlots - 1); }

    Entry* find(std::uint64_t key) {
        if (key == 0) return nullptr;
        for (std::uint32_t i = home(key); slots[i].key != 0; i = (i + 1) & (kSlots - 1))
            if (slots[i].key == key) return &slots[i];
        return nullptr;
    }

    // The entry of `key`, made if there is none; null when the table is full or the key is 0.
    Entry* add(std::uint64_t key) {
        if (Entry* old = find(key)) return old;
        if (key == 0 || count == kMost) return nullptr;
        std::uint32_t i = home(key);
        while (slots[i].key != 0) i = (i + 1) & (kSlots - 1);
        slots[i] = {};
        slots[i].key = static_cast<decltype(Entry::key)>(key);
        ++count;
        return &slots[i];
    }

    void remove(Entry* entry) {
        std::uint32_t hole = std::uint32_t(entry - slots);
        for (std::uint32_t i = (hole + 1) & (kSlots - 1); slots[i].key != 0; i = (i + 1) & (kSlots - 1)) {
            const std::uint32_t wanted = home(slots[i].key);
            if (((i - wanted) & (kSlots - 1)) < ((i - hole) & (kSlots - 1)))
                continue;  // already at or after the hole's reach
            slots[hole] = slots[i];
            hole = i;
        }
        slots[hole] = {};
        --count;
    }
};

}  // namespace abide::anchor
