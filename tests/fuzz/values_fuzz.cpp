// Covers ObjectValues::take and what it answers afterwards: values that came along with a reply of a hostile proxyd. None that
// may not come along is remembered, and an answer stays within the application's buffers.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "shim/object_values.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

constexpr CK_SLOT_ID kSlot = 5;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p11shim;
  for (const std::uint64_t generation : {0, 7}) {
    ObjectValues values{std::chrono::hours(1)};
    const Stamp asked = values.stamp(generation);
    values.take(kSlot, {data, size}, asked);
    for (CK_OBJECT_HANDLE object = 0; object < 4; ++object) {
      for (const CK_ATTRIBUTE_TYPE type : {CKA_CLASS, CKA_TOKEN, CKA_LABEL, CKA_VALUE, CKA_MODULUS, CKA_VALUE_LEN,
                                           CKA_PRIVATE_EXPONENT, CKA_KEYS_REMAINING, CKA_WRAP_TEMPLATE}) {
        CK_ATTRIBUTE length{type, nullptr, 0};
        const bool is_known = values.answer(kSlot, object, &length, 1, generation);
        require(!is_known || may_come_along(type));
        std::vector<CK_BYTE> exact(is_known ? length.ulValueLen : 1);  // AddressSanitizer looks at its end
        require(!is_known || exact.size() <= limits::kMaxValueAlong);
        CK_ATTRIBUTE whole{type, exact.data(), exact.size()};
        const bool again = values.answer(kSlot, object, &whole, 1, generation);
        require(again == is_known || !is_known);
        require(!again || whole.ulValueLen <= exact.size());
        if (is_known && !exact.empty()) {
          CK_ATTRIBUTE small{type, exact.data(), exact.size() - 1};
          require(!values.answer(kSlot, object, &small, 1, generation));
        }
        // Another slot's, and what was asked before a change, are not answered.
        require(!values.answer(kSlot + 1, object, &length, 1, generation));
      }
    }
    values.clear();
    CK_ATTRIBUTE label{CKA_LABEL, nullptr, 0};
    require(!values.answer(kSlot, 1, &label, 1, generation));
    values.take(kSlot, {data, size}, asked);
    require(!values.answer(kSlot, 1, &label, 1, generation));
  }
  return 0;
}
