// Covers what the shim reads of proxyd as a whole: the welcome, restored sessions, answers to requests for an area, rings and
// generations, replies (whole searches with values along among them), and what it then believes. An application talks to a
// proxyd that answers whatever it is asked with the fuzzer's next frame. Every call returns, within the application's buffers, and
// the application can leave.
//
// Input: frames, each behind its length in two bytes, little-endian; what is left over is sent as it stands, and is the last that
// comes on its connection. A connection that is lost goes on with the next frame on another one. Since waiting for a proxyd takes time, that one is greeted properly unless the
// next frame is a welcome, and behind the last frame everything is refused.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "calls/table.h"
#include "wire/message.h"

namespace p11shim {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

class Answering {
 public:
  Answering() {
    std::string name = (std::filesystem::temp_directory_path() / "p11shim-fuzz-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr);
    directory_ = name;
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = name + "/socket";
    require(path.size() < sizeof address.sun_path);
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    require(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    require(::listen(listener_, 64) == 0);
    std::ofstream(name + "/shim.toml") << "endpoint = \"unix:" << path
                                       << "\"\nconnect_timeout = \"50ms\"\ndeadline = \"1s\"\nlog = \"off\"\n";
    ::setenv("P11SHIM_CONF", (name + "/shim.toml").c_str(), 1);
    for (const char* variable : {"P11SHIM_ENDPOINT", "P11SHIM_LOG", "P11SHIM_COALESCE", "P11SHIM_RINGS"})
      ::unsetenv(variable);
    thread_ = std::thread([this] { accept_all(); });
  }
  Answering(const Answering&) = delete;
  Answering& operator=(const Answering&) = delete;
  ~Answering() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  void say(std::span<const std::uint8_t> input) {
    const std::lock_guard lock(mutex_);
    input_.assign(input.begin(), input.end());
    left_ = input_;
    is_first_ = true;
  }

 private:
  // One connection after the other: the application has one thread, and comes back only when it has lost the last one.
  void accept_all() {
    for (int descriptor = 0; (descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      while (answer_one(descriptor)) {
      }
      ::close(descriptor);
    }
  }

  // False: the connection is over.
  bool answer_one(int descriptor) {
    std::uint8_t prefix[kLengthPrefix];
    if (!receive_all(descriptor, prefix)) return false;
    std::vector<std::uint8_t> asked(load_length(prefix));
    if (!receive_all(descriptor, asked)) return false;
    const MessageKind kind = message_kind(asked);
    if (kind == MessageKind::goodbye) return false;
    Buffer frame;
    bool is_whole = true;
    {
      const std::lock_guard lock(mutex_);
      const bool is_greeting = kind == MessageKind::hello && !std::exchange(is_first_, false);
      const bool is_welcome = left_.size() > 2 && message_kind(left_.subspan(2)) == MessageKind::welcome;
      if (left_.empty() || (is_greeting && !is_welcome)) refuse(asked, frame);
      else is_whole = take_next(frame);
    }
    const ssize_t sent = ::send(descriptor, frame.data(), frame.size(), MSG_NOSIGNAL);
    return is_whole && sent == static_cast<ssize_t>(frame.size());
  }

  bool take_next(Buffer& frame) {
    const std::size_t length = left_.size() < 2 ? 0 : left_[0] | left_[1] << 8;
    if (left_.size() < 2 || length > left_.size() - 2) {
      frame.append(left_.data(), left_.size());
      left_ = {};
      return false;
    }
    const std::uint8_t prefix[kLengthPrefix] = {left_[0], left_[1], 0, 0};
    frame.append(prefix, sizeof prefix);
    frame.append(left_.data() + 2, length);
    left_ = left_.subspan(2 + length);
    return true;
  }

  // As a proxyd without memory would, which knows every application.
  static void refuse(std::span<const std::uint8_t> asked, Buffer& frame) {
    Request request;
    Welcome welcome;
    welcome.fingerprint = kTableFingerprint;
    welcome.max_frame = limits::kMaxFrame;
    welcome.resumed = true;
    Reply reply;
    reply.rv = CKR_HOST_MEMORY;
    switch (message_kind(asked)) {
      case MessageKind::hello: return write_welcome(frame, welcome);
      case MessageKind::area_request: return write_area_answer(frame, 0);
      case MessageKind::rings_request: return write_rings_answer(frame, 0);
      case MessageKind::bell_request: return write_bell_answer(frame);
      case MessageKind::generations_request: return write_generations_answer(frame);
      default: break;
    }
    require(read_request(asked, request));
    reply.id = request.id;
    write_reply_head(frame, reply);
  }

  static bool receive_all(int descriptor, std::span<std::uint8_t> place) {
    return ::recv(descriptor, place.data(), place.size(), MSG_WAITALL) == static_cast<ssize_t>(place.size());
  }

  std::string directory_;
  int listener_ = -1;
  std::mutex mutex_;
  std::vector<std::uint8_t> input_;  // this and what follows: guarded by mutex_
  std::span<const std::uint8_t> left_;
  bool is_first_ = true;
  std::thread thread_;
};

// Exactly as large as the application says, so that AddressSanitizer sees what is beyond.
std::vector<CK_BYTE> room(CK_ULONG size) { return std::vector<CK_BYTE>(std::min<CK_ULONG>(size, 4096)); }

void read_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
  CK_OBJECT_CLASS object_class = 0;
  CK_ATTRIBUTE lengths[] = {{CKA_LABEL, nullptr, 0}, {CKA_MODULUS, nullptr, 0}};
  C_GetAttributeValue(session, object, lengths, std::size(lengths));
  std::vector<CK_BYTE> label = room(lengths[0].ulValueLen);
  std::vector<CK_BYTE> modulus = room(lengths[1].ulValueLen);
  CK_ATTRIBUTE attributes[] = {{CKA_CLASS, &object_class, sizeof object_class},
                               {CKA_LABEL, label.data(), label.size()},
                               {CKA_MODULUS, modulus.data(), modulus.size()}};
  if (C_GetAttributeValue(session, object, attributes, std::size(attributes)) != CKR_OK) return;
  require(attributes[1].ulValueLen <= label.size() || attributes[1].pValue == nullptr);
}

void search(CK_SESSION_HANDLE session) {
  CK_OBJECT_CLASS object_class = CKO_PUBLIC_KEY;
  CK_ATTRIBUTE wanted{CKA_CLASS, &object_class, sizeof object_class};
  if (C_FindObjectsInit(session, &wanted, 1) != CKR_OK) return;
  std::vector<CK_OBJECT_HANDLE> objects(3);
  CK_ULONG count = 0;
  for (int page = 0; page < 3; ++page) {
    if (C_FindObjects(session, objects.data(), objects.size(), &count) != CKR_OK || count == 0) break;
    require(count <= objects.size());
    read_attributes(session, objects[0]);
  }
  C_FindObjectsFinal(session);
}

void sign(CK_SESSION_HANDLE session) {
  CK_MECHANISM mechanism{CKM_ECDSA, nullptr, 0};
  std::vector<CK_BYTE> data(32);
  for (int time = 0; time < 3; ++time) {  // the second time the shim knows the Init, and the third one its length
    if (C_SignInit(session, &mechanism, 9) != CKR_OK) return;
    CK_ULONG size = 0;
    if (C_Sign(session, data.data(), data.size(), nullptr, &size) != CKR_OK) return;
    std::vector<CK_BYTE> signature = room(size);
    size = signature.size();
    if (C_Sign(session, data.data(), data.size(), signature.data(), &size) == CKR_OK) require(size <= signature.size());
  }
}

void digest(CK_SESSION_HANDLE session) {
  CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
  CK_BYTE data[16] = {};
  std::vector<CK_BYTE> hash(32);
  CK_ULONG size = hash.size();
  for (int time = 0; time < 2; ++time) {
    if (C_DigestInit(session, &mechanism) != CKR_OK) return;
    for (int part = 0; part < 4; ++part) C_DigestUpdate(session, data, sizeof data);
    size = hash.size();
    if (C_DigestFinal(session, hash.data(), &size) == CKR_OK) require(size <= hash.size());
  }
}

void encrypt(CK_SESSION_HANDLE session) {
  std::vector<CK_BYTE> iv(12);
  CK_GCM_PARAMS parameters{iv.data(), iv.size(), iv.size() * 8, nullptr, 0, 128};
  CK_MECHANISM mechanism{CKM_AES_GCM, &parameters, sizeof parameters};
  std::vector<CK_BYTE> text(16), cipher(32);
  CK_ULONG size = cipher.size();
  if (C_EncryptInit(session, &mechanism, 9) == CKR_OK)
    C_Encrypt(session, text.data(), text.size(), cipher.data(), &size);
}

void slots() {
  std::vector<CK_SLOT_ID> list(2);
  CK_ULONG count = list.size();
  if (C_GetSlotList(CK_TRUE, list.data(), &count) == CKR_OK) require(count <= list.size());
  std::vector<CK_MECHANISM_TYPE> mechanisms(3);
  for (int time = 0; time < 2; ++time) {
    CK_SLOT_INFO slot;
    CK_TOKEN_INFO token;
    CK_MECHANISM_INFO mechanism;
    C_GetSlotInfo(5, &slot);
    C_GetTokenInfo(5, &token);
    count = mechanisms.size();
    if (C_GetMechanismList(5, mechanisms.data(), &count) == CKR_OK) require(count <= mechanisms.size());
    C_GetMechanismInfo(5, CKM_ECDSA, &mechanism);
  }
}

void be_an_application() {
  if (C_Initialize(nullptr) != CKR_OK) return;
  CK_SESSION_HANDLE session = 0;
  if (C_OpenSession(5, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session) == CKR_OK) {
    std::array<CK_UTF8CHAR, 4> pin{'1', '2', '3', '4'};
    C_Login(session, CKU_USER, pin.data(), pin.size());
    search(session);
    sign(session);
    read_attributes(session, 1);
    digest(session);
    encrypt(session);
    std::vector<CK_BYTE> random(8);
    C_GenerateRandom(session, random.data(), random.size());
    search(session);
    CK_SESSION_INFO info;
    C_GetSessionInfo(session, &info);
    C_CloseSession(session);
  }
  slots();
  require(C_Finalize(nullptr) == CKR_OK);
  require(C_Finalize(nullptr) == CKR_CRYPTOKI_NOT_INITIALIZED);
}

}  // namespace
}  // namespace p11shim

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p11shim;
  static Answering proxyd;
  proxyd.say({data, size});
  be_an_application();
  return 0;
}
