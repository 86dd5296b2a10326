// Loading, precedence, secrets, the masked print and the reference page.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "common/config/config_units.hpp"
#include "common/kafka/properties.hpp"
#include "common/registry/settings.hpp"

namespace eventrelay {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The settings, their configuration still with the instances as they are written.
std::shared_ptr<const Settings> load(const std::string& text,
                                     std::vector<std::string> overrides = {},
                                     std::map<std::string, std::string> environment = {}) {
  ConfigInput input;
  input.text = text;
  input.overrides = std::move(overrides);
  input.environment = std::move(environment);
  return std::make_shared<const Settings>(
      Settings{load_config(input, kafka::property_problem), load_settings(input)->registry});
}

// A file that is gone with the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes)
      : path_(std::filesystem::temp_directory_path() /
              ("eventrelay-unit-" + std::to_string(::getpid()) + "-" + std::to_string(++count_))) {
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path_); }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  static inline int count_ = 0;
  std::filesystem::path path_;
};

TEST(ConfigLoad, GivesDefaultsWithoutAFile) {
  const auto settings = load_settings(ConfigInput{});
  const Config& config = settings->config;
  EXPECT_EQ(config.topics.prefix, "eventrelay.");
  EXPECT_EQ(config.kafka.properties.at("bootstrap.servers"), "127.0.0.1:9092");
  const std::vector<milliseconds> delays{seconds{5}, seconds{30}, minutes{5}, minutes{30},
                                         hours{2},   hours{5},    hours{10}};
  EXPECT_EQ(config.retry.delays, delays);
}

TEST(ConfigLoad, LaterSourcesWin) {
  const std::string file = "relay: {inflight_max: 2}\ntopics: {partitions: 3}\nlog: {level: warn}";
  const std::map<std::string, std::string> environment{
      {"EVENTRELAY__RELAY__INFLIGHT_MAX", "20"},
      {"eventrelay__Topics__Partitions", "30"},
      {"EVENTRELAY_CONFIG", "elsewhere"},
      {"EVENTRELAY__KAFKA__SASL_USERNAME", "me"},
      {"EVENTRELAY__KAFKA__SASL_PASSWORD", "from-env"}};
  const auto settings = load(
      file, {"relay.inflight_max=200", "kafka.client.id=x=y", "retry.delays=[1s,2s]"}, environment);
  const Config& config = settings->config;
  EXPECT_EQ(config.relay.inflight_max, 200U);
  EXPECT_EQ(config.topics.partitions, 30);
  EXPECT_EQ(config.log.level, LogLevel::Warn);
  EXPECT_EQ(config.kafka.properties.at("client.id"), "x=y");
  EXPECT_EQ(config.kafka.properties.at("sasl.username"), "me");
  EXPECT_EQ(config.kafka.secrets.at("sasl.password").reveal(), "from-env");
  EXPECT_EQ(config.retry.delays, (std::vector<milliseconds>{seconds{1}, seconds{2}}));
}

TEST(ConfigLoad, OverridesReachMapsListsAndSecrets) {
  const auto settings = load("sources: {box: {keys: [a]}}",
                             {"sources.box.keys=[{env: K}, b]", "sources.github.keys=[c]",
                              "ingest.listen=[a:1, b:2]", "ingest.tls={cert: c.pem, key: k.pem}",
                              "log.format=\"json\"", "instances=[{id: 3, element: github}]"},
                             {{"K", "from-env"}});
  const Config& config = settings->config;
  ASSERT_EQ(config.sources.at("box").keys.size(), 2U);
  EXPECT_EQ(config.sources.at("box").keys[0].reveal(), "from-env");
  EXPECT_EQ(config.sources.at("github").keys[0].reveal(), "c");
  EXPECT_EQ(config.ingest.listen, (std::vector<std::string>{"a:1", "b:2"}));
  EXPECT_EQ(config.ingest.tls->key, "k.pem");
  EXPECT_EQ(config.log.format, LogFormat::Json);
  EXPECT_NE(settings->registry.find(InstanceId{3}), nullptr);
}

TEST(ConfigLoad, ReplacesVariablesInValuesOfTheFileOnly) {
  const auto settings = load("relay: {group: 'a-${NAME}-${NONE:-x}-${EMPTY:-y}-$$-$z-$${NAME}'}\n",
                             {"kafka.client.id=${NAME}"}, {{"NAME", "${NONE}"}, {"EMPTY", ""}});
  EXPECT_EQ(settings->config.relay.group, "a-${NONE}-x-y-$-$z-${NAME}");
  EXPECT_EQ(settings->config.kafka.properties.at("client.id"), "${NAME}");
}

