// tests/fuzz/anchor_side.hpp -- the anchor's state behind a few plain functions: its headers are those of the kernel
// and can't be met with those of the C library in one file.
#pragma once

namespace abide::fuzz {

class AnchorSide {
  public:
    explicit AnchorSide(int socket);  // takes it over
    AnchorSide(const AnchorSide&) = delete;
    AnchorSide& operator=(const AnchorSide&) = delete;
    ~AnchorSide();

    bool listens() const;
    // Takes what has come, says what it has to say, and checks its own bounds.
    void turn();

  private:
    struct State;
    State* state_;
};

}  // namespace abide::fuzz
