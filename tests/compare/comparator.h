// Compares what a module answered with what it answered through something else, call by call.
#pragma once

#include "differences.h"
#include "transcript.h"

namespace p11shim::compare {

// Every place where the transcripts differ and the table does not allow it, in order. What follows the first
// one is often its consequence.
std::vector<Difference> compare(const std::string& test_case, const std::string& backend,
                                const std::vector<TranscriptLine>& direct, const std::vector<TranscriptLine>& proxied,
                                const AllowedDifferences& allowed);

// For people: the case, the call with its arguments and the calls before it, both sides.
std::string explain(const Difference& difference, const std::vector<TranscriptLine>& direct);

}  // namespace p11shim::compare
