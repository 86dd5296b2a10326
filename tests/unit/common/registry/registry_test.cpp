// Look-ups, what a subscription is made of, and which callback URLs pass.
#include "common/registry/registry.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace eventrelay {
namespace {

InstanceConfig instance(std::uint64_t id, const std::string& element, const std::string& user) {
  InstanceConfig out;
  out.id = id;
  out.element = element;
  out.oauth_user_id = user;
  out.callback_url = "https://a.example/" + std::to_string(id);
  return out;
}

TEST(Registry, FindsByIdByUserAndByElement) {
  Config config;
  config.instances = {instance(1, "box", "u"), instance(2, "box", "u"), instance(3, "github", "u"),
                      instance(4, "box", "")};
  config.sources["box"].keys.emplace_back("k");
  config.sources["own"].scheme = "github";
  const Registry registry(config);

  ASSERT_NE(registry.find(InstanceId{3}), nullptr);
  EXPECT_EQ(registry.find(InstanceId{3})->element, "github");
  EXPECT_EQ(registry.find(InstanceId{5}), nullptr);
  EXPECT_EQ(registry.instances().size(), 4U);

  const auto users = registry.by_user("box", "u");
  ASSERT_EQ(users.size(), 2U);
  EXPECT_EQ(users[0]->id.value, 1U);
  EXPECT_EQ(users[1]->id.value, 2U);
  EXPECT_TRUE(registry.by_user("box", "").empty());
  EXPECT_TRUE(registry.by_user("boxu", "").empty());

  ASSERT_NE(registry.source("box"), nullptr);
  EXPECT_EQ(registry.source("box")->scheme, "box-v2");
  EXPECT_EQ(registry.source("own")->scheme, "github");
  EXPECT_EQ(registry.source("github"), nullptr);
  EXPECT_EQ(registry.find(InstanceId{1})->hub, "documents");
}

TEST(Registry, StaysValidWhenMoved) {
  Config config;
  config.instances = {instance(1, "box", "u")};
  Registry first(config);
  const Registry second(std::move(first));
  ASSERT_EQ(second.by_user("box", "u").size(), 1U);
  EXPECT_EQ(second.by_user("box", "u")[0], second.find(InstanceId{1}));
}

TEST(Registry, MakesOneSubscriptionPerReceiver) {
  Config config;
  InstanceConfig one = instance(7, "box", "");
  one.signature_key = Secret("main");
  one.delivery.keys.emplace_back("old");
  SubscriptionConfig audit;
  audit.name = "audit";
  audit.url = "https://audit.example:8443";
  audit.delivery.signature = Signature::None;
  audit.key = Secret("unused");
  audit.filter.event_types = {"CREATED", "DELETED"};
  audit.filter.object_types = {"file"};
  one.subscriptions.push_back(audit);
  config.instances.push_back(one);
  const Registry registry(config);
  const Instance& made = *registry.find(InstanceId{7});
  ASSERT_EQ(made.subscriptions.size(), 2U);

  const Subscription& main = made.subscriptions[0];
  EXPECT_EQ(main.id, "7");
  EXPECT_EQ(main.name, "");
  ASSERT_EQ(main.keys.size(), 2U);
  EXPECT_EQ(main.keys[0].reveal(), "main");
  EXPECT_EQ(main.keys[1].reveal(), "old");
  EXPECT_TRUE(main.wants("ANYTHING", ""));

  const Subscription& second = made.subscriptions[1];
  EXPECT_EQ(second.id, "7/audit");
  EXPECT_EQ(second.url.port, 8443);
  EXPECT_TRUE(second.keys.empty());
  EXPECT_TRUE(second.wants("DELETED", "file"));
  EXPECT_FALSE(second.wants("UPDATED", "file"));
  EXPECT_FALSE(second.wants("CREATED", "folder"));
  EXPECT_FALSE(second.wants("CREATED", ""));
}

TEST(Registry, LetsAnyPortPassWherePrivateAddressesDo) {
  Config config;
  config.instances = {instance(1, "box", "")};
  config.instances[0].callback_url = "https://a.example:9000/";
  EXPECT_THROW(Registry{config}, std::invalid_argument);
  config.instances[0].delivery.ports = {9000};
  EXPECT_NO_THROW(Registry{config});
  config.instances[0].delivery.ports.clear();
  config.relay.allow_private_addresses = true;
  const Registry registry(config);
  EXPECT_TRUE(registry.find(InstanceId{1})->subscriptions[0].delivery.allow_private_addresses);
}

TEST(Registry, NamesTheInstanceThatIsWrong) {
  Config config;
  config.instances = {instance(1, "box", ""), instance(9, "box", "")};
  config.instances[1].callback_url = "http://a.example/";
  try {
    const Registry registry(config);
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("instance 9"), std::string::npos) << error.what();
  }
  config.instances[1] = config.instances[0];
  EXPECT_THROW(Registry{config}, std::invalid_argument);
}

struct GoodUrl {
  const char* text;
  const char* host;
  int port;
  const char* target;
};

