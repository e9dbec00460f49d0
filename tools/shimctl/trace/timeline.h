// A recording as one page of HTML that needs nothing else: who called what when, and how it ended.
#pragma once

#include <string>

#include "tools/shimctl/trace/analysis.h"

namespace p11shim {

std::string timeline_html(const Recording& recording, const Analysis& analysis, const std::string& title);

}  // namespace p11shim
