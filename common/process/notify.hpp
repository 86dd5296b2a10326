// Tells systemd how the service stands, over the datagram socket that NOTIFY_SOCKET names.
//
//   READY=1   RELOADING=1 MONOTONIC_USEC=.. then READY=1   STOPPING=1   WATCHDOG=1
//
// Why:     `Type=notify-reload` orders units by readiness, and a watchdog ends a hanging process;
//          the protocol is one datagram, so no library is linked for it.
// Owner:   the program.  Thread: control.
// Bounds:  one datagram per call, never waits.
// Errors:  none: a service manager that does not listen changes nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"

namespace eventrelay {

// Thread: control.  Bounds: one socket.
class Notify {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; does nothing from then on without them.
  Notify();
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;
  ~Notify();

  void ready() { tell("READY=1"); }
  // A reload begins; ready() ends it.
  void reloading();
  void stopping() { tell("STOPPING=1"); }
  void alive() { tell("WATCHDOG=1"); }
  // How often alive() is wanted: half of what the manager waits. Nothing: no watchdog.
  [[nodiscard]] std::optional<Duration> watchdog_interval() const noexcept { return interval_; }

 private:
  void tell(std::string_view state) const noexcept;

  std::string path_;  // begins with a zero byte for an abstract socket
  int socket_ = -1;
  std::optional<Duration> interval_;
};

}  // namespace eventrelay
