// C_Initialize, C_Finalize, and what answers before, between and after them (sections 5.4 and 5.20).
#include "cases.h"

namespace p11shim::contract {
namespace {

CK_RV create_mutex(void** mutex) {
  *mutex = mutex;
  return CKR_OK;
}
CK_RV use_mutex(void*) { return CKR_OK; }

// With NSS, arguments without its parameters are a different story: these run where the standard's do.
struct Arguments {
  CK_C_INITIALIZE_ARGS value{};
  explicit Arguments(CK_FLAGS flags) { value.flags = flags; }
  Arguments& with_mutexes() {
    value.CreateMutex = create_mutex;
    value.DestroyMutex = use_mutex;
    value.LockMutex = use_mutex;
    value.UnlockMutex = use_mutex;
    return *this;
  }
};

void initialise_and_finalise(Application& app) {
  app.must(app.initialize_plainly(), "C_Initialize");
  app.finalize();
}

void initialise_null_args(Application& app) {
  app.initialize(nullptr, "NULL");
  app.get_slot_list(true, Room::query());
  app.finalize();
}

void initialise_flags_none(Application& app) {
  Arguments arguments(0);
  app.initialize(&arguments.value, "no flags");
  app.get_slot_list(true, Room::query());
  app.finalize();
}

void initialise_flags_no_threads(Application& app) {
  Arguments arguments(CKF_LIBRARY_CANT_CREATE_OS_THREADS);
  app.initialize(&arguments.value, "no OS threads");
  app.get_slot_list(true, Room::query());
  app.finalize();
}

void initialise_flags_both(Application& app) {
  Arguments arguments(CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK);
  app.initialize(&arguments.value, "no OS threads, OS locking");
  app.get_slot_list(true, Room::query());
  app.finalize();
}

void initialise_unknown_flags(Application& app) {
  Arguments arguments(CKF_OS_LOCKING_OK | 0x40000000UL);
  app.initialize(&arguments.value, "an unknown flag");
  app.finalize();
}

void initialise_own_mutexes(Application& app) {
  Arguments arguments(0);
  app.initialize(&arguments.with_mutexes().value, "own mutexes");
  app.get_slot_list(true, Room::query());
  app.finalize();
}

void initialise_own_mutexes_or_os(Application& app) {
  Arguments arguments(CKF_OS_LOCKING_OK);
  app.initialize(&arguments.with_mutexes().value, "own mutexes, OS locking");
  app.finalize();
}

void initialise_some_mutexes(Application& app) {
  for (int missing = 0; missing < 4; ++missing) {
    Arguments arguments(CKF_OS_LOCKING_OK);
    arguments.with_mutexes();
    if (missing == 0) arguments.value.CreateMutex = nullptr;
    if (missing == 1) arguments.value.DestroyMutex = nullptr;
    if (missing == 2) arguments.value.LockMutex = nullptr;
    if (missing == 3) arguments.value.UnlockMutex = nullptr;
    app.initialize(&arguments.value, "three of four mutexes");
    app.finalize();
  }
}

void initialise_one_mutex(Application& app) {
  Arguments arguments(0);
  arguments.value.CreateMutex = create_mutex;
  app.initialize(&arguments.value, "one mutex");
  app.finalize();
}

void initialise_reserved_set(Application& app) {
  Arguments arguments(CKF_OS_LOCKING_OK);
  static char reserved[] = "reserved";
  arguments.value.LibraryParameters = reinterpret_cast<CK_CHAR_PTR*>(reserved);  // the standard's pReserved
  app.initialize(&arguments.value, "pReserved set");
  app.get_slot_list(true, Room::query());
  app.finalize();
}

void initialise_twice(Application& app) {
  app.must(app.initialize_plainly(), "C_Initialize");
  app.initialize_plainly();
  app.initialize(nullptr, "NULL");
  app.finalize();
  app.finalize();
}

void initialise_again_after_finalise(Application& app) {
  app.start();
  const auto session = app.open();
  app.finalize();
  app.start();
  CK_SESSION_INFO info;
  app.get_session_info(session, &info);
  app.open();
  app.finalize();
}

void initialise_many_times(Application& app) {
  for (int i = 0; i < 5; ++i) {
    app.must(app.initialize_plainly(), "C_Initialize");
    app.get_slot_list(false, Room::query());
    app.finalize();
  }
}

void finalise_uninitialised(Application& app) {
  app.finalize();
  app.finalize(&app);
}

void finalise_reserved_set(Application& app) {
  app.must(app.initialize_plainly(), "C_Initialize");
  app.finalize(&app);
  app.get_slot_list(true, Room::query());
  app.finalize();
}

void finalise_with_open_sessions(Application& app) {
  const auto session = app.start_logged_in();
  app.create(session, data_object());
  app.find_objects_init(session, Template{});
  app.finalize();
  app.start();
  const auto next = app.open();
  app.find_all(next, {});
  CK_SESSION_INFO info;
  app.get_session_info(next, &info);
  app.finalize();
}

// Every function of 2.40 in an application that is not initialised.
void call_everything_general(Application& app) {
  CK_INFO info;
  CK_SLOT_INFO slot_info;
  CK_TOKEN_INFO token_info;
  CK_MECHANISM_INFO mechanism_info;
  CK_SESSION_INFO session_info;
  CK_SESSION_HANDLE session = 1;
  app.get_info(&info);
  app.get_slot_list(true, Room::query());
  app.get_slot_list(true, Room::of(4));
  app.get_slot_info(0, &slot_info);
  app.get_token_info(0, &token_info);
  app.get_mechanism_list(0, Room::query());
  app.get_mechanism_info(0, CKM_SHA256, &mechanism_info);
  app.init_token(0, kSoPin, "label");
  app.open_session(0, CKF_SERIAL_SESSION, &session);
  app.close_session(1);
  app.close_all_sessions(0);
  app.get_session_info(1, &session_info);
  app.login(1, CKU_USER, kUserPin);
  app.logout(1);
  app.init_pin(1, kUserPin);
  app.set_pin(1, kUserPin, kUserPin);
  app.get_operation_state(1, Room::of(64));
  app.set_operation_state(1, "state", 0, 0);
  if (!app.on("nss")) {  // crashes
    app.seed_random(1, "seed");
    app.generate_random(1, Room::of(16));
  }
  app.get_function_status(1);
  app.cancel_function(1);
  app.wait_for_slot_event(CKF_DONT_BLOCK, &session);
}

void call_everything_objects(Application& app) {
  CK_OBJECT_HANDLE object = 1;
  CK_ULONG size = 0;
  Mechanism mechanism(CKM_AES_KEY_GEN);
  app.create_object(1, data_object(), &object);
  app.copy_object(1, 1, {}, &object);
  app.destroy_object(1, 1);
  app.get_object_size(1, 1, &size);
  app.get_attribute_value(1, 1, roomy({CKA_CLASS}));
  app.set_attribute_value(1, 1, {{CKA_LABEL, "x"}});
  app.find_objects_init(1, Template{});
  app.find_objects(1, 4);
  app.find_objects_final(1);
  app.generate_key(1, &mechanism, {}, &object);
  app.generate_key_pair(1, &mechanism, {}, {}, &object, &object);
  app.wrap_key(1, &mechanism, 1, 1, Room::of(64));
  app.unwrap_key(1, &mechanism, 1, "wrapped", {}, &object);
  app.derive_key(1, &mechanism, 1, {}, &object);
}

void call_everything_operations(Application& app) {
  Mechanism mechanism(CKM_SHA256);
  app.encrypt_init(1, &mechanism, 1);
  app.encrypt(1, "data", Room::of(64));
  app.encrypt_update(1, "data", Room::of(64));
  app.encrypt_final(1, Room::of(64));
  app.decrypt_init(1, &mechanism, 1);
  app.decrypt(1, "data", Room::of(64));
  app.decrypt_update(1, "data", Room::of(64));
  app.decrypt_final(1, Room::of(64));
  app.digest_init(1, &mechanism);
  app.digest(1, "data", Room::of(64));
  app.digest_update(1, "data");
  app.digest_key(1, 1);
  app.digest_final(1, Room::of(64));
  app.sign_init(1, &mechanism, 1);
  app.sign(1, "data", Room::of(64));
  app.sign_update(1, "data");
  app.sign_final(1, Room::of(64));
  app.sign_recover_init(1, &mechanism, 1);
  app.sign_recover(1, "data", Room::of(64));
  app.verify_init(1, &mechanism, 1);
  app.verify(1, "data", "signature");
  app.verify_update(1, "data");
  app.verify_final(1, "signature");
  app.verify_recover_init(1, &mechanism, 1);
  app.verify_recover(1, "signature", Room::of(64));
  app.digest_encrypt_update(1, "data", Room::of(64));
  app.decrypt_digest_update(1, "data", Room::of(64));
  app.sign_encrypt_update(1, "data", Room::of(64));
  app.decrypt_verify_update(1, "data", Room::of(64));
}

void call_everything_messages(Application& app) {
  Mechanism mechanism(CKM_AES_GCM);
  MessageParameter parameter = MessageParameter::gcm(Bytes(12), 0, CKG_NO_GENERATE);
  app.login_user(1, CKU_USER, kUserPin, "name");
  app.session_cancel(1, CKF_ENCRYPT);
  app.message_encrypt_init(1, &mechanism, 1);
  app.encrypt_message(1, &parameter, "aad", "data", Room::of(64));
  app.encrypt_message_begin(1, &parameter, "aad");
  app.encrypt_message_next(1, &parameter, "data", Room::of(64), CKF_END_OF_MESSAGE);
  app.message_encrypt_final(1);
  app.message_decrypt_init(1, &mechanism, 1);
  app.decrypt_message(1, &parameter, "aad", "data", Room::of(64));
  app.decrypt_message_begin(1, &parameter, "aad");
  app.decrypt_message_next(1, &parameter, "data", Room::of(64), CKF_END_OF_MESSAGE);
  app.message_decrypt_final(1);
  app.message_sign_init(1, &mechanism, 1);
  app.sign_message(1, &parameter, "data", Room::of(64));
  app.sign_message_begin(1, &parameter);
  app.sign_message_next(1, &parameter, "data", Room::of(64));
  app.message_sign_final(1);
  app.message_verify_init(1, &mechanism, 1);
  app.verify_message(1, &parameter, "data", "signature");
  app.verify_message_begin(1, &parameter);
  app.verify_message_next(1, &parameter, "data", "signature");
  app.message_verify_final(1);
}

void before_initialise_general(Application& app) { call_everything_general(app); }
void before_initialise_objects(Application& app) { call_everything_objects(app); }
void before_initialise_operations(Application& app) { call_everything_operations(app); }
void before_initialise_messages(Application& app) { call_everything_messages(app); }

void after_finalise_everything(Application& app) {
  app.must(app.initialize_plainly(), "C_Initialize");
  app.finalize();
  call_everything_general(app);
  call_everything_objects(app);
  call_everything_operations(app);
  call_everything_messages(app);
}

void no_session_everything(Application& app) {
  app.must(app.initialize_plainly(), "C_Initialize");
  // Session 1 does not exist; slot ids are left out.
  call_everything_objects(app);
  call_everything_operations(app);
  call_everything_messages(app);
  app.finalize();
}

void library_info(Application& app) {
  app.must(app.initialize_plainly(), "C_Initialize");
  CK_INFO info;
  app.get_info(&info);
  app.get_info(nullptr);
  app.finalize();
}

void function_list(Application& app) {
  app.get_function_list();
  app.get_function_list(true);
  app.must(app.initialize_plainly(), "C_Initialize");
  app.get_function_list();
  app.finalize();
  app.get_function_list();
}

void interface_list(Application& app) {
  app.get_interface_list(Room::query());
  app.get_interface_list(Room::of(16));
  app.get_interface_list(Room::of(1));
}

void interface_by_name(Application& app) {
  CK_VERSION v2_40{2, 40}, v3_0{3, 0}, v9_9{9, 9};
  app.get_interface(nullptr, nullptr, 0);
  app.get_interface("PKCS 11", nullptr, 0);
  app.get_interface("PKCS 11", &v2_40, 0);
  app.get_interface("PKCS 11", &v3_0, 0);
  app.get_interface("PKCS 11", &v9_9, 0);
  app.get_interface("PKCS 11", nullptr, 0x80000000UL);
  app.get_interface("No such interface", nullptr, 0);
  app.get_interface(nullptr, &v3_0, 0);
}

constexpr Case kCases[] = {
    P11_CASE(initialise_and_finalise),
    P11_CASE(initialise_null_args),
    P11_CASE_ON("softhsm", initialise_flags_none),
    P11_CASE_ON("softhsm", initialise_flags_no_threads),
    P11_CASE_ON("softhsm", initialise_flags_both),
    P11_CASE_ON("softhsm", initialise_unknown_flags),
    P11_CASE_ON("softhsm", initialise_own_mutexes),
    P11_CASE_ON("softhsm", initialise_own_mutexes_or_os),
    P11_CASE_ON("softhsm", initialise_some_mutexes),
    P11_CASE_ON("softhsm", initialise_one_mutex),
    P11_CASE_ON("softhsm", initialise_reserved_set),
    P11_CASE(initialise_twice),
    P11_CASE(initialise_again_after_finalise),
    P11_CASE(initialise_many_times),
    P11_CASE(finalise_uninitialised),
    P11_CASE(finalise_reserved_set),
    P11_CASE(finalise_with_open_sessions),
    P11_CASE(before_initialise_general),
    P11_CASE(before_initialise_objects),
    P11_CASE(before_initialise_operations),
    P11_CASE(before_initialise_messages),
    P11_CASE(after_finalise_everything),
    P11_CASE(no_session_everything),
    P11_CASE(library_info),
    P11_CASE(function_list),
    P11_CASE(interface_list),
    P11_CASE(interface_by_name),
};

}  // namespace

std::span<const Case> initialise_cases() { return kCases; }

}  // namespace p11shim::contract
