// Look-ups, what a subscription is made of, and which callback URLs pass.
#include "common/registry/registry.hpp"

#include <gtest/gtest.h>
#include <malloc.h>
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <sanitizer/allocator_interface.h>
#endif

#include <algorithm>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/registry/instance_maker.hpp"

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
  EXPECT_EQ(registry.size(), 4U);

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
  EXPECT_EQ(second.by_user("box", "u")[0].get(), second.find(InstanceId{1}));
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
  EXPECT_EQ(second.url->port, 8443);
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
  EXPECT_TRUE(registry.find(InstanceId{1})->subscriptions[0].delivery->allow_private_addresses);
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

InstancePtr made(const InstanceConfig& config) {
  return InstanceMaker(AnyPort::No).make(InstanceConfig(config));
}

// All that can be asked of a registry, as text.
std::map<std::string, std::string> answers(const Registry& registry) {
  std::map<std::string, std::string> out;
  for (std::uint64_t id = 1; id <= 40; ++id) {
    const Instance* const found = registry.find(InstanceId{id});
    std::string& text = out["id " + std::to_string(id)];
    if (found == nullptr) continue;
    text = found->element + " " + found->oauth_user_id + " " + found->name;
  }
  for (const std::string element : {"box", "github", "slack"}) {
    const Instance* const only = registry.only(element);
    out["only " + element] = only == nullptr ? "" : std::to_string(only->id.value);
    for (const std::string user : {"a", "b", "c"}) {
      std::string& text = out["user " + element + " " + user];
      for (const InstancePtr& each : registry.by_user(element, user)) {
        text += std::to_string(each->id.value) + " ";
      }
    }
  }
  out["size"] = std::to_string(registry.size());
  return out;
}

InstanceConfig random_instance(std::uint64_t id, std::mt19937& random) {
  const std::string elements[] = {"box", "github", "slack"};
  const std::string users[] = {"", "a", "b", "c"};
  InstanceConfig out = instance(id, elements[random() % 3], users[random() % 4]);
  out.name = "n" + std::to_string(random() % 1000);
  return out;
}

// Changes one by one, or in batches, make what the same instances make in one go; and a registry
// that was kept meanwhile still answers as it did.
TEST(Registry, ChangesOneByOneEqualARegistryMadeFromScratch) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    Registry registry;
    std::map<std::uint64_t, InstancePtr> model;
    std::vector<std::pair<Registry, std::map<std::string, std::string>>> kept;
    for (int step = 0; step < 200; ++step) {
      Changes changes(1 + random() % 3);
      for (Change& change : changes) {
        const std::uint64_t id = 1 + random() % 40;
        change.id = InstanceId{id};
        if (random() % 3 != 0) change.instance = made(random_instance(id, random));
        if (change.instance != nullptr) {
          model[id] = change.instance;
        } else {
          model.erase(id);
        }
      }
      registry = registry.apply(changes);
      for (const Change& change : changes) {
        EXPECT_EQ(registry.deleted(change.id), registry.find(change.id) == nullptr);
      }
      Changes all;
      for (const auto& [id, each] : model) all.push_back({InstanceId{id}, each});
      ASSERT_EQ(answers(registry), answers(Registry{}.apply(all))) << "seed " << seed;
      if (step % 50 == 0) kept.emplace_back(registry, answers(registry));
    }
    for (const auto& [former, then] : kept) EXPECT_EQ(answers(former), then);
  }
}

TEST(Registry, KnowsWhatWasDeletedFromWhatItNeverHeardOf) {
  const Registry none;
  const Registry one = none.apply(Changes{{InstanceId{1}, made(instance(1, "box", ""))}});
  const Registry gone = one.apply(Changes{{InstanceId{1}, nullptr}});
  EXPECT_FALSE(none.deleted(InstanceId{1}));
  EXPECT_FALSE(one.deleted(InstanceId{1}));
  EXPECT_TRUE(gone.deleted(InstanceId{1}));
  EXPECT_FALSE(gone.deleted(InstanceId{2}));
  const Registry back = gone.apply(Changes{{InstanceId{1}, made(instance(1, "box", ""))}});
  EXPECT_FALSE(back.deleted(InstanceId{1}));
  ASSERT_NE(one.find(InstanceId{1}), nullptr);
}

