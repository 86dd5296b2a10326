#include "ingest/control/instance_calls.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <utility>

#include "common/base/crypto.hpp"
#include "ingest/control/catalog.hpp"
#include "ingest/control/instance_input.hpp"
#include "ingest/control/instance_view.hpp"
#include "ingest/control/json_body.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

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

InstanceCalls::InstanceCalls(const ControlParts& parts, const AccountCalls& accounts)
    : parts_(parts), accounts_(accounts) {}

void InstanceCalls::mount(AdminServer& admin, CallServer& server) {
  using Calls = InstanceCalls;
  constexpr Kind kP = Kind::Platform;
  constexpr Kind kE = Kind::Element;
  constexpr Kind kPE = Kind::Either;
  constexpr Kind kAdmin = Kind::PlatformAdmin;
  const std::vector<CallRow<Calls>> rows{
      {"POST", "elements/{element}/instances", kP, &Calls::create_instance},
      {"POST", "instances", kP, &Calls::create_instance},
      {"GET", "instances", kP, &Calls::list_instances},
      {"PUT", "instances", kE, &Calls::replace_instance},
      {"PATCH", "instances", kE, &Calls::merge_instance},
      {"DELETE", "instances", kE, &Calls::delete_instance},
      {"PUT", "instances/enabled", kE, &Calls::enable_instance},
      {"DELETE", "instances/enabled", kE, &Calls::disable_instance},
      {"GET", "instances/configuration", kE, &Calls::list_configuration},
      {"GET", "instances/configuration/{item}", kE, &Calls::get_configuration},
      {"PATCH", "instances/configuration/{item}", kE, &Calls::set_configuration},
      {"GET", "instances/{id}", kPE, &Calls::get_instance},
      {"PUT", "instances/{id}", kPE, &Calls::replace_instance},
      {"PATCH", "instances/{id}", kPE, &Calls::merge_instance},
      {"DELETE", "instances/{id}", kPE, &Calls::delete_instance},
      {"PUT", "instances/{id}/enabled", kPE, &Calls::enable_instance},
      {"DELETE", "instances/{id}/enabled", kPE, &Calls::disable_instance},
      {"GET", "instances/{id}/configuration", kPE, &Calls::list_configuration},
      {"GET", "instances/{id}/configuration/{item}", kPE, &Calls::get_configuration},
      {"PATCH", "instances/{id}/configuration/{item}", kPE, &Calls::set_configuration},
      {"POST", "instances/{id}/token", kAdmin, &Calls::renew_token},
      {"GET", "instances/{id}/setup", kAdmin, &Calls::get_setup},
  };
  server.mount(admin, kApiBase, *this, rows);
}

Reply InstanceCalls::shown(const Document& document, std::optional<std::string_view> token) const {
  return Reply{instance_answer(document, parts_.settings->config,
                               parts_.callers->find_user(document.user), token)};
}

