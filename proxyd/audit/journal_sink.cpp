#include "proxyd/audit/journal_sink.h"

#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <string>
#include <system_error>

// The journal's own macros would add our source file and line to each record.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

namespace p11shim {

namespace {

// libsystemd takes it for success when there is no journal at all.
constexpr char kJournalSocket[] = "/run/systemd/journal/socket";

iovec field(std::string& text) { return {text.data(), text.size()}; }

void send(std::string_view line) {
  std::string message = "MESSAGE=";
  message += line;
  std::string identifier = "SYSLOG_IDENTIFIER=p11shim-audit";
  std::string priority = "PRIORITY=" + std::to_string(LOG_INFO);
  const std::array fields{field(message), field(identifier), field(priority)};
  const int result = sd_journal_sendv(fields.data(), static_cast<int>(fields.size()));
  if (result < 0) {
    throw AuditSinkError("cannot write to the journal: " + std::generic_category().message(-result));
  }
}

}  // namespace

void JournalSink::write(std::string_view lines) {
  if (::access(kJournalSocket, W_OK) != 0) {
    throw AuditSinkError("no journal to write to: " + std::string(kJournalSocket) + ": " +
                         std::generic_category().message(errno));
  }
  while (!lines.empty()) {
    const std::size_t length = lines.find('\n');
    send(lines.substr(0, length));
    lines.remove_prefix(length + 1);
  }
}

}  // namespace p11shim
