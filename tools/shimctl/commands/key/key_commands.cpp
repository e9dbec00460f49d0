#include "tools/shimctl/commands/key/key_commands.h"

#include <CLI/CLI.hpp>

#include "tools/shimctl/commands/key/change.h"
#include "tools/shimctl/commands/key/generate.h"
#include "tools/shimctl/commands/key/list.h"
#include "tools/shimctl/commands/key/show.h"
#include "tools/shimctl/commands/option_text.h"
#include "tools/shimctl/commands/subcommand.h"

namespace p11shim {

namespace {

constexpr char kClassText[] = "private, public, secret, cert or data";

void add_class(CLI::App& app, std::string& object_class) {
  app.add_option("--class", object_class, kClassText)->option_text("CLASS");
}

void add_generate(CLI::App& key, Invocation& invocation, const char* name, const char* what, const char* type) {
  const auto [app, options] = add_command(key, invocation, name, what, &generate_key);
  options->type = type;
  app->add_option("--type", options->type, "rsa:BITS, ec:CURVE, ed25519, x25519, aes:BITS, hmac:BITS, des3, …")
      ->capture_default_str()
      ->option_text("TYPE");
  app->add_option("--label", options->label, "Its name")->required()->option_text("LABEL");
  app->add_option("--id", options->id, "Its id in hexadecimal; random otherwise")->option_text("HEX");
  app->add_option("--attr", options->attributes, "Attributes: 'sign !extractable end-date=2031-12-31'")
      ->option_text("WORDS")
      ->allow_extra_args(false);
  app->add_option("--public-attr", options->public_attributes, "Attributes of the public half")
      ->option_text("WORDS")
      ->allow_extra_args(false);
  app->add_flag("--allow-duplicate", options->allow_duplicate, "Even if the label is taken");
  app->footer(std::string("Example:\n  shimctl --token test --pin-from prompt key ") + name + " --type " + type +
              " --label k");
}

void add_queries(CLI::App& key, Invocation& invocation) {
  const auto list = add_command(key, invocation, "list", "List the keys of a token", &list_keys);
  list.app->alias("ls");
  add_class(*list.app, list.options->object_class);
  list.app->add_option("--type", list.options->type, "rsa, ec, edwards, aes, …")->option_text("TYPE");

  const auto find = add_command(key, invocation, "find", "Find objects by label, exactly or nearly", &find_keys);
  add_key_option(*find.app, "label", find.options->label, invocation);
  add_class(*find.app, find.options->object_class);
  find.app->add_flag("--similar", find.options->similar, "Other case, beginnings, parts and mistyped labels too");

  const auto show = add_command(key, invocation, "show", "Show every attribute of a key", &show_key);
  add_key_option(*show.app, "key", show.options->key, invocation);
  add_class(*show.app, show.options->object_class);

  const auto diff = add_command(key, invocation, "diff", "Compare two keys, here or on two tokens", &diff_keys);
  add_key_option(*diff.app, "left", diff.options->left, invocation);
  diff.app->add_option("right", diff.options->right, "The other; the same name if it is on another token");
  add_class(*diff.app, diff.options->object_class);
  diff.app->add_option("--other-token", diff.options->right_token.token, "Where the other is")->option_text("LABEL");
  diff.app->add_option("--other-slot", diff.options->right_token.slot, "Where the other is")->option_text("NUMBER");
  diff.app
      ->add_option("--other-member", diff.options->member, "The proxyd's member where the other is, by its own module")
      ->option_text("MEMBER")
      ->excludes("--other-token")
      ->excludes("--other-slot");
  diff.app->add_option("--other-pin-from", diff.options->right_token.pin_from, "Its PIN, if it is not the same")
      ->option_text("SOURCE");

  const auto kcv = add_command(key, invocation, "kcv", "Show the check value of a secret key", &show_kcv);
  add_key_option(*kcv.app, "key", kcv.options->key, invocation);
  kcv.app->add_option("--method", kcv.options->method, "ecb (3 bytes) or cmac (5 bytes)")
      ->check(CLI::IsMember({"ecb", "cmac"}))
      ->capture_default_str();
}

void add_changes(CLI::App& key, Invocation& invocation) {
  const auto copy = add_command(key, invocation, "copy", "Copy a key, on its token or to another", &copy_key);
  copy.app->alias("cp");
  add_key_option(*copy.app, "key", copy.options->key, invocation);
  add_class(*copy.app, copy.options->object_class);
  copy.app->add_option("--label", copy.options->label, "The copy's; needed on the same token")->option_text("LABEL");
  copy.app->add_option("--from", copy.options->from, "The token where it is: a label or a URI")->option_text("TOKEN");
  copy.app->add_option("--to", copy.options->to, "Another token: a label, or a URI that may name its module and PIN")
      ->option_text("TOKEN");
  copy.app->add_option("--to-pin-from", copy.options->to_pin_from, "Its PIN, if it is not the same")
      ->option_text("SOURCE");
  copy.app->add_option("--id", copy.options->id, "The copy's")->option_text("HEX");
  copy.app->add_option("--attr", copy.options->attributes, "What is different")
      ->option_text("WORDS")
      ->allow_extra_args(false);
  copy.app->add_flag("--allow-duplicate", copy.options->allow_duplicate, "Even if the label is taken");

  const auto rename =
      add_command(key, invocation, "rename", "Give a key, both halves of it, another label", &rename_key);
  rename.app->alias("mv");
  add_key_option(*rename.app, "key", rename.options->key, invocation);
  rename.app->add_option("label", rename.options->label, "The new label")->required();
  add_class(*rename.app, rename.options->object_class);
  rename.app->add_flag("--allow-duplicate", rename.options->allow_duplicate, "Even if the label is taken");

  const auto set = add_command(key, invocation, "set", "Change attributes of a key", &set_attributes);
  add_key_option(*set.app, "key", set.options->key, invocation);
  set.app->add_option("attributes", set.options->attributes, "'!sign id=0a1b end-date=2031-12-31'")->required();
  add_class(*set.app, set.options->object_class);

  const auto remove = add_command(key, invocation, "delete", "Destroy a key, both halves of it", &delete_key);
  remove.app->alias("rm");
  add_key_option(*remove.app, "key", remove.options->key, invocation);
  add_class(*remove.app, remove.options->object_class);
}

}  // namespace

void add_key_commands(CLI::App& root, Invocation& invocation) {
  auto& key = add_noun(root, "key", "Keys of a token");
  key.alias("keys");
  add_queries(key, invocation);
  add_generate(key, invocation, "gen", "Make a key or a pair of keys", "ec:P-256");
  add_generate(key, invocation, "gen-secret", "Make a secret key", "aes:256");
  add_changes(key, invocation);
  add_key_transfer_commands(key, invocation);
}

}  // namespace p11shim
