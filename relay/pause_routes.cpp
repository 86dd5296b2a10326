#include "relay/pause_routes.hpp"

#include <string>

#include "common/text/json_text.hpp"

namespace eventrelay::relay {

namespace {

HttpResponse answer(const HttpRequest& request, PauseState to, const ChangePause& change_pause) {
  const auto id = request.query("id");
  if (!id || id->empty()) {
    return error_response(request, 400, "one `id` is required: ?id=<subscription id>");
  }
  const PauseChange done = change_pause(to, *id);
  if (done == PauseChange::NotHere) {
    return error_response(request, 404,
                          "subscription \"" + std::string(*id) +
                              "\" is not known, or its partition belongs to another worker");
  }
  JsonObject body;
  body.text("subscription", *id)
      .text("state", to == PauseState::Resumed ? "on" : "off")
      .flag("changed", done == PauseChange::Yes);
  return json_response(200, std::move(body).finish());
}

}  // namespace

void mount_pause_routes(AdminServer& server, ChangePause change_pause) {
  const auto add = [&server, &change_pause](const char* pattern, PauseState to) {
    server.add(
        {"POST", pattern, Access::Token, at_once([to, change_pause](const HttpRequest& request) {
           return answer(request, to, change_pause);
         })});
  };
  add("/api/v1/subscriptions/on", PauseState::Resumed);
  add("/api/v1/subscriptions/off", PauseState::Paused);
}

}  // namespace eventrelay::relay
