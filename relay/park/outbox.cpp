#include "relay/park/outbox.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "common/base/assert.hpp"
#include "common/kafka/record_size.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::relay {

namespace {

using kafka::Queued;
using kafka::Stored;
using metrics::ProduceFailure;

constexpr Duration kPause =
    std::chrono::milliseconds(500);  // before a refused write is tried again
// Before the brokers have told of the topics nothing is wrong yet.
constexpr Duration kPauseAtStart = std::chrono::milliseconds(50);
constexpr Duration kLate = std::chrono::seconds(2);  // a healthy broker has answered long before
constexpr std::size_t kQueueMin = 4U << 20;
constexpr std::uint64_t kSums = ~std::uint64_t{0};  // the token of every record of sums

kafka::ProducerLimits limits_of(const Config& config, unsigned shards) {
  kafka::ProducerLimits limits;
  limits.record_bytes_max = kafka::parked_bytes_max(config);
  limits.queue_bytes = outbox_bytes(config, shards);
  return limits;
}

// Keys of two partitions may be the same text.
std::string slot_of(Partition partition, std::string_view key) {
  return std::to_string(partition.value) + '/' + std::string{key};
}

}  // namespace

std::size_t outbox_bytes(const Config& config, unsigned shards) noexcept {
  return std::max(config.relay.memory_max / shards / 8, kQueueMin) +
         kafka::parked_bytes_max(config);
}

Outbox::Outbox(ShardIo& io, const OutboxOptions& options, metrics::Slab& slab, Changed changed)
    : loop_(io.loop()),
      clock_(io.clock()),
      slab_(slab),
      changed_(std::move(changed)),
      timer_(loop_.make_timer()),
      producer_(io.make_sink(limits_of(options.config, options.shards), *this)),
      queue_bytes_(limits_of(options.config, options.shards).queue_bytes) {
  const Config& config = options.config;
  const auto open = [&](const std::string& suffix) {
    topic_names_.push_back(kafka::topic_name(config.topics, suffix));
    return producer_->add_topic(topic_names_.back());
  };
  for (const milliseconds delay : config.retry.delays) open("retry." + kafka::delay_word(delay));
  dead_ = open("dead");
  state_ = open("state");
  attempts_ = open("attempts");
  sums_ = open("sums");
}

Outbox::~Outbox() = default;

// --- what is asked for ------------------------------------------------------------------------

Outbox::Write& Outbox::add(std::size_t topic, Partition partition, Sender sender) {
  Write& write = writes_.take();
  if (write.token == 0) write.token = writes_.made();  // a new one; no write has token 0
  write.topic = topic;
  write.partition = partition;
  write.since = clock_.now();
  if (sender.client != nullptr) write.senders.push_back(sender);
  waiting_.push_back(write);
  return write;
}

void Outbox::park(const HeldEvent& held, const ParkedState& state, std::size_t delay,
                  Sender sender) {
  EVENTRELAY_ASSERT(delay < dead_);
  add_event(delay, held, state, sender);
}

void Outbox::dead_letter(const HeldEvent& held, const ParkedState& state, Sender sender) {
  EVENTRELAY_ASSERT(!state.dead_class.empty());
  add_event(dead_, held, state, sender);
}

void Outbox::add_event(std::size_t topic, const HeldEvent& held, const ParkedState& state,
                       Sender sender) {
  Write& write = add(topic, held.partition, sender);
  write.held = &held;
  write.state = state;
  write.text = state.subscription;
  send(write);
}

void Outbox::put_state(Partition partition, std::string key, std::string value, Sender sender) {
  const auto [it, fresh] = keys_.try_emplace(slot_of(partition, key));
  if (!fresh) {
    // One record of a key at a time, because the one that is written last counts.
    NextState& next = it->second;
    next.value = std::move(value);
    next.wanted = true;
    if (sender.client != nullptr) next.senders.push_back(sender);
    return;
  }
  Write& write = add(state_, partition, sender);
  write.key = std::move(key);
  write.text = std::move(value);
  send(write);
}

void Outbox::log_attempt(InstanceId instance, std::string_view line) {
  // What must be written goes first: a slow broker costs lines of the log, not room for events.
  const bool room = producer_->pending_bytes() + line.size() <= queue_bytes_ / 2;
  const RecordHeaders headers;
  const std::string key = std::to_string(instance.value);
  if (!room || producer_->produce(attempts_, {key, line, &headers, -1}, 0) != Queued::Queued) {
    slab_.relay_attempts_dropped_total.add();
  }
}

