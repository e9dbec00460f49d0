// A proxyd for tests of the shim: speaks the protocol over a unix socket in a private directory, answers a
// few functions by itself, and does wrong whatever a test tells it to. One thread for each connection.
#pragma once

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "pkcs11/cryptoki.h"
#include "wire/generations.h"
#include "wire/message.h"
#include "wire/ring.h"

namespace p11shim {

// All of `bytes` at once, with a descriptor unless that is -1. False: the peer did not take them.
bool send_with_descriptor(int socket, std::span<const std::uint8_t> bytes, int descriptor);

class FakeProxyd {
 public:
  struct Answer {
    CK_RV rv = CKR_OK;
    CK_RV init_rv = CKR_OK;
    std::vector<std::uint64_t> handles;
    std::vector<std::uint8_t> body;
    std::vector<std::uint8_t> values = {};
    bool ended = false;
    std::uint64_t id_offset = 0;    // of the reply's id: anything but 0 is wrong
    bool is_last = false;           // the connection is closed after it
    std::vector<std::uint8_t> raw;  // if not empty, these bytes are sent instead of a reply
  };
  // Nothing: the connection is closed without an answer.
  using Handler = std::function<std::optional<Answer>(const Request&)>;
  struct Greeting {
    Id128 instance{}, secret{}, parent{};
    std::string program;
    bool resumed = false;
  };

  FakeProxyd();
  ~FakeProxyd();
  FakeProxyd(const FakeProxyd&) = delete;
  FakeProxyd& operator=(const FakeProxyd&) = delete;

  [[nodiscard]] std::string path() const { return (directory_ / "socket").string(); }
  [[nodiscard]] std::string endpoint() const { return "unix:" + path(); }

  // Replaces the answers to a function by number; what it leaves out is answered as before.
  void on(std::uint32_t call, Handler handler);
  void on_hello(std::function<void(const Hello&, Welcome&)> change);

  // Whoever asks for an area gets this memory, said to have the usual size. -1, as at first: none. Not owned.
  void give_area(int memory) { area_ = memory; }
  // Whoever asks for rings gets some; `before_answer` is called whenever a request was read there. Requests that lie in an
  // `ignored` ring are left there, and the connection ends.
  using AtRings = std::function<void(const Rings& rings)>;
  void give_rings(AtRings before_answer = nullptr) { before_answer_ = std::move(before_answer), gives_rings_ = true; }
  void ignore_rings(bool ignores) { ignores_rings_ = ignores; }
  [[nodiscard]] std::size_t requests_in_rings() const { return requests_in_rings_; }
  // From now on whoever asks is given this page.
  GenerationPage& share_generations();

  // Nobody listens from here on, and nothing that was known is known any more.
  void stop();
  void start();
  // Closes all connections.
  void hang_up();

  [[nodiscard]] std::vector<Greeting> greetings() const;
  [[nodiscard]] std::vector<std::uint64_t> restored() const;  // sessions that were opened again by their handles
  [[nodiscard]] std::size_t goodbyes() const;
  [[nodiscard]] std::size_t open_connections() const;
  [[nodiscard]] std::size_t calls(std::uint32_t call) const;
  // Bounded: false if it does not become true in a time in which everything does.
  bool wait_until(const std::function<bool()>& condition) const;

 private:
  struct Connection {
    int descriptor = -1;
    std::thread thread;
  };

  void accept_all();
  void serve(Connection& connection);
  void give_page(int descriptor);
  void give_rings(int descriptor, Rings& rings);
  bool receive(int descriptor, const Rings& memory, Buffer& frame);
  void greet(int descriptor, const Hello& hello);
  void answer_area_request(int descriptor) const;
  std::optional<Answer> answer(const Request& request);
  std::optional<Answer> usual_answer(const Request& request);

  std::atomic<int> area_{-1};
  AtRings before_answer_;
  std::atomic<bool> gives_rings_{false}, ignores_rings_{false};
  std::atomic<std::size_t> requests_in_rings_{0};
  std::filesystem::path directory_;
  std::thread acceptor_;
  int listener_ = -1;

  int page_descriptor_ = -1;
  GenerationPage* page_ = nullptr;

  mutable std::mutex mutex_;  // guards what follows
  std::list<Connection> connections_;
  std::map<std::uint32_t, Handler> handlers_;
  std::function<void(const Hello&, Welcome&)> on_hello_;
  std::map<Id128, Id128> applications_;  // instance → secret
  std::vector<Greeting> greetings_;
  std::vector<std::uint64_t> restored_;
  std::map<std::uint32_t, std::size_t> calls_;
  std::size_t goodbyes_ = 0, open_ = 0;
  std::uint64_t last_session_ = 100;
};

}  // namespace p11shim
