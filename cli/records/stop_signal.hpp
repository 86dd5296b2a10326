// SIGINT and SIGTERM end a command that would go on for ever, at its next look.
//
// Thread:  main.  Bounds: one flag; it is never taken back.
#pragma once

#include <csignal>

namespace eventrelay::cli {

inline volatile std::sig_atomic_t stop_asked = 0;

inline void watch_stop_signals() {
  std::signal(SIGINT, [](int) { stop_asked = 1; });
  std::signal(SIGTERM, [](int) { stop_asked = 1; });
}

}  // namespace eventrelay::cli