TEST(Registry, KnowsWhatWasDisabledFromWhatWasNeverEnabled) {
  const auto change = [](bool enabled) {
    InstanceConfig config = instance(1, "box", "");
    config.events_enabled = enabled;
    config.callback_url = "https://example.com/";
    return Changes{{InstanceId{1}, made(config)}};
  };
  const InstanceId id{1};
  const Registry never = Registry{}.apply(change(false));
  EXPECT_FALSE(never.disabled(id));
  const Registry enabled = never.apply(change(true));
  EXPECT_FALSE(enabled.disabled(id));
  const Registry disabled = enabled.apply(change(false)).apply(change(false));
  EXPECT_TRUE(disabled.disabled(id));
  EXPECT_FALSE(disabled.deleted(id));
  EXPECT_FALSE(disabled.apply(change(true)).disabled(id));
  const Registry gone = disabled.apply(Changes{{id, nullptr}});
  EXPECT_TRUE(gone.deleted(id));
  EXPECT_FALSE(gone.disabled(id));
  EXPECT_FALSE(gone.apply(change(false)).deleted(id));
}

TEST(Registry, RemembersABoundedNumberOfDeletions) {
  Registry registry;
  for (std::uint64_t id = 1; id <= 2 * kDeletedMax + 10; ++id) {
    registry = registry.apply(Changes{{InstanceId{id}, nullptr}});
  }
  EXPECT_FALSE(registry.deleted(InstanceId{1}));
  for (std::uint64_t id = kDeletedMax + 10; id <= 2 * kDeletedMax + 10; ++id) {
    ASSERT_TRUE(registry.deleted(InstanceId{id})) << id;
  }
}

TEST(Registry, FindsTheChangesBetweenTwoFiles) {
  Config config;
  config.instances = {instance(1, "box", ""), instance(2, "box", ""), instance(3, "box", "")};
  const Registry before(config);
  InstanceConfig other = instance(2, "box", "");
  other.signature_key = Secret("k");
  InstanceConfig second = other;
  second.signature_key = Secret("l");
  const std::vector<InstancePtr> now = {made(instance(1, "box", "")), made(other),
                                        made(instance(4, "box", ""))};
  const Changes changes = changes_to(before, now);
  ASSERT_EQ(changes.size(), 3U);
  EXPECT_EQ(changes[0].id.value, 2U);
  EXPECT_EQ(changes[1].id.value, 4U);
  EXPECT_EQ(changes[2].id.value, 3U);
  EXPECT_EQ(changes[2].instance, nullptr);
  EXPECT_TRUE(changes_to(before.apply(changes), now).empty());
  const std::vector<InstancePtr> then = {now[0], made(second), now[2]};
  EXPECT_EQ(changes_to(before.apply(changes), then).size(), 1U);
}

// What the control API changes of an instance must reach those who keep something of it.
TEST(Registry, EachMemberThatTheControlApiSetsIsAChange) {
  const InstanceConfig plain = instance(1, "box", "");
  const Registry before = Registry().apply(Changes{{InstanceId{1}, made(plain)}});
  std::vector<InstanceConfig> others(7, plain);
  others[0].vendor_key = Secret("k");
  others[1].vendor_key_secondary = Secret("k");
  others[2].vendor_token = Secret("t");
  others[3].disabled = true;
  others[4].company = 1;
  others[5].account = 10;
  others[6].user = 100;
  for (std::size_t i = 0; i < others.size(); ++i) {
    const std::vector<InstancePtr> now = {made(others[i])};
    EXPECT_EQ(changes_to(before, now).size(), 1U) << i;
  }
  const InstancePtr secondary = made(others[1]);
  ASSERT_EQ(secondary->vendor_keys.size(), 2U);
  EXPECT_TRUE(secondary->vendor_keys[0].empty()) << "it stays the secondary";
}

TEST(Registry, EveryElementIsASourceWhereInstancesLiveInKafka) {
  Config config;
  config.sources["box"].keys.emplace_back("k");
  EXPECT_EQ(Registry(config).source("slack"), nullptr);
  config.registry = "topic";
  const Registry registry(config);
  ASSERT_NE(registry.source("slack"), nullptr);
  EXPECT_EQ(registry.source("slack")->scheme, "slack");
  EXPECT_TRUE(registry.source("slack")->keys.empty());
  EXPECT_EQ(registry.source("box")->keys.size(), 1U);
}