TEST(ConfigLoad, ReadsSecretsFromFilesWithoutTheLastLineEnd) {
  const TemporaryFile plain("abc\n");
  const TemporaryFile dos("a b\n\r\n");
  const TemporaryFile token("admin-token\n");
  const auto settings =
      load("sources: {box: {keys: [{file: " + plain.path() + "}, {file: " + dos.path() +
           "}]}}\nadmin: {listen: '0.0.0.0:1', token_file: " + token.path() + "}");
  const SourceConfig& box = settings->config.sources.at("box");
  EXPECT_EQ(box.keys[0].reveal(), "abc");
  EXPECT_EQ(box.keys[1].reveal(), "a b\n");
  EXPECT_EQ(settings->config.admin.token->reveal(), "admin-token");
}

TEST(ConfigLoad, TakesTheProfilesOfTheElementsApi) {
  const auto waits = load("retry: {delays: ce}")->config.retry.delays;
  EXPECT_EQ(waits, (std::vector<milliseconds>{seconds{8}, seconds{56}, seconds{448}, seconds{3584},
                                              seconds{28672}}));
  const auto legacy = load("retry: {delays: ce-legacy}")->config.retry.delays;
  ASSERT_EQ(legacy.size(), 9U);
  milliseconds sum{0};
  for (const milliseconds wait : legacy) sum += wait;
  EXPECT_EQ(sum, seconds{262144});
}

TEST(ConfigLoad, RemembersTheProfileSoThatItPrintsAndLoadsAgain) {
  const auto profile = load("retry: {delays: ce}");
  EXPECT_EQ(profile->config.retry.profile, RetryProfile::Ce);
  const std::string printed = print_config(profile->config);
  EXPECT_NE(printed.find("  delays: ce\n"), std::string::npos) << printed;
  EXPECT_EQ(load(printed)->config.retry.profile, RetryProfile::Ce);

  // A list that is given later takes the place of the profile whole.
  const auto listed = load("retry: {delays: ce-legacy}", {"retry.delays=[1s]"});
  EXPECT_EQ(listed->config.retry.profile, RetryProfile::List);
  EXPECT_EQ(listed->config.retry.delays, std::vector<milliseconds>{seconds{1}});
  EXPECT_EQ(restart_only_changes(profile->config, listed->config),
            std::vector<std::string>{"retry.delays"});
}

TEST(ConfigLoad, TakesAScheduleOfASubscription) {
  const auto settings = load(
      "instances:\n- id: 1\n  element: box\n"
      "  delivery: {retry_delays: [7s, 1m], exhausted: queue, slow_start: 5}\n"
      "  subscriptions:\n  - name: audit\n    url: https://a.example/\n"
      "    delivery: {retry_delays: ce}\n"
      "  - {name: plain, url: 'https://a.example/'}\n"
      "relay: {attempts_log: all}\n");
  const InstanceConfig& instance = settings->config.instances.at(0);
  EXPECT_EQ(instance.delivery.retry_delays, (std::vector<milliseconds>{seconds{7}, minutes{1}}));
  EXPECT_EQ(instance.delivery.retry_profile, RetryProfile::List);
  EXPECT_EQ(instance.delivery.exhausted, Exhausted::Queue);
  EXPECT_EQ(instance.delivery.slow_start, 5U);
  const DeliveryConfig& audit = instance.subscriptions.at(0).delivery;
  EXPECT_EQ(audit.retry_profile, RetryProfile::Ce);
  EXPECT_EQ(audit.retry_delays.size(), 5U);
  const DeliveryConfig& plain = instance.subscriptions.at(1).delivery;
  EXPECT_TRUE(plain.retry_delays.empty());
  EXPECT_EQ(plain.exhausted, Exhausted::Dead);
  EXPECT_EQ(plain.slow_start, 100U);
  EXPECT_EQ(settings->config.relay.attempts_log, AttemptsLog::All);

  const std::string printed = print_config(settings->config);
  EXPECT_NE(printed.find("retry_delays: [7s, 1m]\n"), std::string::npos) << printed;
  EXPECT_NE(printed.find("retry_delays: ce\n"), std::string::npos) << printed;
  EXPECT_EQ(print_config(load(printed)->config), printed);
}