TEST(CallbackUrl, TakesApartWhatIsAllowed) {
  const std::string label(63, 'a');
  const std::string long_host = label + ".example";
  const std::string long_label = "https://" + label + ".example/";
  const GoodUrl rows[] = {
      {"https://example.com", "example.com", 443, "/"},
      {"https://example.com/", "example.com", 443, "/"},
      {"https://example.com/a/b?c=d&e=%20", "example.com", 443, "/a/b?c=d&e=%20"},
      {"https://example.com?x", "example.com", 443, "/?x"},
      {"HTTPS://EXAMPLE.Com/Path", "example.com", 443, "/Path"},
      {"https://example.com:8443/", "example.com", 8443, "/"},
      {"https://example.com:65535/", "example.com", 65535, "/"},
      {"https://example.com./x", "example.com", 443, "/x"},
      {"https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, "/"},
      {"https://under_score.example/", "under_score.example", 443, "/"},
      {"https://10.0.0.1/", "10.0.0.1", 443, "/"},
      {"https://[2001:DB8::1]:8443/x", "2001:db8::1", 8443, "/x"},
      {"https://localhost/", "localhost", 443, "/"},
      {"https://example.com/a//b/../c", "example.com", 443, "/a//b/../c"},
      {long_label.c_str(), long_host.c_str(), 443, "/"},
      {"http://example.com/", "example.com", 80, "/"},
  };
  for (const GoodUrl& row : rows) {
    const CallbackUrl url = parse_callback_url(row.text, true);
    EXPECT_EQ(url.host, row.host) << row.text;
    EXPECT_EQ(url.port, row.port) << row.text;
    EXPECT_EQ(url.target, row.target) << row.text;
    EXPECT_EQ(url.text, row.text);
    EXPECT_EQ(url.tls, row.port != 80) << row.text;
  }
}

struct BadUrl {
  std::string text;
  const char* reason;
};

TEST(CallbackUrl, RefusesEverythingElseWithoutRepeatingIt) {
  const BadUrl rows[] = {
      {"", "is empty"},
      {"http://example.com/", "must begin with https://"},
      {"ftp://example.com/", "must begin with https://"},
      {"javascript:alert(1)", "must begin with https://"},
      {"example.com/x", "not an absolute URL"},
      {"//example.com/x", "not an absolute URL"},
      {"https:/example.com", "has no host"},
      {"https:example.com", "has no host"},
      {"https://", "host"},
      {"https:///x", "host"},
      {"https://user@example.com/", "user name"},
      {"https://user:secret@example.com/", "user name"},
      {"https://@example.com/", "user name"},
      {"https://example.com/#a", "fragment"},
      {"https://example.com/#", "fragment"},
      {"https://example.com/a b", "space"},
      {" https://example.com/", "space"},
      {"https://example.com/\r\nX: y", "control"},
      {std::string("https://example.com/\0", 21), "control"},
      {"https://example.com/\x7f", "control"},
      {"https://b\xc3\xbc"
       "cher.example/",
       "not ASCII"},
      {"https://ex%61mple.com/", "xn--"},
      {"https://exa~mple.com/", "xn--"},
      {"https://example..com/", "empty label"},
      {"https://.example.com/", "empty label"},
      {"https://example.com../", "empty label"},
      {"https://-a.example/", "'-'"},
      {"https://a-.example/", "'-'"},
      {"https://" + std::string(64, 'a') + ".example/", "63"},
      {"https://2130706433/", "number"},
      {"https://127.1/", "number"},
      {"https://0x7f.0.0.1/", "number"},
      {"https://0x7f000001/", "number"},
      {"https://1.2.3.4.5/", "the host"},
      {"https://256.1.1.1/", "number"},
      {"https://127.0.0.1./", "the host"},
      {"https://[::1%25eth0]/", ""},
      {"https://[v1.a]/", "host"},
      {"https://[::1/", "not an absolute URL"},
      {"https://example.com:0/", "1..65535"},
      {"https://example.com:65536/", "1..65535"},
      {"https://example.com:73979/", "1..65535"},
      {"https://example.com:4294967739/", "1..65535"},
      {"https://256.1.1.1/", "not an address"},
      {"https://1.2.3.4:65979/", "1..65535"},
      {"https://[2001:db8::1]:65979/", "1..65535"},
      {"https://[2001:db8::10000]/", ""},
      {"https://example.com:99999999999/", ""},
      {"https://example.com:80a/", ""},
      {"https://example.com/%zz", "not an absolute URL"},
      {"https://example.com\\@evil.example/", ""},
      {"https://example.com/" + std::string(kUrlMax, 'a'), "2048"},
  };
  for (const BadUrl& row : rows) {
    try {
      const CallbackUrl url = parse_callback_url(row.text, false);
      ADD_FAILURE() << row.text << " passed with host " << url.host << " port " << url.port;
    } catch (const std::invalid_argument& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find(row.reason), std::string::npos) << row.text << "\n" << message;
      const bool repeated = row.text.size() > 8 && message.find(row.text) != std::string::npos;
      EXPECT_FALSE(repeated) << message;
      EXPECT_EQ(message.find("secret"), std::string::npos) << message;
    }
  }
}

TEST(CallbackUrl, PortsAreAllowedByName) {
  const CallbackUrl odd = parse_callback_url("https://a.example:9000/", false);
  const std::uint16_t extra[] = {9001, 9000};
  EXPECT_THROW(check_callback_port(odd, {}, AnyPort::No), std::invalid_argument);
  EXPECT_NO_THROW(check_callback_port(odd, extra, AnyPort::No));
  EXPECT_NO_THROW(check_callback_port(odd, {}, AnyPort::Yes));
  const CallbackUrl tls_on_80 = parse_callback_url("https://a.example:80/", false);
  EXPECT_THROW(check_callback_port(tls_on_80, {}, AnyPort::No), std::invalid_argument);
  const CallbackUrl http = parse_callback_url("http://a.example/", true);
  EXPECT_NO_THROW(check_callback_port(http, {}, AnyPort::No));
}

}  // namespace
}  // namespace eventrelay
