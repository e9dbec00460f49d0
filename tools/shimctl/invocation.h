// What all commands of one shimctl process share: where they write, in which form, whom they ask, and the
// options that mean the same everywhere.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "tools/shimctl/exit_code.h"
#include "tools/shimctl/output/format.h"

namespace p11shim {

// Which token of which module, and where its PINs come from.
struct TokenChoice {
  std::string module{};              // path; empty: libpkcs11-shim.so, so the running proxyd
  std::string library_parameters{};  // as NSS wants them
  std::string token{};               // label
  std::optional<unsigned long> slot{};
  std::string uri{};      // RFC 7512
  std::string key_uri{};  // a key that was given as a URI: may say what the others leave open
  std::string pin_from{};
  std::string so_pin_from{};
};

enum class ProgressMode : std::uint8_t { kAuto, kNone, kJson };

struct Invocation {
  std::ostream& out;  // data only
  std::ostream& err;
  OutputFormat format = OutputFormat::kTable;
  std::string control_path;
  std::vector<std::string> command_line;  // of another program: what followed "--"

  TokenChoice token;
  std::size_t limit = 0;  // rows; 0: all
  std::string cursor;     // where the former page ended
  bool dry_run = false;
  bool yes = false;
  ProgressMode progress = ProgressMode::kAuto;

  // Set by the command that was chosen; run when the whole command line is known.
  std::function<ExitCode()> command;
};

}  // namespace p11shim
