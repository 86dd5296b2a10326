#include "ingest/control/instance_input.hpp"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <initializer_list>
#include <stdexcept>
#include <utility>

#include "common/config/callback_url.hpp"
#include "common/config/config_check.hpp"
#include "common/config/config_instances_schema.hpp"
#include "common/config/config_json.hpp"
#include "common/config/config_parse.hpp"
#include "ingest/control/json_members.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

// What a configuration key may hold.
enum class Kind : std::uint8_t {
  Url,         // 1..2048 characters
  Text,        // low..high characters
  Secret,      // as Text, shown masked
  Flag,        // true, false, "true", "false"
  VendorType,  // webhook, webhooks
  Ignored,     // set by the platform; what is sent does not count
  Later,       // of a part that is not built: refused
};

struct KeyRow {
  std::string_view key;
  Kind kind = Kind::Text;
  std::size_t low = 0;
  std::size_t high = kConfigurationTextMax;
};

constexpr std::array<KeyRow, 17> kKeys{{
    {"oauth.callback.url", Kind::Url, 1, kUrlMax},
    {"oauth.api.key", Kind::Secret, 1, 1024},
    {"oauth.api.secret", Kind::Secret, 1, 1024},
    {"oauth.user.id", Kind::Text, 0, 256},
    {"oauth.user.token", Kind::Ignored},
    {"oauth.user.refresh_token", Kind::Secret, 1, 4096},
    {"event.notification.enabled", Kind::Flag},
    {"event.notification.callback.url", Kind::Url, 0, kUrlMax},
    {"event.notification.signature.key", Kind::Secret, 0, 1024},
    {"event.notification.subscription.id", Kind::Ignored},
    {"event.vendor.type", Kind::VendorType},
    {"event.poller.refresh_interval", Kind::Later},
    {"event.poller.configuration", Kind::Later},
    {"event.vendor.signature.key", Kind::Secret, 1, 1024},
    {"event.vendor.signature.key.secondary", Kind::Secret, 1, 1024},
    {"event.vendor.token", Kind::Secret, 16, 256},
    {"event.metadata", Kind::Ignored},
}};

constexpr std::array<std::string_view, 5> kOperatorOnly{"allow_http", "ports", "ca_file",
                                                        "client_cert", "allow_private_addresses"};

// Members of an answer that a caller may send back.
constexpr std::array<std::string_view, 24> kOfAnswers{"id",
                                                      "createdDate",
                                                      "token",
                                                      "elementId",
                                                      "provisionInteractions",
                                                      "valid",
                                                      "disabled",
                                                      "maxCacheSize",
                                                      "cacheTimeToLive",
                                                      "cachingEnabled",
                                                      "eventsEnabled",
                                                      "traceLoggingEnabled",
                                                      "user",
                                                      "accountId",
                                                      "companyId",
                                                      "webhookUrl",
                                                      "webhooks",
                                                      "problem",
                                                      "updatedDate",
                                                      "hub",
                                                      "externalAuthentication",
                                                      "element",
                                                      "providerData",
                                                      "configuration"};

const KeyRow& row_of(std::string_view key) {
  static constexpr KeyRow kAny{};
  const auto found =
      std::find_if(kKeys.begin(), kKeys.end(), [&](const KeyRow& row) { return row.key == key; });
  if (found != kKeys.end()) return *found;
  static constexpr KeyRow kSecret{{}, Kind::Secret, 0, kConfigurationTextMax};
  return config::looks_secret(key) ? kSecret : kAny;
}

std::string field(std::string_view key) {
  return "configuration." + std::string(key.substr(0, 200));
}

// Puts one key's text where it lives. Thread: one call.
class Setter {
 public:
  explicit Setter(InstanceConfig& instance) : instance_(instance) {}

  void set(std::string_view key, std::string_view text) {
    if (key == "event.notification.enabled") {
      instance_.events_enabled = text == "true";
    } else if (key == "event.notification.callback.url") {
      instance_.callback_url = text;
    } else if (key == "oauth.user.id") {
      instance_.oauth_user_id = text;
    } else if (std::optional<Secret>* const secret = secret_of(key)) {
      secret->reset();
      if (!text.empty()) secret->emplace(std::string(text));
    } else {
      instance_.configuration[std::string(key)] = text;
    }
  }
  void remove(std::string_view key) {
    if (key == "event.notification.enabled" || key == "event.notification.callback.url" ||
        secret_of(key) != nullptr) {
      return set(key, {});
    }
    instance_.configuration.erase(std::string(key));
  }
  // Is there a value that "********" can stand for?
  [[nodiscard]] bool has(std::string_view key) {
    if (const std::optional<Secret>* const secret = secret_of(key)) return secret->has_value();
    return instance_.configuration.contains(std::string(key));
  }

