#include "cli/provider/box_world.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <utility>

#include "common/base/crypto.hpp"
#include "common/providers/form.hpp"
#include "common/text/percent.hpp"

namespace eventrelay::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kHooksMax = 1000;
constexpr std::chrono::seconds kCodeLife{30};
constexpr std::chrono::seconds kAccessLife{3600};
constexpr std::array<std::string_view, 2> kUsers{"226067247", "226067248"};
constexpr std::array<std::string_view, 44> kTriggers{"FILE.UPLOADED",
                                                     "FILE.PREVIEWED",
                                                     "FILE.DOWNLOADED",
                                                     "FILE.TRASHED",
                                                     "FILE.DELETED",
                                                     "FILE.RESTORED",
                                                     "FILE.COPIED",
                                                     "FILE.MOVED",
                                                     "FILE.LOCKED",
                                                     "FILE.UNLOCKED",
                                                     "FILE.RENAMED",
                                                     "FOLDER.CREATED",
                                                     "FOLDER.RENAMED",
                                                     "FOLDER.DOWNLOADED",
                                                     "FOLDER.RESTORED",
                                                     "FOLDER.DELETED",
                                                     "FOLDER.COPIED",
                                                     "FOLDER.MOVED",
                                                     "FOLDER.TRASHED",
                                                     "COLLABORATION.CREATED",
                                                     "COLLABORATION.ACCEPTED",
                                                     "COLLABORATION.REJECTED",
                                                     "COLLABORATION.REMOVED",
                                                     "COLLABORATION.UPDATED",
                                                     "COMMENT.CREATED",
                                                     "COMMENT.UPDATED",
                                                     "COMMENT.DELETED",
                                                     "METADATA_INSTANCE.CREATED",
                                                     "METADATA_INSTANCE.UPDATED",
                                                     "METADATA_INSTANCE.DELETED",
                                                     "SHARED_LINK.CREATED",
                                                     "SHARED_LINK.UPDATED",
                                                     "SHARED_LINK.DELETED",
                                                     "TASK_ASSIGNMENT.CREATED",
                                                     "TASK_ASSIGNMENT.UPDATED",
                                                     "SIGN_REQUEST.COMPLETED",
                                                     "SIGN_REQUEST.DECLINED",
                                                     "SIGN_REQUEST.EXPIRED",
                                                     "SIGN_REQUEST.SIGNER_EMAIL_BOUNCED",
                                                     "DOCGEN_DOCUMENT_GENERATION_FAILED",
                                                     "DOCGEN_DOCUMENT_GENERATION_STARTED",
                                                     "DOCGEN_DOCUMENT_GENERATION_SUCCEEDED",
                                                     "WEBHOOK.DELETED",
                                                     "NO_ACTIVE_SESSION"};
// Of a folder only.
constexpr std::array<std::string_view, 14> kFolderOnly{
    "FILE.UPLOADED",         "FOLDER.CREATED",         "FOLDER.RENAMED",
    "FOLDER.DOWNLOADED",     "FOLDER.RESTORED",        "FOLDER.DELETED",
    "FOLDER.COPIED",         "FOLDER.MOVED",           "FOLDER.TRASHED",
    "COLLABORATION.CREATED", "COLLABORATION.ACCEPTED", "COLLABORATION.REJECTED",
    "COLLABORATION.REMOVED", "COLLABORATION.UPDATED"};

template <class List>
bool among(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string random_text(std::size_t bytes) {
  std::string out(bytes, '\0');
  crypto::random_bytes(out.data(), out.size());
  return crypto::hex(out);
}

std::string stamp(WallTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}-07:00",
                     fmt::gmtime(static_cast<std::time_t>(unix_seconds(time) - 7 * 3600)));
}

using Pairs = std::map<std::string, std::string>;

// Of a form or query; empty if an escape is broken.
Pairs pairs_of(std::string_view text) {
  Pairs out;
  for (auto& [name, value] : providers::read_form(text).value_or(providers::FormParameters{})) {
    out[name] = std::move(value);
  }
  return out;
}

