// The key that a test works with: one of the token's that fits, or one made for the run, which disappears
// with it.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>

#include "tools/pkcs11/session.h"
#include "tools/shimctl/bench/test_list.h"

namespace p11shim {

// Why a test cannot be measured here. It is skipped, said so, and never counted.
class TestSkipped : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct BenchKeyChoice {
  std::string key{};  // as a command line names it; empty: whatever fits
  bool may_make = true;
};

class BenchKey {
 public:
  // Throws TestSkipped, or Failure if the chosen key is not there. `session` must outlive this object.
  BenchKey(const Session& session, const BenchTest& test, const BenchKeyChoice& choice);
  ~BenchKey();
  BenchKey(const BenchKey&) = delete;
  BenchKey& operator=(const BenchKey&) = delete;

  CK_OBJECT_HANDLE key() const { return key_; }            // private or secret; 0: the test needs none
  CK_OBJECT_HANDLE public_key() const { return public_; }  // 0: there is none
  const std::string& label() const { return label_; }
  bool was_made() const { return made_; }

 private:
  bool take(CK_OBJECT_HANDLE object, const BenchTest& test, std::string& why);
  void choose(const BenchTest& test, const std::string& key);
  bool find(const BenchTest& test);
  void make(const BenchTest& test);

  const Session& session_;
  CK_OBJECT_HANDLE key_ = CK_INVALID_HANDLE;
  CK_OBJECT_HANDLE public_ = CK_INVALID_HANDLE;
  std::string label_;
  bool made_ = false;
};

// The tests that this key is made for, its usages aside: "p256-*" for a P-256 key. Throws Failure.
std::vector<const BenchTest*> tests_for_key(const Session& session, const std::string& key);

}  // namespace p11shim
