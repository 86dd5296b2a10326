#include "relay/pause_routes.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "common/text/json_text.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::string_view kPrefix = "/api/v1/subscriptions";

std::optional<int> digit_of(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  if (lower >= 'a' && lower <= 'f') return lower - 'a' + 10;
  return std::nullopt;
}

std::optional<std::string> decoded(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const auto high = digit_of(text[i + 1]);
    const auto low = digit_of(text[i + 2]);
    if (!high || !low) return std::nullopt;
    plain += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return plain;
}

// The value of `id`; nothing: none, or more than one.
std::optional<std::string> id_of(std::string_view query) {
  std::optional<std::string> id;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.substr(0, 3) != "id=") continue;
    if (id) return std::nullopt;
    id = decoded(pair.substr(3));
    if (!id) return std::nullopt;
  }
  return id;
}

AdminResponse answer(const AdminRequest& request, const ChangePause& change_pause) {
  const std::string_view word = request.path.substr(std::min(request.path.size(), kPrefix.size()));
  if (word != "/on" && word != "/off") return admin_error(404, "no such path");
  if (request.method != "POST") {
    AdminResponse refused = admin_error(405, "method not allowed");
    refused.headers.emplace_back("Allow", "POST");
    return refused;
  }
  const auto id = id_of(request.query);
  if (!id || id->empty()) return admin_error(400, "one `id` is required: ?id=<subscription id>");
  const bool on = word == "/on";
  const PauseChange done = change_pause(on ? PauseState::On : PauseState::Off, *id);
  if (done == PauseChange::NotHere) {
    return admin_error(404, "subscription \"" + *id +
                                "\" is not known, or its partition belongs to another worker");
  }
  AdminResponse response;
  response.body = std::move(JsonObject{}
                                .text("subscription", *id)
                                .text("state", on ? "on" : "off")
                                .flag("changed", done == PauseChange::Yes))
                      .finish();
  return response;
}

Task<AdminResponse> at_once(AdminResponse response) {
  co_return response;
}

}  // namespace

void mount_pause_routes(AdminServer& server, ChangePause change_pause) {
  server.mount(std::string(kPrefix), AdminAccess::Token,
               [change_pause = std::move(change_pause)](const AdminRequest& request) {
                 return at_once(answer(request, change_pause));
               });
}

}  // namespace eventrelay::relay
