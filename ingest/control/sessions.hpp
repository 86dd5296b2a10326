// Who is signed in at the console: sessions by the hash of their cookie, and what one has begun.
//
// Why:     a page must not keep the secrets of its user; it has a cookie that no script can read,
//          and what it stands for lives here alone. A restart ends all sessions.
// Owner:   ConsoleApi.  Thread: control.
// Bounds:  kSessionsMax sessions, the longest unused one goes first; one draft of kDraftMax bytes
//          each; kSessionIdle without a call, kSessionLife in all.
// Errors:  none; a session that is over is not found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/base/clock.hpp"

namespace eventrelay::control {

inline constexpr std::size_t kSessionsMax = 1000;
inline constexpr std::size_t kDraftMax = 16U << 10;
inline constexpr std::chrono::hours kSessionIdle{1};
inline constexpr std::chrono::hours kSessionLife{12};

// One signed-in browser.
struct ConsoleSession {
  std::uint64_t user = 0;
  std::string secrets;  // hash of user's and organization's secret: another one ends the session
  TimePoint since{};
  TimePoint used{};
  std::string draft_state;  // names the draft; empty: there is none
  std::string draft;        // what the page was about to make when it sent its user away
};

// Thread: control.  Bounds: see above.
class Sessions {
 public:
  // Returns the cookie's value, 64 hex digits.
  [[nodiscard]] std::string begin(std::uint64_t user, std::string secrets, TimePoint now);
  // Null where there is none, or it is over; counts as use.
  [[nodiscard]] ConsoleSession* find(std::string_view cookie, TimePoint now);
  void end(std::string_view cookie);
  [[nodiscard]] std::size_t size() const noexcept { return sessions_.size(); }

 private:
  void make_room(TimePoint now);

  std::unordered_map<std::string, ConsoleSession> sessions_;  // by hash of the cookie
};

}  // namespace eventrelay::control
