#include "fake_proxyd.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "calls/table.h"

namespace p11shim {
namespace {

using F = CK_FUNCTION_LIST_3_0;

bool receive_all(int descriptor, std::uint8_t* place, std::size_t size) {
  for (std::size_t got = 0; got < size;) {
    const ssize_t step = recv(descriptor, place + got, size - got, 0);
    if (step <= 0) return false;
    got += static_cast<std::size_t>(step);
  }
  return true;
}

bool receive_frame(int descriptor, Buffer& frame) {
  std::uint8_t prefix[kLengthPrefix];
  if (!receive_all(descriptor, prefix, sizeof prefix)) return false;
  const std::uint32_t length = load_length(prefix);
  if (length > limits::kMaxFrame) return false;
  frame.clear();
  return receive_all(descriptor, frame.extend(length), length);
}

void send_all(int descriptor, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

Id128 next_secret() {
  static std::atomic<std::uint8_t> count{1};
  Id128 secret;
  secret.fill(count++);
  return secret;
}

}  // namespace

bool send_with_descriptor(int socket, std::span<const std::uint8_t> bytes, int descriptor) {
  iovec part{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptor)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

FakeProxyd::FakeProxyd() {
  std::string name = (std::filesystem::temp_directory_path() / "p11shim-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  directory_ = name;
  start();
}

FakeProxyd::~FakeProxyd() {
  stop();
  if (page_ != nullptr) munmap(page_, sizeof(GenerationPage));
  if (page_descriptor_ >= 0) close(page_descriptor_);
  std::filesystem::remove_all(directory_);
}

void FakeProxyd::start() {
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path().copy(address.sun_path, sizeof address.sun_path - 1);
  unlink(address.sun_path);
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(listener_, 64) != 0)
    throw std::runtime_error("cannot listen on " + path());
  // Signals are for the test's own threads: the threads started here, and those that they start, block them
  // all.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  acceptor_ = std::thread([this] { accept_all(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void FakeProxyd::stop() {
  if (listener_ < 0) return;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  unlink(path().c_str());
  listener_ = -1;
  hang_up();
  std::list<Connection> connections;
  {
    const std::lock_guard lock(mutex_);
    connections.swap(connections_);
    applications_.clear();
  }
  for (Connection& connection : connections) connection.thread.join();
}

void FakeProxyd::hang_up() {
  const std::lock_guard lock(mutex_);
  for (const Connection& connection : connections_)
    if (connection.descriptor >= 0) shutdown(connection.descriptor, SHUT_RDWR);
}

void FakeProxyd::accept_all() {
  for (;;) {
    const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor < 0) return;
    const std::lock_guard lock(mutex_);
    ++open_;
    Connection& connection = connections_.emplace_back();
    connection.descriptor = descriptor;
    connection.thread = std::thread([this, &connection] { serve(connection); });
  }
}

void FakeProxyd::serve(Connection& connection) {
  int descriptor;
  {
    const std::lock_guard lock(mutex_);
    descriptor = connection.descriptor;
  }
  Buffer frame;
  Rings memory;
  bool goes_on = true;
  while (goes_on && receive(descriptor, memory, frame)) {
    Hello hello;
    Request request;
    if (message_kind(frame.bytes()) == MessageKind::hello && read_hello(frame.bytes(), hello)) {
      greet(descriptor, hello);
      continue;
    }
    if (message_kind(frame.bytes()) == MessageKind::generations_request) {
      give_page(descriptor);
      continue;
    }
    if (message_kind(frame.bytes()) == MessageKind::bell_request) {
      Buffer answer;
      write_bell_answer(answer);
      send_all(descriptor, answer.bytes());
      continue;
    }
    if (message_kind(frame.bytes()) == MessageKind::rings_request) {
      give_rings(descriptor, memory);
      continue;
    }
    if (message_kind(frame.bytes()) == MessageKind::goodbye) {
      const std::lock_guard lock(mutex_);
      ++goodbyes_;
      break;
    }
    if (message_kind(frame.bytes()) == MessageKind::area_request) {
      answer_area_request(descriptor);
      continue;
    }
    if (!read_request(frame.bytes(), request)) break;
    const std::optional<Answer> given = answer(request);
    if (!given) break;
    goes_on = !given->is_last;
    if (!given->raw.empty()) {
      send_all(descriptor, given->raw);
      continue;
    }
    Reply reply;
    reply.id = request.id + given->id_offset;
    reply.rv = given->rv;
    reply.init_rv = given->init_rv;
    for (const std::uint64_t handle : given->handles) reply.handles.add(handle);
    reply.body = given->body;
    reply.values = given->values;
    reply.ended = given->ended;
    Buffer out;
    write_reply_head(out, reply);
    out.append(given->body.data(), given->body.size());
    if (RingPair rings = memory.pair(0); rings && rings.replies.put(out.bytes(), {})) continue;
    send_all(descriptor, out.bytes());
  }
  const std::lock_guard lock(mutex_);
  close(descriptor);
  connection.descriptor = -1;
  --open_;
}

GenerationPage& FakeProxyd::share_generations() {
  page_descriptor_ = memfd_create("generations", MFD_CLOEXEC);
  if (page_descriptor_ < 0 || ftruncate(page_descriptor_, sizeof(GenerationPage)) != 0)
    throw std::runtime_error("no memory to share");
  void* memory = mmap(nullptr, sizeof(GenerationPage), PROT_READ | PROT_WRITE, MAP_SHARED, page_descriptor_, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no memory to share");
  page_ = new (memory) GenerationPage{};
  for (auto& number : page_->numbers) number = 1;
  page_->is_alive = 1;
  return *page_;
}

void FakeProxyd::give_rings(int descriptor, Rings& rings) {
  const int memory = gives_rings_ ? Rings::create(1) : -1;
  Buffer answer;
  write_rings_answer(answer, rings.map(memory, 1) ? Rings::size_of(1) : 0);
  send_with_descriptor(descriptor, answer.bytes(), memory);
  if (memory >= 0) close(memory);
}

// One that never sleeps: it looks at both.
bool FakeProxyd::receive(int descriptor, const Rings& memory, Buffer& frame) {
  RingPair rings = memory.pair(0);
  if (!rings) return receive_frame(descriptor, frame);
  rings.requests.open();
  for (;; std::this_thread::yield()) {
    if (rings.requests.look() == Ring::Look::message) {
      if (ignores_rings_) return false;
      frame.clear();
      if (!rings.requests.take(frame)) return false;
      frame.consume(kLengthPrefix);
      ++requests_in_rings_;
      if (before_answer_) before_answer_(memory);
      return true;
    }
    pollfd readable{descriptor, POLLIN, 0};
    if (poll(&readable, 1, 0) > 0) return receive_frame(descriptor, frame);
  }
}

void FakeProxyd::give_page(int descriptor) {
  Buffer answer;
  write_generations_answer(answer);
  send_with_descriptor(descriptor, answer.bytes(), page_descriptor_);
}

void FakeProxyd::answer_area_request(int descriptor) const {
  const int memory = area_;
  Buffer answer;
  write_area_answer(answer, memory >= 0 ? Area::kSize : 0);
  send_with_descriptor(descriptor, answer.bytes(), memory);
}

void FakeProxyd::greet(int descriptor, const Hello& hello) {
  Welcome welcome;
  welcome.fingerprint = kTableFingerprint;
  welcome.max_frame = limits::kMaxFrame;
  {
    const std::lock_guard lock(mutex_);
    const auto known = applications_.find(hello.instance);
    const auto parent = applications_.find(hello.parent);
    const bool is_child = parent != applications_.end() && parent->second == hello.secret;
    welcome.resumed = known != applications_.end() || is_child;
    if (known == applications_.end()) applications_[hello.instance] = next_secret();
    else if (known->second != hello.secret) welcome.rv = CKR_GENERAL_ERROR;
    welcome.secret = applications_[hello.instance];
    if (on_hello_) on_hello_(hello, welcome);
    greetings_.push_back({hello.instance, hello.secret, hello.parent, std::string(hello.program), welcome.resumed});
  }
  Buffer out;
  write_welcome(out, welcome);
  send_all(descriptor, out.bytes());
}

std::optional<FakeProxyd::Answer> FakeProxyd::answer(const Request& request) {
  Handler handler;
  {
    const std::lock_guard lock(mutex_);
    ++calls_[request.call];
    const auto found = handlers_.find(request.call);
    if (found != handlers_.end()) handler = found->second;
  }
  return handler ? handler(request) : usual_answer(request);
}

std::optional<FakeProxyd::Answer> FakeProxyd::usual_answer(const Request& request) {
  Answer answer;
  Buffer body;
  Out out(body);
  In in(request.body);
  if (request.call == number_of<&F::C_OpenSession>()) {
    const std::lock_guard lock(mutex_);
    if (request.handles.size() == 2) restored_.push_back(request.handles[1]);
    answer.handles = {request.handles.size() == 2 ? request.handles[1] : ++last_session_};
  } else if (request.call == number_of<&F::C_GetSlotList>()) {
    in.boolean();
    out.uint(1);
    if (!in.nil_if()) {
      out.array(1);
      out.uint(5);
    }
  } else if (request.call == number_of<&F::C_GenerateRandom>()) {
    in.array_of(2);
    in.boolean();
    const std::size_t size = in.uint();
    std::memset(out.bin_space(size), 0x5a, size);
  }
  answer.body.assign(body.bytes().begin(), body.bytes().end());
  return answer;
}

void FakeProxyd::on(std::uint32_t call, Handler handler) {
  const std::lock_guard lock(mutex_);
  handlers_[call] = std::move(handler);
}
void FakeProxyd::on_hello(std::function<void(const Hello&, Welcome&)> change) {
  const std::lock_guard lock(mutex_);
  on_hello_ = std::move(change);
}
std::vector<FakeProxyd::Greeting> FakeProxyd::greetings() const {
  const std::lock_guard lock(mutex_);
  return greetings_;
}
std::vector<std::uint64_t> FakeProxyd::restored() const {
  const std::lock_guard lock(mutex_);
  return restored_;
}
std::size_t FakeProxyd::goodbyes() const {
  const std::lock_guard lock(mutex_);
  return goodbyes_;
}
std::size_t FakeProxyd::open_connections() const {
  const std::lock_guard lock(mutex_);
  return open_;
}
std::size_t FakeProxyd::calls(std::uint32_t call) const {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(call);
  return found == calls_.end() ? 0 : found->second;
}
bool FakeProxyd::wait_until(const std::function<bool()>& condition) const {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= give_up) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace p11shim
