// The configuration as plain structs: what a file, the environment and --set can say.
//
// Why:     one place for every default; parse, check, help and masked print read one table
//          (config_schema.cpp), so the four can never drift apart.
// Thread:  built once, then immutable behind shared_ptr<const Settings>.
// Bounds:  stated per field; the schema refuses what is outside and names key, value and bound.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/secret.hpp"

namespace eventrelay {

using std::chrono::milliseconds;

// librdkafka properties, passed through untouched. Bounds: 512 entries.
struct KafkaConfig {
  std::map<std::string, std::string> properties{{"bootstrap.servers", "127.0.0.1:9092"}};
  std::map<std::string, Secret> secrets;  // sasl.password and its like, printed as ***
};

struct TopicsConfig {
  std::string prefix = "eventrelay.";  // 0..100 characters [a-zA-Z0-9._-]
  int partitions = 12;                 // 1..10000; used when a topic is created
  int replication_factor = 1;          // 1..10
  bool create = true;                  // create what is missing at start
};

// The waits as they are written, or the schedule of Cloud Elements they come from: its offsets
// count from the first failure (docs.cloud-elements.com/home/event-retry-and-queueing).
enum class RetryProfile : std::uint8_t { List, Ce, CeLegacy };

struct RetryConfig {
  // Waits before each further attempt: 1..12 steps, ascending; each costs a delay topic.
  std::vector<milliseconds> delays{milliseconds{5'000},     milliseconds{30'000},
                                   milliseconds{300'000},   milliseconds{1'800'000},
                                   milliseconds{7'200'000}, milliseconds{18'000'000},
                                   milliseconds{36'000'000}};
  double jitter = 0.1;  // 0..0.5 of the delay, either way
  RetryProfile profile = RetryProfile::List;

  friend bool operator==(const RetryConfig&, const RetryConfig&) = default;
};

struct DetachConfig {
  std::uint32_t after = 1000;
  std::uint32_t blocked_max = 10000;
  milliseconds sweep_interval{1000};

  friend bool operator==(const DetachConfig&, const DetachConfig&) = default;
};

enum class LogLevel : std::uint8_t { Debug, Info, Warn, Error };
enum class LogFormat : std::uint8_t { Auto, Json, Text };

struct LogConfig {
  LogLevel level = LogLevel::Info;
  LogFormat format = LogFormat::Auto;  // auto: text on a terminal, JSON lines elsewhere
};

struct AdminConfig {
  std::string listen;           // empty = 127.0.0.1:9464 (ingest), 127.0.0.1:9465 (relay)
  std::optional<Secret> token;  // without it only probes are open on another address than loopback
  std::vector<std::string> hosts;  // names in Host beside addresses and localhost
  std::vector<std::string> open;   // `metrics`: without the token
};

struct TlsServerConfig {
  std::string cert;  // PEM chain, a path
  std::string key;   // PEM key, a path
};

struct IngestConfig {
  std::vector<std::string> listen{"0.0.0.0:8080"};
  unsigned shards = 0;  // 0 = one per core; 0..256
  std::string base_path = "/elements/api-v2";
  std::size_t body_max = 1U << 20;  // bytes, 1 KiB..32 MiB
  std::optional<TlsServerConfig> tls;
  // An event not acknowledged by then is answered 503: Slack and Graph hang up after 3 s.
  milliseconds ack_timeout{2000};
  std::size_t memory_max = 256U << 20;  // bytes for bodies and the producer queue
  milliseconds drain_delay{5000};       // keeps accepting that long after SIGTERM
  bool chunked = false;                 // Transfer-Encoding is answered 411 unless true
  std::string public_url;               // how providers reach ingest: scheme, host, port; no path
  std::uint32_t connections_max = 0;    // clients at once; 0 = 65536, or what descriptors allow
  std::uint32_t handshakes_max = 1024;  // TLS handshakes at once
  AdminConfig admin;                    // of ingest alone; each of its keys wins over `admin`
};

// How one element's webhooks are verified. Bounds: 1..3 keys.
struct SourceConfig {
  std::string scheme;        // empty = the built-in one of the element
  std::vector<Secret> keys;  // slot order: primary, secondary
  std::optional<bool> chunked;
  std::optional<std::size_t> body_max;
  std::optional<milliseconds> ack_timeout;
  bool v1_enabled = false;
  std::optional<Secret> v1_token;
  std::optional<Secret> token;  // Meta: verify token; Microsoft Graph: clientState
  std::string handshake;        // a word of providers/handshake.hpp; empty = the element's
  // How old, and how far ahead, a signed time may be; absent = as the scheme's provider says.
  std::optional<milliseconds> window_past;
  std::optional<milliseconds> window_future;

