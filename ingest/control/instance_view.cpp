#include "ingest/control/instance_view.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "common/base/crypto.hpp"
#include "common/config/config_instances_schema.hpp"
#include "common/config/config_json.hpp"
#include "common/text/utc.hpp"
#include "ingest/control/catalog.hpp"
#include "ingest/control/instance_input.hpp"
#include "ingest/control/json_members.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

json::value masked(std::string_view) {
  return text(kMasked);
}

json::value masked_or_null(const std::optional<Secret>& secret) {
  return secret ? text(kMasked) : json::value(nullptr);
}

// Every key with its value as shown; ordered by key.
std::map<std::string, json::value> configuration_of(const Document& document) {
  const InstanceConfig& instance = document.instance;
  std::map<std::string, json::value> out;
  for (const auto& [key, value] : instance.configuration) {
    out[key] = is_secret_key(key) ? text(kMasked) : text(value);
  }
  const auto text_or_null = [](const std::string& value) {
    return value.empty() ? json::value(nullptr) : text(value);
  };
  out["event.notification.enabled"] = text(instance.events_enabled ? "true" : "false");
  out["event.notification.callback.url"] = text_or_null(instance.callback_url);
  out["event.notification.signature.key"] = masked_or_null(instance.signature_key);
  out["event.notification.subscription.id"] =
      instance.callback_url.empty() ? json::value(nullptr) : text(std::to_string(instance.id));
  out["oauth.user.id"] = text_or_null(instance.oauth_user_id);
  if (instance.vendor_key) out["event.vendor.signature.key"] = masked({});
  if (instance.vendor_key_secondary) out["event.vendor.signature.key.secondary"] = masked({});
  if (instance.vendor_token) out["event.vendor.token"] = masked({});
  out.try_emplace("event.vendor.type", text("webhook"));
  return out;
}

json::object delivery_of(const DeliveryConfig& delivery) {
  static const DeliveryConfig kDefaults;
  json::object out = config::to_json(config::delivery_schema(), &delivery, &kDefaults, masked);
  return out;
}

json::array subscriptions_of(const InstanceConfig& instance) {
  json::array out;
  for (const SubscriptionConfig& each : instance.subscriptions) {
    json::object one{{"name", each.name}, {"url", each.url}};
    if (each.key) one["key"] = text(kMasked);
    json::object filter;
    const auto list = [](const std::vector<std::string>& words) {
      json::array array;
      for (const std::string& word : words) array.emplace_back(word);
      return array;
    };
    if (!each.filter.event_types.empty()) filter["event_types"] = list(each.filter.event_types);
    if (!each.filter.object_types.empty()) filter["object_types"] = list(each.filter.object_types);
    if (!filter.empty()) one["filter"] = std::move(filter);
    one["delivery"] = delivery_of(each.delivery);
    out.push_back(std::move(one));
  }
  return out;
}

json::object user_of(std::uint64_t id, const UserConfig* user) {
  json::object out{{"id", id}};
  out["emailAddress"] = user == nullptr ? "" : user->email;
  out["firstName"] = user == nullptr ? "" : user->first_name;
  out["lastName"] = user == nullptr ? "" : user->last_name;
  return out;
}

}  // namespace

std::string utc_text(WallTime time) {
  std::string out;
  append_utc(time, out);
  return out;
}

std::string event_url(const Config& config, std::string_view element, std::uint64_t id) {
  std::string out = config.ingest.public_url + config.ingest.base_path + "/events/";
  out.append(element).append("/").append(crypto::base64(std::to_string(id)));
  return out;
}

json::object webhook_answer(const Webhook& hook) {
  json::array triggers;
  for (const std::string& each : hook.triggers) triggers.emplace_back(each);
  return {{"id", hook.id},
          {"target", {{"id", hook.target_id}, {"type", hook.target_type}}},
          {"triggers", std::move(triggers)},
          {"state", text(to_word(hook.state))},
          {"reason", hook.reason.empty() ? json::value(nullptr) : text(hook.reason)}};
}

