#include "tools/shimctl/output/present.h"

#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sstream>

#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/terminal.h"
#include "tools/shimctl/output/terminal_text.h"

namespace p11shim {

namespace {

// False if there is no pager that can be started.
bool show_in_pager(const std::string& text) {
  const char* chosen = std::getenv("PAGER");
  const std::string pager = chosen == nullptr || *chosen == '\0' ? "less -FRSX" : chosen;
  if (pager == "cat") return false;
  FILE* pipe = ::popen(pager.c_str(), "w");
  if (pipe == nullptr) return false;
  std::fwrite(text.data(), 1, text.size(), pipe);  // a pager that was left early reads no further
  const int status = ::pclose(pipe);
  return status != 127 << 8;  // the shell found no such program
}

}  // namespace

void present(const Invocation& invocation, const Report& report) {
  const ReportStyle style{.format = invocation.format,
                          .emphasis = wants_colour(STDOUT_FILENO),
                          .width = invocation.format == OutputFormat::kTable ? terminal_columns() : 0};
  const std::size_t lines = terminal_lines();
  if (invocation.format == OutputFormat::kTable && lines > 0 && is_terminal(STDIN_FILENO) &&
      report.rows.size() + 2 > lines) {
    std::ostringstream text;
    write_report(text, report, style);
    if (!show_in_pager(text.str())) invocation.out << text.str();
  } else {
    write_report(invocation.out, report, style);
  }
}

void present_file(const Invocation& invocation, const std::string& name, const std::string& path, std::uint64_t bytes) {
  if (invocation.format == OutputFormat::kTable || invocation.format == OutputFormat::kPlain) return;
  Report report{.name = name};
  report.data.set("out", path).set("bytes", bytes);
  present(invocation, report);
}

Page page_of(const Invocation& invocation, std::size_t count) {
  Page page{.begin = 0, .end = count, .next = {}};
  if (!invocation.cursor.empty()) {
    const char* end = invocation.cursor.data() + invocation.cursor.size();
    const auto parsed = std::from_chars(invocation.cursor.data(), end, page.begin);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
      throw Failure(ExitCode::kUsage, "--cursor takes what \"next\" of the former page was", "");
    }
    page.begin = std::min(page.begin, count);
  }
  if (invocation.limit != 0 && count - page.begin > invocation.limit) {
    page.end = page.begin + invocation.limit;
    page.next = std::to_string(page.end);
  }
  return page;
}

void note(const Invocation& invocation, const std::string& text) {
  invocation.err << "shimctl: " << terminal_text(text) << '\n';
}

}  // namespace p11shim
