#include "relay/backlog/look_ahead.hpp"

#include <algorithm>

#include "common/kafka/topics.hpp"

namespace eventrelay::relay {

namespace {

// Most of what a look has fetched is dropped once it has found a subscription with room.
constexpr std::size_t kPrefetch = 512U << 10;
// Records of one partition before the next is looked at: what was read ahead of it is dropped.
constexpr std::uint32_t kLookTurn = 10'000;
constexpr std::int64_t kJump = 2'000;  // a seek costs about as much as reading so many
// The live path will have read by itself what it reaches in so many looks.
constexpr std::int64_t kSoon = 2;
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
  it->second.next = it->second.left = Offset{0};  // the log may begin anew
  std::erase(order_, partition);
  if (at_ == partition) stop();
}

// --- turns --------------------------------------------------------------------------------------

std::optional<Offset> LookAhead::live_of(const Ahead& ahead) const {
  const PartitionState* const state = parts_.consumer.find(ahead.id);
  if (state == nullptr || !state->reading || !state->behind) return std::nullopt;
  return Consumer::live_position(*state);
}

bool LookAhead::wanted(const Ahead& ahead) const {
  const auto live = live_of(ahead);
  if (!ahead.since || !live || (ahead.told && *live <= *ahead.told)) return false;
  const PartitionState* const state = parts_.consumer.find(ahead.id);
  const bool full = state->hold != PartitionState::Hold::No;
  return clock_.now() - *ahead.since >= (full ? kPatience : kBusyPatience);
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
    return queue.may_be_in(ahead.id) && could_take(queue, now);
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
  if (soon < ahead.left) ahead.next = live;  // it has slowed down before it got there
  if (ahead.next < soon) ahead.left = ahead.next = soon;
}

// Now and then while a partition is held back.
void LookAhead::look() {
  armed_ = false;
  if (order_.empty()) return;
  armed_ = true;
  timer_->arm(clock_.now() + kPatience, [this] { look(); });
  for (const Partition partition : order_) note_step(aheads_.at(partition.value));
  begin_turn();  // first: a partition that tries again does not look held back
  // The subscription that answered may have stopped answering.
  for (const Partition partition : std::vector<Partition>(order_)) parts_.consumer.retry(partition);
  parts_.found();
}

void LookAhead::begin_turn() {
  if (at_) return;
  Ahead* const ahead = choose();
  if (ahead == nullptr) return;
  ahead->told.reset();
  set_start(*ahead, *live_of(*ahead));
  at_ = ahead->id;
  looked_ = 0;
  readable_ = false;
  reader_->start({0, *at_}, ahead->next, *this);
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
  if (reading && !at_) begin_turn();
  return count;
}

// True: an event of a subscription with room; the live path is told.
bool LookAhead::judge(Ahead& ahead, const kafka::Message& message) {
  const auto event = message.event();
  if (!event) return true;  // the live path can not get past it either
  queues_.clear();
  if (parts_.subscriptions.match(*event, queues_) != Subscriptions::Match::Some) return false;
  const TimePoint now = clock_.now();
  const bool waits = std::any_of(queues_.begin(), queues_.end(), [&](const auto* queue) {
    if (!could_take(*queue, now)) return false;
    const EventKey key{parts_.subscriptions.target(*queue)->id, event->object_id,
                       queue->config.ordering};
    return ahead.cursors->cover(key, message.offset()) == Cover::None;
  });
  if (!waits) return false;
  ahead.told = message.offset();
  parts_.consumer.await(ahead.id, message.offset(), now);
  parts_.found();
  return true;
}

}  // namespace eventrelay::relay
