#include "common/kafka/handle.hpp"

#include <pthread.h>
#include <sched.h>

#include <array>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "common/base/start_error.hpp"
#include "common/config/config_rules.hpp"
#include "common/config/config_units.hpp"
#include "common/kafka/client_lines.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

constexpr std::size_t kErrorTextMax = 512;
constexpr std::chrono::seconds kRetireLimit{10};

// Each differs from the library's default, and the reason stands beside it.
const Defaults& own_common() {
  static const Defaults kSettings{
      {"client.id", "eventrelay"},           // seen in broker logs and quotas
      {"socket.nagle.disable", "true"},      // Nagle costs tail latency
      {"socket.keepalive.enable", "true"},   // a dead path is found without traffic
      {"reconnect.backoff.ms", "100"},       // a restarted broker is found again at once
      {"reconnect.backoff.max.ms", "1000"},  // default 10 s: too long to answer 503
      {"statistics.interval.ms", "5000"},    // off by default; costs 2 ms per 100 partitions
      {"log.connection.close", "false"},     // idle disconnects are not news
      // Default 5 min: so long nobody would read the partitions that a topic has been given.
      {"topic.metadata.refresh.interval.ms", "10000"},
  };
  return kSettings;
}

const Defaults& own_producer() {
  static const Defaults kSettings{
      {"acks", "all"},                    // stated: the promise behind every 202
      {"enable.idempotence", "true"},     // a lost acknowledgement makes no duplicate
      {"partitioner", "murmur2_random"},  // as the Java clients: other tools find the key
      {"message.timeout.ms", "30000"},    // default 5 min: far past any waiting client
      {"linger.ms", "5"},                 // 2 saves 1.6 ms at half load, costs 10 % CPU at peak
  };
  return kSettings;
}

const Defaults& own_consumer() {
  static const Defaults kSettings{
      {"enable.auto.commit", "false"},             // only finished events are committed
      {"enable.auto.offset.store", "false"},       // read is not finished
      {"partition.assignment.strategy", "range"},  // cooperative loses assignments below 2.10
      {"auto.offset.reset", "earliest"},           // default skips a new group's backlog
  };
  return kSettings;
}

// A promise of the product, and the values that keep it.
struct Fixed {
  std::string_view key;
  std::array<std::string_view, 2> allowed;
  std::string_view reason;
};
constexpr std::array<Fixed, 8> kFixed{{
    {"acks", {"all", "-1"}, "2xx means that all in-sync replicas have the record"},
    {"request.required.acks", {"all", "-1"}, "2xx means that all in-sync replicas have the record"},
    {"enable.idempotence", {"true", "true"}, "a retry of the client must not make a duplicate"},
    {"transactional.id", {"", ""}, "records are not written in transactions"},
    {"enable.auto.commit", {"false", "false"}, "only finished events may be committed"},
    {"enable.auto.offset.store", {"false", "false"}, "only finished events may be committed"},
    {"partition.assignment.strategy", {"range", "roundrobin"}, "partitions move all at once"},
    {"group.id", {"", ""}, "set relay.group instead"},
}};

constexpr char kUnknown = '?';
constexpr char kQueueBackoff[] = "fetch.queue.backoff.ms";  // from 2.2 on

// From 2.4.0 on the library finds what it knows of topics by their ids too. When a topic that it
// knows comes back under another id, the versions before 2.10.0 free what they knew and keep a
// pointer to it, and end the process when they follow it (#4778, #4964).
constexpr int kKeepsFreedTopics = 0x02040000;
constexpr int kLetsGoOfTopics = 0x020a0000;
// What is forgotten before the topic is back leaves no such pointer. A client that writes or reads
// asks again once a second. The admin client of TopicWatch looks at all topics every two seconds
// and then asks for offsets several times, which are to find what the first of them has learnt.
constexpr char kTopicsKnownMs[] = "100";
constexpr char kTopicsKnownToAdminMs[] = "1000";

// Which role knows a property: C, P or *, from the library's own table.
char scope_of(const std::string& key) {
  static const auto kScopes = [] {
    std::unordered_map<std::string, char> scopes;
    char* text = nullptr;
    std::size_t size = 0;
    if (std::FILE* out = open_memstream(&text, &size)) {
      rd_kafka_conf_properties_show(out);
      std::fclose(out);
      std::string_view rest{text, size};
      while (!rest.empty()) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        const auto bar = line.find('|');
        const auto end = line.find('|', bar == line.npos ? bar : bar + 1);
        if (end == line.npos) continue;
        const auto name = line.substr(0, line.find(' '));
        const auto scope = line.substr(bar + 1, end - bar - 1);
        const auto at = scope.find_first_of("CP*");
        if (at != scope.npos) scopes.emplace(name, scope[at]);
      }
      std::free(text);
    }
    return scopes;
  }();
  const auto found = kScopes.find(key);
  return found == kScopes.end() ? kUnknown : found->second;
}

