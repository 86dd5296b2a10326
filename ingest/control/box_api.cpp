#include "ingest/control/box_api.hpp"

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <cmath>
#include <initializer_list>
#include <utility>

#include "common/text/percent.hpp"
#include "ingest/control/json_members.hpp"

namespace eventrelay::control::box {
namespace {

namespace json = boost::json;

using Form = std::initializer_list<std::pair<std::string_view, std::string_view>>;

std::string form(const Form& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    out.append(out.empty() ? "" : "&").append(name).append("=").append(percent_encoded(value));
  }
  return out;
}

ExchangeRequest post_form(const HttpOrigin& url, std::string body) {
  ExchangeRequest out;
  out.method = "POST";
  out.target = url.path.empty() ? "/" : url.path;
  out.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  out.body = std::move(body);
  return out;
}

std::optional<json::object> object_in(const std::string& body) {
  boost::system::error_code error;
  json::value parsed = json::parse(body, error);
  if (error.failed() || !parsed.is_object()) return std::nullopt;
  return std::move(parsed.get_object());
}

// Box's own words, without control characters and not too long.
std::string words_of(const std::string& body) {
  const std::optional<json::object> object = object_in(body);
  if (!object) return {};
  std::string words = text_member(*object, "message");
  if (words.empty()) words = text_member(*object, "error_description");
  if (words.empty()) words = text_member(*object, "error");
  std::replace_if(
      words.begin(), words.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return words.substr(0, 1000);
}

unsigned retry_after_of(const std::string& header) {
  unsigned seconds = 0;
  for (const char c : header) {
    if (c < '0' || c > '9') return 1;
    seconds = std::min(seconds * 10 + static_cast<unsigned>(c - '0'), 86'400U);
  }
  return std::max(seconds, 1U);
}

Problem problem_of(const ExchangeFailure& failure) {
  Problem out;
  out.status = failure.error == ExchangeError::Timeout ? 504 : 502;
  out.message = failure.error == ExchangeError::Timeout      ? "Box did not answer in time"
                : failure.error == ExchangeError::Unreadable ? "Box's answer can not be read"
                                                             : "Box can not be reached";
  out.message += " (" + failure.what + ")";
  return out;
}

// By the answer table; only for what is no success.
Problem problem_of(const ExchangeAnswer& answer) {
  Problem out;
  out.provider_message = words_of(answer.body);
  const std::string status = std::to_string(answer.status);
  switch (answer.status) {
    case 400:
    case 404:
    case 409:
      out.status = static_cast<unsigned>(answer.status);
      out.message = "Box answered " + status;
      break;
    case 401:
    case 403:
      out.status = 403;
      out.message = "Box refused: it answered " + status;
      break;
    case 429:
      out.status = 429;
      out.message = "Box has had too many requests";
      out.retry_after = retry_after_of(answer.retry_after);
      break;
    default:
      out.status = 502;
      out.message = "Box answered " + status;
      break;
  }
  return out;
}

}  // namespace

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out.push_back(c);
    } else {
      append_percent_encoded(c, out);
    }
  }
  return out;
}

App app_of(const InstanceConfig& instance) {
  const auto find = [&](const char* key) {
    const auto found = instance.configuration.find(key);
    return found == instance.configuration.end() ? std::string() : found->second;
  };
  return {find("oauth.api.key"), find("oauth.api.secret")};
}

std::string oauth_url(const BoxProviderConfig& config, std::string_view client_id,
                      std::string_view redirect_uri, std::string_view state,
                      std::string_view scope) {
  std::string out = config.authorize_url + "?";
  out += form({{"response_type", "code"},
               {"client_id", client_id},
               {"redirect_uri", redirect_uri},
               {"state", state}});
  if (!scope.empty()) out += "&" + form({{"scope", scope}});
  return out;
}

ExchangeRequest code_request(const HttpOrigin& token_url, const App& app, std::string_view code) {
  return post_form(token_url, form({{"grant_type", "authorization_code"},
                                    {"code", code},
                                    {"client_id", app.client_id},
                                    {"client_secret", app.client_secret}}));
}

ExchangeRequest refresh_request(const HttpOrigin& token_url, const App& app,
                                std::string_view refresh_token) {
  return post_form(token_url, form({{"grant_type", "refresh_token"},
                                    {"refresh_token", refresh_token},
                                    {"client_id", app.client_id},
                                    {"client_secret", app.client_secret}}));
}

ExchangeRequest revoke_request(const HttpOrigin& revoke_url, const App& app,
                               std::string_view token) {
  return post_form(
      revoke_url,
      form({{"client_id", app.client_id}, {"client_secret", app.client_secret}, {"token", token}}));
}

ExchangeRequest api_request(const HttpOrigin& api_url, std::string method, std::string_view path,
                            std::string body, std::string_view access_token) {
  ExchangeRequest out;
  out.method = std::move(method);
  out.target = api_url.path + std::string(path);
  out.headers.emplace_back("Authorization", "Bearer " + std::string(access_token));
  if (!body.empty()) out.headers.emplace_back("Content-Type", "application/json");
  out.body = std::move(body);
  return out;
}

