#include "ingest/control/control_api.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <set>

#include "common/base/crypto.hpp"
#include "common/config/callback_url.hpp"
#include "common/observe/log.hpp"
#include "common/process/failpoint.hpp"
#include "ingest/control/instance_input.hpp"
#include "ingest/control/instance_view.hpp"
#include "ingest/control/json_body.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

constexpr std::size_t kPageDefault = 200;
constexpr std::size_t kPageMax = 1000;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Nothing for a broken escape.
std::optional<std::string> decoded(std::string_view text, bool plus_is_blank) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_blank) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      const int high = i + 2 < text.size() + 0 ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return out;
}

// Pairs of a query in their order; nothing for a broken escape.
std::optional<std::vector<std::pair<std::string, std::string>>> query_of(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    if (part.empty()) continue;
    const std::size_t equals = std::min(part.find('='), part.size());
    const auto name = decoded(part.substr(0, equals), true);
    const auto value = decoded(part.substr(std::min(equals + 1, part.size())), true);
    if (!name || !value) return std::nullopt;
    out.emplace_back(*name, *value);
  }
  return out;
}

// Does `path` fit `pattern`, whose parts in braces take any one part?
bool fits(std::string_view pattern, std::string_view path,
          std::map<std::string, std::string, std::less<>>& parameters) {
  parameters.clear();
  for (;;) {
    const std::string_view want = pattern.substr(0, pattern.find('/'));
    const std::string_view have = path.substr(0, path.find('/'));
    if (want.starts_with('{')) {
      std::optional<std::string> value = decoded(have, false);
      if (!value || value->empty()) return false;
      parameters[std::string(want.substr(1, want.size() - 2))] = *std::move(value);
    } else if (want != have) {
      return false;
    }
    const bool last = want.size() == pattern.size();
    if (last || have.size() == path.size()) return last && have.size() == path.size();
    pattern.remove_prefix(want.size() + 1);
    path.remove_prefix(have.size() + 1);
  }
}

std::string new_request_id() {
  std::array<char, 12> bytes{};
  crypto::random_bytes(bytes.data(), bytes.size());
  return crypto::hex({bytes.data(), bytes.size()});
}

AdminResponse response_of(const Problem& problem, const std::string& request_id) {
  json::object body{{"message", problem.message}, {"requestId", request_id}};
  if (!problem.provider_message.empty()) body["providerMessage"] = problem.provider_message;
  AdminResponse out;
  out.status = problem.status;
  out.body = json::serialize(body);
  const unsigned wait =
      problem.status == 503 ? std::max(problem.retry_after, 1U) : problem.retry_after;
  if (wait > 0) out.headers.emplace_back("Retry-After", std::to_string(wait));
  return out;
}

Result<std::size_t> page_size(const Call& call) {
  const std::string* const text = call.query_value("pageSize");
  if (text == nullptr) return kPageDefault;
  std::size_t size = 0;
  const auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), size);
  if (error != std::errc{} || stop != text->data() + text->size() || size < 1 || size > kPageMax) {
    return refuse(400, "pageSize: must be a number 1..1000");
  }
  return size;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// Does `Accept` take JSON? Weights of 0 exclude it.
bool accepts_json(std::string_view accept) {
  if (accept.empty()) return true;
  std::string rest = lower(accept);
  rest.erase(std::remove(rest.begin(), rest.end(), ' '), rest.end());
  for (std::string_view list = rest;;) {
    const std::string_view one = list.substr(0, list.find(','));
    const std::string_view type = one.substr(0, one.find(';'));
    const bool zero = one.find(";q=0") != std::string_view::npos &&
                      one.find_first_of("123456789", one.find(";q=0")) == std::string_view::npos;
    if (!zero && (type == "application/json" || type == "application/*" || type == "*/*")) {
      return true;
    }
    if (one.size() == list.size()) return false;
    list.remove_prefix(one.size() + 1);
  }
}

void count_request(metrics::Slab& slab, unsigned status);

}  // namespace

std::string_view Call::parameter(std::string_view name) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? std::string_view() : std::string_view(found->second);
}

const std::string* Call::query_value(std::string_view name) const {
  const auto found = std::find_if(query.begin(), query.end(),
                                  [&](const auto& pair) { return pair.first == name; });
  return found == query.end() ? nullptr : &found->second;
}

