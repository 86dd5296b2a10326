#include "common/kafka/topic_watch.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "common/kafka/handle.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

constexpr std::chrono::seconds kInterval{2};
constexpr int kWatchMs = 2000;
constexpr int kGrowMs = 10'000;

using NewPartitionsPtr =
    std::unique_ptr<rd_kafka_NewPartitions_t, Destroy<rd_kafka_NewPartitions_destroy>>;

}  // namespace

// The client behind the watch. Thread: that of the watch.  Bounds: one request at a time.
class TopicWatch::Asker {
 public:
  explicit Asker(const KafkaConfig& config) : client_(make_client(conf_of(config), Role::Admin)) {}

  // `marks`: null: the logs are not asked about. `read`: what is known by reading them.
  using Marks = std::map<LogPlace, LogMark>;
  [[nodiscard]] ClusterSight look(const std::vector<TopicSpec>& plan, const Marks* marks,
                                  Marks read);
  // Empty: done.
  [[nodiscard]] std::string grow(const std::string& topic, int partitions);

 private:
  ConfPtr conf_of(const KafkaConfig& config) {
    ConfPtr conf = make_conf(config, Role::Admin, {});
    rd_kafka_conf_set_opaque(conf.get(), this);
    rd_kafka_conf_set_error_cb(
        conf.get(), [](rd_kafka_t*, int error, const char* text, void* self) {
          if (!is_lasting(static_cast<rd_kafka_resp_err_t>(error)) || text == nullptr) return;
          static_cast<Asker*>(self)->refusal_ = text;
        });
    return conf;
  }
  // The first offset of each log at or after a time, -1 where there is none; of those that answer.
  using Times = std::map<LogPlace, std::int64_t>;
  [[nodiscard]] std::map<LogPlace, std::int64_t> ask(const Times& times) const;
  void ask_logs(const std::vector<TopicSpec>& plan, const Marks& marks, ClusterSight& sight) const;

  std::string refusal_;
  ClientPtr client_;
};

ClusterSight TopicWatch::Asker::look(const std::vector<TopicSpec>& plan, const Marks* marks,
                                     Marks read) {
  ClusterSight sight;
  sight.read = std::move(read);
  const rd_kafka_metadata_t* raw = nullptr;
  // Of all topics: asked for by its name, a topic that was deleted would be made again.
  const auto error = rd_kafka_metadata(client_.get(), 1, nullptr, &raw, kWatchMs);
  const MetadataPtr metadata{raw};
  rd_kafka_poll(client_.get(), 0);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    sight.silent = refusal_.empty() ? std::string(rd_kafka_err2str(error)) : refusal_;
    return sight;
  }
  refusal_.clear();
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const rd_kafka_metadata_topic_t& topic = metadata->topics[i];
    const bool ours = std::any_of(plan.begin(), plan.end(), [&topic](const TopicSpec& spec) {
      return spec.name == topic.topic;
    });
    if (!ours || topic.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) continue;
    if (topic.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      sight.partitions[topic.topic] = topic.partition_cnt;
    } else {
      sight.unclear.insert(topic.topic);
    }
  }
  if (marks != nullptr) ask_logs(plan, *marks, sight);
  return sight;
}

std::map<LogPlace, std::int64_t> TopicWatch::Asker::ask(const Times& times) const {
  std::map<LogPlace, std::int64_t> found;
  if (times.empty()) return found;
  const PartitionsPtr list{rd_kafka_topic_partition_list_new(static_cast<int>(times.size()))};
  for (const auto& [place, time] : times) {
    rd_kafka_topic_partition_list_add(list.get(), place.first.c_str(), place.second)->offset = time;
  }
  if (rd_kafka_offsets_for_times(client_.get(), list.get(), kWatchMs) !=
      RD_KAFKA_RESP_ERR_NO_ERROR) {
    return found;
  }
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& place = list->elems[i];
    if (place.err != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    found[{place.topic, place.partition}] = place.offset;
  }
  return found;
}