std::string value_of(const Pairs& pairs, const std::string& name) {
  const auto found = pairs.find(name);
  return found == pairs.end() ? std::string() : found->second;
}

std::string encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    if (plain) {
      out.push_back(c);
    } else {
      append_percent_encoded(c, out);
    }
  }
  return out;
}

std::string html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out.push_back(c);
  }
  return out;
}

json::object object_of(const std::string& body) {
  boost::system::error_code error;
  json::value parsed = json::parse(body, error);
  return !error.failed() && parsed.is_object() ? std::move(parsed.get_object()) : json::object();
}

std::string text_of(const json::object& object, const char* name) {
  const json::value* const value = object.if_contains(name);
  if (value == nullptr) return {};
  if (value->is_int64()) return std::to_string(value->get_int64());
  return value->is_string() ? std::string(value->get_string()) : std::string();
}

std::uint64_t number_of(const json::object& object, const char* name, std::uint64_t otherwise) {
  const json::value* const value = object.if_contains(name);
  return value != nullptr && value->is_int64() && value->get_int64() >= 0
             ? static_cast<std::uint64_t>(value->get_int64())
             : otherwise;
}

BoxAnswer answer(unsigned status, const json::value& body) {
  BoxAnswer out;
  out.status = status;
  out.body = json::serialize(body);
  return out;
}

// Box's form of an API error.
BoxAnswer refused(unsigned status, const char* code, const std::string& message) {
  return answer(status, json::object{{"type", "error"},
                                     {"status", status},
                                     {"code", code},
                                     {"message", message},
                                     {"context_info", nullptr},
                                     {"help_url", "http://developers.box.com/docs/#errors"},
                                     {"request_id", random_text(8)}});
}

// Box's form of an OAuth error.
BoxAnswer denied(const char* error, const char* description) {
  return answer(400, json::object{{"error", error}, {"error_description", description}});
}

// On the wire Box escapes every slash.
std::string php(const json::object& body) {
  std::string out;
  for (const char c : json::serialize(body)) {
    if (c == '/') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

bool loopback(std::string_view host) {
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

// Empty, or why Box refuses the address of a webhook. Loopback is accepted, since a stand-in can
// call nothing else.
std::string address_problem(const std::string& address) {
  const bool tls = address.starts_with("https://");
  if (!tls && !address.starts_with("http://")) return "address must be an HTTPS URL";
  std::string_view host = std::string_view(address).substr(tls ? 8 : 7);
  host = host.substr(0, host.find_first_of("/?#"));
  if (host.empty()) return "address has no host";
  if (loopback(host)) return {};
  if (!tls) return "address must be an HTTPS URL";
  const std::size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.substr(colon) != ":443") {
    return "address must use port 443";
  }
  const std::string_view name = host.substr(0, colon);
  if (name == "box.com" || name.ends_with(".box.com")) return "address must not be at box.com";
  return {};
}

}  // namespace

BoxWorld::BoxWorld(BoxOptions options) : options_(std::move(options)) {
  const std::string owner(kUsers[0]);
  items_["0"] = {"0", "folder", "All Files", "", owner};
  items_["1000"] = {"1000", "folder", "Docs", "0", owner};
  items_["1001"] = {"1001", "folder", "Other", "0", owner};
  items_["2000"] = {"2000", "file", "contract.pdf", "1000", owner};
}

BoxAnswer BoxWorld::handle(const BoxRequest& request, WallTime now) {
  ++requests_;
  const std::string_view target = request.target;
  const std::size_t question = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, question);
  const std::string_view query = target.substr(std::min(question + 1, target.size()));
  const auto fault = std::find_if(faults_.begin(), faults_.end(), [&](const Fault& each) {
    const std::size_t blank = each.path.find(' ');
    const std::string_view method =
        blank == std::string::npos ? "" : std::string_view(each.path).substr(0, blank);
    const std::string_view prefix =
        std::string_view(each.path).substr(blank == std::string::npos ? 0 : blank + 1);
    return path.starts_with(prefix) && (method.empty() || method == request.method) &&
           !path.starts_with("/standin");
  });
  if (fault == faults_.end()) return route(request, path, query, now);
  BoxAnswer out;
  out.status = fault->status;
  out.body = fault->body;
  out.content_type = fault->content_type;
  out.delay = fault->delay;
  out.cut = fault->status == 0;
  if (!fault->retry_after.empty()) out.headers.emplace_back("Retry-After", fault->retry_after);
  const bool after = fault->after;
  if (--fault->count == 0) faults_.erase(fault);
  if (after) (void)route(request, path, query, now);
  return out;
}

