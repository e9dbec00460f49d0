#include "crowd.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "pkcs11/names.h"

namespace p11shim {
namespace {

constexpr char kGood = '+';
constexpr char kBad = '-';

CK_RV start(CK_FUNCTION_LIST& module, CK_SLOT_ID slot, CK_SESSION_HANDLE& session) {
  if (const CK_RV rv = module.C_Initialize(nullptr); rv != CKR_OK) return rv;
  return module.C_OpenSession(slot, CKF_SERIAL_SESSION, nullptr, nullptr, &session);
}

CK_RV call_once(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session) {
  std::array<CK_BYTE, 32> random{};
  return module.C_GenerateRandom(session, random.data(), random.size());
}

}  // namespace

Crowd::Crowd(CK_FUNCTION_LIST& module, CK_SLOT_ID slot, unsigned applications) {
  if (::pipe(call_.data()) != 0 || ::pipe(end_.data()) != 0 || ::pipe(report_.data()) != 0) {
    throw std::runtime_error("no pipes for the crowd");
  }
  for (unsigned i = 0; i < applications; ++i) {
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("cannot fork application " + std::to_string(i));
    if (child == 0) be_application(module, slot);
    children_.push_back(child);
    expect_reports(1);
  }
}

Crowd::~Crowd() {
  for (const int fd : {call_[1], end_[1]}) ::close(fd);  // that is what they wait for
  for (const pid_t child : children_) ::waitpid(child, nullptr, 0);
  for (const int fd : {call_[0], end_[0], report_[0], report_[1]}) ::close(fd);
}

void Crowd::be_application(CK_FUNCTION_LIST& module, CK_SLOT_ID slot) const {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::close(call_[1]);
  ::close(end_[1]);
  CK_SESSION_HANDLE session = 0;
  const auto report = [this](CK_RV rv) {
    if (rv != CKR_OK) std::fprintf(stderr, "application %d: %s\n", ::getpid(), display(NameKind::ckr, rv).c_str());
    const char word = rv == CKR_OK ? kGood : kBad;
    if (::write(report_[1], &word, 1) != 1) ::_exit(1);
  };
  char token = 0;
  report(start(module, slot, session));
  while (::read(call_[0], &token, 1) == 1 && token == kBad) {
  }
  if (token == kGood) report(call_once(module, session));
  while (::read(end_[0], &token, 1) == 1) {
  }
  ::_exit(0);
}

void Crowd::expect_reports(std::size_t count) const {
  for (std::size_t i = 0; i < count; ++i) {
    char word = kBad;
    if (::read(report_[0], &word, 1) != 1 || word != kGood) {
      throw std::runtime_error("an application of the crowd failed after " + std::to_string(children_.size()));
    }
  }
}

void Crowd::call() {
  const std::vector<char> tokens(children_.size(), kGood);
  for (const char token : tokens) {
    if (::write(call_[1], &token, 1) != 1) throw std::runtime_error("the crowd's pipe broke");
  }
  expect_reports(children_.size());
}

}  // namespace p11shim