void TopicWatch::Asker::ask_logs(const std::vector<TopicSpec>& plan, const Marks& marks,
                                 ClusterSight& sight) const {
  Times times;
  for (const TopicSpec& spec : plan) {
    const auto found = sight.partitions.find(spec.name);
    if (!spec.like_events || found == sight.partitions.end()) continue;
    for (int partition = 0; partition < found->second; ++partition) {
      times[{spec.name, partition}] = RD_KAFKA_OFFSET_END;
    }
  }
  sight.ends = ask(times);
  std::erase_if(sight.ends, [](const auto& end) { return end.second < 0; });
  times.clear();
  for (const auto& [place, mark] : marks) {
    if (sight.ends.contains(place)) times[place] = mark.time_ms;
  }
  sight.found = ask(times);
  times.clear();
  for (const auto& [place, mark] : sight.read) {
    if (sight.ends.contains(place)) times[place] = mark.time_ms;
  }
  sight.read_found = ask(times);
  // Asked behind the ends: where no record is as young as this, all that was there then is older.
  const std::int64_t now = unix_ms(wall_now());
  times.clear();
  for (const auto& [place, end] : sight.ends) {
    const auto mark = marks.find(place);
    if (mark == marks.end() || mark->second.offset != end) times[place] = now;
  }
  for (const auto& [place, first] : ask(times)) {
    sight.marks[place] = {now, first < 0 ? sight.ends.at(place) : first};
  }
}

std::string TopicWatch::Asker::grow(const std::string& topic, int partitions) {
  std::array<char, 512> why{};
  const NewPartitionsPtr wanted{rd_kafka_NewPartitions_new(
      topic.c_str(), static_cast<std::size_t>(partitions), why.data(), why.size())};
  if (!wanted) return why.data();
  const QueuePtr answers{rd_kafka_queue_new(client_.get())};
  rd_kafka_NewPartitions_t* raw = wanted.get();
  rd_kafka_CreatePartitions(client_.get(), &raw, 1, nullptr, answers.get());
  const EventPtr event{rd_kafka_queue_poll(answers.get(), kGrowMs)};
  if (!event) return "no answer";
  if (rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return rd_kafka_event_error_string(event.get());
  }
  std::size_t count = 0;
  const auto* const* results = rd_kafka_CreatePartitions_result_topics(
      rd_kafka_event_CreatePartitions_result(event.get()), &count);
  if (count != 1) return "no result";
  if (rd_kafka_topic_result_error(results[0]) == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  const char* const text = rd_kafka_topic_result_error_string(results[0]);
  return text != nullptr ? text : rd_kafka_err2str(rd_kafka_topic_result_error(results[0]));
}

// What the thread works with; it outlives the watch while a request of it is under way.
// Thread: members say.
class TopicWatch::State {
 public:
  State(const KafkaConfig& config, std::vector<TopicSpec> plan, const WatchOptions& options,
        Changed changed)
      : config_(config),
        plan_(std::move(plan)),
        options_(options),
        changed_(std::move(changed)),
        history_(plan_),
        thread_([this] { run(); }) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { thread_.join(); }

  void end() {
    const std::lock_guard telling(telling_);
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_all();
  }
  [[nodiscard]] std::vector<std::string> reasons() const {
    const std::lock_guard lock(mutex_);
    return history_.reasons();
  }
  [[nodiscard]] bool troubled() const noexcept { return troubled_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool held() const noexcept { return held_.load(std::memory_order_relaxed); }
  [[nodiscard]] int event_partitions() const noexcept { return partitions_; }

 private:
  void run();
  void look(Asker& asker);
  void tell(const TopicChange& change);
  [[nodiscard]] std::map<LogPlace, LogMark> read_elsewhere();

  const KafkaConfig config_;
  const std::vector<TopicSpec> plan_;
  const WatchOptions options_;
  const Changed changed_;
  std::atomic<bool> troubled_{false};
  std::atomic<bool> held_{false};
  std::atomic<int> partitions_{0};
  std::mutex telling_;  // held while somebody is told or asked; taken before mutex_

  mutable std::mutex mutex_;  // guards all below
  TopicHistory history_;
  bool ending_ = false;
  std::condition_variable wake_;
  std::thread thread_;
};

void TopicWatch::State::run() {
  const auto asker = std::make_shared<Asker>(config_);
  for (;;) {
    look(*asker);
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, kInterval, [this] { return ending_; })) return;
  }
}

