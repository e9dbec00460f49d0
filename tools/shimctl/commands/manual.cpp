#include "tools/shimctl/commands/manual.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ostream>
#include <sstream>

namespace p11shim {

namespace {

bool is_shown(const CLI::App& command) { return !command.get_group().empty(); }

// Those that every command has.
bool is_for_all(const CLI::Option& option) {
  const std::string names = option.get_name(false, true);
  return names == "-h,--help" || names == "--help-all";
}

// ".TP" of one option: its names, what it takes, what it does.
void write_option(std::ostream& out, const CLI::Option& option) {
  if (option.get_group().empty() || is_for_all(option)) return;
  const bool positional = option.get_positional();
  std::string names = positional ? option.get_name(true) : option.get_name(false, true);
  for (std::size_t at = 0; (at = names.find(',', at)) != std::string::npos; at += 2) names.replace(at, 1, ", ");
  out << ".TP\n.B " << roff_text(names);
  if (!positional && option.get_items_expected_max() > 0) {
    const std::string value = option.get_option_text().empty() ? option.get_type_name() : option.get_option_text();
    out << " \\fI" << roff_text(value) << "\\fR";
  }
  out << '\n' << roff_text(option.get_description());
  if (!option.get_default_str().empty()) out << " (" << roff_text(option.get_default_str()) << ')';
  out << '\n';
}

void write_options(std::ostream& out, const CLI::App& command) {
  for (const auto* option : command.get_options()) write_option(out, *option);
}

void write_footer(std::ostream& out, const std::string& footer) {
  if (footer.empty()) return;
  out << ".PP\n.nf\n";
  std::istringstream lines(footer);
  for (std::string line; std::getline(lines, line);) out << roff_text(line) << '\n';
  out << ".fi\n";
}

std::string positionals(const CLI::App& command) {
  std::string text;
  for (const auto* option : command.get_options())
    if (option->get_positional())
      text += (option->get_required() ? " " : " [") + option->get_name(true) + (option->get_required() ? "" : "]");
  return text;
}

void write_commands(std::ostream& out, const CLI::App& parent, const std::string& path) {
  const std::string parents_footer = parent.get_footer();  // inherited where a command has none
  for (const auto* command : parent.get_subcommands({})) {
    if (!is_shown(*command)) continue;
    const std::string name = path + " " + command->get_name();
    const bool noun = command->get_require_subcommand_min() > 0;
    if (!noun) {
      out << ".SS \"" << roff_text(name + positionals(*command)) << "\"\n"
          << roff_text(command->get_description()) << ".\n";
      for (const std::string& alias : command->get_aliases()) out << "Also called " << roff_text(alias) << ".\n";
      write_options(out, *command);
      if (command->get_footer() != parents_footer) write_footer(out, command->get_footer());
    }
    write_commands(out, *command, name);
  }
}

void write_manual(std::ostream& out, const CLI::App& root) {
  out << ".TH SHIMCTL 1 \"\" \"" << roff_text(root.version()) << "\" \"User Commands\"\n"
      << ".SH NAME\nshimctl \\- a toolbox for PKCS#11 modules and their proxy\n"
      << ".SH SYNOPSIS\n.B shimctl\n[\\fIOPTIONS\\fR] \\fINOUN\\fR \\fIVERB\\fR [\\fIOPTIONS\\fR] "
         "[\\fIARGUMENTS\\fR]\n"
      << ".SH DESCRIPTION\n"
      << roff_text(root.get_description()) << '\n'
      << "Options may stand before the command and after it. Data goes to standard output and nothing else "
         "does.\n"
      << ".SH OPTIONS\n";
  write_options(out, root);
  out << ".SH COMMANDS\n";
  write_commands(out, root, "shimctl");
  out << ".SH EXIT STATUS\n";
  write_footer(out, root.get_footer());
  out << ".SH ENVIRONMENT\n"
      << ".TP\n.B P11SHIM_CONTROL\nproxyd's control socket.\n"
      << ".TP\n.B P11SHIM_ENDPOINT\nWhere the shim finds proxyd.\n"
      << ".TP\n.B P11SHIM_EXPLAIN_DIR\nWhere vendors' profiles of return codes are; otherwise "
         "/etc/p11shim/explain.d.\n"
      << ".TP\n.B NO_COLOR\nNo colours.\n"
      << ".TP\n.B PAGER\nWhat shows long tables.\n"
      << ".SH SEE ALSO\n.BR proxyd (8)\n";
}

}  // namespace

std::string roff_text(const std::string& text) {
  std::string safe;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte == '\\') safe += "\\e";
    else if (byte == '-') safe += "\\-";
    else if (byte < 0x80) safe += text[at];
    else {
      // A character of UTF-8 by its number: not every roff reads the bytes.
      const std::size_t more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
      unsigned long number = byte & (0x3fU >> more);
      for (std::size_t i = 0; i < more && at + 1 < text.size(); ++i)
        number = number << 6 | (static_cast<unsigned char>(text[++at]) & 0x3fU);
      char name[16];
      std::snprintf(name, sizeof name, "\\[u%04lX]", number);
      safe += name;
    }
  }
  // A period or an apostrophe at the beginning of a line would be a request.
  if (!safe.empty() && (safe[0] == '.' || safe[0] == '\'')) safe.insert(0, "\\&");
  return safe;
}

void add_manual(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("manual", "Write the manual page");
  command->group("");
  auto* tree = &root;
  command->callback([&invocation, tree] {
    invocation.command = [&invocation, tree] {
      write_manual(invocation.out, *tree);
      return ExitCode::kOk;
    };
  });
}

}  // namespace p11shim