const std::vector<ControlApi::Route>& ControlApi::routes() {
  using Api = ControlApi;
  constexpr Access kP = Access::Platform;
  constexpr Access kE = Access::Element;
  constexpr Access kPE = Access::Either;
  constexpr Access kAdmin = Access::PlatformAdmin;
  static const std::vector<Route> kRoutes{
      {"GET", "elements", kP, &Api::list_elements},
      {"GET", "elements/{element}", kP, &Api::get_element},
      {"GET", "elements/{element}/metadata", kP, &Api::get_metadata},
      {"GET", "elements/{element}/oauth/url", kP, &Api::get_oauth_url},
      {"POST", "elements/{element}/instances", kP, &Api::create_instance},
      {"POST", "instances", kP, &Api::create_instance},
      {"GET", "instances", kP, &Api::list_instances},
      {"PUT", "instances", kE, &Api::replace_instance},
      {"PATCH", "instances", kE, &Api::merge_instance},
      {"DELETE", "instances", kE, &Api::delete_instance},
      {"PUT", "instances/enabled", kE, &Api::enable_instance},
      {"DELETE", "instances/enabled", kE, &Api::disable_instance},
      {"GET", "instances/configuration", kE, &Api::list_configuration},
      {"GET", "instances/configuration/{item}", kE, &Api::get_configuration},
      {"PATCH", "instances/configuration/{item}", kE, &Api::set_configuration},
      {"GET", "instances/{id}", kPE, &Api::get_instance},
      {"PUT", "instances/{id}", kPE, &Api::replace_instance},
      {"PATCH", "instances/{id}", kPE, &Api::merge_instance},
      {"DELETE", "instances/{id}", kPE, &Api::delete_instance},
      {"PUT", "instances/{id}/enabled", kPE, &Api::enable_instance},
      {"DELETE", "instances/{id}/enabled", kPE, &Api::disable_instance},
      {"GET", "instances/{id}/configuration", kPE, &Api::list_configuration},
      {"GET", "instances/{id}/configuration/{item}", kPE, &Api::get_configuration},
      {"PATCH", "instances/{id}/configuration/{item}", kPE, &Api::set_configuration},
      {"POST", "instances/{id}/token", kAdmin, &Api::renew_token},
      {"GET", "instances/{id}/setup", kAdmin, &Api::get_setup},
      {"POST", "webhooks", kE, &Api::create_webhook},
      {"GET", "webhooks", kE, &Api::list_webhooks},
      {"GET", "webhooks/{hook}", kE, &Api::get_webhook},
      {"PUT", "webhooks/{hook}", kE, &Api::change_webhook},
      {"DELETE", "webhooks/{hook}", kE, &Api::delete_webhook},
      {"POST", "hubs/{hub}/webhooks", kE, &Api::create_webhook},
      {"GET", "hubs/{hub}/webhooks", kE, &Api::list_webhooks},
      {"GET", "hubs/{hub}/webhooks/{hook}", kE, &Api::get_webhook},
      {"PUT", "hubs/{hub}/webhooks/{hook}", kE, &Api::change_webhook},
      {"DELETE", "hubs/{hub}/webhooks/{hook}", kE, &Api::delete_webhook},
  };
  return kRoutes;
}

ControlApi::ControlApi(std::shared_ptr<const Settings> settings, Documents& documents,
                       BoxGateway& box, metrics::Slab& slab)
    : documents_(documents), box_(box), slab_(slab) {
  use(std::move(settings));
}

void ControlApi::use(std::shared_ptr<const Settings> settings) {
  callers_ = std::make_shared<const Callers>(settings->config.control);
  settings_ = std::move(settings);
}

