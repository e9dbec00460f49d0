// Bytes as the cases write them and as transcripts show them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkcs11/cryptoki.h"

namespace p11shim::compare {

using Bytes = std::vector<CK_BYTE>;

Bytes from_hex(std::string_view hex);
std::string to_hex(std::span<const CK_BYTE> bytes);
Bytes from_text(std::string_view text);

// `size` bytes that look random and are the same everywhere.
Bytes pattern(std::size_t size, CK_BYTE seed = 0);

// What an application hands over: a pointer and a length that need not fit together.
struct Input {
  const CK_BYTE* data = nullptr;
  CK_ULONG size = 0;

  Input(const Bytes& bytes) : data(bytes.data()), size(bytes.size()) {
    static const CK_BYTE kNoBytes = 0;
    if (!data) data = &kNoBytes;  // empty, but not NULL
  }
  Input(const char* text) : data(reinterpret_cast<const CK_BYTE*>(text)), size(std::string_view(text).size()) {}
  static Input null(CK_ULONG size = 0) { return Input(size); }

 private:
  explicit Input(CK_ULONG claimed) : size(claimed) {}
};

}  // namespace p11shim::compare
