#include "ingest/control/sessions.hpp"

#include <algorithm>
#include <array>

#include "common/base/crypto.hpp"

namespace eventrelay::control {
namespace {

std::string cookie_hash(std::string_view cookie) {
  return std::string(crypto::sha256(cookie).view());
}

bool is_over(const ConsoleSession& session, TimePoint now) {
  return now - session.used >= kSessionIdle || now - session.since >= kSessionLife;
}

}  // namespace

std::string Sessions::begin(std::uint64_t user, std::string secrets, TimePoint now) {
  make_room(now);
  std::array<char, 32> bytes{};
  crypto::random_bytes(bytes.data(), bytes.size());
  std::string cookie = crypto::hex({bytes.data(), bytes.size()});
  ConsoleSession& session = sessions_[cookie_hash(cookie)];
  session.user = user;
  session.secrets = std::move(secrets);
  session.since = session.used = now;
  return cookie;
}

ConsoleSession* Sessions::find(std::string_view cookie, TimePoint now) {
  const auto found = sessions_.find(cookie_hash(cookie));
  if (found == sessions_.end()) return nullptr;
  if (is_over(found->second, now)) {
    sessions_.erase(found);
    return nullptr;
  }
  found->second.used = now;
  return &found->second;
}

void Sessions::end(std::string_view cookie) {
  sessions_.erase(cookie_hash(cookie));
}

void Sessions::make_room(TimePoint now) {
  std::erase_if(sessions_, [now](const auto& each) { return is_over(each.second, now); });
  if (sessions_.size() < kSessionsMax) return;
  const auto oldest =
      std::min_element(sessions_.begin(), sessions_.end(),
                       [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
  sessions_.erase(oldest);
}

}  // namespace eventrelay::control