void TopicWatch::State::look(Asker& asker) {
  // This thread alone changes it.
  const ClusterSight sight =
      asker.look(plan_, options_.ends ? &history_.marks() : nullptr, read_elsewhere());
  std::vector<TopicChange> changes;
  std::vector<std::pair<std::string, int>> to_grow;
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return;
    changes = history_.look(sight, monotonic_now());
    if (options_.grow && !sight.silent) to_grow = history_.to_grow();
    troubled_ = !history_.reasons().empty();
    held_ = history_.held();
    const auto events = sight.partitions.find(plan_.front().name);
    if (events != sight.partitions.end()) partitions_ = events->second;
  }
  for (const TopicChange& change : changes) tell(change);
  for (const auto& [topic, partitions] : to_grow) {
    const std::string reason = asker.grow(topic, partitions);
    if (reason.empty()) {
      log::info("kafka topic was grown to agree with the events",
                {{"topic", topic}, {"partitions", partitions}});
    } else {
      log::warn("kafka topic can not be grown",
                {{"topic", topic}, {"partitions", partitions}, {"reason", reason}});
    }
  }
}

std::map<LogPlace, LogMark> TopicWatch::State::read_elsewhere() {
  const std::lock_guard telling(telling_);
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return {};
  }
  return options_.read ? options_.read() : std::map<LogPlace, LogMark>{};
}

void TopicWatch::State::tell(const TopicChange& change) {
  using Kind = TopicChange::Kind;
  const std::lock_guard telling(telling_);
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return;
  }
  switch (change.kind) {
    case Kind::Silent:
      log::error("Kafka does not answer", {{"reason", change.text}});
      break;
    case Kind::Answers:
      log::info("Kafka answers again");
      break;
    case Kind::Gone:
      log::error("kafka topic does not exist", {{"topic", change.topic}});
      break;
    case Kind::Back:
      log::info("kafka topic is there again", {{"topic", change.topic}});
      break;
    case Kind::Disagrees:
      log::error("kafka topic has another number of partitions than the events",
                 {{"topic", change.topic}, {"reason", change.text}});
      break;
    case Kind::Agrees:
      log::info("kafka topic agrees with the events again", {{"topic", change.topic}});
      break;
    case Kind::Anew:
      log::warn("the log of a partition has begun anew",
                {{"topic", change.topic}, {"partition", change.partition}});
      break;
    case Kind::Grown:
      log::info("kafka topic has grown",
                {{"topic", change.topic}, {"partitions", change.partition}});
      break;
  }
  if (changed_) changed_(change);
}

TopicWatch::TopicWatch(const KafkaConfig& config, std::vector<TopicSpec> plan,
                       const WatchOptions& options, Changed changed)
    : state_(std::make_shared<State>(config, std::move(plan), options, std::move(changed))) {}

// A request may be under way and unanswered for seconds: nobody waits for it here.
TopicWatch::~TopicWatch() {
  state_->end();
  retire(std::move(state_));
}

std::vector<std::string> TopicWatch::reasons() const {
  return state_->reasons();
}

bool TopicWatch::troubled() const noexcept {
  return state_->troubled();
}

bool TopicWatch::held() const noexcept {
  return state_->held();
}

int TopicWatch::event_partitions() const noexcept {
  return state_->event_partitions();
}

}  // namespace eventrelay::kafka