Result<bool> ControlApi::authorize(std::string_view header, Access access, Call& call) {
  const auto unauthorized = [](std::string message) { return refuse(401, std::move(message)); };
  if (header.empty()) return unauthorized("Authorization: missing");
  const std::optional<Credentials> credentials = parse_authorization(header);
  if (!credentials) {
    return unauthorized(
        "Authorization: must be `User <secret>, Organization <secret>` or `User <secret>, Element "
        "<token>`");
  }
  const std::optional<Caller> caller = callers_->user(credentials->user);
  const bool by_element =
      access == Access::Element || (access == Access::Either && !credentials->element.empty());
  const bool kind_fits = by_element
                             ? !credentials->element.empty()
                             : credentials->element.empty() && !credentials->organization.empty();
  if (!kind_fits) {
    return unauthorized(access == Access::Element
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
  const StoredInstance* const instance = documents_.store().by_token(credentials->element);
  if (instance == nullptr || instance->account != caller->account->id) return unknown;
  call.element_instance = instance->id;
  return true;
}

Task<AdminResponse> ControlApi::handle(const AdminRequest& request) {
  Call call;
  call.request_id = new_request_id();
  call.method = request.method;
  call.body = request.body;
  std::string_view path = request.path.substr(std::min(kApiBase.size(), request.path.size()));
  while (path.starts_with('/')) path.remove_prefix(1);
  std::string allowed;
  const Route* chosen = nullptr;
  for (const Route& route : routes()) {
    std::map<std::string, std::string, std::less<>> parameters;
    if (!fits(route.pattern, path, parameters)) continue;
    // A literal part goes before a parameter, as the rows are ordered.
    if (route.method == request.method && chosen == nullptr) {
      chosen = &route;
      call.parameters = std::move(parameters);
    }
    allowed.append(allowed.empty() ? "" : ", ").append(route.method);
    if (route.method == "GET") allowed.append(", HEAD");
  }
  AdminResponse response;
  if (chosen != nullptr) {
    response = co_await answer(*chosen, request, std::move(call));
  } else if (allowed.empty()) {
    const Problem problem{404, "no such path", {}, 0};
    response = response_of(problem, call.request_id);
  } else {
    const Problem problem{405, "method not allowed", {}, 0};
    response = response_of(problem, call.request_id);
    response.headers.emplace_back("Allow", allowed);
  }
  count_request(slab_, response.status);
  co_return response;
}

Task<AdminResponse> ControlApi::answer(const Route& route, const AdminRequest& request, Call call) {
  const std::string request_id = call.request_id;
  const std::uint32_t limit = settings_->config.control.auth_failures_per_minute;
  if (const auto wait = failures_.wait(request.peer, limit, monotonic_now())) {
    const Problem problem{429, "too many failed authorizations from this address", {}, *wait};
    co_return response_of(problem, request_id);
  }
  const Result<bool> known = authorize(request.authorization, route.access, call);
  if (!known) {
    failures_.failed(request.peer, monotonic_now());
    co_return response_of(known.error(), request_id);
  }
  if (!accepts_json(request.accept)) {
    const Problem problem{406, "Accept: answers are application/json", {}, 0};
    co_return response_of(problem, request_id);
  }
  const bool reads = route.method == "GET";
  const bool admin_only = !reads || route.access == Access::PlatformAdmin;
  if (admin_only && !call.caller.admin()) {
    const Problem problem{403, "the role viewer may only read", {}, 0};
    co_return response_of(problem, request_id);
  }
  if (!request.body.empty() && lower(request.content_type).find("json") == std::string::npos) {
    const Problem problem{415, "Content-Type: must be application/json", {}, 0};
    co_return response_of(problem, request_id);
  }
  auto query = query_of(request.query);
  if (!query) {
    const Problem problem{400, "the query holds a broken escape", {}, 0};
    co_return response_of(problem, request_id);
  }
  call.query = *std::move(query);
  const Handler handler = route.handler;
  const Result<Reply> reply = co_await (this->*handler)(call);
  if (!reply) co_return response_of(reply.error(), request_id);
  AdminResponse response;
  response.body = json::serialize(reply->body);
  response.headers = reply->headers;
  if (call.element_instance) {
    response.headers.emplace_back("Elements-Element-Instance-Id",
                                  std::to_string(*call.element_instance));
  }
  if (!reads) {
    log::info("control change", {{"user", call.caller.user->id},
                                 {"account", call.caller.account->id},
                                 {"method", route.method},
                                 {"path", request.path},
                                 {"instance", std::to_string(call.element_instance.value_or(0))},
                                 {"requestId", request_id}});
  }
  co_return response;
}

// -- elements --

Task<Result<Reply>> ControlApi::list_elements(const Call&) {
  json::array list;
  for (const CatalogRow& row : catalog()) list.push_back(element_answer(row));
  co_return Reply{std::move(list)};
}

Task<Result<Reply>> ControlApi::get_element(const Call& call) {
  const CatalogRow* const row = find_catalog_row(call.parameter("element"));
  if (row == nullptr) co_return refuse(404, "there is no such element");
  co_return Reply{element_answer(*row)};
}

Task<Result<Reply>> ControlApi::get_metadata(const Call& call) {
  const CatalogRow* const row = find_catalog_row(call.parameter("element"));
  if (row == nullptr) co_return refuse(404, "there is no such element");
  co_return Reply{metadata_answer(*row)};
}

Task<Result<Reply>> ControlApi::get_oauth_url(const Call& call) {
  const CatalogRow* const row = find_catalog_row(call.parameter("element"));
  if (row == nullptr) co_return refuse(404, "there is no such element");
  if (!row->oauth) {
    co_return refuse(400, "element: " + std::string(row->key) + " is not authorized by OAuth");
  }
  const std::string* const key = call.query_value("apiKey");
  const std::string* const callback = call.query_value("callbackUrl");
  if (key == nullptr || key->empty()) co_return refuse(400, "apiKey: required");
  if (callback == nullptr || callback->empty()) co_return refuse(400, "callbackUrl: required");
  try {
    (void)parse_callback_url(*callback, true);
  } catch (const std::invalid_argument& problem) {
    co_return refuse(400, std::string("callbackUrl: ") + problem.what());
  }
  const std::string* const state = call.query_value("state");
  const std::string* const scope = call.query_value("scope");
  const std::string url = box::oauth_url(settings_->config.providers.box, *key, *callback,
                                         state == nullptr ? std::string(row->key) : *state,
                                         scope == nullptr ? std::string() : *scope);
  json::object out{{"oauthUrl", url},
                   {"element", json::string_view(row->key.data(), row->key.size())}};
  co_return Reply{std::move(out)};
}

// -- instances --

Result<std::uint64_t> ControlApi::instance_of_call(const Call& call) const {
  const std::string_view text = call.parameter("id");
  if (text.empty()) return *call.element_instance;
  const std::string shown = std::string(text.substr(0, 40));
  const std::optional<std::uint64_t> id = eventrelay::instance_of(text);
  const StoredInstance* const stored = id ? documents_.store().find(*id) : nullptr;
  const bool own = stored != nullptr && stored->account == call.caller.account->id &&
                   call.element_instance.value_or(stored->id) == stored->id;
  if (!own) return refuse(404, "there is no instance " + shown);
  return *id;
}

Reply ControlApi::shown(const Document& document, std::optional<std::string_view> token) const {
  return Reply{
      instance_answer(document, settings_->config, callers_->find_user(document.user), token)};
}

Task<Result<Reply>> ControlApi::create_instance(const Call& call) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  Result<json::object> body = parse_body(call.body);
  if (!body) co_return refuse(body.error());
  const CatalogRow* row = find_catalog_row(call.parameter("element"));
  if (!call.parameter("element").empty() && row == nullptr) {
    co_return refuse(404, "there is no such element");
  }
  if (row == nullptr || body->contains("element")) {
    const Result<const CatalogRow*> named = element_of(*body);
    if (!named) co_return refuse(named.error());
    if (row != nullptr && row != *named) co_return refuse(400, "element: is not that of the path");
    row = *named;
  }
  Document document;
  Result<Authorize> input = apply_input(*body, Change::Create, *row, settings_->config, document);
  if (!input) co_return refuse(input.error());
  if (row->oauth) {
    const Result<bool> granted =
        co_await box_.grant(document, std::move(input->code), std::move(input->refresh_token));
    if (!granted) co_return refuse(granted.error());
    if (!document.instance.vendor_token) {
      document.instance.vendor_token = Secret(new_element_token());
    }
  }
  const std::string token = new_element_token();
  document.token_hash = element_token_hash(token);
  document.created = wall_now();
  document.company = call.caller.organization->id;
  document.account = call.caller.account->id;
  document.user = call.caller.user->id;
  document.instance.id = documents_.next_id();
  const std::uint64_t id = document.instance.id;
  Result<kafka::KeyedRecord> record = documents_.record_of(document, record_key(id));
  Result<bool> written = true;
  if (!record) {
    written = refuse(record.error());
  } else {
    std::vector<kafka::KeyedRecord> records(2);
    records[0] = *std::move(record);
    records[1].key = std::string(kIdsKey);
    records[1].value = encode_ids(id);
    written = co_await documents_.write(std::move(records));
  }
  if (!written) {
    co_await box_.revoke(document);
    co_return refuse(written.error());
  }
  log::info("instance created", {{"instance", document.instance.id},
                                 {"element", document.instance.element},
                                 {"account", document.account},
                                 {"user", document.user}});
  co_return shown(document, token);
}

Task<Result<Reply>> ControlApi::list_instances(const Call& call) {
  const Result<std::size_t> size = page_size(call);
  if (!size) co_return refuse(size.error());
  std::uint64_t after = 0;
  if (const std::string* const next = call.query_value("nextPage")) {
    const std::optional<std::string> plain = crypto::from_base64(*next);
    const std::optional<std::uint64_t> id = plain ? eventrelay::instance_of(*plain) : std::nullopt;
    if (!id) co_return refuse(400, "nextPage: is not a token of an earlier answer");
    after = *id;
  }
  std::vector<std::string> tags;
  for (const auto& [name, value] : call.query) {
    if (name == "tags[]" || name == "tags") tags.push_back(value);
  }
  const std::string* const element = call.query_value("elementKey");
  json::array list;
  std::uint64_t last = 0;
  bool more = false;
  for (auto each = documents_.store().all().upper_bound(after);
       each != documents_.store().all().end(); ++each) {
    const StoredInstance& stored = each->second;
    if (stored.account != call.caller.account->id) continue;
    if (element != nullptr && stored.element != *element) continue;
    const bool tagged = std::all_of(tags.begin(), tags.end(), [&](const std::string& tag) {
      return std::find(stored.tags.begin(), stored.tags.end(), tag) != stored.tags.end();
    });
    if (!tagged) continue;
    if (list.size() == *size) {
      more = true;
      break;
    }
    const Result<Document> document = documents_.load(stored.id);
    if (!document) continue;
    list.push_back(shown(*document).body);
    last = stored.id;
  }
  Reply reply{std::move(list)};
  if (more) {
    reply.headers.emplace_back("Elements-Next-Page-Token", crypto::base64(std::to_string(last)));
  }
  co_return reply;
}

Task<Result<Reply>> ControlApi::get_instance(const Call& call) {
  const Result<std::uint64_t> id = instance_of_call(call);
  if (!id) co_return refuse(id.error());
  const Result<Document> document = documents_.load(*id);
  if (!document) co_return refuse(document.error());
  co_return shown(*document);
}

Task<Result<Reply>> ControlApi::change_instance(const Call& call, bool merge) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = instance_of_call(call);
  if (!id) co_return refuse(id.error());
  Result<json::object> body = parse_body(call.body);
  if (!body) co_return refuse(body.error());
  const KeyedLock::Turn turn = co_await documents_.turn(*id);
  Result<Document> document = documents_.load(*id);
  if (!document) co_return refuse(document.error());
  const CatalogRow* const row = find_catalog_row(document->instance.element);
  if (row == nullptr) co_return refuse(400, "element: is not offered by this version");
  Result<Authorize> input = apply_input(*body, merge ? Change::Merge : Change::Replace, *row,
                                        settings_->config, *document);
  if (!input) co_return refuse(input.error());
  if (!input->code.empty()) {
    const Result<bool> granted =
        co_await box_.grant(*document, std::move(input->code), std::string());
    if (!granted) co_return refuse(granted.error());
    document->problem.clear();
    box_.forget(*id);
  }
  const Result<bool> written = co_await documents_.write(*document);
  if (!written) {
    if (!input->code.empty()) co_await box_.revoke(*document);
    co_return refuse(written.error());
  }
  co_return shown(*document);
}

