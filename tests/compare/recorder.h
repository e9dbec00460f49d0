// Calls a module for a test case and writes down what it answered: return code, lengths, outputs (only lengths
// where contents differ from run to run), handles under names of their own, and every byte written where none
// should have been. Not thread-safe: one recorder per thread.
//
// Methods bear the names of the functions they call. They return the module's CK_RV, or an Outcome which is one.
#pragma once

#include <map>
#include <set>

#include "arguments.h"
#include "module.h"

namespace p11shim::compare {

// A CK_RV that no module returns: the module does not offer the function.
inline constexpr CK_RV kAbsent = 0x7fffff01UL;
// Nor this: the call was not made because the module would crash.
inline constexpr CK_RV kLeftOut = 0x7fffff02UL;

struct Outcome {
  CK_RV rv = CKR_OK;
  CK_ULONG length = 0;
  Bytes bytes;
  bool exact = false;  // the same in every run
  operator CK_RV() const { return rv; }
};

struct Attributes {
  CK_RV rv = CKR_OK;
  std::vector<Answer> answers;
  operator CK_RV() const { return rv; }
};

struct Found {
  CK_RV rv = CKR_OK;
  std::vector<CK_OBJECT_HANDLE> objects;
  operator CK_RV() const { return rv; }
};

class MessageParameter;

class Recorder {
 public:
  using Session = CK_SESSION_HANDLE;
  using Object = CK_OBJECT_HANDLE;

  // A fragile module is spared the NULLs that the standard forbids.
  Recorder(const Module& module, TranscriptWriter& transcript, bool fragile)
      : module_(module),
        v2_(module.functions()),
        v3_(module.functions_3_0()),
        transcript_(transcript),
        fragile_(fragile) {}

  // While one of these lives, contents count as different from run to run.
  class Blur {
   public:
    explicit Blur(Recorder& recorder) : recorder_(recorder) { ++recorder_.blurs_; }
    ~Blur() { --recorder_.blurs_; }
    Blur(const Blur&) = delete;
    Blur& operator=(const Blur&) = delete;

   private:
    Recorder& recorder_;
  };

  void note(const std::string& what, const Json& value) { transcript_.note(what, value); }