 private:
  std::optional<Secret>* secret_of(std::string_view key) {
    if (key == "event.notification.signature.key") return &instance_.signature_key;
    if (key == "event.vendor.signature.key") return &instance_.vendor_key;
    if (key == "event.vendor.signature.key.secondary") return &instance_.vendor_key_secondary;
    if (key == "event.vendor.token") return &instance_.vendor_token;
    return nullptr;
  }

  InstanceConfig& instance_;
};

std::string bounds(const KeyRow& row) {
  return " (allowed: " + std::to_string(row.low) + ".." + std::to_string(row.high) + " characters)";
}

// Nothing, or what is wrong with the text of a key.
std::optional<std::string> text_problem(const KeyRow& row, std::string_view text) {
  if (text.size() < row.low || text.size() > row.high) {
    return std::to_string(text.size()) + " characters" + bounds(row);
  }
  const bool control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (control && !row.key.empty()) return "must not hold control characters";
  if (row.kind == Kind::VendorType && text != "webhook" && text != "webhooks") {
    return text == "polling" ? "polling is not offered by this version; allowed: webhook"
                             : "is not one of webhook, webhooks";
  }
  if (row.key != "oauth.callback.url") return std::nullopt;
  try {
    (void)parse_callback_url(text, true);
  } catch (const std::invalid_argument& problem) {
    return problem.what();
  }
  return std::nullopt;
}

// Reads one configuration key. Returns false where nothing is to be kept.
Result<bool> set_key(std::string_view key, const json::value& value, const CatalogRow& element,
                     InstanceConfig& instance) {
  Setter setter(instance);
  const KeyRow& row = row_of(key);
  if (row.kind == Kind::Ignored) return false;
  if (row.kind == Kind::Later) {
    return refuse(400, field(key) + ": polling is not offered by this version");
  }
  if (value.is_null()) {
    setter.remove(key);
    return true;
  }
  if (row.kind == Kind::Flag) {
    if (value.is_bool()) {
      setter.set(key, value.get_bool() ? "true" : "false");
      return true;
    }
    if (value.is_string() && (value.get_string() == "true" || value.get_string() == "false")) {
      setter.set(key, view(value.get_string()));
      return true;
    }
    return refuse(400, field(key) + ": must be true or false");
  }
  if (!value.is_string()) return refuse(400, field(key) + ": must be a text");
  const std::string_view text = view(value.get_string());
  if (row.kind == Kind::Secret && text == kMasked) {
    if (setter.has(key)) return false;
    return refuse(400, field(key) + ": is masked; give the secret itself");
  }
  if (const std::optional<std::string> problem = text_problem(row, text)) {
    return refuse(400, field(key) + ": " + *problem);
  }
  // The default that every answer shows is not kept when it is sent back.
  if (row.kind == Kind::VendorType && text == "webhook" && !setter.has(key)) return false;
  if (key == "oauth.user.id" && element.oauth) {
    if (text == instance.oauth_user_id) return false;
    return refuse(400, field(key) + ": is set by the platform");
  }
  setter.set(key, text);
  return true;
}

// A plain text as it would be written into a document; for comparing and merging only.
json::value as_text(std::string_view plain) {
  return json::value(json::string_view(plain.data(), plain.size()));
}

const config::ReadSecret& no_secret() {
  static const config::ReadSecret kNone = [](const json::value&) {
    return std::optional<std::string>();
  };
  return kNone;
}

json::object delivery_json(const DeliveryConfig& delivery) {
  static const DeliveryConfig kDefaults;
  return config::to_json(config::delivery_schema(), &delivery, &kDefaults, as_text);
}

