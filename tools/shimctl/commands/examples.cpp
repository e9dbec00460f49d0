#include "tools/shimctl/commands/examples.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace p11shim {

namespace {

struct Example {
  std::string_view command;
  std::string_view rest;
};

// In an order in which they can be run one after the other (tests/shimctl/examples_test.cpp does).
constexpr Example kExamples[] = {
    {"info", "--module /usr/lib/softhsm/libsofthsm2.so"},
    {"slot list", "-o json"},
    {"token list", "-o csv"},
    {"token info", "--token test -o yaml"},
    {"token selftest", "--token test --pin-from env:PIN"},
    {"mech list", "AES --token test --detailed"},
    {"key list", "--token test --pin-from env:PIN --class private"},
    {"key find", "--token test --pin-from env:PIN KEEK --similar"},
    {"key show", "--token test --pin-from env:PIN k -o json"},
    {"key copy", "--token test --pin-from env:PIN k --label k2"},
    {"key diff", "--token test --pin-from env:PIN k k2"},
    {"key set", "--token test --pin-from env:PIN k2 '!derive'"},
    {"key rename", "--token test --pin-from env:PIN k2 k3"},
    {"key delete", "--token test --pin-from env:PIN k3 --dry-run"},
    {"key kcv", "--token test --pin-from env:PIN kek"},
    {"key export-pub", "--token test k --out pub.pem"},
    {"key csr", "--token test --pin-from env:PIN k --subject /CN=example.org --out k.csr"},
    {"key cert", "--token test --pin-from env:PIN k --subject /CN=example.org --days 90 --out k.pem"},
    {"key import", "--token test --pin-from env:PIN k.pem --label k"},
    {"random", "32 --token test --out key.bin"},
    {"sign", "--token test --pin-from env:PIN --key k --in pub.pem --out signature"},
    {"verify", "--token test --key k --in pub.pem --signature signature"},
    {"encrypt", "--token test --pin-from env:PIN --key kek --in pub.pem --out sealed"},
    {"decrypt", "--token test --pin-from env:PIN --key kek --in sealed --out pub.pem"},
    {"hash", "--token test --hash sha512 --in pub.pem"},
    {"cmac", "--token test --pin-from env:PIN --key kek --in pub.pem"},
    {"derive",
     "--token test --pin-from env:PIN --key k --peer pub.pem --type aes:256 --label shared --attr extractable"},
    {"key wrap", "--token test --pin-from env:PIN shared --with kek --out shared.wrapped"},
    {"key unwrap", "--token test --pin-from env:PIN shared.wrapped --with kek --type aes:256 --label again"},
    {"key rewrap",
     "--token test --pin-from env:PIN shared.wrapped --with kek --to kek --type aes:256 --out new.wrapped"},
    {"hmac", "--token test --pin-from env:PIN --key mac --in pub.pem"},
    {"explain-error", "CKR_PIN_INCORRECT --context login"},
    {"explain error", "0x150 -o json"},
    {"explain mech", "CKM_RSA_PKCS_PSS"},
    {"explain attr", "CKA_SENSITIVE"},
    {"explain fn", "C_FindObjects"},
    {"explain check", "user-pin"},
    {"token init-pin", "--token new --so-pin-from prompt --new-pin-from prompt"},
    {"token set-pin", "--token new --pin-from prompt --new-pin-from prompt"},
};

CLI::App* find(CLI::App& root, std::string_view path) {
  CLI::App* app = &root;
  while (app != nullptr && !path.empty()) {
    const auto end = std::min(path.find(' '), path.size());
    const std::string name(path.substr(0, end));
    const auto named = app->get_subcommands([&name](const CLI::App* command) { return command->check_name(name); });
    app = named.empty() ? nullptr : named.front();
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return app;
}

}  // namespace

void add_examples(CLI::App& root) {
  for (const auto& [command, rest] : kExamples) {
    auto* app = find(root, command);
    if (app == nullptr || app->get_footer() != root.get_footer()) continue;
    app->footer("Example:\n  shimctl " + std::string(command) + " " + std::string(rest));
  }
}

}  // namespace p11shim
