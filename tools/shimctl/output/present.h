// Writes what a command answers to where its user looks: in the chosen format, in a pager if it is a long
// table on a terminal, in pages if --limit says so.
#pragma once

#include "tools/shimctl/invocation.h"
#include "tools/shimctl/output/report.h"

namespace p11shim {

void present(const Invocation& invocation, const Report& report);

// The same for what was written to a file, which the forms for programs tell and the others do not.
void present_file(const Invocation& invocation, const std::string& name, const std::string& path, std::uint64_t bytes);

// The part of `count` rows that --limit and --cursor ask for. Throws Failure (kUsage) if the cursor is not
// one of ours.
struct Page {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string next;  // the cursor of the next page; empty: this is the last one
};
Page page_of(const Invocation& invocation, std::size_t count);

// Tells the user something that is no data.
void note(const Invocation& invocation, const std::string& text);

}  // namespace p11shim