// Takes over from `before` what the caller sent back masked: header values and keys.
Result<bool> unmask(json::object& sent, const DeliveryConfig& before, const std::string& path) {
  const std::string masked = "is masked; give the secret itself";
  if (json::value* const headers = sent.if_contains("headers");
      headers != nullptr && headers->is_object()) {
    for (auto& [name, value] : headers->get_object()) {
      if (!value.is_string() || view(value.get_string()) != kMasked) continue;
      const auto known = before.headers.find(std::string(name));
      if (known == before.headers.end()) {
        return refuse(400, path + ".headers." + std::string(name) + ": " + masked);
      }
      value = as_text(known->second);
    }
  }
  if (json::value* const keys = sent.if_contains("keys"); keys != nullptr && keys->is_array()) {
    for (std::size_t i = 0; i < keys->get_array().size(); ++i) {
      json::value& value = keys->get_array()[i];
      if (!value.is_string() || view(value.get_string()) != kMasked) continue;
      if (i >= before.keys.size()) {
        return refuse(400, path + ".keys[" + std::to_string(i) + "]: " + masked);
      }
      value = as_text(before.keys[i].reveal());
    }
  }
  return true;
}

// A delivery as sent, over what lies under it; refuses what only the operator may allow.
Result<json::object> merged_delivery(const json::value& sent, const DeliveryConfig& under,
                                     const DeliveryConfig& before, const std::string& path) {
  if (!sent.is_object()) return refuse(400, path + ": must be an object");
  json::object own = sent.get_object();
  const json::object base = delivery_json(under);
  for (const std::string_view key : kOperatorOnly) {
    const json::value* const given = own.if_contains({key.data(), key.size()});
    if (given == nullptr) continue;
    // What an answer shows may be sent back as it is.
    const json::value* const known = base.if_contains({key.data(), key.size()});
    if (known != nullptr && *known == *given) continue;
    return refuse(400, path + "." + std::string(key) +
                           ": only the operator may set it, in control.delivery_defaults");
  }
  if (const Result<bool> unmasked = unmask(own, before, path); !unmasked) {
    return refuse(unmasked.error());
  }
  json::object out = base;
  for (auto& [key, value] : own) out[key] = value;
  return out;
}

Result<bool> read_part(const json::object& part, InstanceConfig& instance) {
  const std::string problem =
      config::from_json(part, config::instance_schema(), &instance, no_secret());
  if (problem.empty()) return true;
  return refuse(400, problem.substr(0, problem.find('\n')));
}

Result<bool> set_subscriptions(const json::value& sent, const DeliveryConfig& defaults,
                               InstanceConfig& instance) {
  if (!sent.is_array()) return refuse(400, "subscriptions: must be a list");
  json::array list = sent.get_array();
  if (list.size() > 100) {
    return refuse(400, "subscriptions: " + std::to_string(list.size()) +
                           " entries (allowed: 0..100 entries)");
  }
  const std::vector<SubscriptionConfig> before = instance.subscriptions;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string path = "subscriptions[" + std::to_string(i) + "]";
    if (!list[i].is_object()) return refuse(400, path + ": must be an object");
    json::object& one = list[i].get_object();
    const json::value* const name = one.if_contains("name");
    if (name != nullptr && name->is_string() && name->get_string() == "callback") {
      return refuse(400, path + ".name: callback is taken by the instance's own callback");
    }
    const auto same = [&](const SubscriptionConfig& each) {
      return name != nullptr && name->is_string() && view(name->get_string()) == each.name;
    };
    const auto former = std::find_if(before.begin(), before.end(), same);
    json::value* const key = one.if_contains("key");
    if (key != nullptr && key->is_string() && view(key->get_string()) == kMasked) {
      if (former == before.end() || !former->key) {
        return refuse(400, path + ".key: is masked; give the secret itself");
      }
      *key = as_text(former->key->reveal());
    }
    const json::value* const given = one.if_contains("delivery");
    const json::value nothing = json::object{};
    Result<json::object> delivery =
        merged_delivery(given == nullptr ? nothing : *given, defaults,
                        former == before.end() ? defaults : former->delivery, path + ".delivery");
    if (!delivery) return refuse(delivery.error());
    one["delivery"] = *std::move(delivery);
  }
  Result<bool> read = read_part(json::object{{"subscriptions", std::move(list)}}, instance);
  // A pause is not part of what is sent: a subscription that was paused stays so.
  for (SubscriptionConfig& each : instance.subscriptions) {
    for (const SubscriptionConfig& former : before) {
      if (former.name == each.name) each.pause = former.pause;
    }
  }
  return read;
}

