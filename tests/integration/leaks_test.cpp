// What a worker could let slip: descriptors to programs that its module executes, secrets in memory that was given back.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <sstream>

#include "application.h"
#include "configs.h"

namespace p11shim {
namespace {

// Vendors' modules execute helpers, which may outlive their worker.
TEST(Leaks, ProgramsThatAModuleExecutesGetNoDescriptorOfItsWorker) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config("lanes = 2"));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  const std::string program = mock.file("helper").string(), list = mock.file("descriptors").string();
  std::ofstream(program) << "#!/bin/sh\nexec ls -l /proc/self/fd >" << list << "\n";
  ASSERT_EQ(::chmod(program.c_str(), 0700), 0);
  mock.rules.set("C_GenerateRandom run=" + program + " times=1");
  CK_BYTE bytes[16];
  ASSERT_EQ(application->C_GenerateRandom(session, bytes, sizeof bytes), CKR_OK);
  std::ifstream lines(list);
  int seen = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t arrow = line.find(" -> ");
    if (arrow == std::string::npos) continue;
    ++seen;
    const int descriptor = std::stoi(line.substr(line.rfind(' ', arrow - 1) + 1));
    const bool is_the_listing = line.find("/proc/", arrow) != std::string::npos;
    EXPECT_TRUE(descriptor < 3 || is_the_listing) << line;
  }
  EXPECT_GE(seen, 3);
}

// Where in a process's memory a text is; empty: nowhere.
class Memory {
 public:
  explicit Memory(pid_t process) : folder_("/proc/" + std::to_string(process)) {
    const int memory = ::open((folder_ + "/mem").c_str(), O_RDONLY | O_CLOEXEC);
    if (memory < 0) return;
    std::ifstream maps(folder_ + "/maps");
    for (std::string line; std::getline(maps, line);) {
      std::uint64_t from = 0, to = 0;
      char dash = 0;
      std::istringstream(line) >> std::hex >> from >> dash >> to;
      if (line.find(" rw") == std::string::npos) continue;
      std::string& bytes = regions_.emplace_back(line, std::string(to - from, '\0')).second;
      const ssize_t count = ::pread(memory, bytes.data(), bytes.size(), static_cast<off_t>(from));
      bytes.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
      is_readable_ |= count > 0;
    }
    ::close(memory);
  }
  [[nodiscard]] bool is_readable() const { return is_readable_; }
  [[nodiscard]] std::string find(std::string_view text) const {
    for (const auto& [line, bytes] : regions_)
      if (bytes.find(text) != std::string::npos) return line;
    return {};
  }

 private:
  std::string folder_;
  std::vector<std::pair<std::string, std::string>> regions_;
  bool is_readable_ = false;
};

TEST(Leaks, NothingOfACallStaysInMemory) {
#ifdef P11SHIM_SANITIZED
  GTEST_SKIP() << "sanitizers keep what was given back, in more memory than can be searched";
#endif
  if (!SofthsmTokens::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  const SofthsmTokens tokens;
  PrivateProxyd proxyd(tokens.config());
  proxyd.start();
  if (!Memory(proxyd.pid()).is_readable()) GTEST_SKIP() << "the memory of other processes cannot be read here";
  TestApplication application(proxyd);
  const auto session = application.open();
  const std::string first_pin = "first-pin-Kd83hZ", pin = "second-pin-Lq72mV";
  const std::string plaintext = "plaintext-Rt46kF-that-is-long-enough-for-four-blocks-of-16-bytes";
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  ASSERT_EQ(application.set_pin(session, compare::kUserPin, first_pin), CKR_OK);
  ASSERT_EQ(application.set_pin(session, first_pin, pin), CKR_OK);
  ASSERT_EQ(application->C_Logout(session), CKR_OK);
  EXPECT_EQ(application.log_in(session, first_pin), CKR_PIN_INCORRECT);
  ASSERT_EQ(application.log_in(session, pin), CKR_OK);
  const auto key = application.generate_aes(session, false, "key");

  CK_MECHANISM mechanism{CKM_AES_ECB, nullptr, 0};
  Bytes text(plaintext.begin(), plaintext.end()), sealed(text.size()), opened(text.size());
  CK_ULONG size = sealed.size();
  ASSERT_EQ(application->C_EncryptInit(session, &mechanism, key), CKR_OK);
  ASSERT_EQ(application->C_Encrypt(session, text.data(), text.size(), sealed.data(), &size), CKR_OK);
  std::vector<std::string> secrets{first_pin, pin, plaintext};
  for (const bool in_one_message : {true, false}) {
    size = opened.size();
    ASSERT_EQ(application->C_DecryptInit(session, &mechanism, key), CKR_OK);
    if (in_one_message) {
      ASSERT_EQ(application->C_Decrypt(session, sealed.data(), sealed.size(), opened.data(), &size), CKR_OK);
    } else {
      ASSERT_EQ(application->C_DecryptUpdate(session, sealed.data(), sealed.size(), opened.data(), &size), CKR_OK);
      CK_BYTE rest[16];
      size = sizeof rest;
      ASSERT_EQ(application->C_DecryptFinal(session, rest, &size), CKR_OK);
    }
    EXPECT_EQ(opened, text);
  }
  // In the ring, in the arena's own block, and beyond both.
  for (const std::size_t length : {64u, 6000u, 100'000u}) {
    Bytes random(length);
    ASSERT_EQ(application->C_GenerateRandom(session, random.data(), random.size()), CKR_OK);
    secrets.emplace_back(random.begin() + static_cast<std::ptrdiff_t>(length / 2),
                         random.begin() + static_cast<std::ptrdiff_t>(length / 2 + 32));
  }
  ASSERT_EQ(application->C_Logout(session), CKR_OK);
  for (const pid_t process : {proxyd.pid(), proxyd.worker_pid("user"), proxyd.worker_pid("public")}) {
    if (process == 0) continue;
    const Memory memory(process);
    EXPECT_TRUE(memory.is_readable());
    for (std::size_t i = 0; i < secrets.size(); ++i)
      EXPECT_EQ(memory.find(secrets[i]), "")
          << "secret " << i << " in process " << process << " of proxyd " << proxyd.pid();
  }
}

}  // namespace
}  // namespace p11shim