Task<Result<Reply>> ControlApi::replace_instance(const Call& call) {
  Result<Reply> reply = co_await change_instance(call, false);
  co_return reply;
}

Task<Result<Reply>> ControlApi::merge_instance(const Call& call) {
  Result<Reply> reply = co_await change_instance(call, true);
  co_return reply;
}

Task<Result<Reply>> ControlApi::delete_instance(const Call& call) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = instance_of_call(call);
  if (!id) co_return refuse(id.error());
  const KeyedLock::Turn turn = co_await documents_.turn(*id);
  Result<Document> document = documents_.load(*id);
  if (!document) co_return refuse(document.error());
  std::vector<kafka::KeyedRecord> records(1);
  records[0].key = record_key(*id);
  if (document->oauth) {
    // The provider is told behind it, over restarts.
    document->deleted = wall_now();
    Result<kafka::KeyedRecord> cleanup = documents_.record_of(*document, cleanup_key(*id));
    if (!cleanup) co_return refuse(cleanup.error());
    records.push_back(*std::move(cleanup));
  }
  const Result<bool> written = co_await documents_.write(std::move(records));
  if (!written) co_return refuse(written.error());
  box_.forget(*id);
  co_return Reply{json::object{}};
}

Task<Result<Reply>> ControlApi::switch_instance(const Call& call, bool disabled) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = instance_of_call(call);
  if (!id) co_return refuse(id.error());
  const KeyedLock::Turn turn = co_await documents_.turn(*id);
  Result<Document> document = documents_.load(*id);
  if (!document) co_return refuse(document.error());
  if (document->disabled != disabled) {
    document->disabled = disabled;
    const Result<bool> written = co_await documents_.write(*document);
    if (!written) co_return refuse(written.error());
  }
  co_return Reply{json::object{}};
}