TEST(Registry, SharesWhatManyInstancesSayAlike) {
  InstanceMaker maker(AnyPort::No);
  InstanceConfig one = instance(1, "box", "");
  one.delivery.concurrency = 3;
  InstanceConfig two = instance(2, "box", "");
  two.delivery.concurrency = 3;
  InstanceConfig three = instance(3, "box", "");
  const InstancePtr a = maker.make(std::move(one));
  const InstancePtr b = maker.make(std::move(two));
  const InstancePtr c = maker.make(std::move(three));
  EXPECT_EQ(a->subscriptions[0].delivery, b->subscriptions[0].delivery);
  EXPECT_NE(a->subscriptions[0].delivery, c->subscriptions[0].delivery);
  EXPECT_EQ(c->subscriptions[0].delivery->concurrency, DeliveryConfig{}.concurrency);
}

// Bytes on the heap; a sanitizer has an allocator of its own, which mallinfo knows nothing of.
std::size_t allocated() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return __sanitizer_get_current_allocated_bytes();
#else
  const struct mallinfo2 now = ::mallinfo2();
  return now.uordblks + now.hblkhd;
#endif
}

// What 100,000 instances with a callback, a key, a name and a user need, and what a change of one
// of them needs beside them.
TEST(Registry, NeedsLittleMemoryForEachInstanceAndForAChange) {
  constexpr std::uint64_t kCount = 100'000;
  const auto customer = [](std::uint64_t id) {
    InstanceConfig config = instance(1'000'000 + id, "box", std::to_string(220'000'000 + id));
    config.name = "customer-" + std::to_string(id);
    config.events_enabled = true;
    config.callback_url =
        "https://hooks" + std::to_string(id % 500) + ".example.com/v1/box/" + std::to_string(id);
    config.signature_key = Secret("key-of-customer-" + std::to_string(id));
    return config;
  };
  InstanceMaker maker(AnyPort::No);
  const std::size_t before = allocated();
  Registry registry;
  {
    Changes all;
    all.reserve(kCount);
    for (std::uint64_t id = 0; id < kCount; ++id) {
      all.push_back({InstanceId{1'000'000 + id}, maker.make(customer(id))});
    }
    registry = registry.apply(all);
  }
  const std::size_t each = (allocated() - before) / kCount;
  RecordProperty("bytes_per_instance", static_cast<int>(each));
  EXPECT_LE(each, 1536U);

  const InstancePtr other = maker.make(customer(4711));
  const std::size_t unchanged = allocated();
  const Registry next = registry.apply(Changes{{other->id, other}});
  const std::size_t change = allocated() - unchanged;
  RecordProperty("bytes_per_change", static_cast<int>(change));
  EXPECT_LE(change, 16U << 10);
  EXPECT_EQ(next.find(InstanceId{1'000'000}), registry.find(InstanceId{1'000'000}));
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
      {"https://10.0.0.1.nip.io/a?b", "10.0.0.1.nip.io", 443, "/a?b"},
      {"https://1.2.3.Example:8443", "1.2.3.example", 8443, "/"},
      {"https://0.a/", "0.a", 443, "/"},
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
      {"https://example.com/a b", "holds a space at character 22; write it as %20"},
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
      {"https://127.0.0.1.nip.io:0/", "1..65535"},
      {"https://10.0.0.1@evil.example/", "user name"},
      {"https://10.0.0.1.nip.io:80@evil.example/", "user name"},
      {"https://1.2.3.4.nip.io.0x7f/", "number"},
      {"https://1.2.3.4.a_-.example/", "'-'"},
      {"https://[::1%25eth0]/", "zone id"},
      {"https://[fe80::1%eth0]/", "zone id"},
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
      {"https://example.com/%zz",
       "holds '%' at character 21 without two hexadecimal digits behind it; write it as %25"},
      {"https://example.com/a%4", "at character 22 without two hexadecimal digits"},
      {"https://example.com/{id}", "holds '{' at character 21; write it as %7B"},
      {"https://example.com/a?b=[1]", "holds '[' at character 25; write it as %5B"},
      {"https://example.com/a|b", "holds '|' at character 22; write it as %7C"},
      {"https://example.com/a^b", "holds '^' at character 22; write it as %5E"},
      {"https://example.com/<b>", "holds '<' at character 21; write it as %3C"},
      {"https://[::1]/a]", "holds ']' at character 16; write it as %5D"},
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