BoxAnswer BoxWorld::route(const BoxRequest& request, std::string_view path, std::string_view query,
                          WallTime now) {
  if (path.starts_with("/standin/")) return stand_in(request, path.substr(9), now);
  if (path == "/api/oauth2/authorize") {
    return request.method == "POST" ? consent(request, now) : authorize_page(query);
  }
  if (path == "/oauth2/token") return token(request, now);
  if (path == "/oauth2/revoke") return revoke(request);
  const std::string_view api = path.starts_with("/2.0/")       ? path.substr(5)
                               : path.starts_with("/api/2.0/") ? path.substr(9)
                                                               : std::string_view();
  if (api.empty()) return refused(404, "not_found", "Not Found");
  const std::optional<std::string> user = user_of(request, now);
  if (!user) {
    BoxAnswer out = refused(401, "unauthorized", "Unauthorized");
    out.headers.emplace_back("WWW-Authenticate",
                             "Bearer realm=\"Service\", error=\"invalid_token\"");
    return out;
  }
  if (api == "users/me") {
    return answer(200, json::object{{"type", "user"},
                                    {"id", *user},
                                    {"name", *user == kUsers[0] ? "Ada Example" : "Bob Example"},
                                    {"login", *user + "@box.example"}});
  }
  if (api == "webhooks" || api.starts_with("webhooks/")) {
    return webhooks(request, api.substr(8), query, *user, now);
  }
  if (api == "events") return events(query);
  return items(request, api, *user, now);
}

std::optional<std::string> BoxWorld::user_of(const BoxRequest& request, WallTime now) const {
  constexpr std::string_view kBearer = "Bearer ";
  if (!request.authorization.starts_with(kBearer)) return std::nullopt;
  const auto found = access_.find(request.authorization.substr(kBearer.size()));
  if (found == access_.end() || found->second.until < now) return std::nullopt;
  return found->second.user;
}

BoxAnswer BoxWorld::authorize_page(std::string_view query) const {
  const Pairs pairs = pairs_of(query);
  BoxAnswer out;
  out.content_type = "text/html; charset=utf-8";
  if (value_of(pairs, "client_id") != options_.client_id) {
    out.status = 400;
    out.body = "<!doctype html><title>Error</title><p>unknown client_id\n";
    return out;
  }
  out.body =
      "<!doctype html><html lang=\"en\"><title>Grant access (stand-in)</title>"
      "<h1>Grant access to Box</h1><p>This is a stand-in of Box."
      "<form method=\"post\" action=\"/api/oauth2/authorize\">";
  for (const auto& [name, value] : pairs) {
    out.body += "<input type=\"hidden\" name=\"" + html(name) + "\" value=\"" + html(value) + "\">";
  }
  out.body += "<p><label>User <select name=\"user\">";
  for (const std::string_view user : kUsers) {
    out.body.append("<option>").append(user).append("</option>");
  }
  out.body += "</select></label><p><button>Grant access to Box</button></form></html>\n";
  return out;
}

BoxAnswer BoxWorld::consent(const BoxRequest& request, WallTime now) {
  const Pairs pairs = pairs_of(request.body);
  std::string user = value_of(pairs, "user");
  if (user.empty()) user = std::string(kUsers[0]);
  const std::string redirect = value_of(pairs, "redirect_uri");
  if (value_of(pairs, "client_id") != options_.client_id || redirect.empty() ||
      !among(kUsers, user)) {
    return refused(400, "bad_request", "client_id, redirect_uri or user is wrong");
  }
  const std::string code = random_text(16);
  codes_[code] = {user, now + kCodeLife};
  BoxAnswer out = answer(302, json::object{{"code", code}});
  out.headers.emplace_back("Location",
                           redirect + (redirect.find('?') == std::string::npos ? "?" : "&") +
                               "code=" + code + "&state=" + encoded(value_of(pairs, "state")));
  return out;
}