Task<Result<Reply>> InstanceCalls::create_instance(const Call& call) {
  const TimePoint begin = monotonic_now();
  if (const auto may = parts_.documents.may_write(); !may) co_return refuse(may.error());
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
  const DeliveryConfig defaults = accounts_.delivery_defaults(call.caller.account->id);
  Result<Authorize> input =
      apply_input(*body, Change::Create, *row, parts_.settings->config, defaults, document);
  if (!input) co_return refuse(input.error());
  if (row->oauth) {
    const Result<bool> granted = co_await parts_.box.grant(document, std::move(input->code),
                                                           std::move(input->refresh_token));
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
  document.instance.id = parts_.documents.next_id();
  const std::uint64_t id = document.instance.id;
  Result<kafka::KeyedRecord> record = parts_.documents.record_of(document, record_key(id));
  Result<bool> written = true;
  if (!record) {
    written = refuse(record.error());
  } else {
    std::vector<kafka::KeyedRecord> records(2);
    records[0] = *std::move(record);
    records[1].key = std::string(kIdsKey);
    records[1].value = encode_ids(id);
    written = co_await parts_.documents.write(std::move(records));
  }
  if (!written) {
    co_await parts_.box.revoke(document);
    co_return refuse(written.error());
  }
  if (monotonic_now() - begin > kCallLimit) {
    // The caller was told that it is not done.
    co_await remove(std::move(document));
    co_return refuse(503, "Kafka did not take the change in time");
  }
  co_return shown(document, token);
}

Task<Result<Reply>> InstanceCalls::list_instances(const Call& call) {
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
  for (auto each = parts_.documents.store().all().upper_bound(after);
       each != parts_.documents.store().all().end(); ++each) {
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
    const Result<Document> document = parts_.documents.load(stored.id);
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

Task<Result<Reply>> InstanceCalls::get_instance(const Call& call) {
  const Result<Document> document = document_of(call);
  if (!document) co_return refuse(document.error());
  co_return shown(*document);
}

Result<Document> InstanceCalls::document_of(const Call& call) const {
  const Result<std::uint64_t> id = instance_of_call(parts_.documents, call);
  if (!id) return refuse(id.error());
  return parts_.documents.load(*id);
}

Task<Result<InstanceCalls::Held>> InstanceCalls::hold(const Call& call) {
  if (const auto may = parts_.documents.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = instance_of_call(parts_.documents, call);
  if (!id) co_return refuse(id.error());
  Held held;
  held.turn = co_await parts_.documents.turn(*id);
  Result<Document> document = parts_.documents.load(*id);
  if (!document) co_return refuse(document.error());
  held.document = *std::move(document);
  co_return held;
}

Task<Result<Reply>> InstanceCalls::change_instance(const Call& call, bool merge) {
  if (const auto may = parts_.documents.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = instance_of_call(parts_.documents, call);
  if (!id) co_return refuse(id.error());
  Result<json::object> body = parse_body(call.body());
  if (!body) co_return refuse(body.error());
  const KeyedLock::Turn turn = co_await parts_.documents.turn(*id);
  Result<Document> document = parts_.documents.load(*id);
  if (!document) co_return refuse(document.error());
  const CatalogRow* const row = find_catalog_row(document->instance.element);
  if (row == nullptr) co_return refuse(400, "element: is not offered by this version");
  const DeliveryConfig defaults = accounts_.delivery_defaults(document->account);
  Result<Authorize> input = apply_input(*body, merge ? Change::Merge : Change::Replace, *row,
                                        parts_.settings->config, defaults, *document);
  if (!input) co_return refuse(input.error());
  if (!input->code.empty()) {
    const Result<bool> granted =
        co_await parts_.box.grant(*document, std::move(input->code), std::string());
    if (!granted) co_return refuse(granted.error());
    document->problem.clear();
    parts_.box.forget(*id);
  }
  const Result<bool> written = co_await parts_.documents.write(*document);
  if (!written) {
    if (!input->code.empty()) co_await parts_.box.revoke(*document);
    co_return refuse(written.error());
  }
  co_return shown(*document);
}

Task<Result<Reply>> InstanceCalls::replace_instance(const Call& call) {
  Result<Reply> reply = co_await change_instance(call, false);
  co_return reply;
}

Task<Result<Reply>> InstanceCalls::merge_instance(const Call& call) {
  Result<Reply> reply = co_await change_instance(call, true);
  co_return reply;
}

Task<Result<Reply>> InstanceCalls::delete_instance(const Call& call) {
  Result<Held> held = co_await hold(call);
  if (!held) co_return refuse(held.error());
  const Result<bool> removed = co_await remove(std::move(held->document));
  if (!removed) co_return refuse(removed.error());
  co_return Reply{json::object{}};
}

Task<Result<bool>> InstanceCalls::remove(Document document) {
  const std::uint64_t id = document.instance.id;
  std::vector<kafka::KeyedRecord> records(1);
  records[0].key = record_key(id);
  if (document.oauth) {
    // The provider is told behind it, over restarts.
    document.deleted = wall_now();
    Result<kafka::KeyedRecord> cleanup = parts_.documents.record_of(document, cleanup_key(id));
    if (!cleanup) co_return refuse(cleanup.error());
    records.push_back(*std::move(cleanup));
  }
  const Result<bool> written = co_await parts_.documents.write(std::move(records));
  if (!written) co_return refuse(written.error());
  parts_.box.forget(id);
  co_return true;
}

Task<Result<Reply>> InstanceCalls::switch_instance(const Call& call, bool disabled) {
  Result<Held> held = co_await hold(call);
  if (!held) co_return refuse(held.error());
  if (held->document.disabled != disabled) {
    held->document.disabled = disabled;
    const Result<bool> written = co_await parts_.documents.write(held->document);
    if (!written) co_return refuse(written.error());
  }
  co_return Reply{json::object{}};
}

Task<Result<Reply>> InstanceCalls::enable_instance(const Call& call) {
  Result<Reply> reply = co_await switch_instance(call, false);
  co_return reply;
}

Task<Result<Reply>> InstanceCalls::disable_instance(const Call& call) {
  Result<Reply> reply = co_await switch_instance(call, true);
  co_return reply;
}

Task<Result<Reply>> InstanceCalls::list_configuration(const Call& call) {
  const Result<Document> document = document_of(call);
  if (!document) co_return refuse(document.error());
  co_return Reply{configuration_answer(*document)};
}

Task<Result<Reply>> InstanceCalls::get_configuration(const Call& call) {
  const Result<Document> document = document_of(call);
  if (!document) co_return refuse(document.error());
  const json::array items = configuration_answer(*document);
  const json::object* const item = find_item(items, call.parameter("item"));
  if (item == nullptr) co_return refuse(404, "there is no such key of the configuration");
  co_return Reply{*item};
}

Task<Result<Reply>> InstanceCalls::set_configuration(const Call& call) {
  if (const auto may = parts_.documents.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = instance_of_call(parts_.documents, call);
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
  const KeyedLock::Turn turn = co_await parts_.documents.turn(*id);
  Result<Document> document = parts_.documents.load(*id);
  if (!document) co_return refuse(document.error());
  const json::array items = configuration_answer(*document);
  const json::object* const item = find_item(items, call.parameter("item"));
  if (item == nullptr) co_return refuse(404, "there is no such key of the configuration");
  const std::string key(item->at("key").get_string());
  const CatalogRow* const row = find_catalog_row(document->instance.element);
  if (row == nullptr) co_return refuse(400, "element: is not offered by this version");
  const Result<bool> set =
      apply_configuration_item(key, *value, *row, parts_.settings->config, *document);
  if (!set) co_return refuse(set.error());
  const Result<bool> written = co_await parts_.documents.write(*document);
  if (!written) co_return refuse(written.error());
  const json::array after = configuration_answer(*document);
  const json::object* const changed = find_item(after, key);
  json::object gone{{"id", item->at("id")}, {"key", key}, {"propertyValue", nullptr}};
  co_return Reply{changed == nullptr ? gone : *changed};
}

Task<Result<Reply>> InstanceCalls::renew_token(const Call& call) {
  Result<Held> held = co_await hold(call);
  if (!held) co_return refuse(held.error());
  const std::string token = new_element_token();
  held->document.token_hash = element_token_hash(token);
  const Result<bool> written = co_await parts_.documents.write(held->document);
  if (!written) co_return refuse(written.error());
  json::object out{{"token", token}};
  co_return Reply{std::move(out)};
}

Task<Result<Reply>> InstanceCalls::get_setup(const Call& call) {
  const Result<Document> document = document_of(call);
  if (!document) co_return refuse(document.error());
  co_return Reply{setup_answer(*document, parts_.settings->config)};
}

}  // namespace eventrelay::control
