#include "tools/shimctl/commands/crypto/crypto_commands.h"

#include <CLI/CLI.hpp>

#include "tools/shimctl/commands/crypto/cipher.h"
#include "tools/shimctl/commands/crypto/digest.h"
#include "tools/shimctl/commands/crypto/sign.h"
#include "tools/shimctl/commands/option_text.h"
#include "tools/shimctl/commands/subcommand.h"

namespace p11shim {

namespace {

constexpr char kHashText[] = "sha1, sha224, sha256, sha384, sha512, sha3-256, …";

void add_key(CLI::App& app, std::string& key, Invocation& invocation) {
  add_key_option(app, "--key", key, invocation)->option_text("KEY");
}

void add_input(CLI::App& app, std::string& in) {
  app.add_option("--in", in, "File; standard input otherwise")->option_text("FILE");
}

void add_output(CLI::App& app, std::string& out, const char* text) {
  app.add_option("--out", out, text)->option_text("FILE");
}

void add_scheme(CLI::App& app, SignOptions& options) {
  app.add_option("--hash", options.hash, std::string(kHashText) + "; none: the input is the hash")
      ->capture_default_str()
      ->option_text("NAME");
  app.add_option("--padding", options.padding, "Of RSA: pkcs1 or pss")
      ->check(CLI::IsMember({"pkcs1", "pss"}))
      ->capture_default_str();
  app.add_option("--salt-length", options.salt_length, "Of PSS; the hash's length otherwise")->option_text("BYTES");
  app.add_option("--format", options.format, "Of ECDSA: der (as OpenSSL has it) or raw (as PKCS#11 has it)")
      ->check(CLI::IsMember({"der", "raw"}))
      ->capture_default_str();
  app.add_flag("--hash-on-token", options.hash_on_token, "Send the data to the token, which hashes it");
}

void add_signing(CLI::App& root, Invocation& invocation) {
  const auto sign = add_command(root, invocation, "sign", "Sign a file", &sign_data);
  add_key(*sign.app, sign.options->key, invocation);
  add_input(*sign.app, sign.options->in);
  add_output(*sign.app, sign.options->out, "File; as text on standard output otherwise");
  add_scheme(*sign.app, *sign.options);

  const auto verify =
      add_command(root, invocation, "verify", "Verify a signature; exits with 1 if it is wrong", &verify_data);
  add_key(*verify.app, verify.options->key, invocation);
  add_input(*verify.app, verify.options->in);
  verify.app->add_option("--signature", verify.options->signature, "Its file")->required()->option_text("FILE");
  add_scheme(*verify.app, *verify.options);

  const auto hmac = add_command(root, invocation, "hmac", "Authenticate a file with an HMAC", &compute_hmac);
  add_key(*hmac.app, hmac.options->key, invocation);
  add_input(*hmac.app, hmac.options->in);
  add_output(*hmac.app, hmac.options->out, "File; as text on standard output otherwise");
  hmac.app->add_option("--hash", hmac.options->hash, kHashText)->capture_default_str()->option_text("NAME");

  const auto cmac =
      add_command(root, invocation, "cmac", "Authenticate a file with an AES or DES3 CMAC", &compute_cmac);
  add_key(*cmac.app, cmac.options->key, invocation);
  add_input(*cmac.app, cmac.options->in);
  add_output(*cmac.app, cmac.options->out, "File; as text on standard output otherwise");
}

void add_cipher(CLI::App& root, Invocation& invocation, const char* name, const char* what,
                ExitCode (*run)(const Invocation&, const CipherOptions&)) {
  const auto command = add_command(root, invocation, name, what, run);
  add_key(*command.app, command.options->key, invocation);
  add_input(*command.app, command.options->in);
  add_output(*command.app, command.options->out, "File; standard output otherwise");
  command.app
      ->add_option("--mode", command.options->mode,
                   "AES: gcm, cbc, cbc-nopad, ctr; DES3: cbc; RSA: oaep, pkcs1; chacha20-poly1305")
      ->option_text("NAME");
  command.app->add_option("--hash", command.options->hash, "Of OAEP")->capture_default_str()->option_text("NAME");
  command.app->add_option("--iv", command.options->iv, "Otherwise random, and in front of the ciphertext")
      ->option_text("HEX");
  command.app->add_option("--aad", command.options->aad, "What GCM and Poly1305 authenticate besides")
      ->option_text("HEX");
}

}  // namespace

void add_crypto_commands(CLI::App& root, Invocation& invocation) {
  add_signing(root, invocation);
  add_cipher(root, invocation, "encrypt", "Encrypt a file", &encrypt_data);
  add_cipher(root, invocation, "decrypt", "Decrypt a file", &decrypt_data);

  const auto hash = add_command(root, invocation, "hash", "Hash a file on the token", &hash_data);
  hash.app->add_option("--hash", hash.options->hash, kHashText)->capture_default_str()->option_text("NAME");
  add_input(*hash.app, hash.options->in);
  add_output(*hash.app, hash.options->out, "File; as text on standard output otherwise");

  const auto random = add_command(root, invocation, "random", "Get random bytes from the token", &make_random);
  takes_a_count(random.app->add_option("bytes", random.options->bytes, "How many"))->capture_default_str();
  add_output(*random.app, random.options->out, "File; as text on standard output otherwise");

  const auto derive =
      add_command(root, invocation, "derive", "Agree on a key with another's public key (ECDH)", &derive_key);
  add_key(*derive.app, derive.options->key, invocation);
  derive.app->add_option("--peer", derive.options->peer, "The other's public key, PEM or DER")
      ->required()
      ->option_text("FILE");
  derive.app->add_option("--type", derive.options->type, "What to make of it: aes:256, generic:256, …")
      ->capture_default_str()
      ->option_text("TYPE");
  derive.app->add_option("--label", derive.options->label, "Keep it as a key of this name")->option_text("LABEL");
  derive.app->add_option("--id", derive.options->id, "The key's; random otherwise")->option_text("HEX");
  derive.app->add_option("--attr", derive.options->attributes, "The key's attributes")
      ->option_text("WORDS")
      ->allow_extra_args(false);
  derive.app->add_flag("--allow-duplicate", derive.options->allow_duplicate, "Even if the label is taken");
  add_output(*derive.app, derive.options->out, "Write the secret itself to a file");
}

}  // namespace p11shim
