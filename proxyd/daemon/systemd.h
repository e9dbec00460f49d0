// What systemd wants to know of a service, and what it passes to one. Without systemd all of it does nothing.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace p11shim {

void notify_ready(const std::string& status);
void notify_reloading();
void notify_stopping();
void notify_watchdog();
// How often notify_watchdog() must be called at least; none if nobody watches.
std::optional<std::chrono::milliseconds> watchdog_interval();
// Listening stream sockets, made non-blocking and close-on-exec.
std::vector<int> passed_sockets();

}  // namespace p11shim
