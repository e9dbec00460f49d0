// syslog's and the journal's sockets, in directories /dev and /run that this process alone sees.
#pragma once

#include <atomic>
#include <string>
#include <thread>

namespace p11shim {

class PrivateLogs {
 public:
  PrivateLogs();
  ~PrivateLogs() { stop(); }
  PrivateLogs(const PrivateLogs&) = delete;
  PrivateLogs& operator=(const PrivateLogs&) = delete;

  // False: there is no right to mount anything.
  [[nodiscard]] bool installed() const { return syslog_ >= 0 && journal_ >= 0; }
  // Then all that was sent can be read.
  void stop();
  [[nodiscard]] const std::string& syslog() const { return syslog_text_; }
  [[nodiscard]] const std::string& journal() const { return journal_text_; }

 private:
  void receive();

  int syslog_ = -1;
  int journal_ = -1;
  std::atomic<bool> stop_ = false;
  std::string syslog_text_, journal_text_;  // of the thread until it has ended
  std::thread reader_;
};

}  // namespace p11shim
