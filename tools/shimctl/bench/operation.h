// One operation as a thread repeats it: only run() is timed.
#pragma once

#include <memory>
#include <string>

#include "tools/pkcs11/session.h"
#include "tools/shimctl/bench/bench_key.h"
#include "tools/shimctl/token/secret.h"

namespace p11shim {

class Operation {
 public:
  Operation() = default;
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  virtual CK_RV run() = 0;
  // Gives back what run() made. After each successful run.
  virtual void tidy() {}
  // After a failed one: what it began must not stand in the way of the next.
  virtual void recover() {}
  // Whether what the last run() answered is right; otherwise what is wrong. Before tidy().
  virtual std::string check() = 0;
};

struct OperationPlace {
  Session& session;  // this thread's own
  const BenchTest& test;
  const BenchKey& key;
  std::size_t data_size;
  const Secret* pin = nullptr;  // for the login test
};

// Ready to run: a first result has been computed where later ones are compared with it. Throws TestSkipped or
// CallError.
std::unique_ptr<Operation> make_operation(const OperationPlace& place);

}  // namespace p11shim