Result<bool> set_tags(const json::value& sent, InstanceConfig& instance) {
  json::array list;
  if (sent.is_string()) {
    list.push_back(sent);
  } else if (sent.is_array()) {
    list = sent.get_array();
  } else {
    return refuse(400, "tags: must be a text or a list of texts");
  }
  if (list.size() > 100) {
    return refuse(400,
                  "tags: " + std::to_string(list.size()) + " entries (allowed: 0..100 entries)");
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string path = "tags[" + std::to_string(i) + "]";
    if (!list[i].is_string()) return refuse(400, path + ": must be a text");
    const std::size_t size = list[i].get_string().size();
    if (size < 1 || size > 256) {
      return refuse(
          400, path + ": " + std::to_string(size) + " characters (allowed: 1..256 characters)");
    }
  }
  return read_part(json::object{{"tags", std::move(list)}}, instance);
}

Result<bool> set_configuration(const json::value& sent, Change change, const CatalogRow& element,
                               InstanceConfig& instance) {
  if (!sent.is_object()) return refuse(400, "configuration: must be an object");
  const json::object& given = sent.get_object();
  if (given.size() > kConfigurationKeysMax) {
    return refuse(
        400, "configuration: " + std::to_string(given.size()) + " keys (allowed: 0..200 keys)");
  }
  const InstanceConfig before = instance;
  if (change != Change::Merge) {
    // What is not named is gone, but for what the platform itself has set.
    instance.configuration.clear();
    for (const auto& [key, value] : given) {
      const bool masked = value.is_string() && view(value.get_string()) == kMasked;
      const auto kept = before.configuration.find(std::string(key));
      if (masked && kept != before.configuration.end()) instance.configuration.insert(*kept);
    }
    instance.events_enabled = false;
    instance.callback_url.clear();
    if (!given.contains("event.notification.signature.key")) instance.signature_key.reset();
    if (!given.contains("event.vendor.signature.key")) instance.vendor_key.reset();
    if (!given.contains("event.vendor.signature.key.secondary")) {
      instance.vendor_key_secondary.reset();
    }
  }
  for (const auto& [key, value] : given) {
    if (key.empty() || key.size() > 256) {
      return refuse(400, field(view(key)) + ": the name has " + std::to_string(key.size()) +
                             " characters (allowed: 1..256 characters)");
    }
    const Result<bool> set = set_key(view(key), value, element, instance);
    if (!set) return refuse(set.error());
  }
  if (instance.configuration.size() > kConfigurationKeysMax) {
    return refuse(400, "configuration: " + std::to_string(instance.configuration.size()) +
                           " keys (allowed: 0..200 keys)");
  }
  return true;
}

Result<bool> set_name(const json::value& sent, InstanceConfig& instance) {
  if (!sent.is_string()) return refuse(400, "name: must be a text");
  const std::size_t size = sent.get_string().size();
  if (size < 1 || size > 256) {
    return refuse(400,
                  "name: " + std::to_string(size) + " characters (allowed: 1..256 characters)");
  }
  return read_part(json::object{{"name", sent}}, instance);
}

Result<std::string> code_of(const json::object& body) {
  const json::value* const data = body.if_contains("providerData");
  if (data == nullptr || data->is_null()) return std::string();
  if (!data->is_object()) return refuse(400, "providerData: must be an object");
  for (const auto& [key, value] : data->get_object()) {
    if (key != "code") {
      return refuse(400, "providerData." + std::string(key).substr(0, 200) + ": unknown");
    }
  }
  const json::value* const code = data->get_object().if_contains("code");
  if (code == nullptr) return std::string();
  if (!code->is_string()) return refuse(400, "providerData.code: must be a text");
  const std::string_view text = view(code->get_string());
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (text.empty() || text.size() > 4096 || !printable) {
    return refuse(400,
                  "providerData.code: must be 1..4096 characters without blanks or control "
                  "characters");
  }
  return std::string(text);
}

// The guard that judges each dial judges the URL of a caller here, as far as the URL alone tells.
Result<bool> check_destination_of(const std::string& key, const std::string& url,
                                  const DeliveryConfig& delivery, const Config& config) {
  if (url.empty()) return true;
  const bool any = delivery.allow_private_addresses || config.relay.allow_private_addresses;
  try {
    check_destination(parse_callback_url(url, delivery.allow_http), delivery.ports,
                      any ? AnyPort::Yes : AnyPort::No);
  } catch (const std::invalid_argument& problem) {
    return refuse(400, key + ": " + problem.what());
  }
  return true;
}