  friend bool operator==(const SourceConfig&, const SourceConfig&) = default;
};

enum class Format : std::uint8_t { Elements, Raw, CloudEvents, CloudEventsBinary };
enum class Signature : std::uint8_t { Elements, Standard, StandardEd25519, None };
enum class Ordering : std::uint8_t { None, Object, Instance };
// What a subscription does whose event has failed for the last time: it goes on without that event,
// or it is paused and its events wait.
enum class Exhausted : std::uint8_t { Dead, Queue };
// What a failed attempt leads to: the schedule goes on, or the subscription is paused at once.
enum class FailurePolicy : std::uint8_t { Retry, Queue };

// How one subscription is delivered.
struct DeliveryConfig {
  Format format = Format::Elements;
  Signature signature = Signature::Elements;  // None where no key is given and no word either
  bool signature_given = false;               // the word is in the file, so a key is required
  std::vector<Secret> keys;                   // further live keys while rotating, at most 3
  Ordering ordering = Ordering::None;
  std::uint32_t concurrency = 16;  // requests in flight at once; 1..1024
  std::uint32_t rate = 0;          // requests/s, 0 = no limit
  milliseconds timeout{15'000};    // one attempt, connect to last byte; 100ms..5m
  std::map<std::string, std::string> headers;
  bool allow_private_addresses = false;
  bool allow_http = false;
  std::vector<std::uint16_t> ports;  // beside 443 and 8443
  std::string ca_file;
  std::string client_cert;  // PEM with certificate and key
  std::vector<int> fatal_statuses;
  RetryProfile retry_profile = RetryProfile::List;
  std::vector<milliseconds> retry_delays;  // empty = as retry.delays; else 1..12, ascending
  Exhausted exhausted = Exhausted::Dead;
  FailurePolicy failure_policy = FailurePolicy::Retry;
  std::uint32_t slow_start = 100;  // requests/s once it answers again, doubling; 0 = at once

  friend bool operator==(const DeliveryConfig&, const DeliveryConfig&) = default;
};

struct FilterConfig {
  std::vector<std::string> event_types;  // empty = all
  std::vector<std::string> object_types;

  friend bool operator==(const FilterConfig&, const FilterConfig&) = default;
};

// What the control API has said of one subscription.
struct PauseSetting {
  bool paused = false;  // its events wait in the log until it is resumed
  // When it was last resumed, which ends every pause that began before. The epoch: never.
  WallTime resumed{};

