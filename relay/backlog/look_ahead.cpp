#include "relay/backlog/look_ahead.hpp"

#include <algorithm>

#include "common/kafka/topics.hpp"

namespace eventrelay::relay {

using Hold = PartitionState::Hold;
using Share = PartitionState::Share;

namespace {

// Most of what a look has fetched is dropped once it has found a subscription with room.
constexpr std::size_t kPrefetch = 512U << 10;
// Records of one partition before the next is looked at: what was read ahead of it is dropped.
constexpr std::uint32_t kLookTurn = 10'000;
constexpr std::int64_t kJump = 2'000;  // a seek costs about as much as reading so many
// The live path will have read by itself what it reaches in so many looks.
constexpr std::int64_t kSoon = 2;
constexpr std::uint32_t kFew = 8;     // subscriptions that may crowd a partition of a busy shard
constexpr std::size_t kAsked = 4096;  // queues asked in one look whether they have nothing to do

kafka::ReaderOptions ahead_options(const Config& config) {
  kafka::ReaderOptions options;
  options.group = config.relay.group + ".ahead";  // it commits nothing
  options.topics = {kafka::topic_name(config.topics, "events")};
  options.prefetch_bytes = kPrefetch;
  options.fetch_wait = std::chrono::milliseconds{50};
  return options;
}

}  // namespace

bool could_take(const SubscriptionQueue& queue, TimePoint now) noexcept {
  const bool waits = queue.jobs > queue.in_flight;
  const bool answers = !queue.unresponsive || !queue.tried;
  return !waits && answers && !queue.full() && queue.in_flight < queue.config.concurrency &&
         queue.breaker.state() == CircuitBreaker::State::Closed && queue.not_before <= now;
}

LookAhead::LookAhead(ShardIo& io, const Config& config, LookAheadParts parts)
    : parts_(std::move(parts)),
      clock_(io.clock()),
      reader_(io.make_reader(ahead_options(config))),
      timer_(io.loop().make_timer()) {}

LookAhead::~LookAhead() = default;

void LookAhead::shutdown() {
  timer_->cancel();
}

// --- partitions ---------------------------------------------------------------------------------

void LookAhead::add(Partition partition, Cursors& cursors) {
  Ahead& ahead = aheads_[partition.value];
  ahead = Ahead{};
  ahead.id = partition;
  ahead.cursors = &cursors;
}

void LookAhead::drop(Partition partition) {
  if (at_ == partition) stop();
  aheads_.erase(partition.value);
  std::erase(order_, partition);
}

void LookAhead::held_back(Partition partition) {
  const auto it = aheads_.find(partition.value);
  if (it == aheads_.end() || it->second.since) return;
  it->second.since = clock_.now();
  it->second.seen = live_of(it->second).value_or(Offset{0});
  it->second.step = 0;
  order_.push_back(partition);
  if (std::exchange(armed_, true)) return;
  timer_->arm(clock_.now() + kPatience, [this] { look(); });
}

void LookAhead::read_to_end(Partition partition) {
  const auto it = aheads_.find(partition.value);
  if (it == aheads_.end()) return;
  it->second.since.reset();
  it->second.told.reset();
  // The log may begin anew.
  it->second.next = it->second.left = it->second.back = Offset{0};
  std::erase(order_, partition);
  if (at_ == partition) stop();
}

// --- turns --------------------------------------------------------------------------------------

std::optional<Offset> LookAhead::live_of(const Ahead& ahead) const {
  const PartitionState* const state = parts_.consumer.find(ahead.id);
  if (state == nullptr || !state->reading || !state->behind) return std::nullopt;
  return Consumer::live_position(*state);
}

bool LookAhead::wanted(Ahead& ahead) const {
  const auto live = live_of(ahead);
  if (!ahead.since || !live || (ahead.told && *live <= *ahead.told)) return false;
  const PartitionState* const state = parts_.consumer.find(ahead.id);
  const Duration patience = clock_.now() - *ahead.since;
  if (state->hold != Hold::No || state->share == Share::Crowded) {
    return patience >= kPatience;
  }
  if (state->share == Share::Used) return false;  // nobody could be helped
  return patience >= kBusyPatience && crowded_by_few(ahead);
}

// Where many are behind alike, each has its turn soon. A pass over all jobs, so seldom.
bool LookAhead::crowded_by_few(Ahead& ahead) const {
  const TimePoint now = clock_.now();
  if (now - ahead.judged < kBusyPatience) return ahead.by_few;
  ahead.judged = now;
  const auto crowd = parts_.scheduler.largest_crowd(ahead.id, Scheduler::Whose::LivePath);
  ahead.by_few = crowd.waiting * kFew >= parts_.consumer.find(ahead.id)->held_count;
  return ahead.by_few;
}

LookAhead::Ahead* LookAhead::choose() {
  for (std::size_t i = 0; i < order_.size(); ++i) {
    Ahead& ahead = aheads_.at(order_[i].value);
    if (!wanted(ahead) || !somebody_idle(ahead)) continue;
    std::rotate(order_.begin() + static_cast<std::ptrdiff_t>(i),
                order_.begin() + static_cast<std::ptrdiff_t>(i) + 1, order_.end());
    return &ahead;
  }
  return nullptr;
}

// If every subscription with events there is behind itself, none keeps another one waiting.
bool LookAhead::somebody_idle(Ahead& ahead) const {
  if (parts_.subscriptions.any_unseen()) return true;
  const TimePoint now = clock_.now();
  return parts_.scheduler.any_queue(ahead.asked, kAsked, [&](const SubscriptionQueue& queue) {
    return queue.may_be_in(ahead.id) && could_take(queue, now) && parts_.scheduler.has_slot(queue);
  });
}

void LookAhead::note_step(Ahead& ahead) const {
  const auto live = live_of(ahead);
  if (!live) return;
  ahead.step = std::max<std::int64_t>(live->value - ahead.seen.value, 0);
  ahead.seen = *live;
}

void LookAhead::set_start(Ahead& ahead, Offset live) const {
  const Offset soon{live.value + kSoon * ahead.step};
  if (soon < ahead.left) {  // it has slowed down before it got there
    ahead.next = ahead.left = live;
    ahead.back = Offset{0};
  }
  if (ahead.next < soon) ahead.left = ahead.next = soon;
}

// What is being read was begun behind where the live path would be soon, and now that stands still.
bool LookAhead::left_too_much() const {
  if (!at_) return false;
  const Ahead& ahead = aheads_.at(at_->value);
  const auto live = live_of(ahead);
  return live && ahead.step == 0 && *live < ahead.left;
}

// Now and then while a partition is held back.
void LookAhead::look() {
  armed_ = false;
  if (order_.empty()) return;
  armed_ = true;
  timer_->arm(clock_.now() + kPatience, [this] { look(); });
  for (const Partition partition : order_) note_step(aheads_.at(partition.value));
  if (left_too_much()) stop();
  look_again();
  next_turn();  // first: a partition that tries again does not look held back
  // The subscription that answered may have stopped answering.
  for (const Partition partition : std::vector<Partition>(order_)) parts_.consumer.retry(partition);
  parts_.found();
}

// A queue whose event was passed over may have room now.
void LookAhead::look_again() {
  for (const Partition partition : order_) {
    Ahead& ahead = aheads_.at(partition.value);
    if (!wanted(ahead)) continue;
    const auto at = passed_over(ahead);
    if (!at || *at >= ahead.next) continue;  // it has still to be read
    ahead.back = std::max(ahead.back, ahead.next);
    ahead.next = *at;
    stop();
    return begin_turn(ahead);
  }
}

std::optional<Offset> LookAhead::passed_over(Ahead& ahead) const {
  const TimePoint now = clock_.now();
  const Offset live = *live_of(ahead);
  std::optional<Offset> at;
  const bool any =
      parts_.scheduler.any_queue(ahead.asked_again, kAsked, [&](SubscriptionQueue& queue) {
        at = queue.passed.ahead_of(ahead.id, live);
        if (!at || !could_take(queue, now) || !parts_.scheduler.has_slot(queue)) return false;
        // One look for it; what it passes over again is noted again.
        queue.passed.seen(ahead.id, queue.passed.last);
        return true;
      });
  return any ? at : std::nullopt;
}

void LookAhead::next_turn() {
  if (at_) return;
  Ahead* const ahead = choose();
  if (ahead == nullptr) return;
  set_start(*ahead, *live_of(*ahead));
  begin_turn(*ahead);
}

void LookAhead::begin_turn(Ahead& ahead) {
  ahead.told.reset();
  at_ = ahead.id;
  looked_ = 0;
  readable_ = false;
  reader_->start({0, *at_}, ahead.next, *this);
}

void LookAhead::stop() {
  if (!at_) return;
  reader_->stop({0, *at_});
  at_.reset();
  readable_ = false;
}

void LookAhead::on_readable(kafka::TopicPartition /*place*/) {
  readable_ = true;
  parts_.found();
}

// --- looking ------------------------------------------------------------------------------------

std::size_t LookAhead::read(std::size_t max) {
  const bool reading = at_.has_value();
  std::size_t count = 0;
  while (at_ && readable_ && count < max) {
    Ahead& ahead = aheads_.at(at_->value);
    const auto live = live_of(ahead);
    if (!live) {
      stop();
      break;
    }
    const kafka::Read read = reader_->next({0, *at_});
    if (read.found == kafka::Found::Nothing) {
      readable_ = false;
      break;
    }
    if (read.found == kafka::Found::OutOfRange) {
      stop();
      break;
    }
    const bool others = order_.size() > 1;
    if (read.found == kafka::Found::End && others) stop();
    if (read.found != kafka::Found::Record) continue;
    ++count;
    parts_.slab.relay_swept_records_total.add();
    ahead.next = Offset{read.at.value + 1};
    if (read.at < *live) {  // the live path was faster
      if (live->value - read.at.value > kJump) stop();
      continue;
    }
    if (judge(ahead, read.message) || (++looked_ >= kLookTurn && others)) stop();
  }
  if (reading && !at_) next_turn();
  return count;
}

// True: an event of a subscription with room; the live path is told.
bool LookAhead::judge(Ahead& ahead, const kafka::Message& message) {
  const auto event = message.event();
  if (!event) return true;  // the live path can not get past it either
  queues_.clear();
  if (parts_.subscriptions.match(*event, queues_) != Subscriptions::Match::Some) return false;
  const TimePoint now = clock_.now();
  const Offset at = message.offset();
  if (!ahead.cursors->empty()) {
    std::erase_if(queues_, [&](const SubscriptionQueue* queue) {
      const EventKey key{parts_.subscriptions.target(*queue)->id, event->object_id,
                         queue->config.ordering};
      return ahead.cursors->cover(key, at) != Cover::None;
    });
  }
  const bool waits = std::any_of(queues_.begin(), queues_.end(), [&](const auto* queue) {
    return could_take(*queue, now) && parts_.scheduler.has_slot(*queue);
  });
  for (SubscriptionQueue* const queue : queues_) {
    waits ? queue->passed.seen(ahead.id, at) : queue->passed.note(ahead.id, at);
  }
  if (!waits) return false;
  ahead.told = at;
  ahead.next = std::max(ahead.next, std::exchange(ahead.back, Offset{0}));
  parts_.consumer.await(ahead.id, at, now);
  parts_.found();
  return true;
}

}  // namespace eventrelay::relay
