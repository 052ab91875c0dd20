// base/rare.hpp -- a text or a list that is nearly always empty: one pointer then, where a string has 32 bytes and a
// vector three pointers.
//
// Copies deeply and compares by value, like the text or list that it is while there is something in it.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/box.hpp"

namespace abide {

template <class T>
class Rare {
  public:
    using value_type = typename T::value_type;
    using iterator = typename T::iterator;
    using const_iterator = typename T::const_iterator;

    Rare() = default;
    Rare(T value) {
        if (!value.empty()) value_ = std::move(value);
    }
    Rare(const char* text)
        requires std::same_as<T, std::string>
        : Rare(T(text)) {}
    Rare(std::initializer_list<value_type> list) : Rare(T(list)) {}
    Rare& operator=(std::initializer_list<value_type> list) { return *this = Rare(list); }

    operator const T&() const { return value(); }
    [[nodiscard]] const T& value() const { return value_.or_default(); }
    [[nodiscard]] bool empty() const { return value().empty(); }
    [[nodiscard]] std::size_t size() const { return value().size(); }
    const_iterator begin() const { return value().begin(); }
    const_iterator end() const { return value().end(); }
    decltype(auto) at(std::size_t at) const { return value().at(at); }
    decltype(auto) operator[](std::size_t at) const { return value()[at]; }
    decltype(auto) front() const { return value().front(); }
    decltype(auto) back() const { return value().back(); }

    // What it has, to be changed; made when there is nothing.
    T& edit() { return value_.ensure(); }
    iterator begin() { return value_ ? value_->begin() : iterator{}; }
    iterator end() { return value_ ? value_->end() : iterator{}; }
    decltype(auto) operator[](std::size_t at) { return (*value_)[at]; }
    decltype(auto) front() { return value_->front(); }
    decltype(auto) back() { return value_->back(); }
    void push_back(value_type one) { edit().push_back(std::move(one)); }
    void erase(const_iterator at) { value_->erase(at); }
    void clear() { value_.reset(); }
    void shrink_to_fit() {
        if (empty()) value_.reset();
        if (value_) value_->shrink_to_fit();
    }

    template <class Which>
    friend std::size_t erase_if(Rare& rare, Which which) {
        return rare.value_ ? std::erase_if(*rare.value_, which) : 0;
    }
    friend std::size_t erase(Rare& rare, const value_type& one) {
        return rare.value_ ? std::erase(*rare.value_, one) : 0;
    }
    friend bool operator==(const Rare& a, const Rare& b) { return a.value() == b.value(); }
    template <class Text>
        requires std::same_as<T, std::string> && std::convertible_to<const Text&, std::string_view>
    friend bool operator==(const Rare& a, const Text& b) {
        return a.value() == b;
    }

  private:
    Box<T> value_;
};

}  // namespace abide
