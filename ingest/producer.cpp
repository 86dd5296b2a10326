#include "ingest/producer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "common/base/assert.hpp"

namespace eventrelay::ingest {

namespace {

static_assert(kBucketsKnown == kafka::kBuckets);

[[nodiscard]] std::uint64_t token_of(std::uint32_t index, std::uint32_t generation) noexcept {
  return (std::uint64_t{generation} << 32U) | index;
}

[[nodiscard]] Settled settled_by(kafka::Stored stored) noexcept {
  switch (stored) {
    case kafka::Stored::Persisted:
      return Settled::Stored;
    case kafka::Stored::TooLarge:
      return Settled::TooLarge;
    case kafka::Stored::TimedOut:
    case kafka::Stored::Rejected:
    case kafka::Stored::Fatal:
      break;
  }
  return Settled::Unavailable;
}

[[nodiscard]] IngestError refused_by(kafka::Queued queued) noexcept {
  return queued == kafka::Queued::TooLarge ? IngestError::EventTooLarge
                                           : IngestError::KafkaUnavailable;
}

[[nodiscard]] KafkaState state_of(const kafka::PendingRecords& pending,
                                  const kafka::BucketState& bucket) noexcept {
  return {.bucket = kBucketsKnown,
          .still_since = bucket.still_since(),
          .took = std::max(bucket.took, pending.last_took()),
          .messages = pending.count(),
          .bytes = pending.bytes()};
}

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kWaiterLines = 8;  // a session, whole

// The key of an instance's records. Thread: value.  Bounds: 20 digits.
class Key {
 public:
  explicit Key(InstanceId instance) noexcept
      : end_(std::to_chars(text_.data(), text_.data() + text_.size(), instance.value).ptr) {}
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  [[nodiscard]] std::string_view view() const noexcept {
    return {text_.data(), static_cast<std::size_t>(end_ - text_.data())};
  }

 private:
  std::array<char, 20> text_;
  char* end_;
};

}  // namespace

Producer::Producer(Executor executor, const ProducerOptions& options, metrics::Slab& slab)
    : slab_(slab),
      budget_(options.budget),
      connections_(options.connections),
      client_(executor, options.kafka, options.limits, *this, slab),
      topic_(client_.add_topic(options.topic)) {}

Expected<Ticket, IngestError> Producer::write(std::span<const Event> events, AckWaiter& waiter) {
  EVENTRELAY_ASSERT(!events.empty());
  Entry& entry = acquire(waiter);
  const std::uint64_t token = token_of(entry.index, entry.generation);
  entry.value_bytes = events.front().body.size();
  kafka::Queued queued = kafka::Queued::Queued;
  for (const Event& event : events) {
    queued = hand_over(event, token);
    if (queued != kafka::Queued::Queued) break;
    ++entry.reports_left;
  }
  const Ticket ticket{entry.index, entry.generation};
  if (queued != kafka::Queued::Queued) {
    // What was handed over before goes on without a waiter; the provider sends all again under
    // the same event ids.
    entry.waiter = nullptr;
    if (entry.reports_left == 0) release(entry);
  }
  client_.send_gathered();
  if (queued != kafka::Queued::Queued) return Unexpected<IngestError>(refused_by(queued));
  return ticket;
}

kafka::Queued Producer::hand_over(const Event& event, std::uint64_t token) {
  if (budget_ != nullptr && !budget_->take(event.body.size())) return kafka::Queued::Unavailable;
  const Key key(event.instance);
  const RecordHeaders headers(event);
  const kafka::ProduceRecord record{.key = key.view(), .value = event.body, .headers = &headers};
  const kafka::Queued queued = client_.produce(topic_, record, token);
  if (queued != kafka::Queued::Queued) {
    slab_.ingest_produce_errors_total.add(failure_of(queued));
    if (budget_ != nullptr) budget_->give_back(event.body.size());
  }
  return queued;
}

void Producer::abandon(Ticket ticket) noexcept {
  if (ticket.index >= entries_.made()) return;
  Entry& entry = entries_[ticket.index];
  if (entry.generation == ticket.generation) entry.waiter = nullptr;
}

KafkaState Producer::state_for(const Instance* instance, TimePoint now) noexcept {
  kafka::PendingRecords& pending = client_.pending();
  if (pending.count() == 0) return {};
  KafkaState seen;
  if (instance == nullptr) {
    seen = state();
  } else {
    const std::size_t bucket = client_.bucket_of(topic_, Key(instance->id).view());
    seen = state_of(pending, pending.bucket(bucket));
    seen.bucket = bucket;
  }
  seen.wait_too_long = pending.too_long(now);
  return seen;
}

KafkaState Producer::state() const noexcept {
  return state_of(client_.pending(), client_.pending().all());
}

std::optional<TimePoint> Producer::oldest_pending() const noexcept {
  const auto* slot = client_.pending().oldest();
  return slot != nullptr ? std::optional{slot->since} : std::nullopt;
}

void Producer::drain(TimePoint deadline, std::function<void()> done) {
  client_.drain(deadline, std::move(done));
}

void Producer::on_stored(std::uint64_t token, kafka::Stored stored) {
  const auto index = static_cast<std::uint32_t>(token);
  EVENTRELAY_ASSERT(index < entries_.made());
  Entry& entry = entries_[index];
  EVENTRELAY_ASSERT(entry.generation == static_cast<std::uint32_t>(token >> 32U));
  EVENTRELAY_ASSERT(entry.reports_left > 0);
  --entry.reports_left;
  if (stored == kafka::Stored::Persisted) {
    slab_.ingest_events_total.add();
  } else {
    slab_.ingest_produce_errors_total.add(failure_of(stored));
    entry.settled = settled_by(stored);
    if (budget_ != nullptr) budget_->give_back(entry.value_bytes);
  }
  // One record lost decides the request; the others keep the entry until they report.
  if (entry.reports_left > 0 && entry.settled == Settled::Stored) return;
  const Settled settled = entry.settled;
  AckWaiter* const waiter = std::exchange(entry.waiter, nullptr);
  if (entry.reports_left == 0) release(entry);
  if (waiter != nullptr) waiter->on_settled(settled);
}

// The session of a report was last touched when its record left, many requests ago.
void Producer::expect(std::uint64_t token) noexcept {
  const auto* const waiter =
      reinterpret_cast<const char*>(entries_[static_cast<std::uint32_t>(token)].waiter);
  for (std::size_t i = 0; i < kWaiterLines; ++i) __builtin_prefetch(waiter + i * kCacheLine, 1);
}

Producer::Entry& Producer::acquire(AckWaiter& waiter) {
  const std::size_t made = entries_.made();
  Entry& entry = entries_.take();
  if (entries_.made() > made) entry.index = static_cast<std::uint32_t>(made);
  entry.waiter = &waiter;
  entry.settled = Settled::Stored;
  ++waiting_;
  return entry;
}

void Producer::release(Entry& entry) {
  ++entry.generation;
  entries_.give_back(entry);
  --waiting_;
}

}  // namespace eventrelay::ingest
