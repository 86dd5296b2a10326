#include "ingest/control/control_api.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
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
// Several requests to a provider and several writes may be in one call.
constexpr std::chrono::seconds kCallLimit{120};

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

void count_request(metrics::Slab& slab, unsigned status);

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

std::optional<std::string> Call::query_value(std::string_view name) const {
  const std::optional<std::string_view> value = request->query(name);
  if (!value) return std::nullopt;
  return std::string(*value);
}

Result<std::size_t> ControlApi::page_size_of(const Call& call) {
  const std::optional<std::string> text = call.query_value("pageSize");
  if (!text) return kPageDefault;
  std::size_t size = 0;
  const auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), size);
  if (error != std::errc{} || stop != text->data() + text->size() || size < 1 || size > kPageMax) {
    return refuse(400, "pageSize: must be a number 1..1000");
  }
  return size;
}

const std::vector<ControlApi::Row>& ControlApi::rows() {
  using Api = ControlApi;
  constexpr Kind kP = Kind::Platform;
  constexpr Kind kE = Kind::Element;
  constexpr Kind kPE = Kind::Either;
  constexpr Kind kAdmin = Kind::PlatformAdmin;
  static const std::vector<Row> kRows{
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
      {"GET", "instances/events", kPE, &Api::list_events},
      {"GET", "instances/events/dispositions", kP, &Api::list_dispositions},
      {"GET", "instances/events/analytics", kP, &Api::count_events},
      {"GET", "instances/events/analytics/instances", kP, &Api::count_by_instance},
      {"GET", "instances/events/analytics/accounts", kP, &Api::count_by_account},
      {"GET", "instances/{id}/events", kPE, &Api::list_events},
      {"GET", "instances/{id}/events/{event}", kPE, &Api::get_event},
      {"PUT", "instances/{id}/subscriptions/{name}/enabled", kP, &Api::enable_subscription},
      {"DELETE", "instances/{id}/subscriptions/{name}/enabled", kP, &Api::disable_subscription},
      {"GET", "accounts/settings", kP, &Api::get_settings},
      {"PATCH", "accounts/settings", kP, &Api::set_settings},
      {"GET", "accounts/{account}/settings", kP, &Api::get_settings},
      {"POST", "accounts/{account}/settings", kP, &Api::set_settings},
      {"PATCH", "accounts/{account}/settings", kP, &Api::set_settings},
      {"GET", "notifications/subscriptions/deliveries", kP, &Api::list_deliveries},
      {"PUT", "notifications/subscriptions/deliveries", kP, &Api::release_deliveries},
      {"POST", "instances/{id}/events/replay", kP, &Api::start_replay},
      {"GET", "instances/{id}/events/replay/{replay}", kP, &Api::get_replay},
      {"DELETE", "instances/{id}/events/replay/{replay}", kP, &Api::stop_replay},
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
  return kRows;
}

const std::vector<ControlApi::Row>& ControlApi::console_rows() {
  static const std::vector<Row> kRows{
      {"GET", "overview", Kind::Platform, &ControlApi::overview},
      {"GET", "endpoints", Kind::Platform, &ControlApi::list_endpoints},
      {"GET", "dead", Kind::Platform, &ControlApi::list_dead_letters},
  };
  return kRows;
}

ControlApi::ControlApi(std::shared_ptr<const Settings> settings, Documents& documents,
                       BoxGateway& box, ConsoleApi& console, history::History& history,
                       replay::Replays& replays, metrics::Slab& slab)
    : documents_(documents),
      box_(box),
      console_(console),
      history_(history),
      replays_(replays),
      slab_(slab) {
  use(std::move(settings));
}

void ControlApi::use(std::shared_ptr<const Settings> settings) {
  callers_ = std::make_shared<const Callers>(settings->config.control);
  settings_ = std::move(settings);
}

void ControlApi::mount(AdminServer& admin) {
  const auto add = [&](std::string_view base, const Row& row) {
    Route route;
    route.method = row.method;
    route.pattern.append(base).append("/").append(row.pattern);
    route.access = Access::Own;
    route.timeout = kCallLimit;
    route.handler = [this, &row](HttpRequestPtr request, Responder respond) {
      asio::co_spawn(documents_.executor(), serve(row, std::move(request), std::move(respond)),
                     asio::detached);
    };
    admin.add(std::move(route));
  };
  for (const Row& row : rows()) add(kApiBase, row);
  for (const Row& row : console_rows()) add("/console/data", row);
  Route stream{"GET", "/console/live", Access::Own, nullptr};
  stream.produces = "text/event-stream";
  stream.timeout = kCallLimit;
  stream.handler = [this](HttpRequestPtr request, Responder respond) {
    asio::co_spawn(documents_.executor(), serve_live(std::move(request), std::move(respond)),
                   asio::detached);
  };
  admin.add(std::move(stream));
}

Result<bool> ControlApi::authorize(std::string_view header, Kind kind, Call& call) {
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
  const StoredInstance* const instance = documents_.store().by_token(credentials->element);
  if (instance == nullptr || instance->account != caller->account->id) return unknown;
  call.element_instance = instance->id;
  return true;
}

Result<bool> ControlApi::authorize_session(const HttpRequest& request, const Row& row, Call& call) {
  const std::optional<Caller> caller = console_.caller(request);
  if (!caller) return refuse(401, "session: is over; sign in again");
  if (row.method != "GET" && request.header(kConsoleHeader).empty()) {
    return refuse(403, std::string(kConsoleHeader) + ": required");
  }
  call.caller = *caller;
  call.by_session = true;
  if (row.kind != Kind::Element) return true;
  const std::string_view named = request.header(kInstanceHeader);
  const std::optional<std::uint64_t> id = eventrelay::instance_of(named);
  const StoredInstance* const instance = id ? documents_.store().find(*id) : nullptr;
  if (instance == nullptr || instance->account != caller->account->id) {
    return refuse(404, "there is no instance " + std::string(named.substr(0, 40)));
  }
  call.element_instance = instance->id;
  return true;
}

Task<void> ControlApi::serve(const Row& row, HttpRequestPtr request, Responder respond) {
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
  count_request(slab_, response.status);
  respond(std::move(response));
}

Task<void> ControlApi::serve_live(HttpRequestPtr request, Responder respond) {
  HttpResponse response;
  try {
    response = co_await live(request);
  } catch (const std::exception& error) {
    log::error("a call of the console failed",
               {{"requestId", request->request_id}, {"what", error.what()}});
    response = error_response(*request, 500, "internal error");
  }
  respond(std::move(response));
}

Task<HttpResponse> ControlApi::answer(const Row& row, const HttpRequest& request, Call call) {
  const std::uint32_t limit = settings_->config.control.auth_failures_per_minute;
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
  const Handler handler = row.handler;
  const Result<Reply> reply = co_await (this->*handler)(call);
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

// -- elements --

Task<Result<Reply>> ControlApi::list_elements(const Call&) {
  json::array list;
  for (const CatalogRow& row : providers::providers()) list.push_back(element_answer(row));
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
  const std::optional<std::string> key = call.query_value("apiKey");
  const std::optional<std::string> callback = call.query_value("callbackUrl");
  if (!key || key->empty()) co_return refuse(400, "apiKey: required");
  if (!callback || callback->empty()) co_return refuse(400, "callbackUrl: required");
  try {
    (void)parse_callback_url(*callback, true);
  } catch (const std::invalid_argument& problem) {
    co_return refuse(400, std::string("callbackUrl: ") + problem.what());
  }
  const std::optional<std::string> state = call.query_value("state");
  const std::optional<std::string> scope = call.query_value("scope");
  const std::string url =
      box::oauth_url(settings_->config.providers.box, *key, *callback,
                     state.value_or(std::string(row->key)), scope.value_or(std::string()));
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
  const TimePoint begin = monotonic_now();
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  Result<json::object> body = parse_body(call.body());
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
  const DeliveryConfig defaults = delivery_defaults(call.caller.account->id);
  Result<Authorize> input =
      apply_input(*body, Change::Create, *row, settings_->config, defaults, document);
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
  if (monotonic_now() - begin > kCallLimit) {
    // The caller was told that it is not done.
    co_await remove(std::move(document));
    co_return refuse(503, "Kafka did not take the change in time");
  }
  co_return shown(document, token);
}

Task<Result<Reply>> ControlApi::list_instances(const Call& call) {
  const Result<std::size_t> size = page_size_of(call);
  if (!size) co_return refuse(size.error());
  std::uint64_t after = 0;
  if (const std::optional<std::string> next = call.query_value("nextPage")) {
    const std::optional<std::string> plain = crypto::from_base64(*next);
    const std::optional<std::uint64_t> id = plain ? eventrelay::instance_of(*plain) : std::nullopt;
    if (!id) co_return refuse(400, "nextPage: is not a token of an earlier answer");
    after = *id;
  }
  std::vector<std::string> tags;
  for (const char* name : {"tags[]", "tags"}) {
    for (const std::string_view tag : call.request->query_all(name)) tags.emplace_back(tag);
  }
  const std::optional<std::string> element = call.query_value("elementKey");
  json::array list;
  std::uint64_t last = 0;
  bool more = false;
  for (auto each = documents_.store().all().upper_bound(after);
       each != documents_.store().all().end(); ++each) {
    const StoredInstance& stored = each->second;
    if (stored.account != call.caller.account->id) continue;
    if (element && stored.element != *element) continue;
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
  const Result<Document> document = document_of(call);
  if (!document) co_return refuse(document.error());
  co_return shown(*document);
}

Result<Document> ControlApi::document_of(const Call& call) const {
  const Result<std::uint64_t> id = instance_of_call(call);
  if (!id) return refuse(id.error());
  return documents_.load(*id);
}

Task<Result<ControlApi::Held>> ControlApi::hold(const Call& call) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = instance_of_call(call);
  if (!id) co_return refuse(id.error());
  Held held;
  held.turn = co_await documents_.turn(*id);
  Result<Document> document = documents_.load(*id);
  if (!document) co_return refuse(document.error());
  held.document = *std::move(document);
  co_return held;
}

Task<Result<Reply>> ControlApi::change_instance(const Call& call, bool merge) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = instance_of_call(call);
  if (!id) co_return refuse(id.error());
  Result<json::object> body = parse_body(call.body());
  if (!body) co_return refuse(body.error());
  const KeyedLock::Turn turn = co_await documents_.turn(*id);
  Result<Document> document = documents_.load(*id);
  if (!document) co_return refuse(document.error());
  const CatalogRow* const row = find_catalog_row(document->instance.element);
  if (row == nullptr) co_return refuse(400, "element: is not offered by this version");
  const DeliveryConfig defaults = delivery_defaults(document->account);
  Result<Authorize> input = apply_input(*body, merge ? Change::Merge : Change::Replace, *row,
                                        settings_->config, defaults, *document);
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
  Result<Held> held = co_await hold(call);
  if (!held) co_return refuse(held.error());
  const Result<bool> removed = co_await remove(std::move(held->document));
  if (!removed) co_return refuse(removed.error());
  co_return Reply{json::object{}};
}

Task<Result<bool>> ControlApi::remove(Document document) {
  const std::uint64_t id = document.instance.id;
  std::vector<kafka::KeyedRecord> records(1);
  records[0].key = record_key(id);
  if (document.oauth) {
    // The provider is told behind it, over restarts.
    document.deleted = wall_now();
    Result<kafka::KeyedRecord> cleanup = documents_.record_of(document, cleanup_key(id));
    if (!cleanup) co_return refuse(cleanup.error());
    records.push_back(*std::move(cleanup));
  }
  const Result<bool> written = co_await documents_.write(std::move(records));
  if (!written) co_return refuse(written.error());
  box_.forget(id);
  co_return true;
}

Task<Result<Reply>> ControlApi::switch_instance(const Call& call, bool disabled) {
  Result<Held> held = co_await hold(call);
  if (!held) co_return refuse(held.error());
  if (held->document.disabled != disabled) {
    held->document.disabled = disabled;
    const Result<bool> written = co_await documents_.write(held->document);
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
  const Result<Document> document = document_of(call);
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
  const Result<Document> document = document_of(call);
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
  const Result<json::object> body = parse_body(call.body());
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
  Result<Held> held = co_await hold(call);
  if (!held) co_return refuse(held.error());
  const std::string token = new_element_token();
  held->document.token_hash = element_token_hash(token);
  const Result<bool> written = co_await documents_.write(held->document);
  if (!written) co_return refuse(written.error());
  json::object out{{"token", token}};
  co_return Reply{std::move(out)};
}

Task<Result<Reply>> ControlApi::get_setup(const Call& call) {
  const Result<Document> document = document_of(call);
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
  const bool named = !call.parameter("hook").empty();
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
  const Result<json::object> body = parse_body(call.body());
  if (!body) co_return refuse(body.error());
  const std::string address = event_url(settings_->config, "box", *id);
  const Result<json::object> request = box::webhook_request(*body, box::Members::All, address);
  if (!request) co_return refuse(request.error());
  // A kill from here on leaves a webhook that nobody knows; the intent tells of it.
  kafka::KeyedRecord intent = box_.intent(*id, *request);
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
  const Result<std::size_t> size = page_size_of(call);
  if (!size) co_return refuse(size.error());
  std::string path = "/webhooks?limit=" + std::to_string(*size);
  const std::optional<std::string> next = call.query_value("nextPage");
  if (next) path += "&marker=" + box::percent_encoded(*next);
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
  if (!more && !next && documents_.may_write()) {
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
    if (!noticed) {
      log::warn("what Box says of an instance's webhooks could not be written",
                {{"instance", *id}, {"reason", noticed.error().message}});
    }
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
    if (!noticed) {
      log::warn("what Box says of an instance's webhooks could not be written",
                {{"instance", *id}, {"reason", noticed.error().message}});
    }
  }
  if (!answer) co_return refuse(answer.error());
  co_return Reply{*answer};
}

Task<Result<Reply>> ControlApi::change_webhook(const Call& call) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = webhook_instance(call);
  if (!id) co_return refuse(id.error());
  const Result<json::object> body = parse_body(call.body());
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
