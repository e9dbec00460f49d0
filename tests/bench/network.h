// Operations over a network, counted in its round trips: what they take longer when a round trip takes a millisecond
// longer. An echo through the same relay is one, so what the relay itself costs cancels out.
#pragma once

#include "results.h"
#include "target.h"

namespace p11shim {

void measure_network(const BenchPaths& paths, std::chrono::milliseconds round, unsigned rounds, Facts& facts);

}  // namespace p11shim
