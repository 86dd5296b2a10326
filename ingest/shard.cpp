#include "ingest/shard.hpp"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include "common/base/random.hpp"
#include "common/kafka/record_size.hpp"
#include "common/kafka/topics.hpp"
#include "ingest/sources.hpp"

namespace eventrelay::ingest {

namespace {

// A connection that is silent for this long after the listener closed is taken as idle.
constexpr std::chrono::milliseconds kIdleGrace{1000};
// Beyond the acknowledgement time: requests that only now arrive, and the flush itself.
constexpr std::chrono::seconds kRequestGrace{1};
constexpr std::chrono::seconds kFlushTime{3};
constexpr std::chrono::seconds kLastAnswers{2};
// A shard lets so many handshakes go on however little memory it has.
constexpr std::size_t kFewHandshakes = 8;
// Handing memory back walks the heap; not more often than this.
constexpr std::chrono::seconds kTrimInterval{5};
// Of the process: so many records may wait for Kafka whatever that takes.
constexpr std::size_t kFewRecords = 256;
// A record waits for others at most that long, where many come: as the client library does.
constexpr std::chrono::milliseconds kGather{5};

[[nodiscard]] std::size_t share(const ShardOptions& options) noexcept {
  return memory_share(options.settings->config, options.shards);
}

[[nodiscard]] AdmissionLimits admission_limits(const ShardOptions& options) noexcept {
  AdmissionLimits limits;
  limits.bytes = share(options);
  limits.requests = options.connections_max;
  limits.queue_bytes = share(options) / 4 * 3;
  // A probe waits for the whole ack timeout. A few of them at any time keep the stall in sight, and
  // the first one that is acknowledged ends it at once: more would only make clients wait.
  limits.probe_interval =
      std::min<Duration>(std::chrono::seconds{1}, options.settings->config.ingest.ack_timeout / 4);
  // Half of what a client waits: the other half is for the answer.
  limits.stall_max =
      std::max<Duration>(limits.stall_after, options.settings->config.ingest.ack_timeout / 2);
  return limits;
}

[[nodiscard]] SessionPoolLimits pool_limits(const ShardOptions& options) {
  SessionPoolLimits limits;
  limits.connections = options.connections_max;
  limits.open = options.connections;
  // Half of the bytes for bodies are kept from handshakes, so that they can not shut bodies out.
  const std::size_t by_memory = share(options) / 2 / kHandshakeBytes;
  limits.handshakes = std::max<std::size_t>(
      std::min(options.handshakes_max / options.shards, by_memory), kFewHandshakes);
  return limits;
}

[[nodiscard]] kafka::ProducerLimits producer_limits(const ShardOptions& options) {
  kafka::ProducerLimits limits;
  limits.queue_bytes = share(options);
  limits.record_bytes_max =
      options.record_bytes_max.value_or(kafka::accepted_bytes_max(options.settings->config));
  limits.gather = kGather;
  limits.pace.few_records = std::max<std::size_t>(16, kFewRecords / options.shards);
  return limits;
}

[[nodiscard]] Gate gate_for(const Settings& settings) noexcept {
  return Gate(any_source_chunked(settings) ? ChunkedBodies::Allowed : ChunkedBodies::Refused);
}

[[nodiscard]] std::string events_topic(const ShardOptions& options) {
  return kafka::topic_name(options.settings->config.topics, "events");
}

[[nodiscard]] std::unique_ptr<RequestTracer> tracer_for(const ShardOptions& options) {
  if (options.tracing == nullptr) return nullptr;
  return std::make_unique<RequestTracer>(options.tracing, events_topic(options));
}

}  // namespace

std::size_t memory_share(const Config& config, unsigned shards) noexcept {
  return std::max(config.ingest.memory_max / 2 / shards, 2 * kafka::body_bytes_max(config));
}

Duration shard_drain_limit(const Settings& settings) noexcept {
  return longest_ack_timeout(settings) + kRequestGrace + kFlushTime + kLastAnswers;
}

Shard::Shard(ShardLoop& loop, const ShardOptions& options)
    : loop_(loop),
      admission_(admission_limits(options)),
      producer_(loop.executor(),
                {.kafka = options.settings->config.kafka,
                 .topic = events_topic(options),
                 .limits = producer_limits(options),
                 .budget = options.budget,
                 .connections = [this] { return sessions_.size(); }},
                loop.slab()),
      sessions_(environment_, pool_limits(options)),
      environment_{
          .executor = loop.executor(),
          .receiver = std::make_shared<Receiver>(options.settings),
          .admission = admission_,
          .producer = producer_,
          .pool = sessions_,
          .slab = loop.slab(),
          .tls = options.tls,
          .limits = options.limits,
          .last_request_id = random_seed(),  // ids differ between shards, processes and restarts
          .topics = options.topics,
          .tracer = tracer_for(options),
          .head = HeadWork(gate_for(*options.settings))},
      round_timer_(loop.executor()) {
  prepare_answers();
}

Shard::~Shard() = default;

void Shard::listen(const std::vector<Tcp::endpoint>& addresses, Port port) {
  for (const Tcp::endpoint& address : addresses) {
    listeners_.push_back(std::make_unique<Listener>(loop_.executor(), sessions_,
                                                    loop_.slab().ingest_connections_total));
    listeners_.back()->open(address, port);
  }
}

std::vector<Tcp::endpoint> Shard::endpoints() const {
  std::vector<Tcp::endpoint> bound;
  for (const auto& listener : listeners_) bound.push_back(listener->endpoint());
  return bound;
}

void Shard::start() {
  for (const auto& listener : listeners_) listener->start();
  // An exception may have stopped the listeners or the round: both begin again unless they go on.
  loop_.set_on_exception([this] {
    for (const auto& listener : listeners_) listener->resume();
    arm_round();
  });
  round();
}

void Shard::use(std::shared_ptr<const Settings> settings) {
  environment_.receiver = std::make_shared<Receiver>(*environment_.receiver, std::move(settings));
}

void Shard::use_tls(std::shared_ptr<TlsContext> tls) {
  environment_.tls = std::move(tls);
}

void Shard::reload(std::shared_ptr<Receiver> receiver, std::shared_ptr<TlsContext> tls) {
  environment_.head.gate = gate_for(receiver->settings());
  environment_.receiver = std::move(receiver);
  environment_.tls = std::move(tls);
}

ShardFigures Shard::figures() const noexcept {
  const metrics::Slab& slab = loop_.slab();
  const auto whole = [](const metrics::Gauge& gauge) {
    return static_cast<std::uint64_t>(gauge.read());
  };
  return {.connections = whole(slab.ingest_connections),
          .inflight = whole(slab.ingest_inflight_requests),
          .queue_messages = whole(slab.ingest_produce_queue_messages),
          .queue_bytes = whole(slab.ingest_produce_queue_bytes),
          .oldest_unacknowledged_ms = oldest_ms_.load(std::memory_order_relaxed),
          .accept_failures = accept_failures_.load(std::memory_order_relaxed),
          .handshakes = handshakes_.load(std::memory_order_relaxed),
          .handshakes_cut = handshakes_cut_.load(std::memory_order_relaxed),
          .stalled = stalled_.load(std::memory_order_relaxed)};
}

void Shard::arm_round() {
  if (round_armed_) return;
  round_timer_.expires_after(kRoundInterval);
  round_timer_.async_wait([this](ErrorCode error) {
    round_armed_ = false;
    if (!error) round();
  });
  round_armed_ = true;
}

void Shard::round() {
  arm_round();
  const TimePoint now = monotonic_now();
  sessions_.check_deadlines(now);
  if (drained_) continue_drain(now);
  for (const auto& listener : listeners_) listener->resume();
  publish(now);
  trim(now);
}

// What thousands of handshakes have left in the allocator goes back to the system.
void Shard::trim(TimePoint now) {
  if (now - trimmed_ < kTrimInterval || !sessions_.wants_trim()) return;
  trimmed_ = now;
  ::malloc_trim(0);
}

void Shard::publish(TimePoint now) {
  metrics::Slab& slab = loop_.slab();
  const KafkaState kafka = producer_.state();
  slab.ingest_connections.set(static_cast<double>(sessions_.size()));
  slab.ingest_inflight_requests.set(static_cast<double>(admission_.requests().used()));
  slab.ingest_produce_queue_messages.set(static_cast<double>(kafka.messages));
  slab.ingest_produce_queue_bytes.set(static_cast<double>(kafka.bytes));
  std::uint64_t failures = 0;
  for (const auto& listener : listeners_) failures += listener->failures();
  accept_failures_.store(failures + sessions_.failures(), std::memory_order_relaxed);
  handshakes_.store(sessions_.handshakes(), std::memory_order_relaxed);
  handshakes_cut_.store(sessions_.handshakes_cut(), std::memory_order_relaxed);
  const auto oldest = producer_.oldest_pending();
  const Duration age = oldest ? now - *oldest : Duration::zero();
  oldest_ms_.store(static_cast<std::uint64_t>(std::max<std::int64_t>(
                       std::chrono::duration_cast<std::chrono::milliseconds>(age).count(), 0)),
                   std::memory_order_relaxed);
  stalled_.store(admission_.stalled(kafka, now), std::memory_order_relaxed);
}

void Shard::drain(Duration delay, std::function<void()> done) {
  drained_ = std::move(done);
  stop_at_ = monotonic_now() + delay;
}

void Shard::continue_drain(TimePoint now) {
  switch (environment_.phase) {
    case Phase::Serving:
      if (now >= stop_at_) stop_accepting(now);
      return;
    case Phase::Closing:
      // A request may be on its way on a connection that is silent now.
      if (now - stop_at_ >= kIdleGrace) sessions_.close_idle(now - kIdleGrace);
      if (sessions_.size() == 0 ||
          now - stop_at_ >=
              longest_ack_timeout(environment_.receiver->settings()) + kRequestGrace) {
        flush(now);
      }
      return;
    case Phase::Flushing:
      // The last answers are given the time to be read.
      if (!flushed_ || (sessions_.size() > 0 && now < stop_at_)) return;
      sessions_.close_all();
      std::exchange(drained_, nullptr)();
  }
}

void Shard::stop_accepting(TimePoint now) {
  stop_at_ = now;
  environment_.phase = Phase::Closing;
  for (const auto& listener : listeners_) listener->stop();
}

void Shard::flush(TimePoint now) {
  environment_.phase = Phase::Flushing;
  stop_at_ = now + kFlushTime + environment_.limits.linger;
  producer_.drain(now + kFlushTime, [this] { flushed_ = true; });
}

}  // namespace eventrelay::ingest
