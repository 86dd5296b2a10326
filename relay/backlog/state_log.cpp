#include "relay/backlog/state_log.hpp"

#include <algorithm>
#include <utility>

#include "common/base/assert.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"
#include "common/process/failpoint.hpp"
#include "relay/backlog/ownership.hpp"
#include "relay/backlog/state_follower.hpp"

namespace eventrelay::relay {

namespace {

constexpr int kReadTurn = 64;  // records before the loop gets its turn
constexpr int kWriteTurn = 32;
constexpr std::uint64_t kAssureToken = ~std::uint64_t{0};

kafka::ReaderOptions state_options(const Config& config) {
  kafka::ReaderOptions options;
  options.group = config.relay.group + ".state";  // it commits nothing
  options.topics = {kafka::topic_name(config.topics, "state")};
  return options;
}

// Unique to one take-over.
std::string owner_name(ShardIo& io) {
  return std::to_string(io.make_seed()) + "-" + std::to_string(io.make_seed());
}

}  // namespace

// One partition. Thread: shard thread.  Bounds: one Cursors.
class StateLog::Log final : public OutboxClient {
 public:
  // `token` names this stay of the partition.
  Log(StateLog& owner, Partition partition, std::uint64_t token)
      : owner_(owner), partition_(partition), token_(token), follower_(owner_name(owner.io_)) {}

  // False: it is stopped.
  [[nodiscard]] bool take(const kafka::Message& message);
  void at_end() { act(ownership_.at_end()); }
  void write();
  void write_on();
  void on_receipt(std::uint64_t token, Receipt receipt) override;
  void confirmed(bool accepted) { act(ownership_.confirmed(accepted)); }
  void tick() { act(ownership_.again()); }
  // What stood in the log is gone: it is made ours once more, and all is written again.
  void begin_anew() {
    next_ = Offset{0};
    anew_ = follower_.cursors() != nullptr;
    follower_.begin_anew();
    act(ownership_.beaten());
  }
  void stop(std::string reason);
  [[nodiscard]] Cursors* cursors() noexcept { return follower_.cursors(); }
  [[nodiscard]] std::uint64_t token() const noexcept { return token_; }
  void assure();
  [[nodiscard]] bool unsure() const noexcept { return (anew_ || assuring_) && !stopped_; }
  [[nodiscard]] Offset position() const noexcept { return next_; }

 private:
  void act(Ownership::Action act);
  void own();
  void see(StateFollower::Verdict seen);

