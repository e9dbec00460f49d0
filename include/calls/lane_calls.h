// What proxyd asks of a lane beyond the functions of PKCS#11. These calls travel like the others, with numbers of their own.
#pragma once

#include <string>
#include <vector>

#include "calls/infos.h"
#include "wire/message.h"

namespace p11shim {

enum class LaneCall : std::uint32_t {
  load = 1000,        // body: LoadOrder → LoadedModule. The first call of a worker, on lane 0, once.
  list_slots = 1001,  // body: whether to ask for their number first → SlotEntry, one after another
  describe = 1002,    // handles: session, objects… → their descriptions in the annex
  read_out = 1003,    // handles: session, object → a template with which C_CreateObject makes the same session object
  read_template =
      1004,  // handles: session, object; body: list of attribute types, empty for all that make a copy → a template
};

struct LoadOrder {
  std::string path;                         // of the module
  std::string library_parameters;           // NSS: LibraryParameters in its larger CK_C_INITIALIZE_ARGS; empty = none
  CK_FLAGS flags = 0;                       // of CK_C_INITIALIZE_ARGS
  bool null_arguments = false;              // C_Initialize(NULL): for modules that refuse any
  std::vector<CK_ATTRIBUTE_TYPE> counters;  // which say that each use of a key is counted
};

struct LoadedModule {
  CK_INFO info{};
  bool has_3_0 = false;  // offers a 3.x interface
  std::string failure;   // with rv != CKR_OK: what went wrong, for the operator
};

struct SlotEntry {
  CK_SLOT_ID slot = 0;
  CK_SLOT_INFO info{};
  CK_RV token_rv = CKR_TOKEN_NOT_PRESENT;  // of C_GetTokenInfo
  CK_TOKEN_INFO token{};
};

// What identifies an object (docs/decisions: deterministic handles). Never holds the value of a secret or private key.
struct Description {
  std::uint64_t object = 0;  // the module's handle
  bool readable = false;     // false: the module did not even tell its class and whether it is a token object
  CK_OBJECT_CLASS object_class = 0;
  bool is_token = false;
  bool is_private = false;
  bool has_key_type = false;
  CK_KEY_TYPE key_type = 0;
  std::span<const std::uint8_t> id;
  std::span<const std::uint8_t> label;
  bool counted = false;                   // each use changes it, or uses it up: it has an attribute that says so
  bool proof = false;                     // `content` proves what the object is
  std::span<const std::uint8_t> content;  // its immutable public attributes; empty for session objects
  std::span<const std::uint8_t> hints;    // other attributes that tell objects without proof apart
};

void write_load_order(Out& out, const LoadOrder& order);
bool read_load_order(In& in, LoadOrder& order);
void write_loaded_module(Out& out, const LoadedModule& loaded);
bool read_loaded_module(In& in, LoadedModule& loaded);
void write_slots(Out& out, const std::vector<SlotEntry>& slots);
bool read_slots(In& in, std::vector<SlotEntry>& slots);
// Descriptions stand one after another in the annex.
void write_description(Out& out, const Description& description);
bool read_description(In& in, Description& description);

}  // namespace p11shim
