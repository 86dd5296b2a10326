// Signing in and out at the console, and what a page leaves here while its user is at a provider.
//
//   POST /console/session {"user", "organization"}   200 and a cookie; 401, a second late
//   GET DELETE /console/session                      who is signed in; signs out
//   PUT /console/draft, POST /console/draft/{state}  leaves a text; takes it back, once
//
// Why:     nothing secret may stand in a URL or in the storage of a browser.
// Owner:   Control.  Thread: control.
// Bounds:  Sessions; wrong secrets by control.auth_failures_per_minute.
// Errors:  as answers, in the form of the control API.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/process/admin.hpp"
#include "common/registry/settings.hpp"
#include "ingest/control/authorization.hpp"
#include "ingest/control/sessions.hpp"

namespace eventrelay::control {

// A call that changes something by a cookie must carry this header: no page of another origin can.
inline constexpr std::string_view kConsoleHeader = "Eventrelay-Console";
// Names the instance of a call that an element's token makes elsewhere.
inline constexpr std::string_view kInstanceHeader = "Eventrelay-Instance";

// Thread: control.  Bounds: see above.
class ConsoleApi {
 public:
  ConsoleApi(Executor executor, std::shared_ptr<const Settings> settings);
  ConsoleApi(const ConsoleApi&) = delete;
  ConsoleApi& operator=(const ConsoleApi&) = delete;

  void use(const std::shared_ptr<const Settings>& settings);
  void mount(AdminServer& admin);
  // Whether the request carries the cookie of a session, good or not.
  [[nodiscard]] static bool has_cookie(const HttpRequest& request);
  // The user of the request's session; nothing if it has none, or it is over.
  [[nodiscard]] std::optional<Caller> caller(const HttpRequest& request);

 private:
  [[nodiscard]] ConsoleSession* session_of(const HttpRequest& request);
  [[nodiscard]] Task<void> sign_in(HttpRequestPtr request, Responder respond);
  [[nodiscard]] HttpResponse signed_in(const HttpRequest& request);
  [[nodiscard]] HttpResponse sign_out(const HttpRequest& request);
  [[nodiscard]] HttpResponse leave_draft(const HttpRequest& request);
  [[nodiscard]] HttpResponse take_draft(const HttpRequest& request);

  Executor executor_;
  std::shared_ptr<const Callers> callers_;
  std::uint32_t failures_per_minute_ = 0;
  FailureLimit failures_;
  Sessions sessions_;
};

}  // namespace eventrelay::control