  StateLog& owner_;
  Partition partition_;
  std::uint64_t token_;
  StateFollower follower_;
  Ownership ownership_;
  Offset next_;  // to be read
  bool stopped_ = false;
  bool write_posted_ = false;
  bool anew_ = false;  // what is known stands in no log yet
  bool assured_ = false;
  bool assuring_ = false;  // the mark is on its way once more
};

bool StateLog::Log::take(const kafka::Message& message) {
  if (stopped_) return false;
  next_ = Offset{message.offset().value + 1};
  if (const auto seen = follower_.take(message.key(), message.value())) {
    see(*seen);
  } else {
    stop("a record of it can not be read: " + std::string(describe(seen.error())));
  }
  return !stopped_;
}

void StateLog::Log::see(StateFollower::Verdict seen) {
  using Verdict = StateFollower::Verdict;
  switch (seen) {
    case Verdict::Fine:
      return;
    case Verdict::Write:
      return write();
    case Verdict::Durable:
      write();
      return owner_.parts_.durable(partition_);
    case Verdict::MarkCounts:
      return act(ownership_.mark_counts());
    case Verdict::Beaten:
      log::warn("another owner has taken the state of a partition",
                {{"partition", partition_}, {"epoch", follower_.highest()}});
      return act(ownership_.beaten());
  }
}

void StateLog::Log::act(Ownership::Action act) {
  using Action = Ownership::Action;
  if (stopped_) return;
  switch (act) {
    case Action::None:
      return;
    case Action::Mark:
      return owner_.parts_.outbox.put_state(partition_, std::string(kOwnerKey), follower_.mark(),
                                            Sender{this, 0});
    case Action::Confirm:
      if (!owner_.parts_.confirm(kafka::Commit{partition_, next_, {}}, token_)) confirmed(false);
      return;
    case Action::Own:
      return own();
  }
}

void StateLog::Log::own() {
  failpoint::at("before-owner");
  const bool first = follower_.cursors() == nullptr;
  Cursors& cursors = follower_.own(owner_.parts_.bounds, owner_.io_.clock().moment());
  log::info(
      "state of a partition is owned",
      {{"partition", partition_}, {"epoch", cursors.epoch()}, {"again", first ? "no" : "yes"}});
  anew_ = false;
  write();
  if (first) owner_.parts_.ready(partition_, cursors);
  failpoint::at("after-owner");
}

void StateLog::Log::stop(std::string reason) {
  if (std::exchange(stopped_, true)) return;
  owner_.parts_.stopped(partition_, "state: " + std::move(reason));
}

// Thousands of cursors may move at once, so the loop gets its turn in between.
void StateLog::Log::write() {
  if (stopped_ || write_posted_) return;
  for (int count = 0; count < kWriteTurn; ++count) {
    auto next = follower_.next_write();
    if (!next) return;
    owner_.parts_.outbox.put_state(partition_, std::move(next->key), std::move(next->value),
                                   Sender{this, next->token});
  }
  write_posted_ = true;
  owner_.write_later(partition_, token_);
}

void StateLog::Log::write_on() {
  write_posted_ = false;
  write();
}

void StateLog::Log::assure() {
  if (assured_ || !follower_.owns() || cursors()->empty()) return;
  assured_ = assuring_ = true;
  owner_.parts_.outbox.put_state(partition_, std::string(kOwnerKey), follower_.mark_once_more(),
                                 Sender{this, kAssureToken});
}

void StateLog::Log::on_receipt(std::uint64_t token, Receipt receipt) {
  if (token == kAssureToken) {
    assuring_ = false;
    if (receipt == Receipt::Written) owner_.parts_.durable(partition_);
    return;
  }
  if (receipt == Receipt::Written && !stopped_) see(follower_.stored(token));
}

// --- all partitions -----------------------------------------------------------------------------

StateLog::StateLog(ShardIo& io, const Config& config, StateLogParts parts)
    : io_(io), parts_(std::move(parts)), reader_(io.make_reader(state_options(config))) {}

StateLog::~StateLog() = default;

void StateLog::assign(Partition partition) {
  auto& log = logs_[partition.value];
  EVENTRELAY_ASSERT(log == nullptr);
  log = std::make_unique<Log>(*this, partition, ++taken_);
  reader_->start({0, partition}, kafka::kLogStart, *this);
}

void StateLog::drop(Partition partition) {
  reader_->stop({0, partition});
  const auto it = logs_.find(partition.value);
  if (it == logs_.end()) return;
  // A write that is forgotten may ask for more to write. This log is out of reach by then, and
  // lives until none of its records is on its way.
  const std::unique_ptr<Log> log = std::move(it->second);
  logs_.erase(it);
  parts_.outbox.forget(partition);
}

Cursors* StateLog::find(Partition partition) {
  const auto it = logs_.find(partition.value);
  return it == logs_.end() ? nullptr : it->second->cursors();
}

void StateLog::write(Partition partition) {
  const auto it = logs_.find(partition.value);
  if (it != logs_.end()) it->second->write();
}

void StateLog::write_later(Partition partition, std::uint64_t token) {
  io_.loop().post([this, partition, token] {
    const auto it = logs_.find(partition.value);
    if (it != logs_.end() && it->second->token() == token) it->second->write_on();
  });
}

void StateLog::confirmed(std::uint64_t token, bool accepted) {
  const auto it = std::find_if(logs_.begin(), logs_.end(),
                               [token](const auto& one) { return one.second->token() == token; });
  if (it != logs_.end()) it->second->confirmed(accepted);
}

void StateLog::begin_anew(Partition partition) {
  const auto it = logs_.find(partition.value);
  if (it == logs_.end()) return;
  log::warn("state of a partition is written again, since its log has begun anew",
            {{"partition", partition}});
  parts_.slab.relay_log_restarts_total.add();
  parts_.outbox.state_reads_from_start(partition);
  it->second->begin_anew();
  reader_->start({0, partition}, kafka::kLogStart, *this);
}

void StateLog::assure(Partition partition) {
  const auto it = logs_.find(partition.value);
  if (it != logs_.end()) it->second->assure();
}

bool StateLog::unsure(Partition partition) const {
  const auto it = logs_.find(partition.value);
  return it != logs_.end() && it->second->unsure();
}

Offset StateLog::position(Partition partition) const {
  const auto it = logs_.find(partition.value);
  return it == logs_.end() ? Offset{0} : it->second->position();
}

void StateLog::tick() {
  for (const auto& [number, log] : logs_) log->tick();
}

void StateLog::on_readable(kafka::TopicPartition place) {
  for (int count = 0; count < kReadTurn; ++count) {
    const auto it = logs_.find(place.partition.value);
    if (it == logs_.end()) return;
    Log& log = *it->second;
    kafka::Read read = reader_->next(place);
    switch (read.found) {
      case kafka::Found::Nothing:
        return;
      case kafka::Found::Failed:
        break;
      case kafka::Found::End:
        log.at_end();
        break;
      case kafka::Found::OutOfRange:
        return begin_anew(place.partition);
      case kafka::Found::Record:
        if (!log.take(read.message)) return;
        break;
    }
  }
  io_.loop().post([this, place] { on_readable(place); });
}

}  // namespace eventrelay::relay
