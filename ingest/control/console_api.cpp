#include "ingest/control/console_api.hpp"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "common/base/crypto.hpp"
#include "common/observe/log.hpp"
#include "ingest/control/json_body.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

constexpr std::string_view kCookie = "eventrelay_console";
constexpr std::chrono::seconds kWrongSecretDelay{1};
constexpr std::string_view kSignInAgain = "session: is over; sign in again";

// The value of our cookie; nothing if it is missing, there twice or can not be ours.
std::optional<std::string_view> cookie_of(const HttpRequest& request) {
  std::optional<std::string_view> found;
  for (const auto& [name, value] : request.headers) {
    if (!same_name(name, "Cookie")) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const std::size_t end = std::min(rest.find(';'), rest.size());
      std::string_view pair = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      while (pair.starts_with(' ')) pair.remove_prefix(1);
      if (!pair.starts_with(kCookie) || pair.size() <= kCookie.size() ||
          pair[kCookie.size()] != '=') {
        continue;
      }
      if (found) return std::nullopt;
      found = pair.substr(kCookie.size() + 1);
    }
  }
  if (found && found->size() != 64) return std::nullopt;
  return found;
}

std::string cookie_header(std::string_view value, std::string_view more) {
  return std::string(kCookie) + "=" + std::string(value) + "; Path=/; HttpOnly; SameSite=Strict" +
         std::string(more);
}

std::string secrets_of(const Caller& caller) {
  const auto hash = [](const std::optional<Secret>& secret) {
    return std::string(crypto::sha256(secret ? secret->reveal() : std::string_view{}).view());
  };
  return hash(caller.user->secret) + hash(caller.organization->secret);
}

HttpResponse no_store(HttpResponse response) {
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

HttpResponse who(const Caller& caller) {
  const UserConfig& user = *caller.user;
  json::object body;
  body["user"] = json::object{{"id", user.id},
                              {"emailAddress", user.email},
                              {"firstName", user.first_name},
                              {"lastName", user.last_name}};
  body["role"] = caller.admin() ? "admin" : "viewer";
  body["account"] = json::object{{"id", caller.account->id}, {"name", caller.account->name}};
  body["organization"] =
      json::object{{"id", caller.organization->id}, {"name", caller.organization->name}};
  return no_store(json_response(200, json::serialize(body)));
}

// A text member of a body, or the answer that it is missing.
Expected<std::string, std::string> needed_text(const json::object& body, std::string_view name) {
  const json::value* const value = body.if_contains(json::string_view(name.data(), name.size()));
  if (value == nullptr) return Unexpected(std::string(name) + ": required");
  const json::string* const text = value->if_string();
  if (text == nullptr || text->empty()) {
    return Unexpected(std::string(name) + ": must be a text that is not empty");
  }
  return std::string(*text);
}

}  // namespace

ConsoleApi::ConsoleApi(Executor executor, std::shared_ptr<const Settings> settings)
    : executor_(std::move(executor)) {
  use(settings);
}

void ConsoleApi::use(const std::shared_ptr<const Settings>& settings) {
  callers_ = std::make_shared<const Callers>(settings->config.control);
  failures_per_minute_ = settings->config.control.auth_failures_per_minute;
}

void ConsoleApi::mount(AdminServer& admin) {
  Route sign_in_route{"POST", "/console/session", Access::Own, nullptr};
  sign_in_route.handler = [this](HttpRequestPtr request, Responder respond) {
    asio::co_spawn(executor_, sign_in(std::move(request), std::move(respond)), asio::detached);
  };
  sign_in_route.body_max = 8U << 10;
  admin.add(std::move(sign_in_route));
  const auto add = [&](const char* method, const char* pattern, auto member) {
    Route route{method, pattern, Access::Own, at_once([this, member](const HttpRequest& request) {
                  return no_store((this->*member)(request));
                })};
    route.body_max = kDraftMax;
    admin.add(std::move(route));
  };
  add("GET", "/console/session", &ConsoleApi::signed_in);
  add("DELETE", "/console/session", &ConsoleApi::sign_out);
  add("PUT", "/console/draft", &ConsoleApi::leave_draft);
  add("POST", "/console/draft/{state}", &ConsoleApi::take_draft);
}

bool ConsoleApi::has_cookie(const HttpRequest& request) {
  return cookie_of(request).has_value();
}