// Of the one instance of `config`, which is right by the rules of the file.
Result<bool> check_destinations(const Config& config) {
  const InstanceConfig& instance = config.instances.front();
  Result<bool> good = check_destination_of(field("event.notification.callback.url"),
                                           instance.callback_url, instance.delivery, config);
  for (std::size_t i = 0; good && i < instance.subscriptions.size(); ++i) {
    const SubscriptionConfig& each = instance.subscriptions[i];
    good = check_destination_of("subscriptions[" + std::to_string(i) + "].url", each.url,
                                each.delivery, config);
  }
  return good;
}

// Required keys, and what the rules of the file ask of a whole instance.
Result<bool> check_whole(const CatalogRow& element, const Config& config,
                         const Document& document) {
  const InstanceConfig& instance = document.instance;
  if (element.oauth) {
    for (const char* key : {"oauth.callback.url", "oauth.api.key", "oauth.api.secret"}) {
      if (!instance.configuration.contains(key)) {
        return refuse(400, field(key) + ": required for the element " + std::string(element.key));
      }
    }
  }
  Config one;
  one.sources = config.sources;
  one.relay.allow_private_addresses = config.relay.allow_private_addresses;
  one.retry = config.retry;
  one.instances = {instance};
  one.instances.front().id = 1;  // not given yet
  one.instances.front().delivery.keys = instance.delivery.keys;
  config::resolve(one);
  config::Findings findings;
  static const config::PropertyProblem no_property_problem =
      [](const std::string&, const config::OpenValue&) { return std::string(); };
  const config::Places nowhere({}, [] { return config::YamlNode(); });
  config::check(one, nowhere, findings, no_property_problem);
  if (findings.empty()) return check_destinations(one);
  std::string line = findings.text();
  line = line.substr(0, line.find('\n'));
  constexpr std::string_view kPrefix = "instances[0].";
  const std::size_t at = line.find(kPrefix);
  if (at != std::string::npos) line.erase(0, at + kPrefix.size());
  for (std::size_t again = 0; (again = line.find(kPrefix)) != std::string::npos;) {
    line.erase(again, kPrefix.size());
  }
  return refuse(400, line);
}

}  // namespace

bool is_secret_key(std::string_view key) {
  return row_of(key).kind == Kind::Secret;
}

Result<const CatalogRow*> element_of(const json::object& body) {
  const json::value* const element = body.if_contains("element");
  if (element == nullptr) return refuse(400, "element: required");
  if (!element->is_object()) return refuse(400, "element: must be an object with key or id");
  const json::object& object = element->get_object();
  const json::value* const key = object.if_contains("key");
  const json::value* const id = object.if_contains("id");
  if (key == nullptr && id == nullptr) return refuse(400, "element.key: required");
  if (key != nullptr && !key->is_string()) return refuse(400, "element.key: must be a text");
  boost::system::error_code error;
  const auto number = id == nullptr ? 0 : id->to_number<std::int64_t>(error);
  if (id != nullptr && (error.failed() || number < 1)) {
    return refuse(400, "element.id: must be a number of an element");
  }
  const CatalogRow* const row = key != nullptr ? find_catalog_row(view(key->get_string()))
                                               : find_catalog_row(std::to_string(number));
  if (row == nullptr || (key != nullptr && row->key != view(key->get_string()))) {
    return refuse(400, key != nullptr ? "element.key: there is no such element"
                                      : "element.id: there is no such element");
  }
  if (key != nullptr && id != nullptr && row->id != static_cast<std::uint64_t>(number)) {
    return refuse(400, "element.id: is not the number of element.key");
  }
  return row;
}

