// The shim is a guest: it starts no thread, touches no signal, writes nothing, leaks nothing, and keeps
// errno.
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include "shim.h"

namespace p11shim {
namespace {

// Everything that an application does in its life, with nobody to serve it.
void live(const Shim& shim) {
  CK_ULONG count = 0;
  CK_INFO info{};
  CK_SESSION_HANDLE session = 0;
  assert_int_equal(shim.v2->C_Initialize(nullptr), CKR_OK);
  assert_int_equal(shim.v2->C_GetInfo(&info), CKR_OK);
  shim.v2->C_GetSlotList(CK_TRUE, nullptr, &count);
  shim.v2->C_OpenSession(0, CKF_SERIAL_SESSION, nullptr, nullptr, &session);
  shim.v2->C_GenerateRandom(session, nullptr, 0);
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_OK);
}

struct SignalState {
  std::array<struct sigaction, NSIG> actions{};
  sigset_t blocked{};
};

SignalState signal_state() {
  SignalState state;
  for (int signal = 1; signal < NSIG; ++signal) {
    ::sigaction(signal, nullptr, &state.actions[static_cast<std::size_t>(signal)]);
  }
  ::pthread_sigmask(SIG_SETMASK, nullptr, &state.blocked);
  return state;
}

void starts_no_thread(void**) {
  const std::size_t before = count_entries("/proc/self/task");
  const Shim shim = load_shim();
  assert_int_equal(shim.v2->C_Initialize(nullptr), CKR_OK);
  CK_ULONG count = 0;
  shim.v2->C_GetSlotList(CK_TRUE, nullptr, &count);
  assert_int_equal(count_entries("/proc/self/task"), before);
  assert_int_equal(shim.v2->C_Finalize(nullptr), CKR_OK);
}

void leaves_signals_alone(void**) {
  const SignalState before = signal_state();
  live(load_shim());
  const SignalState after = signal_state();
  for (int signal = 1; signal < NSIG; ++signal) {
    const auto i = static_cast<std::size_t>(signal);
    if (before.actions[i].sa_handler != after.actions[i].sa_handler) fail_msg("handler of signal %d", signal);
    assert_int_equal(sigismember(&before.blocked, signal), sigismember(&after.blocked, signal));
  }
}

void leaves_no_file_open(void**) {
  const Shim shim = load_shim();
  live(shim);
  const std::size_t before = count_entries("/proc/self/fd");
  for (int i = 0; i < 20; ++i) live(shim);
  assert_int_equal(count_entries("/proc/self/fd"), before);
}

void keeps_errno(void**) {
  const Shim shim = load_shim();
  constexpr int kMine = E2BIG;
  CK_ULONG count = 0;
  CK_INFO info{};
  const auto keeps = [](CK_RV) { return errno == kMine; };
  errno = kMine;
  assert_true(keeps(shim.v2->C_Initialize(nullptr)));
  assert_true(keeps(shim.v2->C_GetInfo(&info)));
  assert_true(keeps(shim.v2->C_GetSlotList(CK_TRUE, nullptr, &count)));
  assert_true(keeps(shim.v2->C_CloseSession(1)));
  assert_true(keeps(shim.v2->C_Finalize(nullptr)));
}

void writes_nothing_to_standard_output_and_error(void**) {
  assert_int_equal(in_child([] { live(load_shim()); }), 0);
  assert_string_equal(read_text(private_path("output")).c_str(), "");
}

// Somebody who accepts connections and hangs up, for as long as we live.
class HangingUp {
 public:
  explicit HangingUp(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    assert_int_equal(::listen(listener, 16), 0);
    child_ = ::fork();
    if (child_ == 0) {
      while (true) ::close(::accept(listener, nullptr, nullptr));
    }
    ::close(listener);
  }
  ~HangingUp() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

 private:
  pid_t child_;
};

void delivers_no_sigpipe(void**) {
  const HangingUp server(private_path("nobody.sock"));
  const Shim shim = load_shim();
  // In the child SIGPIPE kills, as it does by default.
  assert_int_equal(in_child([&] {
                     ::signal(SIGPIPE, SIG_DFL);
                     CK_ULONG count = 0;
                     shim.v2->C_Initialize(nullptr);
                     for (int i = 0; i < 20; ++i) shim.v2->C_GetSlotList(CK_TRUE, nullptr, &count);
                     shim.v2->C_Finalize(nullptr);
                   }),
                   0);
  std::filesystem::remove(private_path("nobody.sock"));
}

}  // namespace
}  // namespace p11shim

int main() {
  using namespace p11shim;
  const CMUnitTest tests[] = {
      cmocka_unit_test(starts_no_thread),
      cmocka_unit_test(leaves_signals_alone),
      cmocka_unit_test(leaves_no_file_open),
      cmocka_unit_test(keeps_errno),
      cmocka_unit_test(writes_nothing_to_standard_output_and_error),
      cmocka_unit_test(delivers_no_sigpipe),
  };
  return cmocka_run_group_tests(tests, make_private_folder, remove_private_folder);
}
