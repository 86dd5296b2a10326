// Who may call an admin route: judged from the head alone, before a handler or a body.
//
//   Host     an address, localhost, or a listed name      against rebinding of a foreign name
//   Origin   none, or the origin that was asked           against another site's page
//   token    where one is configured                      401
//   no token, and the listener is not on loopback         403 but for probes
//   no token, and a route that changes something          415 without Content-Type application/json
//
// Why:     a browser on the operator's machine reaches loopback too, with forms it can not mark.
// Thread:  any.  Bounds: pure.  Errors: the refusal, as an answer.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/secret.hpp"
#include "common/http/message.hpp"

namespace eventrelay {

enum class Access : std::uint8_t {
  Open,    // everybody: probes
  Scrape,  // as Token, but may be opened by `admin.open: [metrics]`
  Token,   // callers with the bearer token, if one is configured
  Own,     // the handler judges by itself, e.g. by the user's secret
};

// What the listener allows.
struct AccessPolicy {
  std::optional<Secret> token;
  bool loopback = true;            // the listener can be reached from this machine alone
  bool open_scrape = false;        // Access::Scrape needs no token
  std::vector<std::string> hosts;  // names by which clients may call the listener
};

enum class Http11 : bool { No, Yes };

// Nothing: the request comes from where it may come from. Else the refusal (400, 403).
[[nodiscard]] std::optional<HttpResponse> judge_origin(const HttpRequest& request, Http11 version,
                                                       const AccessPolicy& policy);
// Nothing: it may call a route of that access. Else the refusal (401, 403, 415).
[[nodiscard]] std::optional<HttpResponse> judge_access(const HttpRequest& request, Access access,
                                                       const AccessPolicy& policy);

// Whether `method` changes nothing: GET, HEAD, OPTIONS.
[[nodiscard]] bool is_safe(std::string_view method) noexcept;

}  // namespace eventrelay
