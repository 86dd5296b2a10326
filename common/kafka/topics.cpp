#include "common/kafka/topics.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "common/base/start_error.hpp"
#include "common/kafka/client_lines.hpp"
#include "common/kafka/handle.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRequestTimeout{5000};
constexpr milliseconds kFirstTimeout{1000};  // a refusal is to be named soon
constexpr milliseconds kPause{100};

int as_ms(milliseconds time) {
  return static_cast<int>(time.count());
}

// The admin side of one start. Thread: control thread.  Bounds: `patience` in all.
class Admin {
 public:
  explicit Admin(const KafkaConfig& config, std::chrono::seconds patience = kTopicsTimeout)
      : servers_(bootstrap(config)),
        client_(make_client(conf_of(config), Role::Admin)),
        patience_(patience),
        deadline_(monotonic_now() + patience) {}
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  // Why no broker answers; nothing: one does. Asks once.
  [[nodiscard]] std::optional<std::string> unreached();
  // Partition count of every topic the cluster has.
  [[nodiscard]] std::map<std::string, int> topics();
  // As topics(), for one topic; the embedded broker creates it on being asked.
  [[nodiscard]] int touch(const std::string& name);
  void create(const std::vector<TopicSpec>& missing);
  void pause() const { rd_kafka_poll(client_.get(), as_ms(kPause)); }
  void remove(const std::vector<std::string>& names);
  // Waits a little before another try, or gives up with the reason.
  void pause_or_fail(const std::string& reason) const;

 private:
  static std::string bootstrap(const KafkaConfig& config) {
    const std::string* servers = user_property(config, "bootstrap.servers");
    return servers != nullptr ? *servers : "(none)";
  }
  void check(const rd_kafka_topic_result_t& result) const;
  ConfPtr conf_of(const KafkaConfig& config);
  static void on_error(rd_kafka_t*, int error, const char* text, void* self);
  // The lasting cause with its way out, or the last that was told, or `reason`.
  [[nodiscard]] std::string cause(const std::string& reason) const;
  [[nodiscard]] int patience();

  std::string servers_;
  bool asked_ = false;
  rd_kafka_resp_err_t refused_ = RD_KAFKA_RESP_ERR_NO_ERROR;  // the last lasting cause
  std::string refusal_;
  std::string detail_;  // what the library said last of a broker that does not answer
  ClientPtr client_;
  std::chrono::seconds patience_;
  TimePoint deadline_;
};

ConfPtr Admin::conf_of(const KafkaConfig& config) {
  // A broker that speaks TLS closes a plain connection; only this property lets the library say so.
  ConfPtr conf = make_conf(config, Role::Admin, {{"log.connection.close", "true"}});
  rd_kafka_conf_set_opaque(conf.get(), this);
  rd_kafka_conf_set_error_cb(conf.get(), on_error);
  return conf;
}

// Runs inside rd_kafka_poll().
void Admin::on_error(rd_kafka_t*, int error, const char* text, void* self) {
  const auto code = static_cast<rd_kafka_resp_err_t>(error);
  Admin& admin = *static_cast<Admin*>(self);
  if (code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__RESOLVE) {
    admin.detail_ = cause_in(text != nullptr ? text : rd_kafka_err2str(code));
  }
  if (!is_lasting(code)) return;
  admin.refused_ = code;
  admin.refusal_ = cause_in(text != nullptr ? text : rd_kafka_err2str(code));
}

int Admin::patience() {
  const milliseconds most = std::exchange(asked_, true) ? kRequestTimeout : kFirstTimeout;
  const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - monotonic_now());
  return as_ms(std::clamp(left, kFirstTimeout, most));
}

void Admin::pause_or_fail(const std::string& reason) const {
  rd_kafka_poll(client_.get(), 0);
  if (refused_ != RD_KAFKA_RESP_ERR_NO_ERROR) throw NotReached(cause(reason));
  if (monotonic_now() + kPause > deadline_) {
    throw NotReached(cause(reason) + " (for " + std::to_string(patience_.count()) + " s)");
  }
  log::warn("kafka is not ready yet", {{"servers", servers_}, {"reason", reason}});
  pause();  // the library answers some errors at once
}

