// Arguments of the functions that never leave the application's process: they only make up the C prototype.
#pragma once

#include "calls/argument.h"

namespace p11shim {

template <class... T>
struct Local {
  static constexpr std::string_view name{"Local"};
  using C = Types<T...>;
};

}  // namespace p11shim
