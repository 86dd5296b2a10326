#include "relay/state_log.hpp"

#include <random>
#include <unordered_map>
#include <utility>

#include "common/assert.hpp"
#include "common/kafka/topics.hpp"
#include "common/log.hpp"
#include "relay/due_clock.hpp"
#include "relay/state_record.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::uint64_t kMarkToken = 0;  // those of the cursors begin with 1

kafka::ReaderOptions reader_options(const Config& config) {
  kafka::ReaderOptions options;
  options.group = config.relay.group + ".state";  // it commits nothing
  options.topics = {kafka::topic_name(config.topics, "state")};
  return options;
}

// Unique to one take-over.
std::string owner_name() {
  std::random_device device;
  std::string name;
  for (int i = 0; i < 4; ++i) name += std::to_string(device()) + (i < 3 ? "-" : "");
  return name;
}

}  // namespace

// One partition. Thread: shard thread.  Bounds: one Cursors.
class StateLog::Log final : public OutboxClient {
 public:
  Log(StateLog& owner, Partition partition)
      : parts_(owner.parts_), partition_(partition), name_(owner_name()) {}

  // False: it is stopped.
  [[nodiscard]] bool take(std::string_view key, std::string_view value);
  void at_end();
  void write();
  void on_receipt(std::uint64_t token, Receipt receipt) override;
  [[nodiscard]] Cursors* cursors() noexcept { return cursors_.get(); }
  void stop(std::string reason);

 private:
  // A record of ours: durable once Kafka has it and it was read back here.
  struct OnTheWay {
    std::string key;
    std::string value;
    bool stored = false;
    bool read = false;
  };

  void mark();
  void finish();
  void follow(std::string_view key, std::string_view value);
  void note_read(std::string_view key, std::string_view value);
  void acknowledge(std::uint64_t token);

  StateLogParts& parts_;
  Partition partition_;
  std::string name_;
  std::unique_ptr<StateTable> table_ = std::make_unique<StateTable>();
  std::unique_ptr<Cursors> cursors_;
  std::unordered_map<std::uint64_t, OnTheWay> on_the_way_;  // by token
  StateEpoch epoch_ = 0;                                    // of our mark
  bool marked_ = false;
  bool stopped_ = false;
};

bool StateLog::Log::take(std::string_view key, std::string_view value) {
  if (stopped_) return false;
  if (cursors_ != nullptr) {
    follow(key, value);
    return !stopped_;
  }
  if (const auto taken = table_->take(key, value); !taken) {
    stop("a record of it can not be read: " + std::string(describe(taken.error())));
    return false;
  }
  if (!marked_ || key != kOwnerKey) return true;
  const auto mark = decode_owner(value);
  if (!mark || mark->owner != name_) return true;
  if (table_->owner() == name_ && table_->epoch() == epoch_) {
    finish();
  } else {
    this->mark();  // somebody else was a little faster
  }
  return true;
}

void StateLog::Log::at_end() {
  if (!marked_ && !stopped_) mark();
}

void StateLog::Log::mark() {
  marked_ = true;
  epoch_ = table_->epoch() + 1;
  parts_.outbox.put_state(partition_, std::string(kOwnerKey), encode(OwnerRecord{epoch_, name_}),
                          Sender{this, kMarkToken});
}

void StateLog::Log::finish() {
  cursors_ = std::make_unique<Cursors>(parts_.bounds, epoch_);
  const Moment moment = moment_now();
  for (const auto& [key, record] : table_->records()) cursors_->load(record, moment);
  cursors_->loaded();
  for (const std::string& key : table_->fenced()) {
    static_cast<void>(cursors_->followed(key, StateEpoch{0}));
  }
  log::info("state of a partition taken over",
            {{"partition", partition_}, {"epoch", epoch_}, {"entries", table_->records().size()}});
  table_.reset();
  write();
  parts_.ready(partition_, *cursors_);
}