std::string Admin::cause(const std::string& reason) const {
  const std::string at = "kafka at \"" + servers_ + "\": ";
  if (refused_ != RD_KAFKA_RESP_ERR_NO_ERROR) return at + refusal_ + "; " + way_out(refused_);
  const std::string& said = detail_.empty() ? reason : detail_;
  // The library's words for a broker that speaks TLS to a client that does not, and the reverse.
  const bool other_protocol = said.find("SSL listener") != std::string::npos ||
                              said.find("PLAINTEXT broker listener") != std::string::npos ||
                              said.find("security.protocol") != std::string::npos;
  return at + said + "; check " +
         (other_protocol
              ? "kafka.security.protocol: TLS and plain text do not understand each other"
              : "kafka.bootstrap.servers and that the brokers run");
}

std::optional<std::string> Admin::unreached() {
  const rd_kafka_metadata_t* raw = nullptr;
  const TopicPtr none;
  const auto error = rd_kafka_metadata(client_.get(), 0, none.get(), &raw, patience());
  const MetadataPtr metadata{raw};
  rd_kafka_poll(client_.get(), 0);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return std::nullopt;
  return cause(rd_kafka_err2str(error));
}

std::map<std::string, int> Admin::topics() {
  for (;;) {
    const rd_kafka_metadata_t* raw = nullptr;
    const auto error = rd_kafka_metadata(client_.get(), 1, nullptr, &raw, patience());
    const MetadataPtr metadata{raw};
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      pause_or_fail(rd_kafka_err2str(error));
      continue;
    }
    std::map<std::string, int> found;
    for (int i = 0; i < metadata->topic_cnt; ++i) {
      const rd_kafka_metadata_topic_t& topic = metadata->topics[i];
      if (topic.err == RD_KAFKA_RESP_ERR_NO_ERROR) found[topic.topic] = topic.partition_cnt;
    }
    return found;
  }
}

int Admin::touch(const std::string& name) {
  const TopicPtr topic{rd_kafka_topic_new(client_.get(), name.c_str(), nullptr)};
  if (!topic) throw StartError("topics.prefix: \"" + name + "\" is not a topic name");
  for (;;) {
    const rd_kafka_metadata_t* raw = nullptr;
    const auto error = rd_kafka_metadata(client_.get(), 0, topic.get(), &raw, patience());
    const MetadataPtr metadata{raw};
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1 &&
        metadata->topics[0].partition_cnt > 0) {
      return metadata->topics[0].partition_cnt;
    }
    pause_or_fail("topic \"" + name + "\": " + rd_kafka_err2str(error));
  }
}

void Admin::check(const rd_kafka_topic_result_t& result) const {
  const auto error = rd_kafka_topic_result_error(&result);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
    return;
  }
  const char* text = rd_kafka_topic_result_error_string(&result);
  throw StartError(std::string{"kafka topic \""} + rd_kafka_topic_result_name(&result) +
                   "\" not created: " + (text != nullptr ? text : rd_kafka_err2str(error)) +
                   "; check topics.replication_factor against the number of brokers, or create "
                   "the topic by hand and set topics.create: false");
}

void Admin::create(const std::vector<TopicSpec>& missing) {
  std::array<char, 512> why{};
  std::vector<NewTopicPtr> topics;
  std::vector<rd_kafka_NewTopic_t*> raw;
  for (const TopicSpec& spec : missing) {
    NewTopicPtr& topic = topics.emplace_back(rd_kafka_NewTopic_new(
        spec.name.c_str(), spec.partitions, spec.replication_factor, why.data(), why.size()));
    if (!topic) throw StartError("kafka topic \"" + spec.name + "\": " + why.data());
    raw.push_back(topic.get());
    for (const auto& [key, value] : spec.config) {
      (void)rd_kafka_NewTopic_set_config(topic.get(), key.c_str(), value.c_str());
    }
  }
  const AdminOptionsPtr options{
      rd_kafka_AdminOptions_new(client_.get(), RD_KAFKA_ADMIN_OP_CREATETOPICS)};
  // The answer waits until the topics exist on every broker.
  rd_kafka_AdminOptions_set_operation_timeout(options.get(), as_ms(kRequestTimeout), why.data(),
                                              why.size());
  const QueuePtr answers{rd_kafka_queue_new(client_.get())};
  rd_kafka_CreateTopics(client_.get(), raw.data(), raw.size(), options.get(), answers.get());
  const EventPtr event{rd_kafka_queue_poll(answers.get(), as_ms(kTopicsTimeout))};
  const char* reason = !event ? "no answer"
                       : rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR
                           ? rd_kafka_event_error_string(event.get())
                           : nullptr;
  if (reason != nullptr) {
    throw StartError("kafka topic \"" + missing.front().name + "\" not created: " + reason +
                     "; create the topics by hand and set topics.create: false");
  }
  std::size_t count = 0;
  const auto* results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  for (std::size_t i = 0; i < count; ++i) check(*results[i]);
  for (const TopicSpec& spec : missing) {
    log::info("kafka topic was created", {{"topic", spec.name}, {"partitions", spec.partitions}});
  }
}