Result<OAuthTokens> tokens_of(const ExchangeResult& result, WallTime now) {
  const Result<json::value> answer = answer_of(result);
  if (!answer) return refuse(answer.error());
  const Unexpected<Problem> unreadable = refuse(502, "Box's answer holds no tokens");
  if (!answer->is_object()) return unreadable;
  const json::object& object = answer->get_object();
  OAuthTokens out;
  out.access = Secret(text_member(object, "access_token"));
  out.refresh = Secret(text_member(object, "refresh_token"));
  const json::value* const lifetime = object.if_contains("expires_in");
  boost::system::error_code error;
  const auto seconds = lifetime == nullptr ? 3600 : lifetime->to_number<std::int64_t>(error);
  const auto good = [](const Secret& token) {
    const std::string_view text = token.reveal();
    return !text.empty() && text.size() <= 4096 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  };
  if (!good(out.access) || !good(out.refresh) || error.failed() || seconds < 1) return unreadable;
  out.expires = now + std::chrono::seconds{std::min<std::int64_t>(seconds, 31'536'000)};
  out.refreshed = now;
  return out;
}

bool grant_is_gone(const ExchangeResult& result) {
  if (!result || (result->status != 400 && result->status != 401)) return false;
  const std::optional<json::object> object = object_in(result->body);
  return object && text_member(*object, "error") == "invalid_grant";
}

Result<json::value> answer_of(const ExchangeResult& result) {
  if (!result) return refuse(problem_of(result.error()));
  if (result->status < 200 || result->status > 299) return refuse(problem_of(*result));
  if (result->body.empty()) return json::value(nullptr);
  boost::system::error_code error;
  json::value parsed = json::parse(result->body, error);
  if (error.failed()) return refuse(502, "Box's answer is not JSON");
  return parsed;
}

bool unauthorized(const ExchangeResult& result) {
  return result && result->status == 401;
}

Result<json::object> webhook_request(const json::object& body, Members members,
                                     std::string_view address) {
  json::object out;
  constexpr std::array<std::string_view, 3> kKnown{"target", "triggers", "address"};
  for (const auto& [key, value] : body) {
    const std::string_view name(key.data(), key.size());
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
      return refuse(400, std::string(name.substr(0, 200)) + ": unknown");
    }
  }
  const json::value* const target = body.if_contains("target");
  if (target == nullptr && members == Members::All) return refuse(400, "target: required");
  if (target != nullptr) {
    if (!target->is_object()) return refuse(400, "target: must be an object");
    const std::string id = text_member(target->get_object(), "id");
    const std::string type = text_member(target->get_object(), "type");
    if (id.empty() || id.size() > 64) return refuse(400, "target.id: must be a text");
    if (type != "file" && type != "folder") {
      return refuse(400, "target.type: is not one of file, folder");
    }
    for (const auto& [key, value] : target->get_object()) {
      if (key != "id" && key != "type") {
        return refuse(400, "target." + std::string(key).substr(0, 200) + ": unknown");
      }
    }
    out["target"] = json::object{{"id", id}, {"type", type}};
  }
  const json::value* const triggers = body.if_contains("triggers");
  if (triggers == nullptr && members == Members::All) return refuse(400, "triggers: required");
  if (triggers != nullptr) {
    const bool list = triggers->is_array() && !triggers->get_array().empty() &&
                      triggers->get_array().size() <= 100;
    if (!list) return refuse(400, "triggers: must be a list of 1..100 texts");
    for (const json::value& each : triggers->get_array()) {
      if (!each.is_string() || each.get_string().empty() || each.get_string().size() > 100) {
        return refuse(400, "triggers: must be a list of texts of 1..100 characters");
      }
    }
    out["triggers"] = *triggers;
  }
  const json::value* const given = body.if_contains("address");
  if (given != nullptr && (!given->is_string() || given->get_string().size() > 2048)) {
    return refuse(400, "address: must be a text of at most 2048 characters");
  }
  if (given != nullptr) {
    out["address"] = *given;
  } else if (members == Members::All) {
    out["address"] = json::string_view(address.data(), address.size());
  }
  if (out.empty()) return refuse(400, "target: give target, triggers or address");
  return out;
}

std::optional<Webhook> webhook_of(const json::value& answer) {
  if (!answer.is_object()) return std::nullopt;
  const json::object& object = answer.get_object();
  Webhook out;
  out.id = text_member(object, "id");
  out.address = text_member(object, "address");
  const json::value* const target = object.if_contains("target");
  if (target != nullptr && target->is_object()) {
    out.target_id = text_member(target->get_object(), "id");
    out.target_type = text_member(target->get_object(), "type");
  }
  const json::value* const triggers = object.if_contains("triggers");
  if (triggers != nullptr && triggers->is_array()) {
    for (const json::value& each : triggers->get_array()) {
      if (each.is_string()) out.triggers.emplace_back(each.get_string());
    }
  }
  if (!is_webhook_id(out.id)) return std::nullopt;
  return out;
}

bool is_webhook_id(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 20 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void Quota::heed(const ExchangeResult& answer, TimePoint now) {
  if (!answer || answer->retry_after.empty()) return;
  if (answer->status != 429 && answer->status != 503) return;
  held_until_ = now + std::chrono::seconds{retry_after_of(answer->retry_after)};
}

std::optional<unsigned> Quota::take(TimePoint now) {
  if (now < held_until_) {
    const auto left = std::chrono::ceil<std::chrono::seconds>(held_until_ - now).count();
    return static_cast<unsigned>(std::max<std::int64_t>(left, 1));
  }
  if (last_ == TimePoint{}) last_ = now;
  const double passed = std::chrono::duration<double>(now - last_).count();
  tokens_ = std::min(kPerMinute, tokens_ + passed * kPerMinute / 60);
  last_ = now;
  if (tokens_ < 1) return static_cast<unsigned>(std::ceil((1 - tokens_) * 60 / kPerMinute));
  tokens_ -= 1;
  return std::nullopt;
}

}  // namespace eventrelay::control::box
