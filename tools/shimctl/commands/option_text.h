// What an option takes besides free text, and one clear line for what it does not take.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/nearest.h"
#include "config/problem.h"
#include "tools/shimctl/invocation.h"

namespace p11shim {

// One of `words`, which stand for values.
template <class Value>
CLI::Option* takes_one_of(CLI::Option* option, const std::map<std::string, Value>& words) {
  option->transform(CLI::CheckedTransformer(words));
  // Runs before it: its own message shows the values.
  const auto is_word = [&words](std::string& text) -> std::string {
    if (words.contains(text)) return {};
    std::vector<std::string_view> known;
    std::string all;
    for (const auto& [word, value] : words) {
      known.push_back(word);
      all += (all.empty() ? "" : ", ") + word;
    }
    return in_quotes(text) + " is none of " + all + did_you_mean(text, known);
  };
  return option->transform(CLI::Validator(is_word, ""));
}

// A number without a sign: CLI11 takes -1 as the greatest of all.
inline CLI::Option* takes_a_count(CLI::Option* option) {
  return option->check([](const std::string& text) -> std::string {
    const bool digits =
        !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    return digits ? "" : in_quotes(text) + " is no number";
  });
}

inline constexpr char kKeyText[] = "Its label, id:HEX, handle:N or a pkcs11: URI";

// A key as KeySelector knows it; a URI may also say on which token it is.
inline CLI::Option* add_key_option(CLI::App& app, const std::string& name, std::string& key, Invocation& invocation) {
  return app.add_option(name, key, kKeyText)->required()->each([&invocation](const std::string& text) {
    if (text.starts_with("pkcs11:")) invocation.token.key_uri = text;
  });
}

}  // namespace p11shim