bool applies(const std::string& key, Role role) {
  const char scope = scope_of(key);
  return scope == '*' || scope == kUnknown || scope == (role == Role::Consumer ? 'C' : 'P');
}

LogLevel level_of(int syslog) noexcept {
  if (syslog <= 2) return LogLevel::Error;
  if (syslog <= 4) return LogLevel::Warn;  // 3 too: connection faults, which it retries itself
  return syslog <= 6 ? LogLevel::Info : LogLevel::Debug;
}

// In threads of the library.
void on_log(const rd_kafka_t*, int level, const char* facility, const char* text) {
  // Never destroyed: what a client says while the process ends comes behind main().
  static std::mutex& mutex = *new std::mutex;
  static ClientLines& lines = *new ClientLines;
  {
    const std::lock_guard lock{mutex};
    if (!lines.admit(facility, text, monotonic_now())) return;
  }
  log::write(level_of(level), "kafka client", {{"facility", facility}, {"text", text}});
}

// `; did you mean ...?` with the property of the library that looks most like `key`.
std::string or_meant(rd_kafka_conf_t* conf, const std::string& key) {
  std::size_t count = 0;
  const char** const dump = rd_kafka_conf_dump(conf, &count);
  std::vector<std::string> names;
  for (std::size_t i = 0; i + 1 < count; i += 2) names.emplace_back(dump[i]);
  rd_kafka_conf_dump_free(dump, count);
  for (const char* const unset : {"sasl.password", "sasl.username", "ssl.key.password",
                                  "ssl.key.pem", "ssl.ca.location", "bootstrap.servers"}) {
    names.emplace_back(unset);  // what has no value may be left out of a dump
  }
  const std::string nearest = config::nearest_word(config::ascii_lower(key), names);
  return nearest.empty() ? std::string() : "; did you mean kafka." + nearest + "?";
}

void set(rd_kafka_conf_t* conf, const std::string& key, const std::string& value,
         bool secret = false) {
  std::array<char, kErrorTextMax> why{};
  const auto done = rd_kafka_conf_set(conf, key.c_str(), value.c_str(), why.data(), why.size());
  if (done == RD_KAFKA_CONF_OK) return;
  std::string text = why.data();
  std::replace(text.begin(), text.end(), '\n', ' ');  // a finding is one line
  // A misspelt name may be that of a secret, and a secret may stand at the wrong name.
  secret = secret || done == RD_KAFKA_CONF_UNKNOWN || config::may_be_secret(value);
  if (secret && !value.empty() && text.find(value) != text.npos) text = "value refused";
  if (done == RD_KAFKA_CONF_UNKNOWN) text += or_meant(conf, key);
  throw StartError("kafka." + key + ": " + text + (secret ? "" : " (value \"" + value + "\")"));
}

void check_fixed(const std::string& key, const std::string& value) {
  for (const Fixed& fixed : kFixed) {
    if (key != fixed.key || value == fixed.allowed[0] || value == fixed.allowed[1]) continue;
    std::string text = "kafka.";
    text.append(key).append(": ");
    if (!config::may_be_secret(value)) text.append("value \"").append(value).append("\" ");
    text.append("is not possible here: ");
    text.append(fixed.reason).append("; remove the key");
    if (!fixed.allowed[0].empty()) {
      text.append(" or set it to \"").append(fixed.allowed[0]).append("\"");
    }
    throw StartError(text);
  }
}

void set_all(rd_kafka_conf_t* conf, const Defaults& settings) {
  for (const auto& [key, value] : settings) set(conf, key, value);
}

// While this lives, the thread's new threads become batch threads. An ordinary thread of the
// library that is woken takes the core from the shard, does the little that is there, and sleeps; a
// batch thread waits for the end of the shard's turn. Where a core is free it runs at once either
// way. Not for a producer: its thread is woken several times for one large request, which its
// socket takes in parts, and would wait each time.
// A policy that somebody chose for the process stays. Thread: one owner.
class MakesBatchThreads {
 public:
  MakesBatchThreads() noexcept {
    chosen_ =
        pthread_getschedparam(pthread_self(), &policy_, &param_) != 0 || policy_ != SCHED_OTHER;
    if (!chosen_) pthread_setschedparam(pthread_self(), SCHED_BATCH, &param_);
  }
  MakesBatchThreads(const MakesBatchThreads&) = delete;
  MakesBatchThreads& operator=(const MakesBatchThreads&) = delete;
  ~MakesBatchThreads() {
    if (!chosen_) pthread_setschedparam(pthread_self(), policy_, &param_);
  }

