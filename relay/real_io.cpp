#include "relay/real_io.hpp"

#include <boost/asio/post.hpp>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/random.hpp"
#include "common/kafka/topics.hpp"
#include "relay/http/attempt_trace.hpp"
#include "relay/http/deliverer.hpp"

namespace eventrelay::relay {

namespace {

// A wait that was replaced or cancelled after it had expired must not run, so each has a number.
// Thread: shard thread.  Bounds: one wait.
class AsioTimer final : public LoopTimer {
 public:
  explicit AsioTimer(const Executor& executor) : timer_(executor) {}

  void arm(TimePoint at, std::function<void()> task) override {
    task_ = std::move(task);
    const std::uint64_t number = ++number_;
    timer_.expires_at(at);
    timer_.async_wait([this, number](ErrorCode error) {
      if (!error && number == number_) std::exchange(task_, nullptr)();
    });
  }
  void cancel() override {
    ++number_;
    task_ = nullptr;
    timer_.cancel();
  }

 private:
  Timer timer_;
  std::function<void()> task_;
  std::uint64_t number_ = 0;
};

// Thread: shard thread.  Bounds: as Asio's.
class AsioLoop final : public Loop {
 public:
  explicit AsioLoop(Executor executor) : executor_(std::move(executor)) {}

  void post(std::function<void()> task) override { asio::post(executor_, std::move(task)); }
  std::unique_ptr<LoopTimer> make_timer() override {
    return std::make_unique<AsioTimer>(executor_);
  }

 private:
  Executor executor_;
};

// Thread: shard thread.  Bounds: as kafka::ConsumerClient.
class KafkaMember final : public GroupMember {
 public:
  template <class... Args>
  explicit KafkaMember(Args&&... args) : client_(std::forward<Args>(args)...) {}

  void start() override { client_.start(); }
  std::optional<kafka::Message> next(Partition partition) override {
    return client_.next(partition);
  }
  void commit_async(std::span<const kafka::Commit> commits) override {
    client_.commit_async(commits);
  }
  bool committing() const override { return client_.committing(); }
  bool commit_sync(std::span<const kafka::Commit> commits) override {
    return client_.commit_sync(commits);
  }
  bool confirm(const std::string& topic, const kafka::Commit& commit,
               std::uint64_t token) override {
    return client_.confirm(topic, commit, token);
  }
  std::optional<kafka::Watermarks> watermarks(Partition partition) const override {
    return client_.watermarks(partition);
  }
  std::int64_t lag() const override { return client_.lag(); }
  void read_anew(Partition partition) override { client_.read_anew(partition); }
  void release() override { client_.release(); }
  void close(TimePoint deadline, std::function<void()> done) override {
    client_.close(deadline, std::move(done));
  }
  bool joined() const override { return client_.joined(); }

 private:
  kafka::ConsumerClient client_;
};

// Thread: shard thread.  Bounds: as kafka::PartitionReader.
class KafkaReader final : public PartitionReader {
 public:
  template <class... Args>
  explicit KafkaReader(Args&&... args) : reader_(std::forward<Args>(args)...) {}

  void start(kafka::TopicPartition place, Offset from, kafka::LogSink& sink) override {
    reader_.start(place, from, sink);
  }
  void stop(kafka::TopicPartition place) override { reader_.stop(place); }
  kafka::Read next(kafka::TopicPartition place) override { return reader_.next(place); }
  std::optional<kafka::Watermarks> known_watermarks(kafka::TopicPartition place) const override {
    return reader_.known_watermarks(place);
  }
  void positions(std::vector<kafka::TopicPartition> places, PositionsDone done) override {
    reader_.positions(std::move(places), std::move(done));
  }
  void watermarks(std::vector<kafka::TopicPartition> places, WatermarksDone done) override {
    reader_.watermarks(std::move(places), std::move(done));
  }
  void offsets_for_times(std::vector<kafka::TopicPartition> places, WallTime since,
                         WatermarksDone done) override {
    reader_.offsets_for_times(std::move(places), since, std::move(done));
  }
  void commit_async(std::span<const kafka::ReadCommit> commits) override {
    reader_.commit_async(commits);
  }
  bool committing() const override { return reader_.committing(); }
  bool commit_sync(std::span<const kafka::ReadCommit> commits) override {
    return reader_.commit_sync(commits);
  }

 private:
  kafka::PartitionReader reader_;
};

// Thread: shard thread.  Bounds: as kafka::ProducerClient.
class KafkaSink final : public RecordSink {
 public:
  template <class... Args>
  explicit KafkaSink(Args&&... args) : client_(std::forward<Args>(args)...) {}

  std::size_t add_topic(const std::string& name) override { return client_.add_topic(name); }
  bool ready() const override { return client_.ready(); }
  kafka::Queued produce(std::size_t topic, const kafka::ProduceRecord& record,
                        std::uint64_t token) override {
    return client_.produce(topic, record, token);
  }
  std::size_t pending_bytes() const override { return client_.pending().bytes(); }
  void drain(TimePoint deadline, std::function<void()> done) override {
    client_.drain(deadline, std::move(done));
  }

 private:
  kafka::ProducerClient client_;
};

PoolOptions pool_options(const RelayConfig& relay) {
  PoolOptions options;
  options.idle_in_all = relay.inflight_max;
  return options;
}

}  // namespace

RealIo::RealIo(Executor executor, std::shared_ptr<const Settings> settings, metrics::Slab& slab,
               Resolver* resolver, trace::TracingPtr tracing, RealIo* leader)
    : executor_(executor),
      settings_(std::move(settings)),
      slab_(slab),
      resolver_(resolver),
      tracing_(std::move(tracing)),
      leader_(leader == nullptr ? this : leader),
      loop_(std::make_unique<AsioLoop>(std::move(executor))) {}

RealIo::~RealIo() = default;

std::uint64_t RealIo::make_seed() {
  return random_seed();
}

std::unique_ptr<GroupMember> RealIo::make_member(const kafka::ConsumerOptions& options,
                                                 kafka::ConsumerHandler& handler) {
  if (leader_ == this) {
    group_ =
        std::make_unique<kafka::GroupClient>(executor_, settings_->config.kafka, options, slab_);
  }
  EVENTRELAY_ASSERT(leader_->group_ != nullptr);
  return std::make_unique<KafkaMember>(executor_, *leader_->group_, options.shard, handler, slab_);
}

std::unique_ptr<PartitionReader> RealIo::make_reader(kafka::ReaderOptions options) {
  return std::make_unique<KafkaReader>(executor_, settings_->config.kafka, std::move(options),
                                       slab_);
}

std::unique_ptr<RecordSink> RealIo::make_sink(const kafka::ProducerLimits& limits,
                                              kafka::ReportSink& reports) {
  return std::make_unique<KafkaSink>(executor_, settings_->config.kafka, limits, reports, slab_);
}

std::unique_ptr<EndpointCaller> RealIo::make_caller(AttemptSink& sink) {
  EVENTRELAY_ASSERT(resolver_ != nullptr);
  const Config& config = settings_->config;
  std::unique_ptr<AttemptTracer> tracer;
  if (tracing_ != nullptr) {
    tracer = std::make_unique<AttemptTracer>(AttemptTracerOptions{
        tracing_, kafka::topic_name(config.topics, "events"), config.relay.group});
  }
  return std::make_unique<Deliverer>(executor_, *resolver_, pool_options(config.relay), sink, slab_,
                                     clock_, make_seed(), std::move(tracer));
}

}  // namespace eventrelay::relay