BoxAnswer BoxWorld::give_tokens(const std::string& user, WallTime now) {
  const std::string access = "access-" + random_text(24);
  const std::string refresh = "refresh-" + random_text(24);
  access_[access] = {user, now + kAccessLife};
  refresh_[refresh] = access;
  user_of_refresh_[refresh] = user;
  return answer(200, json::object{{"access_token", access},
                                  {"expires_in", 3600},
                                  {"restricted_to", json::array{}},
                                  {"refresh_token", refresh},
                                  {"token_type", "bearer"}});
}

BoxAnswer BoxWorld::token(const BoxRequest& request, WallTime now) {
  if (request.method != "POST") return refused(405, "method_not_allowed", "Method Not Allowed");
  const Pairs pairs = pairs_of(request.body);
  if (value_of(pairs, "client_id") != options_.client_id ||
      value_of(pairs, "client_secret") != options_.client_secret) {
    return denied("invalid_client", "The client credentials are invalid");
  }
  const std::string kind = value_of(pairs, "grant_type");
  if (kind == "authorization_code") {
    const auto code = codes_.find(value_of(pairs, "code"));
    if (code == codes_.end() || code->second.until < now) {
      return denied("invalid_grant", "The authorization code has expired");
    }
    const std::string user = code->second.user;
    codes_.erase(code);
    ++exchanges_;
    return give_tokens(user, now);
  }
  if (kind == "refresh_token") {
    const auto used = refresh_.find(value_of(pairs, "refresh_token"));
    if (used == refresh_.end()) return denied("invalid_grant", "Refresh token has expired");
    const std::string user = user_of_refresh_[used->first];
    access_.erase(used->second);
    user_of_refresh_.erase(used->first);
    refresh_.erase(used);
    ++refreshes_;
    return give_tokens(user, now);
  }
  return denied("unsupported_grant_type", "Invalid grant_type parameter or parameter missing");
}

BoxAnswer BoxWorld::revoke(const BoxRequest& request) {
  const Pairs pairs = pairs_of(request.body);
  if (value_of(pairs, "client_id") != options_.client_id ||
      value_of(pairs, "client_secret") != options_.client_secret) {
    return denied("invalid_client", "The client credentials are invalid");
  }
  ++revokes_;
  const std::string token = value_of(pairs, "token");
  for (auto each = refresh_.begin(); each != refresh_.end(); ++each) {
    if (each->first != token && each->second != token) continue;
    access_.erase(each->second);
    user_of_refresh_.erase(each->first);
    refresh_.erase(each);
    break;
  }
  return answer(200, json::object{});
}

json::object BoxWorld::hook_json(const Hook& hook) {
  json::array triggers;
  for (const std::string& each : hook.triggers) triggers.emplace_back(each);
  return {{"id", hook.id},
          {"type", "webhook"},
          {"target", {{"id", hook.target_id}, {"type", hook.target_type}}},
          {"created_by",
           {{"type", "user"}, {"id", hook.user}, {"name", hook.user}, {"login", hook.user}}},
          {"created_at", hook.created},
          {"address", hook.address},
          {"triggers", std::move(triggers)}};
}

