#include "proxyd/config/module_file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "config/quantity.h"
#include "proxyd/config/elf_file.h"
#include "wire/hex.h"

namespace p11shim {
namespace {

std::string words(int error) { return std::generic_category().message(error); }

// Lower-case hexadecimal; empty if the file cannot be read.
std::string sha256_of(int fd) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) return {};
  std::array<char, 64 << 10> chunk;
  for (off_t offset = 0;;) {
    const ssize_t got = pread(fd, chunk.data(), chunk.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {};
    if (got == 0) break;
    if (EVP_DigestUpdate(context.get(), chunk.data(), static_cast<std::size_t>(got)) != 1) return {};
    offset += got;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned length = 0;
  if (EVP_DigestFinal_ex(context.get(), digest.data(), &length) != 1) return {};
  return hex_digits(std::span(digest).first(length));
}

// Empty if only trusted users can change it. In a sticky directory nobody can rename what belongs to others.
std::string owner_problem(const std::string& path, const struct stat& facts, const ModuleFileRules& rules) {
  const bool trusted =
      facts.st_uid == 0 || facts.st_uid == geteuid() ||
      std::find(rules.allow_owner.begin(), rules.allow_owner.end(), facts.st_uid) != rules.allow_owner.end();
  if (!trusted) {
    return path + " belongs to user " + std::to_string(facts.st_uid) +
           " (expected root, proxyd's own user or one of allow_owner)";
  }
  if (S_ISDIR(facts.st_mode) && (facts.st_mode & S_ISVTX)) return {};
  const bool by_group = (facts.st_mode & S_IWGRP) && facts.st_gid != 0;
  if (by_group || (facts.st_mode & S_IWOTH)) {
    return path + " may be written by others than its owner (mode " + format_mode(facts.st_mode & 0777) + ')';
  }
  return {};
}

std::string directories_problem(const std::string& real_path, const ModuleFileRules& rules) {
  const std::filesystem::path root("/");
  for (std::filesystem::path directory = real_path; directory != root;) {
    directory = directory.parent_path();
    struct stat facts {};
    if (stat(directory.c_str(), &facts) != 0) return directory.string() + ": " + words(errno);
    if (std::string problem = owner_problem(directory.string(), facts, rules); !problem.empty()) return problem;
  }
  return {};
}

std::string file_problem(const std::string& path, const ModuleCheck& file, const ModuleFileRules& rules) {
  struct stat facts {};
  if (fstat(file.fd(), &facts) != 0) return path + ": " + words(errno);
  if (!S_ISREG(facts.st_mode)) return path + " is not a regular file";
  if (rules.check_owner) {
    if (std::string problem = owner_problem(path, facts, rules); !problem.empty()) return problem;
    if (std::string problem = directories_problem(file.real_path(), rules); !problem.empty()) {
      return path + " is not safe to load: " + problem;
    }
  }
  if (std::string problem = shared_object_problem(file.fd(), "C_GetFunctionList"); !problem.empty()) {
    return path + ' ' + problem;
  }
  if (rules.sha256.empty()) return {};
  const std::string digest = sha256_of(file.fd());
  if (digest.empty()) return path + " cannot be read";
  return digest == rules.sha256 ? std::string() : path + " has SHA-256 " + digest + " (expected " + rules.sha256 + ')';
}

}  // namespace

ModuleFileRules rules_of(const ModuleConfig& module) { return {module.sha256, module.check_owner, module.allow_owner}; }

ModuleCheck::ModuleCheck(ModuleCheck&& other) noexcept
    : fd_(other.release_fd()), real_path_(std::move(other.real_path_)), problem_(std::move(other.problem_)) {}

ModuleCheck::~ModuleCheck() {
  if (fd_ >= 0) close(fd_);
}

int ModuleCheck::release_fd() noexcept { return std::exchange(fd_, -1); }

ModuleCheck check_module_file(const std::string& path, const ModuleFileRules& rules) {
  const std::unique_ptr<char, decltype(&std::free)> real_path(realpath(path.c_str(), nullptr), std::free);
  if (!real_path) return ModuleCheck(path + ": " + words(errno));
  // O_NONBLOCK: opening a FIFO would wait for its writer.
  const int fd = open(real_path.get(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
  if (fd < 0) return ModuleCheck(path + ": " + words(errno));
  ModuleCheck file(fd, real_path.get());
  std::string problem = file_problem(path, file, rules);
  return problem.empty() ? std::move(file) : ModuleCheck(std::move(problem));
}

}  // namespace p11shim
