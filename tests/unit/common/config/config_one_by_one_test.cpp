// Instances that are handed over one by one while a file is read, and reloads of such files.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "common/kafka/properties.hpp"
#include "common/registry/settings.hpp"

namespace eventrelay {
namespace {

std::string instance(unsigned id, const std::string& url = "https://a.example/cb") {
  return "  - id: " + std::to_string(id) +
         "\n    element: box\n    configuration:\n      event.notification.enabled: true\n"
         "      oauth.api.key: client\n      event.notification.callback.url: " +
         url + "\n";
}

const std::string kHead = "version: 1\nkafka:\n  bootstrap.servers: 127.0.0.1:9092\n";
const std::string kTail = "sources:\n  box: {keys: [a-key-of-the-provider]}\n";

ConfigInput input_of(const std::string& text) {
  ConfigInput input;
  input.text = text;
  return input;
}

// The ids in their order; nothing: the file is to be read as a whole.
std::optional<std::vector<std::uint64_t>> ids_of(const ConfigInput& input) {
  std::vector<std::uint64_t> ids;
  const auto take = [&ids](const Config&, InstanceConfig&& each) { ids.push_back(each.id); };
  const auto config = load_one_by_one(input, kafka::property_problem, take);
  if (!config) return std::nullopt;
  EXPECT_TRUE(config->instances.empty());
  return ids;
}

TEST(OneByOne, HandsOverWhatTheWholeReadingHas) {
  const std::string text = kHead + "relay: {allow_private_addresses: true}\ninstances:\n" +
                           instance(7) + "\n# between\n" + instance(5) + kTail;
  std::vector<InstanceConfig> taken;
  const auto take = [&taken](const Config& config, InstanceConfig&& each) {
    EXPECT_TRUE(config.relay.allow_private_addresses);
    EXPECT_EQ(config.sources.size(), 1U);  // though it stands behind the list
    taken.push_back(std::move(each));
  };
  const auto config = load_one_by_one(input_of(text), kafka::property_problem, take);
  ASSERT_TRUE(config);

  const Config whole = load_config(input_of(text), kafka::property_problem);
  EXPECT_EQ(print_config(*config), print_config([&whole] {
              Config without = whole;
              without.instances.clear();
              return without;
            }()));
  EXPECT_EQ(print_instances(taken, ShowSecrets::Yes),
            print_instances(whole.instances, ShowSecrets::Yes));
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(taken.front().delivery.signature, Signature::None);
}

TEST(OneByOne, LeavesToTheWholeReadingWhatIsToBeTold) {
  const std::string start = kHead + kTail + "instances:\n" + instance(1);
  ASSERT_EQ(ids_of(input_of(start)), std::vector<std::uint64_t>{1});

  const std::vector<std::string> others{
      start + instance(1),                        // given twice
      start + instance(2, "ftp://a.example/"),    // no callback
      start + "  - id: 2\n",                      // no element
      start + "  - id: 2\n    elemen: box\n",     // unknown key
      start + "  - id: [\n",                      // no YAML
      start + "instances: []\n",                  // a second list
      start + "relay: {inflight_max: 0}\n",       // wrong behind the list
      start + "...\n---\nversion: 1\n",           // a second document
      start + "registry: topic\n",                // excludes instances
      start + "ingest: &a {shards: 1}\nx: *a\n",  // no key
      kHead + kTail + "instances: [{id: 1, element: box}]\n",
      kHead + kTail,
      "instances:\n" + instance(1) + kHead,
      // Told as a warning.
      kHead + kTail + "instances:\n" + instance(1) + "      oauth.user.ix: me\n",
      kHead + "sources:\n  box: {v1: {enabled: true, token: a-token}}\ninstances:\n" + instance(1),
  };
  for (const std::string& text : others) EXPECT_FALSE(ids_of(input_of(text))) << text;

  ConfigInput given = input_of(start);
  given.overrides = {"instances=[]"};
  EXPECT_FALSE(ids_of(given));
  given = input_of(start);
  given.environment = {{"EVENTRELAY__INSTANCES", "[]"}};
  EXPECT_FALSE(ids_of(given));
}

TEST(OneByOne, KeysOfTheListThatStandElsewhereAreNotTakenForItsEnd) {
  // The scalar goes on in a line that looks like the end of the list, or like the list.
  const std::string odd =
      kHead + kTail + "instances:\n" + instance(1) + "    name: \"a\nb: c\"\n" + instance(2);
  const std::string hidden = "version: 1\nrelay: {group: \"a\ninstances:\n" + instance(1) + "\"}\n";
  for (const std::string& text : {odd, hidden}) {
    const auto ids = ids_of(input_of(text));
    try {
      const Config whole = load_config(input_of(text), kafka::property_problem);
      std::vector<std::uint64_t> all;
      for (const InstanceConfig& each : whole.instances) all.push_back(each.id);
      EXPECT_TRUE(!ids || *ids == all) << text;
    } catch (const ConfigError&) {
      EXPECT_FALSE(ids) << text;
    }
  }
}

TEST(OneByOne, TellsOfAnInstanceThatCanNotBeMadeAsTheWholeReadingDoes) {
  const std::string text = kHead + kTail + "instances:\n" + instance(1);
  const auto refuse = [](const Config&, InstanceConfig&&) {
    throw std::invalid_argument("instance 1: refused");
  };
  EXPECT_FALSE(load_one_by_one(input_of(text), kafka::property_problem, refuse));
}

TEST(Reload, KeepsTheInstancesThatAreTheSame) {
  const std::string start = kHead + kTail + "instances:\n";
  const auto before = load_settings(input_of(start + instance(1) + instance(2) + instance(3)));
  const auto update = reload_settings(
      input_of(start + instance(3) + instance(2, "https://b.example/cb") + instance(4)), *before);

  const Registry& after = update->settings->registry;
  EXPECT_EQ(after.size(), 3U);
  EXPECT_EQ(after.find(InstanceId{3}), before->registry.find(InstanceId{3}));
  EXPECT_NE(after.find(InstanceId{2}), before->registry.find(InstanceId{2}));
  EXPECT_EQ(after.find(InstanceId{1}), nullptr);
  EXPECT_TRUE(after.deleted(InstanceId{1}));
  EXPECT_EQ(update->changes.size(), 3U);
}

}  // namespace
}  // namespace eventrelay