Task<Result<Reply>> ControlApi::enable_instance(const Call& call) {
  Result<Reply> reply = co_await switch_instance(call, false);
  co_return reply;
}

Task<Result<Reply>> ControlApi::disable_instance(const Call& call) {
  Result<Reply> reply = co_await switch_instance(call, true);
  co_return reply;
}

Task<Result<Reply>> ControlApi::list_configuration(const Call& call) {
  const Result<std::uint64_t> id = instance_of_call(call);
  if (!id) co_return refuse(id.error());
  const Result<Document> document = documents_.load(*id);
  if (!document) co_return refuse(document.error());
  co_return Reply{configuration_answer(*document)};
}

namespace {

const json::object* find_item(const json::array& items, std::string_view id_or_key) {
  for (const json::value& each : items) {
    const json::object& item = each.get_object();
    const json::string& key = item.at("key").get_string();
    if (std::string_view(key.data(), key.size()) == id_or_key ||
        std::to_string(item.at("id").to_number<std::uint64_t>()) == id_or_key) {
      return &item;
    }
  }
  return nullptr;
}

}  // namespace

Task<Result<Reply>> ControlApi::get_configuration(const Call& call) {
  const Result<std::uint64_t> id = instance_of_call(call);
  if (!id) co_return refuse(id.error());
  const Result<Document> document = documents_.load(*id);
  if (!document) co_return refuse(document.error());
  const json::array items = configuration_answer(*document);
  const json::object* const item = find_item(items, call.parameter("item"));
  if (item == nullptr) co_return refuse(404, "there is no such key of the configuration");
  co_return Reply{*item};
}

