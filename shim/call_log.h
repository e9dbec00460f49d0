// A line in the log for each call, at level debug: its name, its arguments and its answer, as the call table's kinds of
// arguments say. Of PINs nothing is told, of all other bytes and of templates only how many there are.
#pragma once

#include <string>
#include <string_view>

#include "calls/each_argument.h"
#include "calls/table.h"
#include "shim/log.h"

namespace p11shim {

class CallText {
 public:
  CallText(std::string_view function, CK_RV rv) : text_(function), rv_(rv) {}

  template <class Kind, class... Value>
  void add(Value... c) {
    if constexpr (std::is_same_v<Kind, Pin>) add("PIN");
    else if constexpr (std::is_same_v<Kind, Mechanism>) mechanism(c...);
    else if constexpr (std::is_same_v<Kind, InTemplate> || std::is_same_v<Kind, QueryTemplate>)
      items(c..., "attributes");
    else if constexpr (std::is_same_v<Kind, MessageParam>) items(c..., "bytes of parameter");
    else if constexpr (std::is_same_v<Kind, InBytes> || std::is_same_v<Kind, FillBytes>) items(c..., "bytes");
    else if constexpr (std::is_same_v<Kind, OutBytes> || std::is_same_v<Kind, OutBytesOptional>) result(c..., "bytes");
    else if constexpr (std::is_same_v<Kind, OutList>) result(c..., "items");
    else if constexpr (std::is_same_v<Kind, FoundObjects>) found(c...);
    else if constexpr (std::is_same_v<Kind, OutHandle>) result_handle(c...);
    else if constexpr (std::is_same_v<typename Kind::C, Types<CK_ULONG>> || std::is_same_v<Kind, Bool>)
      number(Kind::name, c...);
  }
  [[nodiscard]] std::string finish() &&;

 private:
  void add(const std::string& argument);
  void number(std::string_view kind, CK_ULONG value);
  void mechanism(CK_MECHANISM_PTR mechanism);
  void items(const void* items, CK_ULONG count, const char* what);
  void result(const void* buffer, const CK_ULONG* count, const char* what);
  void found(const CK_ULONG* objects, CK_ULONG capacity, const CK_ULONG* count);
  void result_handle(const CK_ULONG* handle);

  std::string text_;
  const CK_RV rv_;
  bool has_arguments_ = false;
};

// After the call. Without memory there is no line.
template <class Call, class... C>
[[gnu::cold, gnu::noinline]] void log_call(const ShimConfig& config, CK_RV rv, C... arguments) noexcept {
  try {
    CallText text(Call::name, rv);
    std::tuple<C...> flat(arguments...);
    each_argument([&]<class Kind>(auto... c) { text.add<Kind>(c...); }, flat, typename Call::Arguments{});
    log_line(config, LogLevel::debug, std::move(text).finish());
  } catch (...) {
  }
}

}  // namespace p11shim
