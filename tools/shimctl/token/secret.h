// Text that is overwritten before its memory is given back, and that no stream prints.
#pragma once

#include <string>
#include <string_view>

#include "wire/buffer.h"

namespace p11shim {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view text) : text_(text) {}
  ~Secret() { clear(); }
  Secret(Secret&& other) : text_(other.text_) { other.clear(); }  // a move would leave a short text behind
  Secret& operator=(Secret&& other) {
    clear();
    text_.reserve(other.text_.capacity());
    text_ = other.text_;
    other.clear();
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  std::string_view reveal() const { return text_; }
  void reserve(std::size_t size) { text_.reserve(size); }  // before append(), which must not reallocate
  void append(char byte) { text_.push_back(byte); }
  std::size_t size() const { return text_.size(); }

 private:
  void clear() {
    wipe(text_.data(), text_.size());
    text_.clear();
  }

  std::string text_;
};

}  // namespace p11shim
