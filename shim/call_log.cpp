#include "shim/call_log.h"

#include "calls/mechanism_text.h"
#include "pkcs11/names.h"

namespace p11shim {

void CallText::add(const std::string& argument) {
  text_ += has_arguments_ ? ", " : "(";
  text_ += argument;
  has_arguments_ = true;
}

// "session 3", "slot 0", "object 1407375…"; other numbers stand for themselves.
void CallText::number(std::string_view kind, CK_ULONG value) {
  const bool is_handle = kind == Session::name || kind == Slot::name || kind == Object::name;
  std::string text;
  if (is_handle) {
    text = kind;
    text[0] = static_cast<char>(text[0] | 0x20);
    text += ' ';
  }
  add(text + std::to_string(value));
}

void CallText::mechanism(CK_MECHANISM_PTR mechanism) {
  add(mechanism == nullptr ? "NULL" : describe_mechanism(*mechanism));
}

void CallText::items(const void* items, CK_ULONG count, const char* what) {
  add((items == nullptr ? "NULL of " : "") + std::to_string(count) + ' ' + what);
}

// What the module left in the count has a meaning with these codes only.
void CallText::result(const void* buffer, const CK_ULONG* count, const char* what) {
  const bool is_told = count != nullptr && (rv_ == CKR_OK || rv_ == CKR_BUFFER_TOO_SMALL);
  add((buffer == nullptr ? "how many " : "to ") + std::string(what) +
      (is_told ? ": " + std::to_string(*count) : std::string()));
}

void CallText::found(const CK_ULONG*, CK_ULONG capacity, const CK_ULONG* count) {
  add("of " + std::to_string(capacity) + " objects" + (rv_ == CKR_OK ? ": " + std::to_string(*count) : std::string()));
}

void CallText::result_handle(const CK_ULONG* handle) {
  if (rv_ == CKR_OK && handle != nullptr) add("new handle " + std::to_string(*handle));
}

std::string CallText::finish() && {
  if (has_arguments_) text_ += ')';
  return std::move(text_ += ": " + display(NameKind::ckr, rv_));
}

}  // namespace p11shim
