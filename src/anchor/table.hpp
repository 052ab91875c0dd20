// anchor/table.hpp -- a table of bounded size, keyed by a number, without a heap.
//
// Entries lie side by side in .bss, where pages that were never touched cost no memory; an index of 16-bit places over
// them (open addressing, linear probing) finds one by its key.  The index grows by being built anew over the same
// array, so a small instance touches one page of each however its keys are spread.  Invariants: key 0 is nobody's; at
// most half of the index is in use; entries do not move while others are added, and removing moves the last one into
// the gap.
#pragma once

#include <cstdint>

namespace abide::anchor {

template <class Entry, std::uint32_t kMost>
class Table {
    static_assert((kMost & (kMost - 1)) == 0 && kMost <= 32768, "places are 16 bits wide, 0 is none");

  public:
    std::uint32_t count() const { return count_; }
    Entry* begin() { return entries_; }
    Entry* end() { return entries_ + count_; }

    Entry* find(std::uint64_t key) {
        if (key == 0 || count_ == 0) return nullptr;
        for (std::uint32_t i = home(key); index_[i] != 0; i = next(i))
            if (entries_[index_[i] - 1].key == key) return &entries_[index_[i] - 1];
        return nullptr;
    }

    // The entry of `key`, made if there is none; null when the table is full or the key is 0.
    Entry* add(std::uint64_t key) {
        if (Entry* old = find(key)) return old;
        if (key == 0 || count_ == kMost) return nullptr;
        entries_[count_] = {};
        entries_[count_].key = static_cast<decltype(Entry::key)>(key);
        ++count_;
        if (count_ * 2 > slots_)
            build(slots_ == 0 ? kFirstSlots : slots_ * 2);
        else
            enter(count_);
        return &entries_[count_ - 1];
    }

    void remove(Entry* entry) {
        const std::uint32_t gone = place(entry->key);
        Entry* last = &entries_[count_ - 1];
        if (entry != last) {
            index_[place(last->key)] = index_[gone];
            *entry = *last;
        }
        --count_;
        close_gap(gone);
    }

  private:
    static constexpr std::uint32_t kFirstSlots = 256;

    // Neighbouring keys, such as pids, get neighbouring slots.
    std::uint32_t home(std::uint64_t key) const { return std::uint32_t(key + (key >> 32) * 40503) & (slots_ - 1); }
    std::uint32_t next(std::uint32_t slot) const { return (slot + 1) & (slots_ - 1); }

    // The slot of a key that is in the table.
    std::uint32_t place(std::uint64_t key) const {
        std::uint32_t i = home(key);
        while (entries_[index_[i] - 1].key != key) i = next(i);
        return i;
    }

    void enter(std::uint32_t number) {
        std::uint32_t i = home(entries_[number - 1].key);
        while (index_[i] != 0) i = next(i);
        index_[i] = std::uint16_t(number);
    }

    void build(std::uint32_t slots) {
        slots_ = slots;
        for (std::uint32_t i = 0; i < slots; ++i) index_[i] = 0;
        for (std::uint32_t number = 1; number <= count_; ++number) enter(number);
    }

    // Moves later entries of the run back, so that no search meets a gap before its key.
    void close_gap(std::uint32_t gap) {
        for (std::uint32_t i = next(gap); index_[i] != 0; i = next(i)) {
            const std::uint32_t wanted = home(entries_[index_[i] - 1].key);
            if (((i - wanted) & (slots_ - 1)) < ((i - gap) & (slots_ - 1))) continue;
            index_[gap] = index_[i];
            gap = i;
        }
        index_[gap] = 0;
    }

    Entry entries_[kMost];
    std::uint16_t index_[2 * kMost];
    std::uint32_t slots_;
    std::uint32_t count_;
};

}  // namespace abide::anchor