Task<Result<Reply>> ControlApi::set_configuration(const Call& call) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = instance_of_call(call);
  if (!id) co_return refuse(id.error());
  const Result<json::object> body = parse_body(call.body);
  if (!body) co_return refuse(body.error());
  for (const auto& [key, value] : *body) {
    if (key != "propertyValue" && key != "id" && key != "key") {
      co_return refuse(400, std::string(key).substr(0, 200) + ": unknown");
    }
  }
  const json::value* const value = body->if_contains("propertyValue");
  if (value == nullptr) co_return refuse(400, "propertyValue: required");
  const KeyedLock::Turn turn = co_await documents_.turn(*id);
  Result<Document> document = documents_.load(*id);
  if (!document) co_return refuse(document.error());
  const json::array items = configuration_answer(*document);
  const json::object* const item = find_item(items, call.parameter("item"));
  if (item == nullptr) co_return refuse(404, "there is no such key of the configuration");
  const std::string key(item->at("key").get_string());
  const CatalogRow* const row = find_catalog_row(document->instance.element);
  if (row == nullptr) co_return refuse(400, "element: is not offered by this version");
  const Result<bool> set =
      apply_configuration_item(key, *value, *row, settings_->config, *document);
  if (!set) co_return refuse(set.error());
  const Result<bool> written = co_await documents_.write(*document);
  if (!written) co_return refuse(written.error());
  const json::array after = configuration_answer(*document);
  const json::object* const changed = find_item(after, key);
  json::object gone{{"id", item->at("id")}, {"key", key}, {"propertyValue", nullptr}};
  co_return Reply{changed == nullptr ? gone : *changed};
}

Task<Result<Reply>> ControlApi::renew_token(const Call& call) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = instance_of_call(call);
  if (!id) co_return refuse(id.error());
  const KeyedLock::Turn turn = co_await documents_.turn(*id);
  Result<Document> document = documents_.load(*id);
  if (!document) co_return refuse(document.error());
  const std::string token = new_element_token();
  document->token_hash = element_token_hash(token);
  const Result<bool> written = co_await documents_.write(*document);
  if (!written) co_return refuse(written.error());
  json::object out{{"token", token}};
  co_return Reply{std::move(out)};
}

Task<Result<Reply>> ControlApi::get_setup(const Call& call) {
  const Result<std::uint64_t> id = instance_of_call(call);
  if (!id) co_return refuse(id.error());
  const Result<Document> document = documents_.load(*id);
  if (!document) co_return refuse(document.error());
  co_return Reply{setup_answer(*document, settings_->config)};
}

// -- webhooks --

