// The verbs of key that read or write files.
#include <CLI/CLI.hpp>

#include "tools/shimctl/commands/key/certificate.h"
#include "tools/shimctl/commands/key/key_commands.h"
#include "tools/shimctl/commands/key/transfer.h"
#include "tools/shimctl/commands/key/wrap.h"
#include "tools/shimctl/commands/option_text.h"
#include "tools/shimctl/commands/subcommand.h"

namespace p11shim {

namespace {

template <class Options>
void add_names(CLI::App& app, Options& options) {
  app.add_option("--label", options.label, "Its name")->required()->option_text("LABEL");
  app.add_option("--id", options.id, "Its id in hexadecimal; random otherwise")->option_text("HEX");
  app.add_option("--attr", options.attributes, "Attributes: 'sign !extractable'")
      ->option_text("WORDS")
      ->allow_extra_args(false);
  app.add_flag("--allow-duplicate", options.allow_duplicate, "Even if the label is taken");
}

void add_wrapping(CLI::App& app, WrapOptions& options) {
  app.add_option("--mechanism", options.mechanism, "aes-kwp, aes-kw, rsa-oaep or rsa-pkcs")->option_text("NAME");
  app.add_option("--hash", options.hash, "Of OAEP")->capture_default_str()->option_text("NAME");
}

void add_wraps(CLI::App& key, Invocation& invocation) {
  const auto wrap = add_command(key, invocation, "wrap", "Write a key, encrypted with another, to a file", &wrap_key);
  add_key_option(*wrap.app, "key", wrap.options->key, invocation);
  wrap.app->add_option("--with", wrap.options->with, "The key that encrypts it")->required()->option_text("KEY");
  wrap.app->add_option("--out", wrap.options->out, "File; standard output otherwise")->option_text("FILE");
  add_wrapping(*wrap.app, *wrap.options);

  const auto unwrap = add_command(key, invocation, "unwrap", "Make a key of what wrap wrote", &unwrap_key);
  unwrap.app->add_option("file", unwrap.options->in, "What wrap wrote")->required();
  unwrap.app->add_option("--with", unwrap.options->with, "The key that decrypts it")->required()->option_text("KEY");
  unwrap.app->add_option("--type", unwrap.options->type, "What it is: aes:256, rsa, ec:P-256, …")
      ->required()
      ->option_text("TYPE");
  add_names(*unwrap.app, *unwrap.options);
  add_wrapping(*unwrap.app, *unwrap.options);

  const auto rewrap = add_command(key, invocation, "rewrap", "Wrap a wrapped key with another key", &rewrap_key);
  rewrap.app->add_option("file", rewrap.options->in, "What wrap wrote")->required();
  rewrap.app->add_option("--with", rewrap.options->with, "The key that decrypts it")->required()->option_text("KEY");
  rewrap.app->add_option("--to", rewrap.options->to, "The key that encrypts it then")->required()->option_text("KEY");
  rewrap.app->add_option("--type", rewrap.options->type, "What it is: aes:256, rsa, …")
      ->required()
      ->option_text("TYPE");
  rewrap.app->add_option("--out", rewrap.options->out, "File; standard output otherwise")->option_text("FILE");
  rewrap.app->add_option("--to-mechanism", rewrap.options->to_mechanism, "Of the new wrapping")->option_text("NAME");
  add_wrapping(*rewrap.app, *rewrap.options);
}

void add_certificate(CLI::App& key, Invocation& invocation, const char* name, const char* what,
                     ExitCode (*run)(const Invocation&, const CertificateOptions&), bool with_days) {
  const auto command = add_command(key, invocation, name, what, run);
  add_key_option(*command.app, "key", command.options->key, invocation);
  command.app->add_option("--subject", command.options->subject, "/CN=name/O=firm")->required()->option_text("NAME");
  command.app->add_option("--hash", command.options->hash, "Of the signature")
      ->capture_default_str()
      ->option_text("NAME");
  command.app->add_option("--out", command.options->out, "File; standard output otherwise")->option_text("FILE");
  command.app->add_flag("--der", command.options->der, "DER instead of PEM");
  if (!with_days) return;
  command.app->add_option("--days", command.options->days, "How long it is valid")->capture_default_str();
}

}  // namespace

void add_key_transfer_commands(CLI::App& key, Invocation& invocation) {
  const auto import =
      add_command(key, invocation, "import", "Make objects of a file: keys or a certificate", &import_key);
  import.app->add_option("file", import.options->file, "PEM or DER, or the bytes of a secret key; - is standard input")
      ->required();
  import.app->add_option("--type", import.options->type, "Of a secret key: aes:256, hmac:256, …")->option_text("TYPE");
  add_names(*import.app, *import.options);

  const auto out = add_command(key, invocation, "export-pub", "Write the public half of a key", &export_public_key);
  add_key_option(*out.app, "key", out.options->key, invocation);
  out.app->add_option("--format", out.options->format, "pem or der")
      ->check(CLI::IsMember({"pem", "der"}))
      ->capture_default_str();
  out.app->add_option("--out", out.options->file, "File; standard output otherwise")->option_text("FILE");

  add_wraps(key, invocation);
  add_certificate(key, invocation, "csr", "Make a certificate request", &make_request, false);
  add_certificate(key, invocation, "cert", "Make a self-signed certificate", &make_certificate, true);
}

}  // namespace p11shim
