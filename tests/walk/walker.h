// One wanderer over the API: every step picks a function with plausible, edge or bad arguments and live, stale or
// foreign handles. What it picks depends on the seed and on what earlier calls answered, and those answers are equal
// on both sides, or the walk has found what it looks for.
//
// Several walkers may wander in one process, each in a thread of its own with its own session, objects and labels.
#pragma once

#include <deque>

#include "choice.h"
#include "contract/application.h"

namespace p11shim::walk {

using contract::Application;
using namespace compare;

struct Path {
  std::uint64_t seed = 0;
  std::vector<std::uint64_t> steps;  // numbers of the steps to walk, ascending
  bool administers = true;           // the security officer logs in
};

class Walker {
 public:
  // Alone: may log in and out, close everything and finalise. Otherwise it keeps to one session on `slot`.
  Walker(Application& app, bool alone, std::string prefix) : app_(app), alone_(alone), prefix_(std::move(prefix)) {}

  // The application is initialised, and unless alone the user is logged in.
  void walk(const Path& path);

 private:
  using Session = CK_SESSION_HANDLE;
  using Object = CK_OBJECT_HANDLE;

  struct Key {
    Object handle;
    CK_OBJECT_CLASS object_class;
    CK_KEY_TYPE type;
    bool token, is_private;
    bool generated;  // its value differs from run to run
    bool dead = false;
    Session owner = 0;
  };

  void step(Choice& choice);

  // walker_sessions.cpp
  void open_session(Choice& choice);
  void close_session(Choice& choice);
  void close_all_sessions(Choice& choice);
  void session_info(Choice& choice);
  void token_info(Choice& choice);
  void elsewhere(Choice& choice);
  void login(Choice& choice);
  void start_afresh();
  void logout(Choice& choice);
  void change_pin(Choice& choice);
  void start_over(Choice& choice);
  void mechanisms(Choice& choice);
  void random(Choice& choice);
  void legacy(Choice& choice);
  void operation_state(Choice& choice);
  Session any_session(Choice& choice);
  CK_SLOT_ID any_slot(Choice& choice);
  void forget_private_objects();
  void forget_all_objects();
  void forget_session_objects(Session session);

  // walker_objects.cpp
  void create_object(Choice& choice);
  void copy_object(Choice& choice);
  void destroy_object(Choice& choice);
  void get_attributes(Choice& choice);
  void set_attributes(Choice& choice);
  void object_size(Choice& choice);
  void find_all(Choice& choice);
  void find_step(Choice& choice);
  void generate_key(Choice& choice);
  void generate_pair(Choice& choice);
  void wrap_and_unwrap(Choice& choice);
  void derive(Choice& choice);
  const Key* any_key(Choice& choice);
  Object any_object(Choice& choice);
  std::string next_label();
  Template search(Choice& choice);
  void remember(Object handle, const Template& attributes, bool generated, Session owner);

  // walker_operations.cpp
  void encrypt_init(Choice& choice);
  void encrypt(Choice& choice);
  void decrypt_init(Choice& choice);
  void decrypt(Choice& choice);
  void digest_init(Choice& choice);
  void digest(Choice& choice);
  void digest_key(Choice& choice);
  void sign_init(Choice& choice);
  void sign(Choice& choice);
  void verify_init(Choice& choice);
  void verify(Choice& choice);
  void recover(Choice& choice);
  void dual(Choice& choice);
  void whole_signature(Choice& choice);
  void message(Choice& choice);
  void cancel(Choice& choice);
  Mechanism cipher(Choice& choice, const Key* key, bool decrypts);
  Mechanism signature(Choice& choice, const Key* key);
  Bytes data(Choice& choice);
  Room room(Choice& choice, CK_ULONG usual);

  Application& app_;
  bool alone_;
  bool administers_ = true;
  bool logged_in_ = false;
  std::string prefix_;
  unsigned labels_ = 0;
  std::uint64_t now_ = 0;
  std::vector<Session> sessions_, closed_;
  std::vector<Session> crossed_;  // were open when somebody logged in or out
  std::deque<Key> keys_;
  std::vector<std::pair<Session, CK_SLOT_ID>> slots_of_;
  std::vector<Bytes> sealed_, signatures_;
};

}  // namespace p11shim::walk