namespace {

// Keeps what Box says of a webhook; true if the document has changed.
bool remember(Document& document, const Webhook& seen) {
  const auto found = std::find_if(document.webhooks.begin(), document.webhooks.end(),
                                  [&](const Webhook& each) { return each.id == seen.id; });
  if (found == document.webhooks.end()) return false;
  const bool same = found->target_id == seen.target_id && found->target_type == seen.target_type &&
                    found->triggers == seen.triggers && found->address == seen.address &&
                    found->state != WebhookState::Deleted;
  if (same) return false;
  const WebhookState state = found->state;
  *found = seen;
  if (state == WebhookState::NoSession) found->state = state;
  return true;
}

// True if the document has changed.
bool mark_deleted(Document& document, std::string_view hook, std::string reason) {
  const auto found = std::find_if(document.webhooks.begin(), document.webhooks.end(),
                                  [&](const Webhook& each) { return each.id == hook; });
  if (found == document.webhooks.end() || found->state == WebhookState::Deleted) return false;
  found->state = WebhookState::Deleted;
  found->reason = std::move(reason);
  return true;
}

}  // namespace

Result<std::uint64_t> ControlApi::webhook_instance(const Call& call) const {
  const std::uint64_t id = *call.element_instance;
  const Result<Document> document = documents_.load(id);
  if (!document) return refuse(document.error());
  if (document->disabled) return refuse(403, "this instance is disabled");
  if (document->instance.element != "box") {
    return refuse(404, "the element of this instance has no webhooks of this kind");
  }
  const bool named = call.parameters.contains("hook");
  if (named && !box::is_webhook_id(call.parameter("hook"))) {
    return refuse(404, "there is no such webhook");
  }
  if (!document->problem.empty()) return refuse(403, document->problem);
  return id;
}

// Changes the newest document of the instance, if `change` says that there is something to write.
Task<Result<bool>> ControlApi::update(std::uint64_t id, std::function<bool(Document&)> change,
                                      std::vector<kafka::KeyedRecord> beside) {
  const KeyedLock::Turn turn = co_await documents_.turn(id);
  Result<Document> document = documents_.load(id);
  if (!document) co_return refuse(document.error());
  if (change(*document)) {
    Result<kafka::KeyedRecord> record = documents_.record_of(*document, record_key(id));
    if (!record) co_return refuse(record.error());
    beside.push_back(*std::move(record));
  }
  if (beside.empty()) co_return true;
  const Result<bool> written = co_await documents_.write(std::move(beside));
  co_return written;
}

Task<Result<Reply>> ControlApi::create_webhook(const Call& call) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = webhook_instance(call);
  if (!id) co_return refuse(id.error());
  const Result<json::object> body = parse_body(call.body);
  if (!body) co_return refuse(body.error());
  const std::string address = event_url(settings_->config, "box", *id);
  const Result<json::object> request = box::webhook_request(*body, box::Members::All, address);
  if (!request) co_return refuse(request.error());
  // A kill from here on leaves a webhook that nobody knows; the intent tells of it.
  kafka::KeyedRecord intent = box_.intent(*id);
  const std::string intent_key = intent.key;
  std::vector<kafka::KeyedRecord> first;
  first.push_back(std::move(intent));
  const Result<bool> intended = co_await documents_.write(std::move(first));
  if (!intended) co_return refuse(intended.error());
  const Result<json::value> answer =
      co_await box_.call(*id, "POST", "/webhooks", json::serialize(*request));
  failpoint::at("after-webhook-made");
  std::vector<kafka::KeyedRecord> over(1);
  over[0].key = intent_key;
  std::optional<Webhook> hook = answer ? box::webhook_of(*answer) : std::nullopt;
  if (!hook) {
    Problem problem;
    problem.status = 502;
    problem.message = "Box's answer holds no webhook";
    if (!answer) problem = answer.error();
    // Box has said no: nothing was made. After anything else the intent stays.
    if (!answer && problem.status < 500) co_await documents_.write(std::move(over));
    co_return refuse(problem);
  }
  const Webhook made = *std::move(hook);
  std::function<bool(Document&)> keep = [&made](Document& document) {
    document.webhooks.push_back(made);
    return true;
  };
  const Result<bool> written = co_await update(*id, std::move(keep), std::move(over));
  if (!written) {
    co_await box_.call(*id, "DELETE", "/webhooks/" + made.id, std::string());
    co_return refuse(written.error());
  }
  co_return Reply{*answer};
}