BoxAnswer BoxWorld::create_hook(const BoxRequest& request, const std::string& user, WallTime now) {
  const json::object body = object_of(request.body);
  const json::value* const target = body.if_contains("target");
  const json::value* const triggers = body.if_contains("triggers");
  if (target == nullptr || !target->is_object() || triggers == nullptr || !triggers->is_array() ||
      triggers->get_array().empty()) {
    return refused(400, "bad_request", "Bad Request: target and triggers are required");
  }
  Hook hook;
  hook.user = user;
  hook.target_id = text_of(target->get_object(), "id");
  hook.target_type = text_of(target->get_object(), "type");
  hook.address = text_of(body, "address");
  hook.created = stamp(now);
  for (const json::value& each : triggers->get_array()) {
    const std::string word = each.is_string() ? std::string(each.get_string()) : std::string();
    if (!among(kTriggers, word) || word == "WEBHOOK.DELETED" || word == "NO_ACTIVE_SESSION") {
      return refused(400, "bad_request", "Bad Request: trigger " + word + " is not known");
    }
    if (hook.target_type == "file" && among(kFolderOnly, word)) {
      return refused(400, "bad_request", "Bad Request: trigger " + word + " is of folders only");
    }
    hook.triggers.push_back(word);
  }
  if (hook.target_id == "0") {
    return refused(400, "bad_request", "Bad Request: webhooks of the root folder are not allowed");
  }
  const auto item = items_.find(hook.target_id);
  if (item == items_.end() || item->second.type != hook.target_type) {
    return refused(404, "not_found", "Not Found: the target does not exist");
  }
  if (const std::string problem = address_problem(hook.address); !problem.empty()) {
    return refused(400, "bad_request", "Bad Request: " + problem);
  }
  std::size_t own = 0;
  for (const auto& [id, each] : hooks_) {
    if (each.user != user) continue;
    ++own;
    if (each.target_id == hook.target_id && each.target_type == hook.target_type) {
      return refused(409, "webhook_already_exists",
                     "Webhook already exists on the specified item for this app and user");
    }
  }
  if (own >= kHooksMax) {
    return refused(400, "webhooks_limit", "Bad Request: the limit of 1000 webhooks is reached");
  }
  hook.id = std::to_string(next_id_++);
  const Hook& made = hooks_[hook.id] = hook;
  return answer(201, hook_json(made));
}

BoxAnswer BoxWorld::change_hook(const BoxRequest& request, Hook& hook) {
  const json::object body = object_of(request.body);
  Hook next = hook;
  if (const json::value* const triggers = body.if_contains("triggers")) {
    if (!triggers->is_array() || triggers->get_array().empty()) {
      return refused(400, "bad_request", "Bad Request: triggers");
    }
    next.triggers.clear();
    for (const json::value& each : triggers->get_array()) {
      const std::string word = each.is_string() ? std::string(each.get_string()) : std::string();
      if (!among(kTriggers, word)) {
        return refused(400, "bad_request", "Bad Request: trigger " + word + " is not known");
      }
      next.triggers.push_back(word);
    }
  }
  if (body.contains("address")) {
    next.address = text_of(body, "address");
    if (const std::string problem = address_problem(next.address); !problem.empty()) {
      return refused(400, "bad_request", "Bad Request: " + problem);
    }
  }
  hook = next;
  return answer(200, hook_json(hook));
}

BoxAnswer BoxWorld::webhooks(const BoxRequest& request, std::string_view path,
                             std::string_view query, const std::string& user, WallTime now) {
  if (path.empty()) {
    if (request.method == "POST") return create_hook(request, user, now);
    if (request.method != "GET") return refused(405, "method_not_allowed", "Method Not Allowed");
    const Pairs pairs = pairs_of(query);
    std::size_t limit = 100;
    const std::string given = value_of(pairs, "limit");
    std::from_chars(given.data(), given.data() + given.size(), limit);
    limit = std::clamp<std::size_t>(limit, 1, 200);
    json::array entries;
    std::string marker = value_of(pairs, "marker");
    std::string next;
    for (const auto& [id, hook] : hooks_) {
      if (hook.user != user || (!marker.empty() && id <= marker)) continue;
      if (entries.size() == limit) {
        next = text_of(entries.back().get_object(), "id");
        break;
      }
      json::object target{{"id", hook.target_id}, {"type", hook.target_type}};
      entries.push_back(json::object{{"id", id}, {"type", "webhook"}, {"target", target}});
    }
    json::object out{{"entries", std::move(entries)}, {"limit", limit}};
    if (!next.empty()) out["next_marker"] = next;
    return answer(200, out);
  }
  const auto hook = hooks_.find(std::string(path.substr(1)));
  if (hook == hooks_.end() || hook->second.user != user) {
    return refused(404, "not_found", "Not Found");
  }
  if (request.method == "GET") return answer(200, hook_json(hook->second));
  if (request.method == "PUT") return change_hook(request, hook->second);
  if (request.method != "DELETE") return refused(405, "method_not_allowed", "Method Not Allowed");
  hooks_.erase(hook);
  BoxAnswer out;
  out.status = 204;
  return out;
}

