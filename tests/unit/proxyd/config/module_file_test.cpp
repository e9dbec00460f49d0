#include "proxyd/config/module_file.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>

#include <cstdio>
#include <iterator>

#include "private_directory.h"

namespace p11shim {
namespace {

std::string bytes_of(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class ModuleFile : public PrivateDirectory {
 protected:
  void SetUp() override {
    PrivateDirectory::SetUp();
    module_ = write("module.so", bytes_of(TINY_MODULE), 0755);
  }
  std::string problem(const std::string& path, const ModuleFileRules& rules = {}) const {
    return check_module_file(path, rules).problem();
  }
  // The module with one header byte changed.
  std::string changed(std::size_t offset, int byte) const {
    std::string bytes = bytes_of(module_);
    bytes.at(offset) = static_cast<char>(byte);
    return write("changed.so", bytes);
  }

  std::string module_;
};

TEST_F(ModuleFile, OfAModuleIsFine) {
  const ModuleCheck check = check_module_file(module_, {});
  EXPECT_EQ(check.problem(), "");
  EXPECT_TRUE(check.ok());
  EXPECT_EQ(check.real_path(), module_);
  EXPECT_TRUE(fcntl(check.fd(), F_GETFD) & FD_CLOEXEC);
}

TEST_F(ModuleFile, IsReachedThroughLinks) {
  std::filesystem::create_symlink(module_, path("link.so"));
  EXPECT_EQ(check_module_file(path("link.so"), {}).real_path(), module_);
}

TEST_F(ModuleFile, ThatIsMissing) {
  EXPECT_EQ(problem(path("none.so")), path("none.so") + ": No such file or directory");
}

TEST_F(ModuleFile, ThatIsNoFile) {
  EXPECT_EQ(problem(directory_), directory_ + " is not a regular file");
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(problem(path("pipe")), path("pipe") + " is not a regular file");
}

TEST_F(ModuleFile, ThatIsNoSharedObject) {
  EXPECT_EQ(problem(write("a", "#!/bin/sh\n")), path("a") + " is a script, not a shared object");
  EXPECT_EQ(problem(write("b", "/* GNU ld script */ GROUP(x)")),
            path("b") + " is not a shared object (it has no ELF header)");
  EXPECT_EQ(problem(write("c", "")), path("c") + " is empty");
  EXPECT_EQ(problem(write("d",
                          "\x7f"
                          "EL")),
            path("d") + " is not a shared object (it has no ELF header)");
  EXPECT_EQ(problem(changed(offsetof(Elf64_Ehdr, e_type), ET_REL)),
            path("changed.so") + " is an ELF file but not a shared object");
}

TEST_F(ModuleFile, ThatIsForAnotherMachine) {
  const bool on_arm = static_cast<unsigned char>(bytes_of(module_)[offsetof(Elf64_Ehdr, e_machine)]) == EM_AARCH64;
  const std::string other = problem(changed(offsetof(Elf64_Ehdr, e_machine), on_arm ? EM_X86_64 : EM_AARCH64));
  EXPECT_EQ(other, path("changed.so") + (on_arm ? " is built for x86-64 (expected AArch64)"
                                                : " is built for AArch64 (expected x86-64)"));
  const bool is_64 = sizeof(void*) == 8;
  EXPECT_EQ(
      problem(changed(EI_CLASS, is_64 ? ELFCLASS32 : ELFCLASS64)),
      path("changed.so") + (is_64 ? " is a 32-bit object (expected 64-bit)" : " is a 64-bit object (expected 32-bit)"));
  EXPECT_EQ(problem(changed(EI_DATA, ELFDATA2MSB)), path("changed.so") + " is built for another byte order");
}

TEST_F(ModuleFile, ThatIsCutShort) {
  const std::string bytes = bytes_of(module_);
  EXPECT_EQ(problem(write("short.so", bytes.substr(0, 20))), path("short.so") + " is a damaged ELF file (cut short?)");
  EXPECT_EQ(problem(write("short.so", bytes.substr(0, bytes.size() / 2))),
            path("short.so") + " is a damaged ELF file (cut short?)");
}

// Whatever the headers say, reading stays within the file.
TEST_F(ModuleFile, WithAnyHeaderByteWrongIsJudgedWithoutHarm) {
  for (std::size_t offset = 0; offset < sizeof(Elf64_Ehdr); ++offset) {
    for (const int byte : {0x00, 0x7f, 0xff}) {
      const std::string verdict = problem(changed(offset, byte));
      EXPECT_TRUE(verdict.empty() || verdict.starts_with(path("changed.so"))) << verdict;
    }
  }
}

TEST_F(ModuleFile, ThatIsAnotherLibrary) {
  Dl_info info{};
  ASSERT_NE(dladdr(reinterpret_cast<void*>(&std::fopen), &info), 0);
  const std::string library = info.dli_fname;
  EXPECT_EQ(problem(library, {.sha256 = {}, .check_owner = false, .allow_owner = {}}),
            library + " is not a PKCS#11 module (it does not export C_GetFunctionList)");
}

TEST_F(ModuleFile, WithAnotherDigest) {
  const ModuleFileRules rules{.sha256 = std::string(64, '0'), .check_owner = true, .allow_owner = {}};
  const std::string verdict = problem(module_, rules);
  EXPECT_EQ(verdict.find(module_ + " has SHA-256 "), 0u) << verdict;
  EXPECT_NE(verdict.find(" (expected " + std::string(64, '0') + ')'), std::string::npos) << verdict;
}

// The program that an operator would take the digest with.
TEST_F(ModuleFile, WithItsDigest) {
  FILE* sha256sum = popen(("sha256sum " + module_).c_str(), "r");
  ASSERT_NE(sha256sum, nullptr);
  std::string digest(64, ' ');
  const std::size_t read = fread(digest.data(), 1, digest.size(), sha256sum);
  pclose(sha256sum);
  ASSERT_EQ(read, 64u);
  EXPECT_EQ(problem(module_, {.sha256 = digest, .check_owner = true, .allow_owner = {}}), "");
}

TEST_F(ModuleFile, ThatOthersMayWrite) {
  chmod(module_.c_str(), 0757);
  EXPECT_EQ(problem(module_), module_ + " may be written by others than its owner (mode 0757)");
  EXPECT_EQ(problem(module_, {.sha256 = {}, .check_owner = false, .allow_owner = {}}), "");
}

TEST_F(ModuleFile, InADirectoryThatOthersMayWrite) {
  chmod(directory_.c_str(), 0777);
  EXPECT_EQ(problem(module_),
            module_ + " is not safe to load: " + directory_ + " may be written by others than its owner (mode 0777)");
  chmod(directory_.c_str(), 01777);
  EXPECT_EQ(problem(module_), "");
}

TEST_F(ModuleFile, OfAnUntrustedOwner) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  ASSERT_EQ(chown(module_.c_str(), 12345, 0), 0);
  EXPECT_EQ(problem(module_),
            module_ + " belongs to user 12345 (expected root, proxyd's own user or one of allow_owner)");
  EXPECT_EQ(problem(module_, {.sha256 = {}, .check_owner = true, .allow_owner = {12345}}), "");
}

TEST_F(ModuleFile, IsClosedUnlessReleased) {
  int fd = -1;
  {
    const ModuleCheck check = check_module_file(module_, {});
    fd = check.fd();
  }
  EXPECT_EQ(fcntl(fd, F_GETFD), -1);
  {
    ModuleCheck check = check_module_file(module_, {});
    fd = check.release_fd();
  }
  EXPECT_NE(fcntl(fd, F_GETFD), -1);
  close(fd);
}

}  // namespace
}  // namespace p11shim