Task<Result<Reply>> ControlApi::list_webhooks(const Call& call) {
  const Result<std::uint64_t> id = webhook_instance(call);
  if (!id) co_return refuse(id.error());
  const Result<std::size_t> size = page_size(call);
  if (!size) co_return refuse(size.error());
  std::string path = "/webhooks?limit=" + std::to_string(*size);
  const std::string* const next = call.query_value("nextPage");
  if (next != nullptr) path += "&marker=" + box::percent_encoded(*next);
  const Result<json::value> answer = co_await box_.call(*id, "GET", path, std::string());
  if (!answer) co_return refuse(answer.error());
  const json::value* const entries =
      answer->is_object() ? answer->get_object().if_contains("entries") : nullptr;
  if (entries == nullptr || !entries->is_array()) {
    co_return refuse(502, "Box's answer holds no list of webhooks");
  }
  Reply reply{entries->get_array()};
  const json::value* const marker = answer->get_object().if_contains("next_marker");
  const bool more = marker != nullptr && marker->is_string() && !marker->get_string().empty();
  if (more) {
    reply.headers.emplace_back("Elements-Next-Page-Token", std::string(marker->get_string()));
  }
  if (!more && next == nullptr && documents_.may_write()) {
    // The whole list: what is not in it was deleted elsewhere.
    std::set<std::string> there;
    for (const json::value& each : entries->get_array()) {
      const json::value* const hook =
          each.is_object() ? each.get_object().if_contains("id") : nullptr;
      if (hook != nullptr && hook->is_string()) there.emplace(hook->get_string());
    }
    std::function<bool(Document&)> change = [&there](Document& document) {
      bool changed = false;
      for (Webhook& each : document.webhooks) {
        if (there.contains(each.id)) continue;
        changed = mark_deleted(document, each.id, "deleted at Box") || changed;
      }
      return changed;
    };
    const Result<bool> noticed =
        co_await update(*id, std::move(change), std::vector<kafka::KeyedRecord>());
    if (!noticed) log::warn("not written", {{"reason", noticed.error().message}});
  }
  co_return reply;
}

Task<Result<Reply>> ControlApi::get_webhook(const Call& call) {
  const Result<std::uint64_t> id = webhook_instance(call);
  if (!id) co_return refuse(id.error());
  const std::string hook(call.parameter("hook"));
  const Result<json::value> answer =
      co_await box_.call(*id, "GET", "/webhooks/" + hook, std::string());
  const bool gone = !answer && answer.error().status == 404;
  if ((answer || gone) && documents_.may_write()) {
    const std::optional<Webhook> seen = answer ? box::webhook_of(*answer) : std::nullopt;
    std::function<bool(Document&)> change = [&](Document& document) {
      if (gone) return mark_deleted(document, hook, "deleted at Box");
      return seen && remember(document, *seen);
    };
    const Result<bool> noticed =
        co_await update(*id, std::move(change), std::vector<kafka::KeyedRecord>());
    if (!noticed) log::warn("not written", {{"reason", noticed.error().message}});
  }
  if (!answer) co_return refuse(answer.error());
  co_return Reply{*answer};
}

Task<Result<Reply>> ControlApi::change_webhook(const Call& call) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = webhook_instance(call);
  if (!id) co_return refuse(id.error());
  const Result<json::object> body = parse_body(call.body);
  if (!body) co_return refuse(body.error());
  const Result<json::object> request =
      box::webhook_request(*body, box::Members::Given, std::string_view());
  if (!request) co_return refuse(request.error());
  const std::string hook(call.parameter("hook"));
  const Result<json::value> answer =
      co_await box_.call(*id, "PUT", "/webhooks/" + hook, json::serialize(*request));
  if (!answer) co_return refuse(answer.error());
  const std::optional<Webhook> seen = box::webhook_of(*answer);
  std::function<bool(Document&)> change = [&seen](Document& document) {
    return seen && remember(document, *seen);
  };
  const Result<bool> written =
      co_await update(*id, std::move(change), std::vector<kafka::KeyedRecord>());
  if (!written) co_return refuse(written.error());
  co_return Reply{*answer};
}

Task<Result<Reply>> ControlApi::delete_webhook(const Call& call) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = webhook_instance(call);
  if (!id) co_return refuse(id.error());
  const std::string hook(call.parameter("hook"));
  const Result<json::value> answer =
      co_await box_.call(*id, "DELETE", "/webhooks/" + hook, std::string());
  const bool gone = !answer && answer.error().status == 404;
  if (answer || gone) {
    std::function<bool(Document&)> change = [&hook](Document& document) {
      const auto before = document.webhooks.size();
      std::erase_if(document.webhooks, [&](const Webhook& each) { return each.id == hook; });
      return document.webhooks.size() != before;
    };
    const Result<bool> written =
        co_await update(*id, std::move(change), std::vector<kafka::KeyedRecord>());
    if (!written) co_return refuse(written.error());
  }
  if (!answer) co_return refuse(answer.error());
  co_return Reply{json::object{}};
}

namespace {

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

}  // namespace

}  // namespace eventrelay::control
