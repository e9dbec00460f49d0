// Asks the token for labels without a login: a PIN that is wrong would be tried at each press of a key.
#include "tools/shimctl/commands/complete.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "config/problem.h"
#include "pkcs11/names.h"
#include "tools/shimctl/control_client.h"
#include "tools/shimctl/output/format.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

constexpr std::size_t kMostLabels = 500;

// Where the last word stands.
struct Place {
  const CLI::App* app = nullptr;        // the command so far
  const CLI::Option* option = nullptr;  // whose value it is; null: none's
  std::size_t positionals = 0;          // words of the command before it
  TokenChoice choice;
};

const CLI::Option* option_of(const CLI::App* app, const std::string& word) {
  for (; app != nullptr; app = app->get_parent()) {
    if (const auto* option = app->get_option_no_throw(word)) return option;
  }
  return nullptr;
}

void note_choice(TokenChoice& choice, const std::string& option, const std::string& value) {
  if (option == "--module") choice.module = value;
  if (option == "--library-parameters") choice.library_parameters = value;
  if (option == "--token") choice.token = value;
  if (option == "--uri") choice.uri = value;
  if (option == "--slot" && value.find_first_not_of("0123456789") == std::string::npos && value.size() < 19) {
    choice.slot = std::strtoul(value.c_str(), nullptr, 10);
  }
}

Place place_of(const CLI::App& root, const std::vector<std::string>& words) {
  Place place{.app = &root, .choice = {}};
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() > 1 && word[0] == '-') {
      const auto equals = word.find('=');
      if (equals != std::string::npos) {
        note_choice(place.choice, word.substr(0, equals), word.substr(equals + 1));
        continue;
      }
      const auto* option = option_of(place.app, word);
      if (option == nullptr || option->get_items_expected_max() == 0) continue;
      if (i + 2 == words.size()) {
        place.option = option;
        return place;
      }
      note_choice(place.choice, word, words[++i]);
      continue;
    }
    const auto commands =
        place.app->get_subcommands([&](const CLI::App* command) { return command->check_name(word); });
    if (commands.empty()) {
      ++place.positionals;
    } else {
      place.app = commands.front();
    }
  }
  return place;
}

std::set<std::string> labels_of_keys(TokenAccess& access) {
  std::set<std::string> labels;
  const Session& session = access.session(Session::Access::kReadOnly, Login::kNone);
  const auto objects = session.find(Template());
  for (std::size_t i = 0; i < std::min(objects.size(), kMostLabels); ++i) {
    labels.insert(session.read(objects[i], std::array{CKA_LABEL}).text(CKA_LABEL));
  }
  return labels;
}

std::set<std::string> labels_of_tokens(TokenAccess& access) {
  std::set<std::string> labels;
  for (const CK_SLOT_ID slot : access.module().slots(true)) {
    const auto info = access.module().token_info(slot);
    if ((info.flags & CKF_TOKEN_INITIALIZED) != 0) labels.insert(padded_text(info.label));
  }
  return labels;
}

bool names_key(const std::string& name) {
  constexpr std::array<std::string_view, 6> kNames{"key", "left", "right", "--key", "--with", "--to"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool names_token(const std::string& name) { return name == "--token" || name == "--diff" || name == "--other-token"; }

// Of pools, or of their members as "POOL/MEMBER" and, where that is clear, "MEMBER".
std::set<std::string> names_from_proxyd(const Invocation& invocation, bool members) {
  std::set<std::string> names;
  std::set<std::string> twice;
  const auto answer = ControlClient(invocation.control_path).ask("pools");
  for (const auto& pool : answer.at("pools")) {
    const std::string name = pool.at("pool");
    if (!members) names.insert(name);
    if (!members || pool.at("members").size() < 2) continue;
    for (const auto& member : pool.at("members")) {
      const std::string alone = member.at("member");
      names.insert(name + "/" + alone);
      if (!names.insert(alone).second) twice.insert(alone);
    }
  }
  for (const auto& name : twice) names.erase(name);
  return names;
}

// What `explain` explains, by the name of its command.
std::set<std::string> names_explained(const std::string& command) {
  std::set<std::string> names;
  const auto add = [&](NameKind kind) {
    for (const auto& name : all(kind)) names.emplace(name.text);
  };
  if (command == "explain-error" || command == "error") add(NameKind::ckr);
  if (command == "mech") add(NameKind::ckm);
  if (command == "attr") add(NameKind::cka);
  return names;
}

std::set<std::string> live(const Invocation& invocation, const Place& place, const std::string& name) {
  Invocation asked{.out = invocation.out, .err = invocation.err, .control_path = {}, .token = place.choice};
  TokenAccess access(asked);
  return names_key(name) ? labels_of_keys(access) : labels_of_tokens(access);
}

std::set<std::string> words_of(const Place& place, bool options) {
  std::set<std::string> words;
  for (const auto* command : place.app->get_subcommands({}))
    if (!command->get_group().empty()) words.insert(command->get_name());
  if (!options) return words;
  for (const auto* app = place.app; app != nullptr; app = app->get_parent()) {
    for (const auto* option : app->get_options()) {
      for (const auto& name : option->get_lnames()) words.insert("--" + name);
    }
  }
  return words;
}

std::set<std::string> candidates(const Invocation& invocation, const Place& place, const std::string& word) {
  if (place.option != nullptr) {
    const std::string name = place.option->get_name();
    if (names_key(name) || names_token(name)) return live(invocation, place, name);
    if (!place.option->check_lname("output")) return {};
    std::set<std::string> formats;
    for (const auto& format : output_formats()) formats.insert(format.first);
    return formats;
  }
  auto words = words_of(place, word.starts_with('-'));
  std::size_t position = 0;
  for (const auto* option : place.app->get_options()) {
    if (!option->get_positional() || position++ != place.positionals || word.starts_with('-')) continue;
    const std::string name = option->get_name(true);
    if (names_key(name)) words.merge(live(invocation, place, "key"));
    if (name == "code" || name == "name") words.merge(names_explained(place.app->get_name()));
    if (name == "pool" || name == "member") words.merge(names_from_proxyd(invocation, name == "member"));
  }
  return words;
}

ExitCode run(const Invocation& invocation, const CLI::App& root) {
  const auto& words = invocation.command_line;
  if (words.empty()) return ExitCode::kOk;
  try {
    for (const auto& candidate : candidates(invocation, place_of(root, words), words.back())) {
      if (candidate.starts_with(words.back()) && !has_control_characters(candidate)) {
        invocation.out << candidate << '\n';
      }
    }
  } catch (const std::exception&) {
    // Whoever presses a key wants no reasons.
  }
  return ExitCode::kOk;
}

}  // namespace

void add_complete(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("complete", "What the shells' completion asks");
  command->group("");  // not shown
  command->prefix_command();
  command->callback(
      [&invocation, &root] { invocation.command = [&invocation, &root] { return run(invocation, root); }; });
}

}  // namespace p11shim
