// The probes of whole calls, and a module's functions that look through them.
#pragma once

#include "argument_probes.h"

namespace p11shim {

// The probes of all arguments of a call, each with a seed of its own.
template <class Kinds, class = std::make_index_sequence<Kinds::size>>
struct ProbesOf;
template <class... Kind, std::size_t... I>
struct ProbesOf<Types<Kind...>, std::index_sequence<I...>> {
  ProbesOf(Variant variant, CK_RV rv) : contexts{ProbeContext{variant, rv, I + 1}...}, probes{contexts[I]...} {}
  ProbesOf(const ProbesOf&) = delete;

  // Calls fn with the C arguments of all of them.
  template <class Fn>
  void with_arguments(Fn&& fn) {
    std::apply([&](auto&... probe) { std::apply(fn, std::tuple_cat(probe.c()...)); }, probes);
  }
  void application_sees() {
    std::apply([](auto&... probe) { (probe.application_sees(), ...); }, probes);
  }

  std::array<ProbeContext, sizeof...(Kind)> contexts;
  std::tuple<Probe<Kind>...> probes;
};
template <class Call>
using Probes = ProbesOf<typename Call::Arguments>;

// A module's function that looks at its arguments through the probes.
template <class Call, class C = typename Call::C>
struct FakeFunction;
template <class Call, class... Parameter>
struct FakeFunction<Call, Types<Parameter...>> {
  using Kinds = typename Call::Arguments;
  static inline Probes<Call>* probes = nullptr;
  static inline CK_RV rv = CKR_OK;
  static inline int calls = 0;

  static void answer_with(Probes<Call>& answers) {
    probes = &answers;
    rv = answers.contexts[0].rv;
    calls = 0;
  }
  static CK_RV function(Parameter... arguments) {
    ++calls;
    std::tuple<Parameter...> flat(arguments...);
    show<0, 0>(flat, Kinds{});
    return rv;
  }

 private:
  template <std::size_t I, std::size_t Offset, class Flat>
  static void show(Flat&, Types<>) {}
  template <std::size_t I, std::size_t Offset, class Flat, class Kind, class... Rest>
  static void show(Flat& flat, Types<Kind, Rest...>) {
    show_one<I, Offset>(flat, std::make_index_sequence<Kind::C::size>{});
    show<I + 1, Offset + Kind::C::size>(flat, Types<Rest...>{});
  }
  template <std::size_t I, std::size_t Offset, class Flat, std::size_t... N>
  static void show_one(Flat& flat, std::index_sequence<N...>) {
    std::get<I>(probes->probes).module_sees(std::get<Offset + N>(flat)...);
  }
};

template <class Fn>
void for_each_forwarded_call(Fn&& fn) {
  for_each_call([&]<class Call>() {
    if constexpr (Call::policy.where != Where::shim) fn.template operator()<Call>();
  });
}

}  // namespace p11shim