bool Outbox::write_sums(std::string_view sums) {
  if (producer_->pending_bytes() + sums.size() > queue_bytes_ / 2) return false;
  const RecordHeaders headers;
  return producer_->produce(sums_, {"", sums, &headers, 0}, kSums) == Queued::Queued;
}

// --- on its way -------------------------------------------------------------------------------

void Outbox::send(Write& write) {
  if (write.topic < dead_ && delay_log_.position) {
    write.read_to = delay_log_.position(write.topic, write.partition);
  }
  if (write.topic == state_ && state_log_.position) {
    write.read_to = state_log_.position(write.partition);
  }
  const Queued queued = produce(write);
  if (queued == Queued::Queued) {
    write.sent = true;
    return;
  }
  if (queued == Queued::Unavailable && !met_) return again(write, kPauseAtStart);
  if (queued == Queued::TooLarge) {
    fail(write, ProduceFailure::TooLarge, "a record is larger than its topic takes");
  } else {
    fail(
        write, failure_of(queued),
        queued == Queued::QueueFull ? "the producer's queue is full" : "the brokers do not answer");
  }
}

Queued Outbox::produce(const Write& write) {
  met_ = met_ || producer_->ready();
  if (write.held == nullptr) {
    const RecordHeaders headers;
    return producer_->produce(write.topic, {write.key, write.text, &headers, write.partition.value},
                              write.token);
  }
  Event event = write.held->event;
  event.parked = write.state;
  event.parked->subscription = write.text;
  const RecordHeaders headers(event);
  std::array<char, 20> digits;
  const auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), event.instance.value).ptr;
  const std::string_view key{digits.data(), static_cast<std::size_t>(end - digits.data())};
  return producer_->produce(write.topic, {key, event.body, &headers, write.partition.value},
                            write.token);
}

void Outbox::on_stored(std::uint64_t token, Stored stored) {
  if (token == kSums) {
    if (stored != Stored::Persisted) log::warn("sums of events could not be written");
    return;
  }
  if (token == 0) {  // a line of the attempts log
    if (stored != Stored::Persisted) slab_.relay_attempts_dropped_total.add();
    return;
  }
  Write& write = writes_[token - 1];
  write.sent = false;
  if (write.orphan) return recycle(write);
  if (stored == Stored::Persisted) return end(write, Receipt::Written);
  fail(write, failure_of(stored),
       stored == Stored::TooLarge ? "a record is larger than its topic takes"
                                  : "writes to Kafka fail");
}

void Outbox::on_placed(std::uint64_t token, Offset at, std::optional<WallTime> appended) {
  if (appended) {
    lead_.note(clock_.steady(), *appended, clock_.now());
    const milliseconds lead = lead_.lead();
    const milliseconds known = clock_.set_lead(lead);
    if ((lead.count() == 0) != (known.count() == 0)) {
      log::warn(lead.count() != 0 ? "the clock differs from that of the brokers, theirs is used"
                                  : "the clock agrees with that of the brokers again",
                {{"ahead_ms", std::int64_t{lead.count()}}});
    }
  }
  if (token == 0 || token == kSums) return;
  const Write& write = writes_[token - 1];
  // A reader never stands behind the end of its log: a record below that is in another log.
  if (write.orphan || at >= write.read_to) return;
  if (write.topic < dead_ && delay_log_.began_anew) {
    delay_log_.began_anew(write.topic, write.partition);
  } else if (write.topic == state_ && state_log_.began_anew) {
    state_log_.began_anew(write.partition);
  }
}

void Outbox::reads_from_start(std::size_t delay, Partition partition) {
  for (Write& write : waiting_) {
    if (write.topic == delay && write.partition == partition) write.read_to = Offset{0};
  }
}

// Tries again after a pause. What is too large for a delay topic may still fit the dead letters, so
// its sender is told; a dead letter that is too large holds its partition until its topic takes it.
void Outbox::fail(Write& write, ProduceFailure failure, std::string_view reason) {
  slab_.relay_write_failures_total.add(failure);
  if (failure == ProduceFailure::TooLarge && write.topic != dead_) {
    write.too_large = true;
  } else {
    block(write, reason);
  }
  again(write, write.too_large ? Duration::zero() : kPause);
}

void Outbox::again(Write& write, Duration pause) {
  again_.push_back(&write);
  if (!std::exchange(armed_, true)) arm(pause);
}

