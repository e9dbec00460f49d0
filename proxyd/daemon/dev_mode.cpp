#include "proxyd/daemon/dev_mode.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string_view>

#include "proxyd/config/load.h"

namespace p11shim {
namespace {

// Where distributions put SoftHSM's module.
constexpr const char* kModules[] = {"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
                                    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
                                    "/usr/local/lib/softhsm/libsofthsm2.so"};
constexpr const char* kPin = "1234";  // of tokens that live as long as this process and hold nothing
constexpr const char* kSoPin = "12345678";

std::string find_module() {
  for (const char* path : kModules)
    if (::access(path, R_OK) == 0) return path;
  throw std::runtime_error("--dev needs SoftHSM; on Debian: apt install softhsm2");
}

std::filesystem::path own_folder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

std::string shim_path() {
  std::error_code error;
  const auto built = own_folder().parent_path() / "lib" / "libpkcs11-shim.so";
  return std::filesystem::exists(built, error) ? built.string() : std::string(P11SHIM_MODULE_PATH);
}

// As the user has to type it.
std::string shimctl_path() {
  std::error_code error;
  const auto beside = own_folder() / "shimctl";
  return std::filesystem::exists(beside, error) ? beside.string() : "shimctl";
}

// As a shell reads it back: a directory for temporary files may be called anything.
std::string for_shell(const std::string& text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._:+,@%-";
  if (text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) c == '\'' ? quoted += "'\\''" : quoted += c;
  return quoted + "'";
}

std::string make_directory() {
  const char* base = std::getenv("TMPDIR");
  std::string directory = std::string(base != nullptr && *base != '\0' ? base : "/tmp") + "/proxyd-dev-XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr)
    throw std::runtime_error("cannot make a directory in " + directory + ": " + std::strerror(errno));
  return directory;
}

}  // namespace

// From the first line on the destructor removes the directory, whatever fails.
DevMode::DevMode() : DevMode(make_directory()) {
  find_module();
  std::filesystem::create_directory(directory_ + "/tokens");
  std::ofstream(directory_ + "/softhsm2.conf")
      << "directories.tokendir = " << directory_ << "/tokens\nobjectstore.backend = file\nlog.level = ERROR\n";
  make_token("dev-1");
  make_token("dev-2");
}

DevMode::~DevMode() {
  std::error_code error;
  std::filesystem::remove_all(directory_, error);
}

void DevMode::make_token(const char* label) const {
  const std::string variable = "SOFTHSM2_CONF=" + directory_ + "/softhsm2.conf";
  std::vector<std::string> entries{variable, "PATH=/usr/local/bin:/usr/bin:/bin"};
  std::vector<char*> env{entries[0].data(), entries[1].data(), nullptr};
  std::vector<std::string> words{"softhsm2-util", "--init-token", "--free",   "--label", label,
                                 "--pin",         kPin,           "--so-pin", kSoPin};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), env.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    throw std::runtime_error("cannot run softhsm2-util: " + std::string(std::strerror(error)) +
                             "; on Debian: apt install softhsm2");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw std::runtime_error("softhsm2-util could not make the token " + std::string(label));
}

Config DevMode::config() const {
  const std::string text =
      "[listen]\nunix = \"" + directory_ + "/proxyd.sock\"\nmode = \"0600\"\n" + "[control]\nunix = \"" + directory_ +
      "/control.sock\"\nmode = \"0600\"\n" + "[state]\ndirectory = \"" + directory_ + "/state\"\n" +
      "[[module]]\nname = \"softhsm\"\npath = \"" + find_module() + "\"\ntokens = \"*\"\nadmin = true\n" +
      "environment = { SOFTHSM2_CONF = \"" + directory_ + "/softhsm2.conf\" }\n";
  // Kept in the directory too, as an example to start from, and for SIGHUP.
  const std::string file = directory_ + "/proxyd.toml";
  std::ofstream(file) << text;
  std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  auto config = load_config_file(file);
  if (!config)
    throw std::runtime_error("the embedded configuration is wrong: " +
                             (config.problems.empty() ? file : to_string(config.problems.front())));
  return std::move(*config);
}

void DevMode::greet(const std::vector<std::string>& endpoints) const {
  std::cout << "\nproxyd is running on two fresh SoftHSM tokens, dev-1 and dev-2 (PIN " << kPin << ", SO PIN " << kSoPin
            << ").\n"
            << "They live in " << directory_ << " and are gone when proxyd stops (Ctrl-C).\n\n"
            << "Paste into another shell:\n\n"
            << "  export P11SHIM_ENDPOINT=" << for_shell(endpoints.front()) << "\n"
            << "  export P11SHIM_CONTROL=" << for_shell(directory_ + "/control.sock") << "\n"
            << "  export P11_MODULE=" << for_shell(shim_path()) << "\n\n"
            << "and try:\n\n"
            << "  pkcs11-tool --module \"$P11_MODULE\" --list-slots\n"
            << "  pkcs11-tool --module \"$P11_MODULE\" --token-label dev-1 --login --pin " << kPin
            << " --keypairgen --key-type EC:prime256v1 --label mykey\n"
            << "  pkcs11-tool --module \"$P11_MODULE\" --token-label dev-1 --login --pin " << kPin
            << " --list-objects\n"
            << "  " << for_shell(shimctl_path()) << " stats\n\n"
            << std::flush;
}

}  // namespace p11shim