 private:
  int policy_ = SCHED_OTHER;
  sched_param param_{};
  bool chosen_ = false;
};

// Where handles end. Thread: any.  Bounds: one thread per handle still ending.
class Retired {
 public:
  // Waits a little at the end of the process, so that no thread outlives what it uses; not longer,
  // because a drain whose broker does not answer has used up its limit by then.
  ~Retired() { wait(std::chrono::seconds{1}); }

  void add(std::shared_ptr<void> last) {
    {
      const std::lock_guard lock{mutex_};
      ++ending_;
    }
    std::thread{[this, last = std::move(last)]() mutable {
      const TimePoint since = monotonic_now();
      last.reset();
      if (monotonic_now() - since > kRetireLimit) log::warn("kafka client ended late");
      const std::lock_guard lock{mutex_};
      --ending_;
      changed_.notify_all();
    }}.detach();
  }

  bool wait(Duration limit) {
    std::unique_lock lock{mutex_};
    const bool gone = changed_.wait_for(lock, limit, [this] { return ending_ == 0; });
    if (!gone) log::error("kafka client does not end and is left behind", {{"clients", ending_}});
    return gone;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int ending_ = 0;
};

Retired& retired() {
  static Retired instance;
  return instance;
}

}  // namespace

bool refills_soon() {
  return scope_of(kQueueBackoff) != kUnknown;
}

bool keeps_freed_topics(int version) noexcept {
  return version >= kKeepsFreedTopics && version < kLetsGoOfTopics;
}

ConfPtr make_conf(const KafkaConfig& config, Role role, const Defaults& defaults) {
  ConfPtr conf{rd_kafka_conf_new()};
  rd_kafka_conf_set_log_cb(conf.get(), on_log);
  set_all(conf.get(), own_common());
  if (keeps_freed_topics(rd_kafka_version())) {
    set(conf.get(), "metadata.max.age.ms",
        role == Role::Admin ? kTopicsKnownToAdminMs : kTopicsKnownMs);
  }
  if (role == Role::Producer) set_all(conf.get(), own_producer());
  if (role == Role::Consumer) {
    set_all(conf.get(), own_consumer());
    // A queue that passed its limit is filled again after this time, and not after a second.
    if (refills_soon()) set(conf.get(), kQueueBackoff, "50");
  }
  set_all(conf.get(), defaults);
  const ConfPtr unused{rd_kafka_conf_new()};  // checks what the other role will use
  const auto apply = [&](const std::string& key, const std::string& value, bool secret) {
    check_fixed(key, value);
    const bool ours = applies(key, role) && !(role == Role::Admin && scope_of(key) == 'P');
    set(ours ? conf.get() : unused.get(), key, value, secret);
  };
  for (const auto& [key, value] : config.properties) apply(key, value, false);
  for (const auto& [key, value] : config.secrets) apply(key, std::string{value.reveal()}, true);
  return conf;
}

const std::string* user_property(const KafkaConfig& config, const std::string& key) {
  const auto found = config.properties.find(key);
  return found == config.properties.end() ? nullptr : &found->second;
}

ClientPtr make_client(ConfPtr conf, Role role) {
  (void)retired();  // made before any handle, so that it ends after them
  std::array<char, kErrorTextMax> why{};
  const auto type = role == Role::Consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER;
  std::optional<MakesBatchThreads> batch;
  if (role != Role::Producer) batch.emplace();
  ClientPtr client{rd_kafka_new(type, conf.get(), why.data(), why.size())};
  if (!client) throw StartError(std::string{"kafka: "} + why.data());
  (void)conf.release();  // owned by the handle now
  return client;
}

bool is_no_news(rd_kafka_resp_err_t error) noexcept {
  return error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__RESOLVE ||
         error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
}

bool is_lasting(rd_kafka_resp_err_t error) noexcept {
  switch (error) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return true;
    default:
      return false;
  }
}

std::string way_out(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR__SSL:
      return "check kafka.security.protocol and the kafka.ssl.* keys";
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return "check what the brokers allow this user";
    default:
      return "check kafka.security.protocol and the kafka.sasl.* keys";
  }
}

void retire(std::shared_ptr<void> last) {
  retired().add(std::move(last));
}

bool wait_retired(Duration limit) {
  return retired().wait(limit);
}

}  // namespace eventrelay::kafka
