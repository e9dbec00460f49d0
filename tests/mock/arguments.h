// Cuts the flat argument list of a PKCS#11 function into what the arguments mean (a buffer and its length, a
// template and its count), from their types and, where types do not tell, from the function. Deliberately
// knows nothing of the project's own call table: it is the other opinion that the table is tested against.
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>

#include "functions.h"

namespace p11shim::argument {

struct Scalar {
  CK_ULONG value;
};
struct InBytes {
  const CK_BYTE* data;
  CK_ULONG size;
};
struct OutBytes {
  CK_BYTE* data;
  CK_ULONG* size;
};
struct FillBytes {
  CK_BYTE* data;
  CK_ULONG size;
};
struct Label {
  const CK_BYTE* data;
};  // 32 bytes
struct Template {
  const CK_ATTRIBUTE* attributes;
  CK_ULONG count;
};
struct Query {
  CK_ATTRIBUTE* attributes;
  CK_ULONG count;
};
struct Mechanism {
  const CK_MECHANISM* mechanism;
};
struct Parameter {
  void* data;
  CK_ULONG size;
};  // of a message; its type is that of the mechanism's
struct UlongList {
  CK_ULONG* values;
  CK_ULONG* count;
};
struct FoundObjects {
  CK_ULONG* handles;
  CK_ULONG capacity;
  CK_ULONG* count;
};
struct OutUlong {
  CK_ULONG* value;
};
template <class Info>
struct OutInfo {
  Info* info;
};
struct Opaque {
  bool null;
};  // reserved pointers, callbacks, initialisation arguments

// Whether the argument types from the I-th on begin with these.
template <class Arguments, std::size_t I, class... Types>
constexpr bool starts_with() {
  constexpr std::size_t size = std::tuple_size_v<Arguments>;
  if constexpr (I + sizeof...(Types) > size) {
    return false;
  } else {
    return []<std::size_t... J>(std::index_sequence<J...>) {
      return (std::is_same_v<std::tuple_element_t<I + J, Arguments>, Types> && ...);
    }
    (std::index_sequence_for<Types...>{});
  }
}

namespace detail {

template <Function F>
inline constexpr bool kFillsBytes = F == Function::C_GenerateRandom;
template <Function F>
inline constexpr bool kQueries = F == Function::C_GetAttributeValue;
template <Function F>
inline constexpr bool kLists = F == Function::C_GetSlotList || F == Function::C_GetMechanismList;

template <Function F, std::size_t I, class Visitor, class Arguments>
void visit_from(Visitor& visit, const Arguments& all) {
  if constexpr (I < std::tuple_size_v<Arguments>) {
    const auto a = std::get<I>(all);
    using Type = std::tuple_element_t<I, Arguments>;
    if constexpr (starts_with<Arguments, I, CK_BYTE*, CK_ULONG*>()) {
      visit(OutBytes{a, std::get<I + 1>(all)});
      visit_from<F, I + 2>(visit, all);
    } else if constexpr (starts_with<Arguments, I, CK_BYTE*, CK_ULONG>()) {
      if constexpr (kFillsBytes<F>) visit(FillBytes{a, std::get<I + 1>(all)});
      else visit(InBytes{a, std::get<I + 1>(all)});
      visit_from<F, I + 2>(visit, all);
    } else if constexpr (starts_with<Arguments, I, CK_ATTRIBUTE*, CK_ULONG>()) {
      if constexpr (kQueries<F>) visit(Query{a, std::get<I + 1>(all)});
      else visit(Template{a, std::get<I + 1>(all)});
      visit_from<F, I + 2>(visit, all);
    } else if constexpr (starts_with<Arguments, I, void*, CK_ULONG>()) {
      visit(Parameter{a, std::get<I + 1>(all)});
      visit_from<F, I + 2>(visit, all);
    } else if constexpr (starts_with<Arguments, I, CK_ULONG*, CK_ULONG, CK_ULONG*>()) {
      visit(FoundObjects{a, std::get<I + 1>(all), std::get<I + 2>(all)});
      visit_from<F, I + 3>(visit, all);
    } else if constexpr (kLists<F> && starts_with<Arguments, I, CK_ULONG*, CK_ULONG*>()) {
      visit(UlongList{a, std::get<I + 1>(all)});
      visit_from<F, I + 2>(visit, all);
    } else {
      if constexpr (std::is_same_v<Type, CK_MECHANISM*>) visit(Mechanism{a});
      else if constexpr (std::is_same_v<Type, CK_BYTE*>) visit(Label{a});
      else if constexpr (std::is_same_v<Type, CK_ULONG*>) visit(OutUlong{a});
      else if constexpr (std::is_same_v<Type, CK_INFO*> || std::is_same_v<Type, CK_SLOT_INFO*> ||
                         std::is_same_v<Type, CK_TOKEN_INFO*> || std::is_same_v<Type, CK_SESSION_INFO*> ||
                         std::is_same_v<Type, CK_MECHANISM_INFO*>)
        visit(OutInfo<std::remove_pointer_t<Type>>{a});
      else if constexpr (std::is_pointer_v<Type>) visit(Opaque{a == nullptr});
      else visit(Scalar{a});
      visit_from<F, I + 1>(visit, all);
    }
  }
}

}  // namespace detail

// Calls `visitor` with one of the structs above per meaning, in the order of the arguments.
template <Function F, class Visitor, class... Arguments>
void visit(Visitor&& visitor, Arguments... arguments) {
  detail::visit_from<F, 0>(visitor, std::tuple<Arguments...>{arguments...});
}

}  // namespace p11shim::argument