void Outbox::arm(Duration pause) {
  timer_->arm(clock_.now() + pause, [this] {
    armed_ = false;
    send_again();
  });
}

void Outbox::send_again() {
  std::vector<Write*> writes;
  writes.swap(again_);
  for (Write* write : writes) {
    if (write->orphan) {
      recycle(*write);
    } else if (write->too_large) {
      end(*write, Receipt::TooLarge);
    } else if (!renew(*write)) {
      send(*write);
    }
  }
}

// A state record that has failed while a newer one waits is that newer one from now on.
bool Outbox::renew(Write& write) {
  if (write.key.empty()) return false;
  NextState& next = keys_.at(slot_of(write.partition, write.key));
  if (!std::exchange(next.wanted, false)) return false;
  write.text = std::move(next.value);
  for (const Sender& sender : next.senders) write.senders.push_back(sender);
  next.senders.clear();
  send(write);
  return true;
}

void Outbox::end(Write& write, Receipt receipt) {
  unblock(write);
  unlink(waiting_, write);
  const std::vector<Sender> senders = std::exchange(write.senders, {});
  if (!write.key.empty()) go_on(write);
  recycle(write);
  for (const Sender& sender : senders) sender.client->on_receipt(sender.token, receipt);
  check_drained();
}

// The next record of a key whose last one has ended.
void Outbox::go_on(const Write& write) {
  const auto it = keys_.find(slot_of(write.partition, write.key));
  if (!it->second.wanted) {
    keys_.erase(it);
    return;
  }
  NextState next = std::exchange(it->second, NextState{});
  Write& newer = add(state_, write.partition, Sender{});
  newer.senders = std::move(next.senders);
  newer.key = write.key;
  newer.text = std::move(next.value);
  send(newer);
}

void Outbox::recycle(Write& write) {
  EVENTRELAY_ASSERT(!write.sent);
  const std::uint64_t token = write.token;
  write = Write{};
  write.token = token;
  writes_.give_back(write);
}

// --- blocked ----------------------------------------------------------------------------------

void Outbox::block(Write& write, std::string_view reason) {
  if (std::exchange(write.blocking, true)) return;
  if (++blocked_[write.partition.value] > 1) return;
  reason_ = reason;
  log::warn(
      "a record can not be written, its partition waits",
      {{"topic", topic_names_[write.topic]}, {"partition", write.partition}, {"reason", reason}});
  changed_(write.partition);
}

void Outbox::unblock(Write& write) {
  if (!std::exchange(write.blocking, false)) return;
  const auto it = blocked_.find(write.partition.value);
  if (--it->second > 0) return;
  blocked_.erase(it);
  log::info("records can be written again", {{"partition", write.partition}});
  changed_(write.partition);
}

bool Outbox::blocked(Partition partition) const {
  return blocked_.contains(partition.value);
}

void Outbox::age(TimePoint now) {
  // Oldest first.
  for (Write& write : waiting_) {
    if (now - write.since < kLate) break;
    block(write, "writes to Kafka are not acknowledged");
  }
  check_drained();
}

// --- the end ----------------------------------------------------------------------------------

void Outbox::forget(Partition partition) {
  std::vector<Sender> senders;
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    Write& write = *it++;
    if (write.partition != partition) continue;
    unblock(write);
    unlink(waiting_, write);
    senders.insert(senders.end(), write.senders.begin(), write.senders.end());
    if (!write.key.empty()) {
      const auto node = keys_.extract(slot_of(partition, write.key));
      const std::vector<Sender>& more = node.mapped().senders;
      senders.insert(senders.end(), more.begin(), more.end());
    }
    write.senders.clear();
    write.held = nullptr;
    write.orphan = true;  // freed with its report, or by the pause it waits in
  }
  for (const Sender& sender : senders) sender.client->on_receipt(sender.token, Receipt::Forgotten);
  check_drained();
}

void Outbox::drain(TimePoint deadline, std::function<void()> done) {
  EVENTRELAY_ASSERT(!drained_);
  drained_ = std::move(done);
  drain_deadline_ = deadline;
  loop_.post([this] { check_drained(); });
}

void Outbox::check_drained() {
  if (!drained_ || draining_) return;
  if (!waiting_.empty() && clock_.now() < drain_deadline_) return;
  draining_ = true;
  producer_->drain(drain_deadline_, [this] { std::exchange(drained_, nullptr)(); });
}

void Outbox::shutdown() {
  timer_->cancel();
}

}  // namespace eventrelay::relay
