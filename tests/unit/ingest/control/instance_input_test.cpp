// Every field of the page's parameter table: right, missing, of the wrong type, at its bound and
// over it; each message begins with the field's name.
#include "ingest/control/instance_input.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "ingest/control/instance_view.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

const CatalogRow& box() {
  return *find_catalog_row("box");
}

json::object good() {
  return json::parse(R"({"element":{"key":"box"},"providerData":{"code":"abc"},"name":"n",
    "tags":["Docs"],"configuration":{"oauth.callback.url":"https://mycoolapp.com/auth",
    "oauth.api.key":"key","oauth.api.secret":"secret","event.notification.enabled":true,
    "event.notification.callback.url":"https://mycoolapp.com/events",
    "event.notification.signature.key":"sig","events.list.ids":"x"}})")
      .as_object();
}

struct Outcome {
  std::string message = "taken";
  Document document;
  Authorize authorize;
};

Outcome create(const json::object& body, const Config& config = {}) {
  Outcome out;
  const auto read = apply_input(body, Change::Create, box(), config,
                                config.control.delivery_defaults, out.document);
  if (read) {
    out.authorize = *read;
  } else {
    EXPECT_EQ(read.error().status, 400U);
    out.message = read.error().message;
  }
  return out;
}

// `path` of the body set to `value` (JSON; empty: taken away).
Outcome with(const std::string& section, const std::string& key, const std::string& value) {
  json::object body = good();
  json::object& owner = section.empty() ? body : body[section].as_object();
  if (value.empty()) {
    owner.erase(key);
  } else {
    owner[key] = json::parse(value);
  }
  return create(body);
}

std::string text(std::size_t size) {
  return "\"" + std::string(size, 'x') + "\"";
}

TEST(InstanceInput, TakesThePageAsItStands) {
  const Outcome out = create(good());
  ASSERT_EQ(out.message, "taken");
  EXPECT_EQ(out.authorize.code, "abc");
  const InstanceConfig& instance = out.document.instance;
  EXPECT_EQ(instance.element, "box");
  EXPECT_EQ(instance.name, "n");
  EXPECT_EQ(instance.tags, std::vector<std::string>{"Docs"});
  EXPECT_TRUE(instance.events_enabled);
  EXPECT_EQ(instance.callback_url, "https://mycoolapp.com/events");
  EXPECT_EQ(instance.signature_key->reveal(), "sig");
  EXPECT_EQ(instance.configuration.at("oauth.api.secret"), "secret");
  EXPECT_EQ(instance.configuration.at("events.list.ids"), "x");
}

struct Row {
  const char* section;
  const char* key;
  std::string value;
  const char* message;  // how it begins; "taken"
};

