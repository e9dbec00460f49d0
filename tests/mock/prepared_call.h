// One call of any function with arguments of the right kinds, made from its prototype alone, and the means to
// see what it did to its outputs: every output is filled with kUntouched before.
#pragma once

#include <algorithm>
#include <array>
#include <tuple>

#include "mock/arguments.h"

namespace p11shim {

// A mechanism that nobody knows and that has no parameter; the mock offers it.
inline constexpr CK_MECHANISM_TYPE kVendorMechanism = CKM_VENDOR_DEFINED + 1;

template <Function F, class Prototype>
class PreparedCall;

template <Function F, class... Arguments>
class PreparedCall<F, CK_RV (*)(Arguments...)> {
 public:
  static constexpr CK_BYTE kUntouched = 0xee;

  // For functions whose first argument is a session; others get nothing there.
  PreparedCall([[maybe_unused]] CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key) : key_(key) {
    bytes_.fill(kUntouched);
    queried_.fill(kUntouched);
    handles_.fill(kUntouchedHandle);
    if constexpr (starts_with<0, CK_SESSION_HANDLE>()) std::get<0>(values_) = session;
    fill<1>();
  }
  PreparedCall(const PreparedCall&) = delete;
  PreparedCall& operator=(const PreparedCall&) = delete;

  CK_RV operator()(CK_RV (*function)(Arguments...)) { return std::apply(function, values_); }

  template <class Visitor>
  void describe(Visitor& visitor) const {
    std::apply([&](auto... arguments) { argument::visit<F>(visitor, arguments...); }, values_);
  }

  // Lengths aside: those an error may change.
  bool outputs_are_untouched() const {
    const auto is_untouched = [](CK_BYTE byte) { return byte == kUntouched; };
    return std::all_of(bytes_.begin(), bytes_.end(), is_untouched) &&
           std::all_of(queried_.begin(), queried_.end(), is_untouched) &&
           std::all_of(handles_.begin(), handles_.end(), [](CK_ULONG value) { return value == kUntouchedHandle; });
  }

 private:
  static constexpr CK_ULONG kUntouchedHandle = 0xeeeeeeee;
  using Values = std::tuple<Arguments...>;

  template <std::size_t I, class... Types>
  static constexpr bool starts_with() {
    return argument::starts_with<Values, I, Types...>();
  }

  template <std::size_t I>
  void fill() {
    if constexpr (I < sizeof...(Arguments)) {
      auto& value = std::get<I>(values_);
      if constexpr (starts_with<I, CK_BYTE*, CK_ULONG*>()) {
        value = bytes_.data();
        std::get<I + 1>(values_) = &size_;
        fill<I + 2>();
      } else if constexpr (starts_with<I, CK_BYTE*, CK_ULONG>()) {
        value = F == Function::C_GenerateRandom ? bytes_.data() : data_.data();
        std::get<I + 1>(values_) = data_.size();
        fill<I + 2>();
      } else if constexpr (starts_with<I, CK_ATTRIBUTE*, CK_ULONG>()) {
        value = F == Function::C_GetAttributeValue ? &query_ : &template_;
        std::get<I + 1>(values_) = 1;
        fill<I + 2>();
      } else if constexpr (starts_with<I, void*, CK_ULONG>()) {
        fill<I + 2>();  // a message without parameter: NULL, 0
      } else if constexpr (starts_with<I, CK_ULONG*, CK_ULONG, CK_ULONG*>()) {
        value = &handles_[0];
        std::get<I + 1>(values_) = 1;
        std::get<I + 2>(values_) = &size_;
        fill<I + 3>();
      } else {
        if constexpr (starts_with<I, CK_MECHANISM*>()) value = &mechanism_;
        if constexpr (starts_with<I, CK_ULONG*>()) value = &handles_[next_handle_++];
        if constexpr (starts_with<I, CK_ULONG>()) value = kIsFlags<I> ? 0 : key_;
        if constexpr (starts_with<I, CK_SESSION_INFO*>()) value = reinterpret_cast<CK_SESSION_INFO*>(queried_.data());
        fill<I + 1>();
      }
    }
  }

  // Numbers that are not keys: the last ones of C_…MessageNext and C_SessionCancel.
  template <std::size_t I>
  static constexpr bool kIsFlags = I + 1 == sizeof...(Arguments) &&
                                   (function_name(F).ends_with("MessageNext") || F == Function::C_SessionCancel);

  const CK_OBJECT_HANDLE key_;
  std::array<CK_BYTE, 12> data_{'s', 'o', 'm', 'e', ' ', 'i', 'n', 'p', 'u', 't', 0, 0xff};
  std::array<CK_BYTE, 5> label_{'l', 'a', 'b', 'e', 'l'};
  alignas(CK_SESSION_INFO) std::array<CK_BYTE, 64> queried_{};
  std::array<CK_BYTE, 256> bytes_{};
  CK_ULONG size_ = bytes_.size();
  std::array<CK_ULONG, 2> handles_{};
  std::size_t next_handle_ = 0;
  CK_ATTRIBUTE template_{CKA_LABEL, label_.data(), label_.size()};
  CK_ATTRIBUTE query_{CKA_LABEL, queried_.data(), queried_.size()};
  CK_MECHANISM mechanism_{kVendorMechanism, nullptr, 0};
  Values values_{};
};

}  // namespace p11shim