void StateLog::Log::follow(std::string_view key, std::string_view value) {
  std::optional<StateEpoch> epoch;
  if (key == kOwnerKey) {
    const auto mark = decode_owner(value);
    if (!mark) return stop("an owner mark can not be read: " + std::string(describe(mark.error())));
    epoch = mark->epoch;
  } else if (!value.empty()) {
    const auto record = decode_state(value);
    if (!record) return stop("a record can not be read: " + std::string(describe(record.error())));
    epoch = record->epoch;
  }
  switch (cursors_->followed(key, epoch)) {
    case Followed::Fine:
      return note_read(key, value);
    case Followed::Repaired:
      return write();
    case Followed::Fenced:
      return stop("another owner has taken it over");
  }
}

void StateLog::Log::stop(std::string reason) {
  if (std::exchange(stopped_, true)) return;
  parts_.stopped(partition_, "state: " + std::move(reason));
}

void StateLog::Log::write() {
  if (cursors_ == nullptr || stopped_) return;
  while (auto next = cursors_->next_write()) {
    // A deletion lets nothing go that the record before it had not.
    if (!next->value.empty()) on_the_way_[next->token] = OnTheWay{next->key, next->value};
    parts_.outbox.put_state(partition_, std::move(next->key), std::move(next->value),
                            Sender{this, next->token});
  }
}

// An acknowledgement alone does not say that the record counts: an owner that lost the partition
// before it took it over may have set its mark late, in front of it. Read back, it follows that.
void StateLog::Log::on_receipt(std::uint64_t token, Receipt receipt) {
  if (token == kMarkToken || receipt != Receipt::Written || cursors_ == nullptr) return;
  const auto it = on_the_way_.find(token);
  if (it != on_the_way_.end()) it->second.stored = true;
  if (it == on_the_way_.end() || it->second.read) acknowledge(token);
}

void StateLog::Log::note_read(std::string_view key, std::string_view value) {
  if (value.empty() || on_the_way_.empty()) return;
  for (auto& [token, record] : on_the_way_) {
    if (record.key != key || record.value != value) continue;
    record.read = true;
    if (record.stored) acknowledge(token);
    return;
  }
}

void StateLog::Log::acknowledge(std::uint64_t token) {
  on_the_way_.erase(token);
  if (stopped_) return;
  const bool durable = cursors_->acknowledge(token);
  write();
  if (durable) parts_.durable(partition_);
}

// --- all partitions -----------------------------------------------------------------------------

StateLog::StateLog(Executor executor, const Config& config, StateLogParts parts)
    : parts_(std::move(parts)),
      reader_(executor, config.kafka, reader_options(config), parts_.slab) {}

StateLog::~StateLog() = default;

void StateLog::assign(Partition partition) {
  auto& log = logs_[partition.value];
  EVENTRELAY_ASSERT(log == nullptr);
  log = std::make_unique<Log>(*this, partition);
  reader_.start({0, partition}, kafka::kLogStart, *this);
}

void StateLog::drop(Partition partition) {
  reader_.stop({0, partition});
  logs_.erase(partition.value);
}

Cursors* StateLog::find(Partition partition) {
  const auto it = logs_.find(partition.value);
  return it == logs_.end() ? nullptr : it->second->cursors();
}

void StateLog::write(Partition partition) {
  const auto it = logs_.find(partition.value);
  if (it != logs_.end()) it->second->write();
}

void StateLog::on_readable(kafka::Place place) {
  for (;;) {
    const auto it = logs_.find(place.partition.value);
    if (it == logs_.end()) return;
    Log& log = *it->second;
    kafka::Read read = reader_.next(place);
    switch (read.found) {
      case kafka::Found::Nothing:
        return;
      case kafka::Found::Failed:
        break;
      case kafka::Found::End:
        log.at_end();
        break;
      case kafka::Found::OutOfRange:
        return log.stop("its log was cut");
      case kafka::Found::Record:
        if (!log.take(read.message.key(), read.message.value())) return;
        break;
    }
  }
}

}  // namespace eventrelay::relay
