// A call's inputs as one line of text, equal exactly when the inputs are: the mock's record file consists of
// such lines, and its outputs carry a digest of them.
//
//   0x101                  number, handle or flag
//   <4:64617461>           bytes in hex; above 64 bytes a digest instead: <65536:#0123456789abcdef>; <null:4>
//   for NULL >256                   room for output; >? where only the length is asked for, >null where even
//   its pointer is NULL {0x0=<8:..>,0x3=>16}   template, or attributes asked for
//   m(0x1087,[<12:..>,0x60,<3:..>,0x80])   mechanism, its parameter struct taken apart where it has pointers
//
// Pointers never appear: they differ between processes.
#pragma once

#include <string>

#include "arguments.h"

namespace p11shim {

std::string describe_bytes(const void* data, CK_ULONG size);
std::string describe_template(const CK_ATTRIBUTE* attributes, CK_ULONG count);
std::string describe_parameter(CK_MECHANISM_TYPE mechanism, const void* data, CK_ULONG size);
std::string describe_mechanism(const CK_MECHANISM* mechanism);

std::uint64_t digest(std::string_view text);  // FNV-1a

class Description {
 public:
  // `message_mechanism` is what a message's parameter belongs to; 0 where none is known.
  explicit Description(CK_MECHANISM_TYPE message_mechanism) : message_mechanism_(message_mechanism) {}

  void operator()(argument::Scalar scalar);
  void operator()(argument::InBytes bytes);
  void operator()(argument::OutBytes bytes);
  void operator()(argument::FillBytes bytes);
  void operator()(argument::Label label);
  void operator()(argument::Template attributes);
  void operator()(argument::Query query);
  void operator()(argument::Mechanism mechanism);
  void operator()(argument::Parameter parameter);
  void operator()(argument::UlongList list);
  void operator()(argument::FoundObjects found);
  void operator()(argument::OutUlong output);
  void operator()(argument::Opaque opaque);
  template <class Info>
  void operator()(argument::OutInfo<Info> output) {
    add(output.info == nullptr ? ">null" : ">");
  }

  const std::string& text() const { return text_; }

 private:
  void add(std::string_view word);

  const CK_MECHANISM_TYPE message_mechanism_;
  std::string text_;
};

}  // namespace p11shim
