// One request and one answer of the admin listener, whole, and the promise of an answer.
//
// Why:     handlers and the router need neither Beast nor a socket, and are tested without them.
// Thread:  control; an answer is given on the loop on which the request came.
// Bounds:  a request is bounded by the listener's limits and its route's `body_max`.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eventrelay {

using NamedTexts = std::vector<std::pair<std::string, std::string>>;

// What a client asks. Owns its texts, so a handler may keep it until it answers.
struct HttpRequest {
  std::string method;  // as sent
  std::string target;  // as sent
  NamedTexts headers;  // in the order in which they came, repeated ones too
  std::string body;
  std::string peer;        // IP address of the client
  std::string request_id;  // 32 hex digits, in every error answer

  // Written by the router; percent escapes decoded, in a query `+` is a blank.
  std::string path;  // still encoded, for log lines
  NamedTexts path_parameters;
  NamedTexts query_parameters;

  // The first header of that name, in any case; empty when there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
  [[nodiscard]] std::size_t header_count(std::string_view name) const noexcept;
  // A `{name}` of the route's pattern.
  [[nodiscard]] std::string_view parameter(std::string_view name) const noexcept;
  // The value of a query parameter that is there exactly once.
  [[nodiscard]] std::optional<std::string_view> query(std::string_view name) const noexcept;
  // All values of a parameter that may be repeated, e.g. `tags[]`.
  [[nodiscard]] std::vector<std::string_view> query_all(std::string_view name) const;
};

// What it is answered. Bounds: set by who makes it.
struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  NamedTexts headers;  // Allow, Retry-After, ...
};

[[nodiscard]] HttpResponse json_response(unsigned status, std::string body);
// {"message": ..., "requestId": ...}
[[nodiscard]] HttpResponse error_response(const HttpRequest& request, unsigned status,
                                          std::string_view message);

// The promise of one answer. Copies share it: the first answer counts, later ones do nothing, and
// when the last copy goes without one the client gets a 500.
// Thread: control.  Bounds: one answer.
class Responder {
 public:
  Responder(std::shared_ptr<const HttpRequest> request, std::function<void(HttpResponse)> done);

  void operator()(HttpResponse response) const;

 private:
  struct Promise;
  std::shared_ptr<Promise> promise_;
};

// True for the same letters in any case; ASCII alone.
[[nodiscard]] bool same_name(std::string_view a, std::string_view b) noexcept;

}  // namespace eventrelay