namespace {

// apply_input() on a document that is thrown away when a later member is refused.
Result<Authorize> apply_members(const json::object& body, Change change, const CatalogRow& element,
                                const Config& config, const DeliveryConfig& defaults,
                                Document& document) {
  constexpr std::array<std::string_view, 4> kOwn{"name", "tags", "delivery", "subscriptions"};
  for (const auto& [key, value] : body) {
    const std::string_view name = view(key);
    if (std::find(kOwn.begin(), kOwn.end(), name) == kOwn.end() &&
        std::find(kOfAnswers.begin(), kOfAnswers.end(), name) == kOfAnswers.end()) {
      return refuse(400, std::string(name.substr(0, 200)) + ": unknown");
    }
  }
  InstanceConfig& instance = document.instance;
  const auto given = [&](const char* name) { return body.if_contains(name); };
  Authorize out;
  const Result<std::string> code = code_of(body);
  if (!code) return refuse(code.error());
  out.code = *code;
  if (change == Change::Create) {
    instance.element = std::string(element.key);
    instance.delivery = defaults;
    if (given("name") == nullptr) return refuse(400, "name: required");
    if (given("configuration") == nullptr && element.oauth) {
      return refuse(400, "configuration: required");
    }
  } else if (given("element") != nullptr) {
    const Result<const CatalogRow*> named = element_of(body);
    if (!named) return refuse(named.error());
    if (*named != &element) return refuse(400, "element: can not change");
  }
  if (const json::value* const name = given("name")) {
    if (const auto set = set_name(*name, instance); !set) return refuse(set.error());
  }
  if (const json::value* const tags = given("tags"); tags != nullptr && !tags->is_null()) {
    if (const auto set = set_tags(*tags, instance); !set) return refuse(set.error());
  }
  if (const json::value* const external = given("externalAuthentication");
      external != nullptr && change == Change::Create && !external->is_null()) {
    if (!external->is_string() ||
        (external->get_string() != "none" && external->get_string() != "initial")) {
      return refuse(400, "externalAuthentication: is not one of none, initial");
    }
    document.external_authentication = std::string(external->get_string());
  }
  if (const json::value* const sent = given("configuration")) {
    const auto set = set_configuration(*sent, change, element, instance);
    if (!set) return refuse(set.error());
  }
  // A refresh token is kept with the tokens, not with the configuration.
  if (auto node = instance.configuration.extract("oauth.user.refresh_token"); !node.empty()) {
    if (change != Change::Create || document.external_authentication != "initial") {
      return refuse(400,
                    "configuration.oauth.user.refresh_token: is taken with "
                    "externalAuthentication initial only");
    }
    out.refresh_token = std::move(node.mapped());
  }
  if (change == Change::Create && element.oauth && out.code.empty() && out.refresh_token.empty()) {
    return refuse(400,
                  document.external_authentication == "initial"
                      ? "configuration.oauth.user.refresh_token: required with "
                        "externalAuthentication initial"
                      : "providerData.code: required for the element " + std::string(element.key));
  }
  if (!element.oauth && !out.code.empty()) {
    return refuse(400, "providerData.code: the element " + std::string(element.key) +
                           " is not authorized by OAuth");
  }
  if (const json::value* const sent = given("delivery"); sent != nullptr && !sent->is_null()) {
    const DeliveryConfig before = instance.delivery;
    const DeliveryConfig& under = change == Change::Merge ? before : defaults;
    const Result<json::object> merged = merged_delivery(*sent, under, before, "delivery");
    if (!merged) return refuse(merged.error());
    instance.delivery = {};
    const auto set = read_part(json::object{{"delivery", *merged}}, instance);
    if (!set) return refuse(set.error());
  }
  if (const json::value* const sent = given("subscriptions"); sent != nullptr && !sent->is_null()) {
    const auto set = set_subscriptions(*sent, defaults, instance);
    if (!set) return refuse(set.error());
  }
  if (const auto whole = check_whole(element, config, document); !whole) {
    return refuse(whole.error());
  }
  return out;
}

Result<bool> change_item(std::string_view key, const json::value& value, const CatalogRow& element,
                         const Config& config, Document& document) {
  if (key == "oauth.user.refresh_token") {
    return refuse(400, field(key) + ": is set by the platform");
  }
  const Result<bool> set = set_key(key, value, element, document.instance);
  if (!set) return refuse(set.error());
  if (document.instance.configuration.size() > kConfigurationKeysMax) {
    return refuse(400, "configuration: more than 200 keys");
  }
  if (const auto whole = check_whole(element, config, document); !whole) {
    return refuse(whole.error());
  }
  return *set;
}

}  // namespace

Result<Authorize> apply_input(const json::object& body, Change change, const CatalogRow& element,
                              const Config& config, const DeliveryConfig& defaults,
                              Document& document) {
  Document changed = document;
  Result<Authorize> read = apply_members(body, change, element, config, defaults, changed);
  if (read) document = std::move(changed);
  return read;
}

Result<bool> apply_configuration_item(std::string_view key, const json::value& value,
                                      const CatalogRow& element, const Config& config,
                                      Document& document) {
  Document changed = document;
  Result<bool> set = change_item(key, value, element, config, changed);
  if (set) document = std::move(changed);
  return set;
}

}  // namespace eventrelay::control
