#include "walker.h"

namespace p11shim::walk {

void Walker::walk(const Path& path) {
  administers_ = path.administers;
  const Session first = app_.open();
  sessions_ = {first};
  slots_of_ = {{first, app_.slot}};
  for (std::uint64_t number : path.steps) {
    now_ = number;
    Choice choice(path.seed, number);
    app_.note("step", number);
    step(choice);
  }
}

void Walker::step(Choice& choice) {
  struct Kind {
    unsigned weight;
    void (Walker::*act)(Choice&);
    bool alone = false;  // disturbs others
  };
  static constexpr Kind kKinds[] = {
      {8, &Walker::open_session, true},
      {4, &Walker::close_session, true},
      {1, &Walker::close_all_sessions, true},
      {4, &Walker::session_info},
      {2, &Walker::token_info, true},
      {2, &Walker::elsewhere, true},
      {10, &Walker::login, true},
      {3, &Walker::logout, true},
      {1, &Walker::change_pin, true},
      {1, &Walker::start_over, true},
      {2, &Walker::mechanisms},
      {3, &Walker::random},
      {1, &Walker::legacy},
      {1, &Walker::operation_state},
      {20, &Walker::create_object},
      {4, &Walker::copy_object},
      {5, &Walker::destroy_object},
      {14, &Walker::get_attributes},
      {6, &Walker::set_attributes},
      {2, &Walker::object_size},
      {6, &Walker::find_all},
      {8, &Walker::find_step},
      {4, &Walker::generate_key},
      {1, &Walker::generate_pair},
      {5, &Walker::wrap_and_unwrap},
      {4, &Walker::derive},
      {12, &Walker::encrypt_init},
      {18, &Walker::encrypt},
      {10, &Walker::decrypt_init},
      {14, &Walker::decrypt},
      {8, &Walker::digest_init},
      {12, &Walker::digest},
      {1, &Walker::digest_key},
      {10, &Walker::sign_init},
      {14, &Walker::sign},
      {8, &Walker::verify_init},
      {10, &Walker::verify},
      {3, &Walker::recover},
      {3, &Walker::dual},
      {8, &Walker::whole_signature},
      {3, &Walker::message},
      {1, &Walker::cancel},
  };
  unsigned total = 0;
  for (const Kind& kind : kKinds) total += kind.alone && !alone_ ? 0 : kind.weight;
  std::uint64_t left = choice.below(total);
  for (const Kind& kind : kKinds) {
    const unsigned weight = kind.alone && !alone_ ? 0 : kind.weight;
    if (left < weight) return (this->*kind.act)(choice);
    left -= weight;
  }
}

}  // namespace p11shim::walk
