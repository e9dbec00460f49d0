#include "load.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "compare/backend.h"
#include "wire/buffer.h"
#include "wire/out.h"

namespace p11shim {

Load::Load(TestApplication& application, std::size_t threads, unsigned verify_each)
    : application_(application), verify_each_(verify_each) {
  const auto session = application_.open();
  if (application_.log_in(session, compare::kUserPin) != CKR_OK) throw std::runtime_error("no login");
  key_ = application_.one(session, CKO_PRIVATE_KEY, "ec");
  CK_BYTE curve[64], point[128];
  CK_ATTRIBUTE attributes[] = {{CKA_EC_PARAMS, curve, sizeof curve}, {CKA_EC_POINT, point, sizeof point}};
  if (application_->C_GetAttributeValue(session, application_.one(session, CKO_PUBLIC_KEY, "ec"), attributes, 2) !=
      CKR_OK)
    throw std::runtime_error("no public key");
  Buffer content;
  Out out(content);
  for (const CK_ATTRIBUTE& each : attributes) {
    out.uint(each.type);
    out.bin(each.pValue, each.ulValueLen);
  }
  public_key_ = PublicKey::read(content.bytes());
  if (!public_key_) throw std::runtime_error("no public key that can be read");
  for (std::size_t i = 0; i < threads; ++i)
    threads_.emplace_back([this, of_thread = application_.open()] { run(of_thread); });
}

void Load::run(CK_SESSION_HANDLE session) {
  CK_MECHANISM mechanism{CKM_ECDSA, nullptr, 0};
  CK_BYTE digest[32] = {};
  for (unsigned i = 0; !stop_; ++i) {
    std::memcpy(digest, &i, sizeof i);
    CK_BYTE signature[64];
    CK_ULONG size = sizeof signature;
    const auto begin = Clock::now();
    CK_RV rv = application_->C_SignInit(session, &mechanism, key_);
    if (rv == CKR_OK) rv = application_->C_Sign(session, digest, sizeof digest, signature, &size);
    const double ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
    const bool verify = rv == CKR_OK && verify_each_ != 0 && i % verify_each_ == 0;
    const bool wrong = verify && !public_key_->verifies(digest, {signature, size});
    ++done_;
    const std::lock_guard lock(mutex_);
    result_.wrong += wrong;
    if (rv == CKR_OK) {
      ++result_.good;
      result_.ms.push_back(ms);
      continue;
    }
    result_.last_error = rv;
    if (result_.failed++ == 0) result_.first_error = rv;
  }
}

Load::Result Load::take() {
  const std::lock_guard lock(mutex_);
  Result taken = std::exchange(result_, {});
  const auto now = Clock::now();
  taken.seconds = std::chrono::duration<double>(now - since_).count();
  since_ = now;
  std::ranges::sort(taken.ms);
  return taken;
}

Load::Result Load::measure(std::chrono::milliseconds duration) {
  take();
  std::this_thread::sleep_for(duration);
  return take();
}

void Load::stop() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace p11shim