json::object BoxWorld::item_json(const Item& item, WallTime now) const {
  json::object out{
      {"id", item.id},
      {"type", item.type},
      {"name", item.name},
      {"description", ""},
      {"size", 629644},
      {"created_at", stamp(now)},
      {"modified_at", stamp(now)},
      {"trashed_at", nullptr},
      {"owned_by", {{"type", "user"}, {"id", item.owner}, {"login", item.owner + "@box.example"}}},
      {"shared_link", nullptr},
      {"parent", {{"type", "folder"}, {"id", item.parent}}},
      {"item_status", "active"}};
  if (item.type == "file") out["sha1"] = "2ff7ab5a4a0a4c8f8d8a7f9e6b1e9c7d0a1b2c3d";
  return out;
}

void BoxWorld::to_hook(const Hook& hook, const std::string& trigger, json::object source,
                       const std::string& user, WallTime now) {
  json::object body{
      {"type", "webhook_event"},
      {"id", random_text(16)},
      {"created_at", stamp(now)},
      {"trigger", trigger},
      {"webhook", {{"id", hook.id}, {"type", "webhook"}}},
      {"created_by", {{"type", "user"}, {"id", user}, {"name", user}, {"login", user}}},
      {"source", std::move(source)},
      {"additional_info", json::array{}}};
  if (trigger == "WEBHOOK.DELETED") {
    body["additional_info"] = json::object{{"reason", "auto_cleanup"}};
  }
  deliveries_.push_back({hook.address, php(body), true, 0});
}

void BoxWorld::happened(const std::string& trigger, const Item& item, const std::string& user,
                        WallTime now) {
  // A webhook of a folder hears of everything below it.
  std::set<std::string> targets{item.id};
  for (std::string up = item.parent; !up.empty() && targets.insert(up).second;) {
    const auto parent = items_.find(up);
    up = parent == items_.end() ? std::string() : parent->second.parent;
  }
  for (const auto& [id, hook] : hooks_) {
    if (targets.contains(hook.target_id) && among(hook.triggers, trigger)) {
      to_hook(hook, trigger, item_json(item, now), user, now);
    }
  }
  static const std::map<std::string, std::string> kStreamWords{{"FILE.UPLOADED", "ITEM_UPLOAD"},
                                                               {"FILE.TRASHED", "ITEM_TRASH"},
                                                               {"FILE.RENAMED", "ITEM_RENAME"},
                                                               {"FOLDER.CREATED", "ITEM_CREATE"}};
  const auto word = kStreamWords.find(trigger);
  stream_.push_back({{"type", "event"},
                     {"event_id", random_text(16)},
                     {"created_by", {{"type", "user"}, {"id", user}}},
                     {"created_at", stamp(now)},
                     {"event_type", word == kStreamWords.end() ? "ITEM_MODIFY" : word->second},
                     {"source", item_json(item, now)}});
  if (v1_url_.empty() || item.type != "file") return;
  const std::string event = trigger == "FILE.UPLOADED"  ? "uploaded"
                            : trigger == "FILE.TRASHED" ? "deleted"
                                                        : "moved";
  std::string form = "itemType=file&newItemId=&userId=" + encoded("[\"" + user + "\"]") +
                     "&event=" + event + "&itemId=" + item.id;
  if (!v1_token_.empty()) form += "&token=" + encoded(v1_token_);
  deliveries_.push_back({v1_url_, form, false, 0});
}

BoxAnswer BoxWorld::upload(const std::string& name, const std::string& parent,
                           const std::string& user, WallTime now) {
  const auto folder = items_.find(parent);
  if (folder == items_.end() || folder->second.type != "folder") {
    return refused(404, "not_found", "Not Found: parent");
  }
  Item item{std::to_string(next_id_++), "file", name, parent, user};
  items_[item.id] = item;
  happened("FILE.UPLOADED", item, user, now);
  return answer(201,
                json::object{{"total_count", 1}, {"entries", json::array{item_json(item, now)}}});
}

