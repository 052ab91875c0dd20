// manager/inbox.hpp -- what happened since the last turn, until the engine has taken it.
//
// Owns inputs that are not stepped yet, in three classes: facts about processes first, then what services say, then
// what people ask.  Within a class the order of arrival stands, so a spawn is known before its exit.  Knows no
// descriptor.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "model/input.hpp"

namespace abide::manager {

enum class InputClass : std::uint8_t { process, notification, request };

// Which call of which connection waits for the answer to an input; zero when nobody does.
struct Ticket {
    std::uint64_t connection = 0;
    std::uint64_t call = 0;
};

class Inbox {
  public:
    struct Item {
        model::Input input;
        Ticket ticket;
    };

    void push(InputClass rank, model::Input input, Ticket ticket = {}) {
        items_[static_cast<std::size_t>(rank)].push_back({std::move(input), ticket});
    }
    [[nodiscard]] bool empty() const { return items_[0].empty() && items_[1].empty() && items_[2].empty(); }

    // All of it, by class; empty afterwards.
    std::vector<Item> take() {
        std::vector<Item> all = std::move(items_[0]);
        for (std::size_t rank = 1; rank < items_.size(); ++rank) {
            for (Item& item : items_[rank]) all.push_back(std::move(item));
        }
        for (std::vector<Item>& one : items_) one.clear();
        return all;
    }

    void release_memory() {
        for (std::vector<Item>& one : items_) one.shrink_to_fit();
    }

  private:
    std::array<std::vector<Item>, 3> items_;
};

}  // namespace abide::manager