TEST(InstanceInput, EveryRowOfTheParameterTable) {
  const Row rows[] = {
      {"", "name", "", "name: required"},
      {"", "name", "5", "name: must be a text"},
      {"", "name", "null", "name: must be a text"},
      {"", "name", text(1), "taken"},
      {"", "name", text(256), "taken"},
      {"", "name", text(257), "name: 257 characters (allowed: 1..256"},
      {"", "name", "\"\"", "name: 0 characters"},
      {"", "tags", "", "taken"},
      {"", "tags", "\"one\"", "taken"},
      {"", "tags", "[]", "taken"},
      {"", "tags", "5", "tags: must be a text or a list of texts"},
      {"", "tags", "[1]", "tags[0]: must be a text"},
      {"", "tags", "[\"\"]", "tags[0]: 0 characters"},
      {"", "tags", "[" + text(257) + "]", "tags[0]: 257 characters"},
      {"", "providerData", "", "providerData.code: required"},
      {"", "providerData", "5", "providerData: must be an object"},
      {"", "providerData", "{}", "providerData.code: required"},
      {"providerData", "code", "5", "providerData.code: must be a text"},
      {"providerData", "code", "\"\"", "providerData.code: must be 1..4096"},
      {"providerData", "code", "\"a b\"", "providerData.code: must be 1..4096"},
      {"providerData", "other", "\"a\"", "providerData.other: unknown"},
      {"", "configuration", "", "configuration: required"},
      {"", "configuration", "[]", "configuration: must be an object"},
      {"configuration", "oauth.callback.url", "", "configuration.oauth.callback.url: required"},
      {"configuration", "oauth.callback.url", "5", "configuration.oauth.callback.url: must be a"},
      {"configuration", "oauth.callback.url", "\"x\"", "configuration.oauth.callback.url: is not"},
      {"configuration", "oauth.api.key", "", "configuration.oauth.api.key: required"},
      {"configuration", "oauth.api.key", "\"\"", "configuration.oauth.api.key: 0 characters"},
      {"configuration", "oauth.api.key", text(1024), "taken"},
      {"configuration", "oauth.api.key", text(1025), "configuration.oauth.api.key: 1025 char"},
      {"configuration", "oauth.api.key", "[]", "configuration.oauth.api.key: must be a text"},
      {"configuration", "oauth.api.secret", "", "configuration.oauth.api.secret: required"},
      {"configuration", "oauth.api.secret", "true", "configuration.oauth.api.secret: must be a"},
      {"configuration", "oauth.api.secret", "\"********\"",
       "configuration.oauth.api.secret: is masked"},
      {"configuration", "event.notification.enabled", "", "taken"},
      {"configuration", "event.notification.enabled", "\"true\"", "taken"},
      {"configuration", "event.notification.enabled", "\"false\"", "taken"},
      {"configuration", "event.notification.enabled", "\"yes\"",
       "configuration.event.notification.enabled: must be true or false"},
      {"configuration", "event.notification.enabled", "1",
       "configuration.event.notification.enabled: must be true or false"},
      {"configuration", "event.notification.callback.url", "",
       "configuration.event.notification.callback.url: required"},
      {"configuration", "event.notification.callback.url", "\"http://a.example/\"",
       "configuration.event.notification.callback.url: must begin with https"},
      {"configuration", "event.notification.callback.url", "\"https://a.example:9999/\"",
       "configuration.event.notification.callback.url: port 9999"},
      {"configuration", "event.notification.callback.url", "{}",
       "configuration.event.notification.callback.url: must be a text"},
      {"configuration", "event.notification.callback.url", text(2049),
       "configuration.event.notification.callback.url: 2049 characters"},
      {"configuration", "event.notification.signature.key", "", "taken"},
      {"configuration", "event.notification.signature.key", "\"\"", "taken"},
      {"configuration", "event.notification.signature.key", text(1024), "taken"},
      {"configuration", "event.notification.signature.key", text(1025),
       "configuration.event.notification.signature.key: 1025"},
      {"configuration", "event.notification.signature.key", "5",
       "configuration.event.notification.signature.key: must be a text"},
      {"configuration", "event.notification.signature.key", R"({"file":"/etc/passwd"})",
       "configuration.event.notification.signature.key: must be a text"},
      {"configuration", "event.vendor.type", "\"webhooks\"", "taken"},
      {"configuration", "event.vendor.type", "\"polling\"",
       "configuration.event.vendor.type: polling is not offered"},
      {"configuration", "event.poller.refresh_interval", "\"15\"",
       "configuration.event.poller.refresh_interval: polling is not offered"},
      {"configuration", "event.vendor.token", text(15), "configuration.event.vendor.token: 15"},
      {"configuration", "event.vendor.token", text(16), "taken"},
      {"configuration", "any.other.key", text(4096), "taken"},
      {"configuration", "any.other.key", text(4097), "configuration.any.other.key: 4097"},
      {"configuration", "any.other.key", "7", "configuration.any.other.key: must be a text"},
      {"configuration", "__proto__", "\"x\"", "taken"},
      {"configuration", "oauth.user.id", "\"7\"", "configuration.oauth.user.id: is set by the"},
      {"", "frobnicate", "1", "frobnicate: unknown"},
      {"", "id", "5", "taken"},
      {"", "delivery", "5", "delivery: must be an object"},
      {"", "delivery", R"({"timeout":"1s","concurrency":2})", "taken"},
      {"", "delivery", R"({"timeout":1})", "delivery.timeout: must be a text"},
      {"", "delivery", R"({"concurrency":"2"})", "delivery.concurrency: must be a whole number"},
      {"", "delivery", R"({"concurrency":0})", "delivery.concurrency: 0 is below 1"},
      {"", "delivery", R"({"frobnicate":0})", "delivery.frobnicate: unknown key"},
      {"", "delivery", R"({"allow_http":true})", "delivery.allow_http: only the operator"},
      {"", "delivery", R"({"allow_private_addresses":true})",
       "delivery.allow_private_addresses: only the operator"},
      {"", "delivery", R"({"ports":[1]})", "delivery.ports: only the operator"},
      {"", "delivery", R"({"ca_file":"/etc/passwd"})", "delivery.ca_file: only the operator"},
      {"", "delivery", R"({"client_cert":"/x"})", "delivery.client_cert: only the operator"},
      {"", "delivery", R"({"keys":[{"file":"/etc/passwd"}]})", "delivery.keys[0]: must be a text"},
      {"", "delivery", R"({"headers":{"X-A":{"env":"HOME"}}})",
       "delivery.headers.X-A: must be a text"},
      {"", "delivery", R"({"headers":{"X-A":"********"}})", "delivery.headers.X-A: is masked"},
      {"", "subscriptions", R"([{"name":"a","url":"https://a.example/","key":"k"}])", "taken"},
      {"", "subscriptions", R"([{"url":"https://a.example/"}])", "subscriptions[0].name: required"},
      {"", "subscriptions", R"([{"name":"callback","url":"https://a.example/"}])",
       "subscriptions[0].name: callback is taken"},
      {"", "subscriptions", R"([{"name":"a","url":"http://a.example/"}])",
       "subscriptions[0].url: must begin with https"},
      {"", "subscriptions", R"([{"name":"a","url":"https://a.example/","key":{"file":"/x"}}])",
       "subscriptions[0].key: must be a text"},
      {"", "subscriptions",
       R"([{"name":"a","url":"https://a.example/","delivery":{"allow_http":true}}])",
       "subscriptions[0].delivery.allow_http: only the operator"},
      {"", "subscriptions", "{}", "subscriptions: must be a list"},
  };
  for (const Row& row : rows) {
    const std::string message = with(row.section, row.key, row.value).message;
    EXPECT_EQ(message.substr(0, std::string(row.message).size()), row.message)
        << row.section << " " << row.key << " " << row.value.substr(0, 60);
  }
}

TEST(InstanceInput, BoundsOfLists) {
  json::object body = good();
  json::array tags;
  for (int i = 0; i < 100; ++i) tags.emplace_back("t");
  body["tags"] = tags;
  EXPECT_EQ(create(body).message, "taken");
  tags.emplace_back("t");
  body["tags"] = tags;
  EXPECT_EQ(create(body).message.substr(0, 17), "tags: 101 entries");
  body = good();
  json::object& configuration = body["configuration"].as_object();
  while (configuration.size() < 200)
    configuration["k" + std::to_string(configuration.size())] = "v";
  EXPECT_EQ(create(body).message, "taken");
  configuration["one.more"] = "v";
  EXPECT_EQ(create(body).message.substr(0, 23), "configuration: 201 keys");
}

TEST(InstanceInput, WhatTheOperatorAllowsHolds) {
  Config config;
  config.control.delivery_defaults.allow_http = true;
  config.control.delivery_defaults.ports = {8081};
  config.control.delivery_defaults.timeout = milliseconds{2000};
  json::object body = good();
  body["configuration"].as_object()["event.notification.callback.url"] = "http://a.example:8081/";
  body["delivery"] = json::parse(R"({"concurrency":3})");
  const Outcome out = create(body, config);
  ASSERT_EQ(out.message, "taken");
  EXPECT_TRUE(out.document.instance.delivery.allow_http);
  EXPECT_EQ(out.document.instance.delivery.ports, std::vector<std::uint16_t>{8081});
  EXPECT_EQ(out.document.instance.delivery.timeout, milliseconds{2000});
  EXPECT_EQ(out.document.instance.delivery.concurrency, 3U);
}

TEST(InstanceInput, AnAnswerSentBackChangesNothing) {
  Outcome made = create(good());
  ASSERT_EQ(made.message, "taken");
  Document& document = made.document;
  document.instance.id = 7;
  document.instance.oauth_user_id = "42";
  document.instance.vendor_token = Secret("0123456789abcdef");
  document.instance.delivery.headers = {{"Authorization", "Basic x"}, {"X-A", "b"}};
  document.instance.delivery.keys = {Secret("old")};
  const Config config;
  const json::object answer = instance_answer(document, config, nullptr, std::nullopt);
  const std::string shown = json::serialize(answer);
  for (const char* secret :
       {"\"key\":\"secret\"", "sig\"", "Basic x", "0123456789abcdef", "old\""}) {
    EXPECT_EQ(shown.find(secret), std::string::npos) << secret;
  }
  const Keyring ring({{"k", Secret(std::string(32, 'a'))}});
  for (const Change change : {Change::Replace, Change::Merge}) {
    Document again = document;
    const auto read =
        apply_input(answer, change, box(), config, config.control.delivery_defaults, again);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(again.instance.configuration, document.instance.configuration);
    EXPECT_EQ(again.instance.signature_key->reveal(), "sig");
    EXPECT_EQ(again.instance.vendor_token->reveal(), "0123456789abcdef");
    EXPECT_EQ(again.instance.oauth_user_id, "42");
    EXPECT_EQ(again.instance.delivery.headers, document.instance.delivery.headers);
    EXPECT_EQ(again.instance.delivery.keys.at(0).reveal(), "old");
    EXPECT_TRUE(again.instance.events_enabled);
  }
}

TEST(InstanceInput, PatchMergesAndNullRemoves) {
  Outcome made = create(good());
  Document& document = made.document;
  const auto patch = [&](const char* body) {
    const auto read = apply_input(json::parse(body).as_object(), Change::Merge, box(), Config{},
                                  DeliveryConfig{}, document);
    return read ? std::string("taken") : read.error().message;
  };
  EXPECT_EQ(patch(R"({"configuration":{"events.list.ids":null,"new.key":"v"}})"), "taken");
  EXPECT_FALSE(document.instance.configuration.contains("events.list.ids"));
  EXPECT_EQ(document.instance.configuration.at("new.key"), "v");
  EXPECT_EQ(document.instance.signature_key->reveal(), "sig");
  EXPECT_EQ(patch(R"({"configuration":{"event.notification.signature.key":""}})"), "taken");
  EXPECT_FALSE(document.instance.signature_key);
  EXPECT_EQ(patch(R"({"configuration":{"oauth.api.key":null}})"),
            "configuration.oauth.api.key: required for the element box");
  EXPECT_EQ(patch(R"({"element":{"key":"github"}})"), "element: can not change");
  EXPECT_EQ(patch(R"({"tags":[]})"), "taken");
  EXPECT_TRUE(document.instance.tags.empty());
}

TEST(InstanceInput, AnElementIsNamedByKeyOrNumber) {
  const auto named = [](const char* body) {
    const auto row = element_of(json::parse(body).as_object());
    return row ? std::string((*row)->key) : row.error().message;
  };
  EXPECT_EQ(named(R"({"element":{"key":"box"}})"), "box");
  EXPECT_EQ(named(R"({"element":{"id":22}})"), "box");
  EXPECT_EQ(named(R"({"element":{"id":22,"key":"box"}})"), "box");
  EXPECT_EQ(named(R"({})"), "element: required");
  EXPECT_EQ(named(R"({"element":"box"})"), "element: must be an object with key or id");
  EXPECT_EQ(named(R"({"element":{}})"), "element.key: required");
  EXPECT_EQ(named(R"({"element":{"key":7}})"), "element.key: must be a text");
  EXPECT_EQ(named(R"({"element":{"key":"22"}})"), "element.key: there is no such element");
  EXPECT_EQ(named(R"({"element":{"key":"bx"}})"), "element.key: there is no such element");
  EXPECT_EQ(named(R"({"element":{"id":"22"}})"), "element.id: must be a number of an element");
  EXPECT_EQ(named(R"({"element":{"id":7}})"), "element.id: there is no such element");
  EXPECT_EQ(named(R"({"element":{"id":1001,"key":"box"}})"),
            "element.id: is not the number of element.key");
}

}  // namespace
}  // namespace eventrelay::control