BoxAnswer BoxWorld::items(const BoxRequest& request, std::string_view path, const std::string& user,
                          WallTime now) {
  if (path == "files/content" && request.method == "POST") {
    // A multipart form with `attributes`; the bytes of the file do not matter here.
    const std::size_t begin = request.body.find('{');
    const std::size_t end = request.body.find("\r\n", begin);
    const json::object attributes = begin == std::string::npos
                                        ? json::object()
                                        : object_of(request.body.substr(begin, end - begin));
    const json::value* const parent = attributes.if_contains("parent");
    if (text_of(attributes, "name").empty() || parent == nullptr || !parent->is_object()) {
      return refused(400, "bad_request", "Bad Request: attributes");
    }
    return upload(text_of(attributes, "name"), text_of(parent->get_object(), "id"), user, now);
  }
  const bool file = path.starts_with("files/");
  const std::string id(path.substr(std::min(path.size(), path.find('/') + 1)));
  const auto item = items_.find(id);
  if (item == items_.end() || (item->second.type == "file") != file) {
    return refused(404, "not_found", "Not Found");
  }
  if (request.method == "GET") return answer(200, item_json(item->second, now));
  if (request.method == "DELETE") {
    happened(file ? "FILE.TRASHED" : "FOLDER.TRASHED", item->second, user, now);
    items_.erase(item);
    BoxAnswer out;
    out.status = 204;
    return out;
  }
  return refused(405, "method_not_allowed", "Method Not Allowed");
}

// Pages of at most half of what was asked, the last entry of a page again at the start of the next:
// Box promises neither full pages nor each event once.
BoxAnswer BoxWorld::events(std::string_view query) const {
  const Pairs pairs = pairs_of(query);
  const std::string position = value_of(pairs, "stream_position");
  std::size_t from = 0;
  if (position == "now") {
    from = stream_.size();
  } else {
    std::from_chars(position.data(), position.data() + position.size(), from);
  }
  std::size_t limit = 100;
  const std::string given = value_of(pairs, "limit");
  std::from_chars(given.data(), given.data() + given.size(), limit);
  limit = std::clamp<std::size_t>(limit, 1, 500);
  from = std::min(from, stream_.size());
  const std::size_t end = std::min(stream_.size(), from + std::max<std::size_t>(1, limit / 2));
  json::array entries;
  if (from > 0 && from < stream_.size()) entries.push_back(stream_[from - 1]);
  for (std::size_t i = from; i < end; ++i) entries.push_back(stream_[i]);
  const std::size_t size = entries.size();
  return answer(200, json::object{{"chunk_size", size},
                                  {"next_stream_position", end},
                                  {"entries", std::move(entries)}});
}

