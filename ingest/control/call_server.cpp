#include "ingest/control/call_server.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "common/observe/log.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

HttpResponse response_of(const Problem& problem, const std::string& request_id) {
  json::object body{{"message", problem.message}, {"requestId", request_id}};
  if (!problem.provider_message.empty()) body["providerMessage"] = problem.provider_message;
  HttpResponse out;
  out.status = problem.status;
  out.body = json::serialize(body);
  const unsigned wait =
      problem.status == 503 ? std::max(problem.retry_after, 1U) : problem.retry_after;
  if (wait > 0) out.headers.emplace_back("Retry-After", std::to_string(wait));
  return out;
}

// Statuses the metric knows; any other counts as the nearest.
void count_request(metrics::Slab& slab, unsigned status) {
  const std::string word = std::to_string(status);
  for (std::size_t i = 0; i < metrics::kControlCodeWords.size(); ++i) {
    if (metrics::kControlCodeWords[i] == word) {
      slab.control_requests_total.add(static_cast<metrics::ControlCode>(i));
      return;
    }
  }
}

// Which instance a call has changed: the one of its path or token, or the one it made.
std::uint64_t changed_instance(const Call& call, const Reply& reply) {
  if (const auto id = instance_of(call.parameter("id"))) return *id;
  if (call.element_instance) return *call.element_instance;
  const json::value* const made =
      reply.body.is_object() ? reply.body.get_object().if_contains("id") : nullptr;
  json::error_code error;
  return made == nullptr ? 0 : made->to_number<std::uint64_t>(error);
}

}  // namespace

void CallServer::add(AdminServer& admin, std::string_view base, Row call) {
  const Row& row = rows_.emplace_back(std::move(call));
  Route route;
  route.method = row.method;
  route.pattern.append(base).append("/").append(row.pattern);
  route.access = Access::Own;
  route.timeout = kCallLimit;
  route.handler = [this, &row](HttpRequestPtr request, Responder respond) {
    asio::co_spawn(parts_.documents.executor(), serve(row, std::move(request), std::move(respond)),
                   asio::detached);
  };
  admin.add(std::move(route));
}

Result<bool> CallServer::authorize(std::string_view header, Kind kind, Call& call) {
  const auto unauthorized = [](std::string message) { return refuse(401, std::move(message)); };
  if (header.empty()) return unauthorized("Authorization: missing");
  const std::optional<Credentials> credentials = parse_authorization(header);
  if (!credentials) {
    return unauthorized(
        "Authorization: must be `User <secret>, Organization <secret>` or `User <secret>, Element "
        "<token>`");
  }
  const std::optional<Caller> caller = parts_.callers->user(credentials->user);
  const bool by_element =
      kind == Kind::Element || (kind == Kind::Either && !credentials->element.empty());
  const bool kind_fits = by_element
                             ? !credentials->element.empty()
                             : credentials->element.empty() && !credentials->organization.empty();
  if (!kind_fits) {
    return unauthorized(kind == Kind::Element
                            ? "Authorization: this path takes `User .., Element ..`"
                            : "Authorization: this path takes `User .., Organization ..`");
  }
  const Unexpected<Problem> unknown = unauthorized("Authorization: unknown secret or token");
  if (!caller) return unknown;
  if (!credentials->organization.empty() && !Callers::belongs(*caller, credentials->organization)) {
    return unknown;
  }
  call.caller = *caller;
  if (!by_element) return true;
  const StoredInstance* const instance = parts_.documents.store().by_token(credentials->element);
  if (instance == nullptr || instance->account != caller->account->id) return unknown;
  call.element_instance = instance->id;
  return true;
}

Result<bool> CallServer::authorize_session(const HttpRequest& request, const Row& row, Call& call) {
  const std::optional<Caller> caller = parts_.console.caller(request);
  if (!caller) return refuse(401, "session: is over; sign in again");
  if (row.method != "GET" && request.header(kConsoleHeader).empty()) {
    return refuse(403, std::string(kConsoleHeader) + ": required");
  }
  call.caller = *caller;
  call.by_session = true;
  if (row.kind != Kind::Element) return true;
  const std::string_view named = request.header(kInstanceHeader);
  const std::optional<std::uint64_t> id = eventrelay::instance_of(named);
  const StoredInstance* const instance = id ? parts_.documents.store().find(*id) : nullptr;
  if (instance == nullptr || instance->account != caller->account->id) {
    return refuse(404, "there is no instance " + std::string(named.substr(0, 40)));
  }
  call.element_instance = instance->id;
  return true;
}

Task<void> CallServer::serve(const Row& row, HttpRequestPtr request, Responder respond) {
  HttpResponse response;
  try {
    Call call;
    call.request = request.get();
    response = co_await answer(row, *request, std::move(call));
  } catch (const std::exception& error) {
    log::error(
        "a call of the control API failed",
        {{"path", request->path}, {"requestId", request->request_id}, {"what", error.what()}});
    response = error_response(*request, 500, "internal error");
  }
  count_request(parts_.slab, response.status);
  respond(std::move(response));
}

Task<HttpResponse> CallServer::answer(const Row& row, const HttpRequest& request, Call call) {
  const std::uint32_t limit = parts_.settings->config.control.auth_failures_per_minute;
  if (const auto wait = failures_.wait(request.peer, limit, monotonic_now())) {
    const Problem problem{429, "too many failed authorizations from this address", {}, *wait};
    co_return response_of(problem, request.request_id);
  }
  const std::size_t headers = request.header_count("Authorization");
  const bool session = headers == 0 && ConsoleApi::has_cookie(request);
  Result<bool> known = refuse(401, "Authorization: given twice");
  if (session) {
    known = authorize_session(request, row, call);
  } else if (headers <= 1) {
    known = authorize(request.header("Authorization"), row.kind, call);
  }
  if (!known) {
    // A session that is over was no guess.
    if (!session) failures_.failed(request.peer, monotonic_now());
    co_return response_of(known.error(), request.request_id);
  }
  const bool reads = row.method == "GET";
  const bool admin_only = !reads || row.kind == Kind::PlatformAdmin;
  if (admin_only && !call.caller.admin()) {
    const Problem problem{403, "the role viewer may only read", {}, 0};
    co_return response_of(problem, request.request_id);
  }
  const Result<Reply> reply = co_await row.handler(call);
  HttpResponse response;
  if (reply) {
    response.body = json::serialize(reply->body);
    response.headers = reply->headers;
  } else {
    response = response_of(reply.error(), request.request_id);
  }
  if (call.by_session) response.headers.emplace_back("Cache-Control", "no-store");
  if (call.element_instance) {
    response.headers.emplace_back("Elements-Element-Instance-Id",
                                  std::to_string(*call.element_instance));
  }
  if (reply && !reads) {
    log::info("control change", {{"user", call.caller.user->id},
                                 {"account", call.caller.account->id},
                                 {"method", row.method},
                                 {"path", request.path},
                                 {"instance", changed_instance(call, *reply)},
                                 {"requestId", request.request_id}});
  }
  co_return response;
}

}  // namespace eventrelay::control