  friend bool operator==(const PauseSetting&, const PauseSetting&) = default;
};

struct SubscriptionConfig {
  std::string name;  // [a-z0-9-]{1,63}, unique in its instance
  std::string url;
  std::optional<Secret> key;
  FilterConfig filter;
  DeliveryConfig delivery;
  PauseSetting pause;  // by the control API
};

// One element instance; the field names of the Cloud Elements API live in the schema.
// Bounds: 100 subscriptions.
struct InstanceConfig {
  std::uint64_t id = 0;
  std::string name;
  std::string element;
  std::vector<std::string> tags;
  bool events_enabled = false;
  std::string callback_url;
  std::optional<Secret> signature_key;
  std::string oauth_user_id;
  std::optional<Secret> vendor_key;            // the provider's signing keys on its own URL, where
  std::optional<Secret> vendor_key_secondary;  // they count instead of the source's
  std::optional<Secret> vendor_token;          // V1 `token` on its own URL
  bool disabled = false;                       // by the control API: its events wait in the log
  PauseSetting callback_pause;                 // likewise, of the callback alone
  std::uint64_t company = 0;  // whose it is: ids of control.organizations; 0 = of a file
  std::uint64_t account = 0;
  std::uint64_t user = 0;
  std::map<std::string, std::string> configuration;  // further keys, kept as they are
  DeliveryConfig delivery;
  std::vector<SubscriptionConfig> subscriptions;
};

// Which attempts get a line in the attempts topic; Failures: and the success after them.
enum class AttemptsLog : std::uint8_t { Failures, All, None };

struct RelayConfig {
  std::string group = "eventrelay-relay";
  unsigned shards = 0;
  std::size_t memory_max = 256U << 20;
  std::uint32_t inflight_max = 1024;  // requests in flight per shard
  bool allow_private_addresses = false;
  milliseconds drain_timeout{25'000};
  AttemptsLog attempts_log = AttemptsLog::Failures;
  // An event of an instance that is not known waits that long for it, then it is dead.
  milliseconds unknown_instance_wait{600'000};
  AdminConfig admin;  // of the relay alone; each of its keys wins over `admin`
};

enum class UserRole : std::uint8_t { Admin, Viewer };

struct UserConfig {
  std::uint64_t id = 0;
  std::optional<Secret> secret;
  std::string email;
  std::string first_name;
  std::string last_name;
  UserRole role = UserRole::Admin;  // viewer: GET only
};

// What a user sees: the instances of its account. Bounds: 1000 users.
struct AccountConfig {
  std::uint64_t id = 0;
  std::string name;
  std::vector<UserConfig> users;
};

struct OrganizationConfig {
  std::uint64_t id = 0;
  std::string name;
  std::optional<Secret> secret;
  std::vector<AccountConfig> accounts;
};

struct ControlConfig {
  bool enabled = false;
  std::vector<OrganizationConfig> organizations;
  std::uint32_t auth_failures_per_minute = 60;  // from one address, then 429; 0 = no limit
  DeliveryConfig delivery_defaults;             // under what a caller of the API sends
};

struct MasterKeyConfig {
  std::string id;
  std::optional<Secret> key;  // base64 of 32 bytes
};

// Master keys of the registry in Kafka: the first seals, all open.
struct SealConfig {
  std::vector<MasterKeyConfig> keys;
};

// Where Box's own API lives. Bounds: URLs of 2048 bytes.
struct BoxProviderConfig {
  std::string authorize_url = "https://account.box.com/api/oauth2/authorize";
  std::string token_url = "https://api.box.com/oauth2/token";
  std::string revoke_url = "https://api.box.com/oauth2/revoke";
  std::string api_url = "https://api.box.com/2.0";
  milliseconds timeout{10'000};  // one request, from the look-up of the name to the last byte
  std::string ca_file;           // PEM; empty = the authorities of the system
};

struct ProvidersConfig {
  BoxProviderConfig box;
};

struct Config {
  int version = 1;
  KafkaConfig kafka;
  TopicsConfig topics;
  RetryConfig retry;
  DetachConfig detach;
  LogConfig log;
  AdminConfig admin;
  IngestConfig ingest;
  std::map<std::string, SourceConfig> sources;
  std::string registry = "file";  // file or topic
  std::vector<InstanceConfig> instances;
  RelayConfig relay;
  ControlConfig control;
  SealConfig seal;
  ProvidersConfig providers;
  // What is accepted and yet looks like a mistake, one sentence each with its place; found while
  // reading, no key of its own.
  std::vector<std::string> warnings;
};

// The admin listener of the service `name`, ingest or relay: its own keys, else those of `admin`.
[[nodiscard]] AdminConfig admin_of(const Config& config, std::string_view name);

}  // namespace eventrelay