// What a test or a hand asks of the stand-in itself; no authorization, loopback only.
BoxAnswer BoxWorld::stand_in(const BoxRequest& request, std::string_view path, WallTime now) {
  const json::object body = object_of(request.body);
  std::string user = text_of(body, "user");
  if (user.empty()) user = std::string(kUsers[0]);
  if (path == "state") {
    json::array hooks;
    for (const auto& [id, hook] : hooks_) hooks.push_back(hook_json(hook));
    return answer(200, json::object{{"webhooks", std::move(hooks)},
                                    {"access_tokens", access_.size()},
                                    {"refresh_tokens", refresh_.size()},
                                    {"exchanges", exchanges_},
                                    {"refreshes", refreshes_},
                                    {"revokes", revokes_},
                                    {"requests", requests_},
                                    {"delivered", sent_ok_},
                                    {"failed", sent_failed_}});
  }
  if (request.method != "POST") return refused(405, "method_not_allowed", "Method Not Allowed");
  if (path == "grant") {
    const std::string code = random_text(16);
    codes_[code] = {user, now + kCodeLife};
    return answer(200, json::object{{"code", code}});
  }
  if (path == "upload") {
    std::string parent = text_of(body, "parent");
    if (parent.empty()) parent = "1000";
    std::string name = text_of(body, "name");
    if (name.empty()) name = "upload.txt";
    return upload(name, parent, user, now);
  }
  if (path == "v1") {
    v1_url_ = text_of(body, "url");
    v1_token_ = text_of(body, "token");
    return answer(200, json::object{});
  }
  if (path == "expire") {
    for (auto& [token, grant] : access_) grant.until = now - std::chrono::seconds{1};
    return answer(200, json::object{});
  }
  if (path == "withdraw") {
    access_.clear();
    refresh_.clear();
    user_of_refresh_.clear();
    return answer(200, json::object{});
  }
  if (path == "fault") {
    Fault fault;
    fault.path = text_of(body, "path");
    fault.status = static_cast<unsigned>(number_of(body, "status", 500));
    fault.body = text_of(body, "body");
    if (!text_of(body, "content_type").empty()) fault.content_type = text_of(body, "content_type");
    fault.retry_after = text_of(body, "retry_after");
    fault.delay = std::chrono::milliseconds{number_of(body, "delay_ms", 0)};
    fault.count = std::max<std::uint64_t>(number_of(body, "count", 1), 1);
    const std::uint64_t size = number_of(body, "body_bytes", 0);
    if (size > 0) fault.body.assign(std::min<std::uint64_t>(size, 64U << 20), 'x');
    const json::value* const after = body.if_contains("after");
    fault.after = after != nullptr && after->is_bool() && after->get_bool();
    faults_.push_back(std::move(fault));
    return answer(200, json::object{});
  }
  if (path == "forget" || path == "session") {
    // Box takes a webhook away by itself, or has lost its session.
    const auto hook = hooks_.find(text_of(body, "webhook"));
    if (hook == hooks_.end()) return refused(404, "not_found", "Not Found");
    to_hook(hook->second, path == "forget" ? "WEBHOOK.DELETED" : "NO_ACTIVE_SESSION",
            json::object{{"id", hook->first}, {"type", "webhook"}}, hook->second.user, now);
    if (path == "forget") hooks_.erase(hook);
    return answer(200, json::object{});
  }
  if (path == "drop") {  // deleted elsewhere, without a word
    hooks_.erase(text_of(body, "webhook"));
    return answer(200, json::object{});
  }
  return refused(404, "not_found", "Not Found");
}

std::vector<BoxDelivery> BoxWorld::take_deliveries() {
  return std::exchange(deliveries_, {});
}

std::vector<std::pair<std::string, std::string>> BoxWorld::delivery_headers(
    const BoxDelivery& delivery, WallTime now) const {
  if (!delivery.v2) return {{"Content-Type", "application/x-www-form-urlencoded"}};
  const std::string time = stamp(now);
  const auto signature = [&](const std::string& key) {
    crypto::Hmac mac(crypto::Digest::Sha256, key);
    mac.start();
    mac.update(delivery.body);
    mac.update(time);
    return crypto::base64(mac.finish().view());
  };
  return {{"Content-Type", "application/json; charset=utf-8"},
          {"User-Agent", "Box-WH-Client/0.1"},
          {"BOX-DELIVERY-ID", random_text(16)},
          {"BOX-DELIVERY-TIMESTAMP", time},
          {"BOX-SIGNATURE-VERSION", "1"},
          {"BOX-SIGNATURE-ALGORITHM", "HmacSHA256"},
          {"BOX-SIGNATURE-PRIMARY", signature(options_.primary)},
          {"BOX-SIGNATURE-SECONDARY", signature(options_.secondary)}};
}

std::optional<std::chrono::milliseconds> BoxWorld::retry_after(unsigned attempt) {
  // Twelve within two hours.
  constexpr std::array<int, 12> kSeconds{1, 2, 5, 15, 60, 120, 300, 600, 900, 1200, 1800, 2100};
  if (attempt >= kSeconds.size()) return std::nullopt;
  return std::chrono::seconds{kSeconds[attempt]};
}

void BoxWorld::delivered(const BoxDelivery&, int status) {
  status >= 200 && status < 300 ? ++sent_ok_ : ++sent_failed_;
}

}  // namespace eventrelay::cli