void Admin::remove(const std::vector<std::string>& names) {
  std::vector<DeleteTopicPtr> topics;
  std::vector<rd_kafka_DeleteTopic_t*> raw;
  for (const std::string& name : names) {
    raw.push_back(topics.emplace_back(rd_kafka_DeleteTopic_new(name.c_str())).get());
  }
  const AdminOptionsPtr options{
      rd_kafka_AdminOptions_new(client_.get(), RD_KAFKA_ADMIN_OP_DELETETOPICS)};
  const QueuePtr answers{rd_kafka_queue_new(client_.get())};
  rd_kafka_DeleteTopics(client_.get(), raw.data(), raw.size(), options.get(), answers.get());
  const EventPtr event{rd_kafka_queue_poll(answers.get(), as_ms(kTopicsTimeout))};
  if (!event || rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    throw StartError(std::string("kafka topics not deleted: ") +
                     (event ? rd_kafka_event_error_string(event.get()) : "no answer"));
  }
  std::size_t count = 0;
  const auto* results =
      rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event.get()), &count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto error = rd_kafka_topic_result_error(results[i]);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
      continue;
    }
    throw StartError(std::string("kafka topic \"") + rd_kafka_topic_result_name(results[i]) +
                     "\" not deleted: " + rd_kafka_err2str(error));
  }
}

std::vector<TopicSpec> missing_of(const std::vector<TopicSpec>& plan,
                                  const std::map<std::string, int>& found) {
  const auto events = found.find(plan.front().name);
  std::vector<TopicSpec> missing;
  for (const TopicSpec& spec : plan) {
    if (found.contains(spec.name)) continue;
    TopicSpec& one = missing.emplace_back(spec);
    // An existing log decides: topics.partitions speaks of new ones only.
    if (one.like_events && events != found.end()) one.partitions = events->second;
  }
  return missing;
}

int check_counts(const std::vector<TopicSpec>& plan, const std::map<std::string, int>& found) {
  const int expected = found.at(plan.front().name);
  for (const TopicSpec& spec : plan) {
    const int count = found.at(spec.name);
    if (!spec.like_events || count == expected) continue;
    throw StartError("kafka topic \"" + spec.name + "\" has " + std::to_string(count) +
                     " partitions, \"" + plan.front().name + "\" has " + std::to_string(expected) +
                     ": they must agree; add partitions to the smaller one, or use another "
                     "topics.prefix");
  }
  return expected;
}

}  // namespace

int ensure_topics(const KafkaConfig& kafka, const std::vector<TopicSpec>& plan, Create create) {
  Admin admin{kafka};
  if (create == Create::Automatic) {
    std::map<std::string, int> found;
    for (const TopicSpec& spec : plan) found[spec.name] = admin.touch(spec.name);
    return check_counts(plan, found);
  }
  for (bool asked = false;; asked = true) {
    const auto found = admin.topics();
    const auto missing = missing_of(plan, found);
    if (missing.empty()) return check_counts(plan, found);
    const std::string& first = missing.front().name;
    if (create == Create::No) {
      throw StartError("kafka topic \"" + first +
                       "\" does not exist; create it with `eventrelay topics init`, or set "
                       "topics.create: true");
    }
    if (asked) admin.pause_or_fail("topic \"" + first + "\" created but not to be seen");
    admin.create(missing);
  }
}

void delete_topics(const KafkaConfig& kafka, const std::vector<std::string>& names) {
  if (!names.empty()) Admin{kafka}.remove(names);
}

std::map<std::string, int> topic_partitions(const KafkaConfig& kafka,
                                            std::chrono::seconds patience) {
  return Admin{kafka, patience}.topics();
}

void await_brokers(const KafkaConfig& kafka,
                   const std::function<bool(const std::string&)>& failed) {
  Admin admin{kafka};
  while (const auto reason = admin.unreached()) {
    if (!failed(*reason)) return;
    admin.pause();
  }
}

int partition_of(std::string_view key, int partitions) {
  return rd_kafka_msg_partitioner_murmur2(nullptr, key.data(), key.size(), partitions, nullptr,
                                          nullptr);
}

}  // namespace eventrelay::kafka
