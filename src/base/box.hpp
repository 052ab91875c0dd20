// base/box.hpp -- an optional value kept on the heap: copies deeply, compares by value, costs one pointer when absent.
// Keeps the specification of a plain service small although a full one has many parts.
#pragma once

#include <memory>
#include <utility>

namespace abide {

template <class T>
class Box {
  public:
    using value_type = T;

    Box() = default;
    explicit Box(T value) : value_(std::make_unique<T>(std::move(value))) {}
    Box(const Box& other) : value_(other.value_ ? std::make_unique<T>(*other.value_) : nullptr) {}
    Box(Box&&) noexcept = default;
    Box& operator=(const Box& other) {
        if (this != &other) value_ = other.value_ ? std::make_unique<T>(*other.value_) : nullptr;
        return *this;
    }
    Box& operator=(Box&&) noexcept = default;
    Box& operator=(T value) {
        value_ = std::make_unique<T>(std::move(value));
        return *this;
    }
    ~Box() = default;

    explicit operator bool() const { return value_ != nullptr; }
    T& operator*() { return *value_; }
    const T& operator*() const { return *value_; }
    T* operator->() { return value_.get(); }
    const T* operator->() const { return value_.get(); }

    // The value, or T's own defaults when absent.
    const T& or_default() const {
        static const T kDefault{};
        return value_ ? *value_ : kDefault;
    }
    // The value, made from T's defaults when absent.
    T& ensure() {
        if (!value_) value_ = std::make_unique<T>();
        return *value_;
    }
    void reset() { value_.reset(); }

    friend bool operator==(const Box& a, const Box& b) {
        if (!a.value_ || !b.value_) return !a.value_ && !b.value_;
        return *a.value_ == *b.value_;
    }

  private:
    std::unique_ptr<T> value_;
};

}  // namespace abide