TEST(ConfigLoad, KeepsTheFieldNamesOfTheElementsApi) {
  const auto settings = load(
      "instances:\n- id: 1\n  element: box\n  configuration:\n"
      "    event.notification.enabled: \"true\"\n"
      "    event.notification.callback.url: https://a.example/x\n"
      "    event.notification.subscription.id:\n"
      "    event.vendor.type: webhooks\n    oauth.user.id: 0042\n");
  const InstanceConfig& instance = settings->config.instances.at(0);
  EXPECT_TRUE(instance.events_enabled);
  EXPECT_EQ(instance.oauth_user_id, "0042");
  EXPECT_EQ(instance.configuration,
            (std::map<std::string, std::string>{{"event.vendor.type", "webhooks"}}));
  EXPECT_EQ(instance.delivery.signature, Signature::None);
}

constexpr const char* kFull =
    "version: 1\n"
    "kafka: {bootstrap.servers: 'a:1,b:2', sasl.password: planted-1, ssl.key.pem: planted-2}\n"
    "admin: {listen: '127.0.0.1:1', token_file: {env: T}}\n"
    "ingest: {tls: {cert: c, key: k}, body_max: 1MB, ack_timeout: 1500ms}\n"
    "sources:\n"
    "  box: {keys: [planted-3, planted-4], v1: {enabled: true, token: planted-5}, chunked: true}\n"
    "instances:\n"
    "- id: 1\n"
    "  name: \"a $$ \\\"q\\\" \\\\ #: 'x'\"\n"
    "  element: box\n"
    "  tags: [Docs, 'true', '12', '']\n"
    "  configuration:\n"
    "    event.notification.callback.url: https://a.example/x?y=$$z\n"
    "    event.notification.signature.key: planted-6\n"
    "    oauth.api.secret: planted-7\n"
    "    event.poller.urls: 'a|b'\n"
    "  delivery:\n"
    "    keys: [planted-8]\n"
    "    headers: {Authorization: Bearer planted-9, X-Plain: 'yes'}\n"
    "  subscriptions:\n"
    "  - {name: s, url: 'https://b.example', key: planted-10, filter: {event_types: [CREATED]}}\n"
    "- {id: 2, element: box}\n"
    "control: {organizations: [{id: 1, secret: planted-11, accounts: [{id: 10, users: [{id: 100, "
    "secret: planted-13}]}]}]}\n"
    "seal: {keys: [{id: k1, key: cGxhbnRlZC0xNHBsYW50ZWQtMTRwbGFudGVkLTE0MDA=}]}\n";

TEST(PrintConfig, ShowsNoSecret) {
  const std::string text = print_config(load(kFull, {}, {{"T", "planted-12"}})->config);
  EXPECT_EQ(text.find("planted"), std::string::npos) << text;
  EXPECT_NE(text.find("sasl.password: \"***\""), std::string::npos) << text;
  EXPECT_NE(text.find("keys: [\"***\", \"***\"]"), std::string::npos) << text;
  EXPECT_NE(text.find("X-Plain: \"***\""), std::string::npos) << text;
}

TEST(PrintConfig, MasksTokensInCallbackUrls) {
  const std::string text =
      print_config(load("instances:\n- id: 1\n  element: box\n  configuration:\n"
                        "    event.notification.callback.url: "
                        "https://a.example/hooks/T01Planted7Planted8x/x?api_key=planted&page=2\n"
                        "    notify: https://c.example/in?token=planted\n"
                        "  subscriptions:\n  - {name: a, url: 'https://b.example/?sig=planted'}\n"
                        "  - {name: b, url: 'https://b.example/in?v=1'}\n"
                        "kafka: {ssl.key.location: '-----BEGIN planted'}\n")
                       ->config);
  EXPECT_EQ(text.find("lanted"), std::string::npos) << text;
  EXPECT_NE(text.find("https://a.example/hooks/***/x?api_key=***&page=2"), std::string::npos)
      << text;
  EXPECT_NE(text.find("https://b.example/in?v=1"), std::string::npos) << text;
  EXPECT_THROW((void)load("instances:\n- id: 1\n  element: box\n  subscriptions:\n"
                          "  - {name: a, url: 'https://b.example/?sig=***'}\n"),
               ConfigError);
}

TEST(PrintConfig, ReadsBackAsItselfOnceSecretsAreGivenAgain) {
  const std::string text = print_config(load(kFull, {}, {{"T", "t"}})->config);
  EXPECT_THROW((void)load(text), ConfigError);
  // 32 bytes in base64: what the strictest of these secrets, a master key, must be.
  const TemporaryFile secret("YWdhaW5hZ2FpbmFnYWluYWdhaW5hZ2FpbmFnYWluYWc=");
  std::string filled = text;
  const std::string mask = "\"***\"";
  for (std::size_t at = filled.find(mask); at != std::string::npos; at = filled.find(mask, at)) {
    filled.replace(at, mask.size(), "{file: " + secret.path() + "}");
  }
  const auto again = load(filled);
  EXPECT_EQ(print_config(again->config), text);
  EXPECT_EQ(again->config.instances[0].name, "a $ \"q\" \\ #: 'x'");
  EXPECT_EQ(again->config.instances[0].tags, (std::vector<std::string>{"Docs", "true", "12", ""}));
  EXPECT_EQ(again->config.instances[0].callback_url, "https://a.example/x?y=$z");
  EXPECT_EQ(again->config.ingest.body_max, 1'000'000U);
}

