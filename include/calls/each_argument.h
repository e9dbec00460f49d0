// Walks over the argument kinds of a call, handing each the C parameters that it covers.
#pragma once

#include <tuple>
#include <utility>

#include "calls/argument.h"

namespace p11shim {

// Calls fn.template operator()<Kind>(its C parameters…) for every kind, in order; `flat` holds all C parameters.
template <std::size_t Offset = 0, class Fn, class Flat>
void each_argument(Fn&&, Flat&, Types<>) {}

template <std::size_t Offset = 0, class Fn, class Flat, class Kind, class... Rest>
void each_argument(Fn&& fn, Flat& flat, Types<Kind, Rest...>) {
  [&]<std::size_t... I>(std::index_sequence<I...>) { fn.template operator()<Kind>(std::get<Offset + I>(flat)...); }
  (std::make_index_sequence<Kind::C::size>{});
  each_argument<Offset + Kind::C::size>(fn, flat, Types<Rest...>{});
}

}  // namespace p11shim
