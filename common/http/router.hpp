// Finds the route of a request and says from its head alone what is wrong with it.
//
//   head -> target (400) -> origin (400, 403) -> pattern (404) -> method (405, Allow) -> who may
//   (401, 403, 415) -> length (411, 413) -> type of the body (415) -> Accept (406) -> route
//
//   router.add({"GET", "/elements/{key}/metadata", Access::Own, handler});
//   router.add({"GET", "/console/{file...}", Access::Open, handler});
//
// Why:     one place answers what HTTP asks of every route; a handler sees only what fits its row.
// Owner:   the admin listener.  Thread: control.
// Bounds:  each row has a bound on body and time; rows are compared one after the other.
// Errors:  as answers; a malformed or doubled row is a bug and asserts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/expected.hpp"
#include "common/http/message.hpp"
#include "common/http/request_guard.hpp"

namespace eventrelay {

using HttpRequestPtr = std::shared_ptr<const HttpRequest>;
// Answers at once or later, from the same loop. What it throws before it has answered is a 500.
using RouteHandler = std::function<void(HttpRequestPtr request, Responder respond)>;

// One row. Bounds: `body_max` bytes of body, `timeout` until the answer (503).
struct Route {
  std::string method;   // GET answers HEAD too
  std::string pattern;  // /a/{name}/b; `{name...}` at the end takes all that is left
  Access access = Access::Token;
  RouteHandler handler;
  std::string produces = "application/json";  // judged against Accept; empty: not judged
  std::string consumes = "application/json";  // type of a body, if there is one; empty: any
  std::size_t body_max = 64U * 1024;
  std::chrono::milliseconds timeout{10'000};
};

// A handler that answers at once.
[[nodiscard]] RouteHandler at_once(std::function<HttpResponse(const HttpRequest&)> answer);

// What the head says of the body and the protocol.
struct Framing {
  bool chunked = false;
  std::uint64_t length = 0;
  Http11 version = Http11::Yes;
};

// The rows. Thread: control.  Bounds: as many as were added.
class Router {
 public:
  void add(Route route);
  // Finds the row and fills in what the router writes of `request`; else the answer.
  [[nodiscard]] Expected<std::shared_ptr<const Route>, HttpResponse> route(
      HttpRequest& request, const Framing& framing, const AccessPolicy& policy) const;

 private:
  // A segment of a pattern: a literal text, or a parameter.
  struct Segment {
    enum class Kind : std::uint8_t { Rest, Parameter, Literal };  // the later, the more specific
    Kind kind = Kind::Literal;
    std::string text;
  };
  struct Row {
    std::vector<Segment> segments;
    std::shared_ptr<const Route> route;
  };

  [[nodiscard]] static std::vector<Segment> parse(std::string_view pattern);
  [[nodiscard]] static bool same_shape(const Row& a, const Row& b);
  [[nodiscard]] static bool more_specific(const Row& a, const Row& b);
  [[nodiscard]] static bool matches(const Row& row, const std::vector<std::string>& path);
  static void fill_parameters(const Row& row, const std::vector<std::string>& path,
                              HttpRequest& request);
  [[nodiscard]] const Row* best(const std::vector<std::string>& path) const;

  std::vector<Row> rows_;
};

}  // namespace eventrelay