TEST(PrintConfig, OfTheDefaultsReadsBack) {
  const std::string text = print_config(load("")->config);
  EXPECT_EQ(print_config(load(text)->config), text);
}

TEST(RestartOnlyChanges, NamesWhatAReloadCannotDo) {
  const auto before = load("kafka: {client.id: a, sasl.password: x}\nlog: {level: info}");
  const auto after = load(
      "kafka: {sasl.password: y, linger.ms: 5}\nlog: {level: debug}\nrelay: {shards: 2}\n"
      "ingest: {body_max: 2MiB, tls: {cert: c, key: k}}\ninstances: [{id: 1, element: box}]");
  EXPECT_EQ(restart_only_changes(before->config, after->config),
            (std::vector<std::string>{"kafka.client.id", "kafka.sasl.password", "kafka.linger.ms",
                                      "ingest.tls", "relay.shards"}));
  EXPECT_TRUE(restart_only_changes(before->config, before->config).empty());
}

TEST(DescribeKeys, IsWhatTheReferencePageShows) {
  const std::string page = read(EVENTRELAY_SOURCE_DIR "/docs/configuration.md");
  EXPECT_NE(page.find("```text\n" + describe_keys() + "```\n"), std::string::npos)
      << "put this into docs/configuration.md:\n"
      << describe_keys();
}

TEST(Example, LoadsAsItIsAndNamesEverySection) {
  ConfigInput input;
  input.path = EVENTRELAY_SOURCE_DIR "/docs/example.yaml";
  const auto settings = load_settings(input);
  ASSERT_EQ(settings->registry.size(), 1U);
  EXPECT_EQ(settings->registry.find(InstanceId{427236})->subscriptions.size(), 2U);
  const std::string text = read(input.path);
  for (const char* section :
       {"version", "kafka", "topics", "retry", "detach", "log", "admin", "ingest", "sources",
        "instances", "relay", "control", "seal", "providers"}) {
    EXPECT_NE(("\n" + text).find("\n" + std::string(section) + ":"), std::string::npos) << section;
  }
}

TEST(Units, ReadAndPrintDurationsAndSizes) {
  using config::parse_duration;
  using config::parse_size;
  EXPECT_EQ(parse_duration("90s"), seconds{90});
  EXPECT_EQ(parse_duration("1d"), hours{24});
  EXPECT_EQ(config::print_duration(seconds{90}), "90s");
  EXPECT_EQ(config::print_duration(hours{48}), "2d");
  EXPECT_EQ(config::print_duration(milliseconds{0}), "0s");
  EXPECT_EQ(parse_size("64KiB"), 65536);
  EXPECT_EQ(parse_size("1MB"), 1'000'000);
  EXPECT_EQ(config::print_size(65536), "64KiB");
  EXPECT_EQ(config::print_size(1'000'000), "1000000B");
  for (const char* bad : {"", "5", "s", "-5s", "5S", "5 s", "1.5s", "5sec", "1h30m"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
  for (const char* bad : {"", "5", "5b", "5kib", "5K", "9223372036854775807KiB"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
  EXPECT_EQ(config::edit_distance("listn", "listen"), 1U);
  EXPECT_EQ(config::edit_distance("gruop", "group"), 1U);
  EXPECT_EQ(config::edit_distance("", "abc"), 3U);
}

TEST(Listen, TellsLoopbackFromTheRest) {
  EXPECT_TRUE(config::parse_listen("127.9.9.9:1")->loopback());
  EXPECT_TRUE(config::parse_listen("[::1]:0")->loopback());
  EXPECT_TRUE(config::parse_listen("localhost:1")->loopback());
  EXPECT_FALSE(config::parse_listen("0.0.0.0:1")->loopback());
  EXPECT_FALSE(config::parse_listen("[::]:1")->loopback());
  EXPECT_FALSE(config::parse_listen("127.evil.example:1")->loopback());
  for (const char* bad :
       {"", ":1", "a", "a:", "a:x", "a:65536", "::1:2", "[a]:1", "[::1:2", "a b:1"}) {
    EXPECT_FALSE(config::parse_listen(bad)) << bad;
  }
}

}  // namespace
}  // namespace eventrelay