namespace {

// An element that only the configuration's `sources` describe.
json::object described_element(const std::string& key) {
  return {{"id", 0},
          {"key", key},
          {"name", key},
          {"hub", "general"},
          {"authentication", {{"type", "custom"}}},
          {"events", {{"supported", true}, {"methods", json::array{"webhook"}}}}};
}

}  // namespace

json::object instance_answer(const Document& document, const Config& config, const UserConfig* user,
                             std::optional<std::string_view> token) {
  const InstanceConfig& instance = document.instance;
  const CatalogRow* const row = find_catalog_row(instance.element);
  json::object element =
      row == nullptr ? described_element(instance.element) : element_answer(*row);
  json::array tags;
  for (const std::string& each : instance.tags) tags.emplace_back(each);
  json::object configuration;
  for (auto& [key, value] : configuration_of(document)) configuration[key] = std::move(value);
  json::array hooks;
  for (const Webhook& each : document.webhooks) hooks.push_back(webhook_answer(each));
  const std::uint64_t element_id = row == nullptr ? 0 : row->id;
  return {{"id", instance.id},
          {"name", instance.name},
          {"createdDate", utc_text(document.created)},
          {"token", token ? text(*token) : text(kMasked)},
          {"element", std::move(element)},
          {"elementId", element_id},
          {"tags", std::move(tags)},
          {"provisionInteractions", json::array{}},
          {"valid", document.problem.empty()},
          {"disabled", document.disabled},
          {"maxCacheSize", 0},
          {"cacheTimeToLive", 0},
          {"cachingEnabled", false},
          {"configuration", std::move(configuration)},
          {"eventsEnabled", instance.events_enabled},
          {"traceLoggingEnabled", false},
          {"externalAuthentication", document.external_authentication},
          {"user", user_of(document.user, user)},
          {"accountId", document.account},
          {"companyId", document.company},
          {"webhookUrl", event_url(config, instance.element, instance.id)},
          {"delivery", delivery_of(instance.delivery)},
          {"subscriptions", subscriptions_of(instance)},
          {"webhooks", std::move(hooks)},
          {"problem", document.problem.empty() ? json::value(nullptr) : text(document.problem)}};
}

json::array configuration_answer(const Document& document) {
  json::array out;
  std::uint64_t number = 0;
  for (auto& [key, value] : configuration_of(document)) {
    out.push_back(json::object{{"id", ++number}, {"key", key}, {"propertyValue", value}});
  }
  return out;
}

json::object setup_answer(const Document& document, const Config& config) {
  struct Parameter {
    const char* name;
    std::string value;
  };
  const std::string url = event_url(config, document.instance.element, document.instance.id);
  json::object out{{"webhookUrl", url}};
  if (document.instance.element == "box") {
    std::array<Parameter, 6> parameters{{{"itemType", "#item_type#"},
                                         {"newItemId", "#new_item_id#"},
                                         {"userId", "#to_user_ids#"},
                                         {"event", "#event_type#"},
                                         {"itemId", "#item_id#"},
                                         {"token", ""}}};
    const std::optional<Secret>& token = document.instance.vendor_token;
    if (token) parameters.back().value = std::string(token->reveal());
    json::array list;
    for (const Parameter& each : parameters) {
      list.push_back(json::object{{"method", "Post"}, {"name", each.name}, {"value", each.value}});
    }
    out["v1"] = json::object{
        {"url", url}, {"payloadFormat", "REST"}, {"callbackParameters", std::move(list)}};
  }
  json::array triggers{"FILE.UPLOADED", "FILE.TRASHED", "FILE.RESTORED",  "FILE.COPIED",
                       "FILE.MOVED",    "FILE.RENAMED", "FOLDER.CREATED", "FOLDER.TRASHED"};
  out["v2"] = json::object{{"address", url}, {"triggers", std::move(triggers)}};
  return out;
}

}  // namespace eventrelay::control