  // general purpose, slots and tokens (recorder_tokens.cpp)
  CK_RV initialize(void* args, const char* shown);
  CK_RV finalize(void* reserved = nullptr);
  CK_RV get_info(CK_INFO* info);
  CK_RV get_function_list(bool null_place = false);
  CK_RV get_interface_list(Room count_room);
  CK_RV get_interface(const char* name, CK_VERSION* version, CK_FLAGS flags, bool null_place = false);
  CK_RV get_slot_list(bool token_present, Room room, std::vector<CK_SLOT_ID>* slots = nullptr);
  CK_RV get_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO* info);
  CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO* info);
  CK_RV get_mechanism_list(CK_SLOT_ID slot, Room room, std::vector<CK_MECHANISM_TYPE>* types = nullptr);
  CK_RV get_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO* info);
  CK_RV init_token(CK_SLOT_ID slot, Input pin, const char* label);
  CK_RV init_pin(Session session, Input pin);
  CK_RV set_pin(Session session, Input old_pin, Input new_pin);
  CK_RV wait_for_slot_event(CK_FLAGS flags, CK_SLOT_ID* slot, void* reserved = nullptr);

  // sessions (recorder_tokens.cpp)
  CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, Session* session);
  CK_RV close_session(Session session);
  CK_RV close_all_sessions(CK_SLOT_ID slot);
  CK_RV get_session_info(Session session, CK_SESSION_INFO* info);
  Outcome get_operation_state(Session session, Room room);
  CK_RV set_operation_state(Session session, Input state, Object encryption_key, Object authentication_key);
  CK_RV login(Session session, CK_USER_TYPE user, Input pin);
  CK_RV login_user(Session session, CK_USER_TYPE user, Input pin, Input name);
  CK_RV logout(Session session);
  CK_RV get_function_status(Session session);
  CK_RV cancel_function(Session session);
  CK_RV session_cancel(Session session, CK_FLAGS flags);

  // objects and keys (recorder_objects.cpp). A null template is passed as NULL with a count of one.
  CK_RV create_object(Session session, const Template* attributes, Object* object);
  CK_RV create_object(Session session, const Template& attributes, Object* object) {
    return create_object(session, &attributes, object);
  }
  CK_RV copy_object(Session session, Object object, const Template& attributes, Object* copy);
  CK_RV destroy_object(Session session, Object object);
  CK_RV get_object_size(Session session, Object object, CK_ULONG* size);
  Attributes get_attribute_value(Session session, Object object, const Query& query);
  CK_RV get_attribute_value_null(Session session, Object object, CK_ULONG count);
  CK_RV set_attribute_value(Session session, Object object, const Template& attributes);
  CK_RV find_objects_init(Session session, const Template* attributes);
  CK_RV find_objects_init(Session session, const Template& attributes) {
    return find_objects_init(session, &attributes);
  }
  // The handles come in the module's order: only find_objects_final knows them in an order that two runs share.
  Found find_objects(Session session, CK_ULONG max);
  CK_RV find_objects_null(Session session, bool null_handles, bool null_count);
  Found find_objects_final(Session session);
  // Init, FindObjects until nothing comes, Final.
  Found find_all(Session session, const Template& attributes, CK_ULONG at_once = 16);
  CK_RV generate_key(Session session, Mechanism* mechanism, const Template& attributes, Object* key);
  CK_RV generate_key_pair(Session session, Mechanism* mechanism, const Template& public_attributes,
                          const Template& private_attributes, Object* public_key, Object* private_key);
  Outcome wrap_key(Session session, Mechanism* mechanism, Object wrapping_key, Object key, Room room);
  CK_RV unwrap_key(Session session, Mechanism* mechanism, Object unwrapping_key, Input wrapped,
                   const Template& attributes, Object* key);
  CK_RV derive_key(Session session, Mechanism* mechanism, Object base_key, const Template& attributes, Object* key);

  // operations (recorder_operations.cpp)
  CK_RV encrypt_init(Session session, Mechanism* mechanism, Object key);
  Outcome encrypt(Session session, Input data, Room room);
  Outcome encrypt_update(Session session, Input part, Room room);
  Outcome encrypt_final(Session session, Room room);
  CK_RV decrypt_init(Session session, Mechanism* mechanism, Object key);
  Outcome decrypt(Session session, Input data, Room room);
  Outcome decrypt_update(Session session, Input part, Room room);
  Outcome decrypt_final(Session session, Room room);
  CK_RV digest_init(Session session, Mechanism* mechanism);
  Outcome digest(Session session, Input data, Room room);
  CK_RV digest_update(Session session, Input part);
  CK_RV digest_key(Session session, Object key);
  Outcome digest_final(Session session, Room room);
  CK_RV sign_init(Session session, Mechanism* mechanism, Object key);
  Outcome sign(Session session, Input data, Room room);
  CK_RV sign_update(Session session, Input part);
  Outcome sign_final(Session session, Room room);
  CK_RV sign_recover_init(Session session, Mechanism* mechanism, Object key);
  Outcome sign_recover(Session session, Input data, Room room);
  CK_RV verify_init(Session session, Mechanism* mechanism, Object key);
  CK_RV verify(Session session, Input data, Input signature);
  CK_RV verify_update(Session session, Input part);
  CK_RV verify_final(Session session, Input signature);
  CK_RV verify_recover_init(Session session, Mechanism* mechanism, Object key);
  Outcome verify_recover(Session session, Input signature, Room room);
  Outcome digest_encrypt_update(Session session, Input part, Room room);
  Outcome decrypt_digest_update(Session session, Input part, Room room);
  Outcome sign_encrypt_update(Session session, Input part, Room room);
  Outcome decrypt_verify_update(Session session, Input part, Room room);
  CK_RV seed_random(Session session, Input seed);
  Outcome generate_random(Session session, Room room);

  // messages, 3.0 (recorder_messages.cpp). A null parameter is passed as NULL with length 0.
  CK_RV message_encrypt_init(Session session, Mechanism* mechanism, Object key);
  Outcome encrypt_message(Session session, MessageParameter* parameter, Input aad, Input data, Room room);
  CK_RV encrypt_message_begin(Session session, MessageParameter* parameter, Input aad);
  Outcome encrypt_message_next(Session session, MessageParameter* parameter, Input part, Room room, CK_FLAGS flags);
  CK_RV message_encrypt_final(Session session);
  CK_RV message_decrypt_init(Session session, Mechanism* mechanism, Object key);
  Outcome decrypt_message(Session session, MessageParameter* parameter, Input aad, Input data, Room room);
  CK_RV decrypt_message_begin(Session session, MessageParameter* parameter, Input aad);
  Outcome decrypt_message_next(Session session, MessageParameter* parameter, Input part, Room room, CK_FLAGS flags);
  CK_RV message_decrypt_final(Session session);
  CK_RV message_sign_init(Session session, Mechanism* mechanism, Object key);
  Outcome sign_message(Session session, MessageParameter* parameter, Input data, Room room);
  CK_RV sign_message_begin(Session session, MessageParameter* parameter);
  Outcome sign_message_next(Session session, MessageParameter* parameter, Input part, Room room);
  CK_RV message_sign_final(Session session);
  CK_RV message_verify_init(Session session, Mechanism* mechanism, Object key);
  CK_RV verify_message(Session session, MessageParameter* parameter, Input data, Input signature);
  CK_RV verify_message_begin(Session session, MessageParameter* parameter);
  CK_RV verify_message_next(Session session, MessageParameter* parameter, Input part, Input signature);
  CK_RV message_verify_final(Session session);

 private:
  enum class Activity { kEncrypt, kDecrypt, kDigest, kSign, kVerify, kMessageEncrypt, kMessageDecrypt };

  template <class Function, class... Arguments>
  CK_RV call(const char* name, Function function, Arguments&&... arguments);
  template <class Function, class... Before>
  Outcome output_call(const char* name, Function function, Room room, Session session, Activity activity,
                      Before&&... before);
  template <class Function>
  Outcome crypt_call(const char* name, Function function, Session session, Input data, Room room, Activity activity);

  void start(CK_RV rv, Session session, Activity activity, const Mechanism* mechanism, Object key);
  bool blurred(Session session, Activity activity) const;
  // Remembers that the contents of a new object differ from run to run.
  void made(CK_RV rv, const Object* object, bool random);
  void closed(Session session);
  void forget(Session session);
  // What an object is, told by its attributes; not written down.
  std::string identity(Session session, Object object) const;

  const Module& module_;
  CK_FUNCTION_LIST& v2_;
  CK_FUNCTION_LIST_3_0* v3_;
  TranscriptWriter& transcript_;
  bool fragile_;
  Names names_;
  int blurs_ = 0;
  bool blur_this_call_ = false;
  std::map<std::pair<Session, Activity>, bool> random_activities_;
  std::set<Object> random_objects_;
  bool made_random_ = false;  // some exist, perhaps under handles not seen yet
  std::map<Session, CK_SLOT_ID> open_sessions_;
  struct Search {
    std::vector<Object> objects;
    bool exhausted = false;  // C_FindObjects gave fewer than were asked for
  };
  std::map<Session, Search> finds_;
};

}  // namespace p11shim::compare