ConsoleSession* ConsoleApi::session_of(const HttpRequest& request) {
  const std::optional<std::string_view> cookie = cookie_of(request);
  if (!cookie) return nullptr;
  ConsoleSession* const session = sessions_.find(*cookie, monotonic_now());
  if (session == nullptr) return nullptr;
  const std::optional<Caller> known = callers_->by_id(session->user);
  if (known && secrets_of(*known) == session->secrets) return session;
  sessions_.end(*cookie);  // its user is gone, or has another secret
  return nullptr;
}

std::optional<Caller> ConsoleApi::caller(const HttpRequest& request) {
  const ConsoleSession* const session = session_of(request);
  if (session == nullptr) return std::nullopt;
  return callers_->by_id(session->user);
}

Task<void> ConsoleApi::sign_in(HttpRequestPtr request, Responder respond) {
  const TimePoint now = monotonic_now();
  if (const auto wait = failures_.wait(request->peer, failures_per_minute_, now)) {
    HttpResponse refusal =
        error_response(*request, 429, "too many failed authorizations from this address");
    refusal.headers.emplace_back("Retry-After", std::to_string(*wait));
    respond(std::move(refusal));
    co_return;
  }
  const Result<json::object> body = parse_body(request->body);
  if (!body) {
    respond(error_response(*request, body.error().status, body.error().message));
    co_return;
  }
  const auto user = needed_text(*body, "user");
  const auto organization = needed_text(*body, "organization");
  if (!user || !organization) {
    respond(error_response(*request, 400, !user ? user.error() : organization.error()));
    co_return;
  }
  const std::optional<Caller> caller = callers_->user(*user);
  if (!caller || !Callers::belongs(*caller, *organization)) {
    failures_.failed(request->peer, now);
    Timer pause(executor_);
    pause.expires_after(kWrongSecretDelay);
    constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable_t<Executor>{});
    (void)co_await pause.async_wait(kAsTuple);
    respond(error_response(*request, 401,
                           "the secrets of user and organization are unknown or do not belong "
                           "together"));
    co_return;
  }
  HttpResponse response = who(*caller);
  const std::string cookie = sessions_.begin(caller->user->id, secrets_of(*caller), now);
  response.headers.emplace_back("Set-Cookie", cookie_header(cookie, ""));
  log::info("signed in at the console",
            {{"user", caller->user->id}, {"account", caller->account->id}});
  respond(std::move(response));
}

HttpResponse ConsoleApi::signed_in(const HttpRequest& request) {
  const std::optional<Caller> known = caller(request);
  return known ? who(*known) : error_response(request, 401, kSignInAgain);
}

HttpResponse ConsoleApi::sign_out(const HttpRequest& request) {
  if (const auto cookie = cookie_of(request)) sessions_.end(*cookie);
  HttpResponse response = json_response(200, "{}");
  response.headers.emplace_back("Set-Cookie", cookie_header("", "; Max-Age=0"));
  return response;
}

HttpResponse ConsoleApi::leave_draft(const HttpRequest& request) {
  ConsoleSession* const session = session_of(request);
  if (session == nullptr) return error_response(request, 401, kSignInAgain);
  if (request.header(kConsoleHeader).empty()) {
    return error_response(request, 403, std::string(kConsoleHeader) + ": required");
  }
  std::array<char, 16> bytes{};
  crypto::random_bytes(bytes.data(), bytes.size());
  session->draft_state = crypto::hex({bytes.data(), bytes.size()});
  session->draft = request.body;
  return json_response(200, json::serialize(json::object{{"state", session->draft_state}}));
}

HttpResponse ConsoleApi::take_draft(const HttpRequest& request) {
  ConsoleSession* const session = session_of(request);
  if (session == nullptr) return error_response(request, 401, kSignInAgain);
  if (request.header(kConsoleHeader).empty()) {
    return error_response(request, 403, std::string(kConsoleHeader) + ": required");
  }
  if (session->draft_state.empty() ||
      !crypto::equal_constant_time(session->draft_state, request.parameter("state"))) {
    return error_response(request, 404,
                          "there is no such draft: it was taken, or is of another "
                          "session");
  }
  session->draft_state.clear();
  return json_response(200, std::exchange(session->draft, {}));
}

}  // namespace eventrelay::control
