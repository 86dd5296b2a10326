#include "common/kafka/producer_client.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <numeric>
#include <vector>

#include "common/base/assert.hpp"
#include "common/base/start_error.hpp"
#include "common/kafka/gather_rule.hpp"
#include "common/kafka/producer_handle.hpp"
#include "common/kafka/record.hpp"
#include "common/kafka/report.hpp"
#include "common/kafka/stats.hpp"
#include "common/kafka/topics.hpp"
#include "common/kafka/wakeup.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

// How often the shard looks by itself: drain, rebuild, and a wake-up that got lost.
constexpr std::chrono::milliseconds kDrainTick{5};
// A handle that fails again at once is not rebuilt faster than this.
constexpr std::chrono::seconds kRebuildPause{1};

// So many reports are read before the first is acted upon, which is about how many loads of a core
// can be under way.
constexpr std::size_t kReportsAtOnce = 16;

// The user's own linger.ms, by either of its names, is the library's to keep.
bool gathers(const KafkaConfig& config, const ProducerLimits& limits) {
  return limits.gather > Duration::zero() && user_property(config, "linger.ms") == nullptr &&
         user_property(config, "queue.buffering.max.ms") == nullptr;
}

rd_kafka_vu_t bytes_argument(rd_kafka_vtype_t type, std::string_view bytes) noexcept {
  rd_kafka_vu_t argument{};
  argument.vtype = type;
  // The library's own struct lacks const; it copies.
  argument.u.mem.ptr = const_cast<char*>(bytes.data());
  argument.u.mem.size = bytes.size();
  return argument;
}

}  // namespace

// Everything behind ProducerClient; handlers of the loop keep it alive until they have run.
// Thread: shard thread.  Bounds: ProducerLimits.
class ProducerClient::Impl : public ClientTurns<Impl> {
 public:
  Impl(Executor executor, const KafkaConfig& config, ProducerLimits limits, ReportSink& sink,
       metrics::Slab& slab)
      : ClientTurns(executor),
        config_(config),
        limits_(limits),
        sink_(sink),
        slab_(slab),
        meter_(slab),
        handle_(make_handle()),
        pending_(limits.pace),
        gathers_(gathers(config, limits)),
        rule_(limits.gather),
        gather_timer_(executor) {}

  void end() {
    stop_turns();
    gather_timer_.cancel();
    ready_.store(false);
    drop_gathered();
    let_go();
    wakeup().close();
  }

  std::size_t add_topic(const std::string& name) {
    ready_.store(false);
    handle_->open_topic(name);
    topics_.push_back(name);
    return topics_.size() - 1;
  }
  [[nodiscard]] bool ready() const noexcept { return ready_.load(std::memory_order_relaxed); }
  [[nodiscard]] Queued produce(std::size_t topic, const ProduceRecord& record, std::uint64_t token);
  void send_gathered();
  [[nodiscard]] std::size_t bucket_of(std::size_t topic, std::string_view key) const noexcept;
  [[nodiscard]] PendingRecords& pending() noexcept { return pending_; }
  void drain(TimePoint deadline, std::function<void()> done);
  void inject_fatal_error() {
    if (!handle_) return;
    rd_kafka_test_fatal_error(handle_->client(), RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                              "drill");
  }

 private:
  friend class ClientTurns<Impl>;
  std::shared_ptr<ProducerHandle> make_handle() {
    return std::make_shared<ProducerHandle>(config_, limits_, wakeup().descriptor());
  }
  void on_numbers(std::span<const std::int32_t>) { serve(); }
  void tick() { serve(); }
  [[nodiscard]] Duration tick_interval() const noexcept { return drained_ ? kDrainTick : kTick; }
  void serve();

  // One record, ready to be sent.
  struct Outgoing {
    PendingRecords::Slot* slot = nullptr;
    std::size_t topic = 0;
    std::int32_t partition = -1;
    HeadersPtr headers{};
    std::string_view key{};
    std::string_view value{};
    bool owned = false;  // key and value stand in a block of their own that `value` begins
  };
  void gather(Outgoing record);
  [[nodiscard]] rd_kafka_resp_err_t send(Outgoing& record);
  void send_all_gathered();
  void report_refused(PendingRecords::Slot& slot, Queued queued);
  void drop_gathered() noexcept;
  void wait_gather_timer();

  // One report, read.
  struct Report {
    PendingRecords::Slot* slot = nullptr;
    Stored stored = Stored::Rejected;
    Offset at{};
    std::optional<WallTime> appended{};
  };

  void on_reports(rd_kafka_event_t* event);
  void on_report(const Report& report, TimePoint now);
  void on_error(rd_kafka_event_t* event);
  void on_fatal();
  [[nodiscard]] Queued refused(rd_kafka_resp_err_t code);
  void fail_all();
  void rebuild();
  void let_go();
  void check_drained();

  const KafkaConfig config_;
  const ProducerLimits limits_;
  ReportSink& sink_;
  metrics::Slab& slab_;
  StatsMeter meter_;
  std::shared_ptr<ProducerHandle> handle_;  // none while a rebuild has to wait
  std::vector<std::string> topics_;
  PendingRecords pending_;
  const bool gathers_;
  GatherRule rule_;
  Timer gather_timer_;
  bool gather_timer_waits_ = false;
  std::vector<Outgoing> gathered_;
  std::vector<std::uint32_t> order_;  // of gathered_, by partition
  std::atomic<bool> ready_{false};
  bool fatal_ = false;
  TimePoint rebuild_not_before_{};
  std::function<void()> drained_;
  TimePoint drain_deadline_{};
  std::size_t stored_bytes_max_ = 0;  // largest record that was stored
};

Queued ProducerClient::Impl::produce(std::size_t topic, const ProduceRecord& record,
                                     std::uint64_t token) {
  if (!ready()) return Queued::Unavailable;
  EVENTRELAY_ASSERT(topic < topics_.size());
  const std::size_t bytes = record.key.size() + record.value.size() +
                            (record.headers != nullptr ? size_of(*record.headers) : 0);
  if (bytes > limits_.record_bytes_max) return Queued::TooLarge;
  if (pending_.count() >= limits_.queue_messages ||
      pending_.bytes() + bytes > limits_.queue_bytes) {
    return Queued::QueueFull;
  }
  const std::size_t bucket = record.partition < 0
                                 ? bucket_of(topic, record.key)
                                 : static_cast<std::size_t>(record.partition) % kBuckets;
  // Room first: what throws later would leave a slot that nobody reports.
  if (gathered_.size() == gathered_.capacity()) gathered_.reserve(2 * gathered_.size() + 16);
  PendingRecords::Slot* slot = pending_.add(token, bytes, monotonic_now(), bucket);
  Outgoing outgoing{.slot = slot,
                    .topic = topic,
                    .partition = record.partition,
                    .headers = record.headers != nullptr ? to_kafka(*record.headers) : HeadersPtr{},
                    .key = record.key,
                    .value = record.value};
  if (gathers_ && !record.value.empty()) {
    gather(std::move(outgoing));
    return Queued::Queued;
  }
  const rd_kafka_resp_err_t error = send(outgoing);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return Queued::Queued;
  pending_.remove(slot);
  return refused(error);
}

rd_kafka_resp_err_t ProducerClient::Impl::send(Outgoing& record) {
  std::array<rd_kafka_vu_t, 7> arguments{};
  arguments[0].vtype = RD_KAFKA_VTYPE_RKT;
  arguments[0].u.rkt = handle_->topic(record.topic);
  arguments[1].vtype = RD_KAFKA_VTYPE_PARTITION;
  arguments[1].u.i32 = record.partition;
  arguments[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  // A copy: the session's buffer is free when produce() returns.
  arguments[2].u.i = record.owned ? RD_KAFKA_MSG_F_FREE : RD_KAFKA_MSG_F_COPY;
  arguments[3] = bytes_argument(RD_KAFKA_VTYPE_VALUE, record.value);
  // No value at all deletes a key of a compacted topic; an empty one would be kept for ever.
  if (record.value.empty()) arguments[3].u.mem.ptr = nullptr;
  arguments[4] = bytes_argument(RD_KAFKA_VTYPE_KEY, record.key);
  arguments[5].vtype = RD_KAFKA_VTYPE_OPAQUE;
  arguments[5].u.ptr = record.slot;
  arguments[6].vtype = RD_KAFKA_VTYPE_HEADERS;
  arguments[6].u.headers = record.headers.get();
  const std::size_t count = record.headers ? arguments.size() : arguments.size() - 1;
  const ErrorPtr error{rd_kafka_produceva(handle_->client(), arguments.data(), count)};
  if (error) return rd_kafka_error_code(error.get());
  (void)record.headers.release();  // the record's now
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

// A record waits in a block of its own, which the library takes over when it is sent.
void ProducerClient::Impl::gather(Outgoing record) {
  const TimePoint now = record.slot->since;
  const std::size_t bytes = record.value.size() + record.key.size();
  char* const block = static_cast<char*>(std::malloc(bytes));
  if (block == nullptr) {
    pending_.remove(record.slot);
    throw std::bad_alloc();
  }
  std::memcpy(block, record.value.data(), record.value.size());
  std::memcpy(block + record.value.size(), record.key.data(), record.key.size());
  record.key = {block + record.value.size(), record.key.size()};
  record.value = {block, record.value.size()};
  record.owned = true;
  rule_.on_record(gathered_.empty(), now);
  gathered_.push_back(std::move(record));
}

void ProducerClient::Impl::send_gathered() {
  if (gathered_.empty()) return;
  const std::int32_t partitions = handle_ ? handle_->partitions(gathered_.front().topic) : 0;
  const GatherRule::View view{.gathered = gathered_.size(),
                              .under_way = pending_.count() - gathered_.size(),
                              .partitions = static_cast<std::size_t>(std::max(partitions, 1)),
                              .others_may_come = sink_.others_may_come()};
  if (drained_ || rule_.go(view, monotonic_now())) return send_all_gathered();
  wait_gather_timer();
}

// By partition: the library's thread begins while this goes on, and finds a partition whole.
void ProducerClient::Impl::send_all_gathered() {
  order_.resize(gathered_.size());
  std::iota(order_.begin(), order_.end(), 0U);
  std::sort(order_.begin(), order_.end(), [this](std::uint32_t a, std::uint32_t b) {
    const auto left = gathered_[a].slot->bucket;
    const auto right = gathered_[b].slot->bucket;
    return left != right ? left < right : a < b;
  });
  for (const std::uint32_t index : order_) {
    Outgoing& record = gathered_[index];
    const rd_kafka_resp_err_t error = send(record);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    std::free(const_cast<char*>(record.value.data()));
    report_refused(*record.slot, refused(error));
  }
  gathered_.clear();
}

// Later, as every report: the sender may just be handing over its records.
void ProducerClient::Impl::report_refused(PendingRecords::Slot& slot, Queued queued) {
  const Stored stored = queued == Queued::TooLarge ? Stored::TooLarge : Stored::Rejected;
  asio::post(gather_timer_.get_executor(), [self = shared_from_this(), token = slot.token, stored] {
    if (!self->stopped()) self->sink_.on_stored(token, stored);
  });
  pending_.remove(&slot);
}

void ProducerClient::Impl::drop_gathered() noexcept {
  for (const Outgoing& record : gathered_) std::free(const_cast<char*>(record.value.data()));
  gathered_.clear();
}

// One that waits already is enough: it looks again when it ends.
void ProducerClient::Impl::wait_gather_timer() {
  if (std::exchange(gather_timer_waits_, true)) return;
  gather_timer_.expires_at(rule_.at_latest());
  gather_timer_.async_wait([self = shared_from_this()](ErrorCode) {
    self->gather_timer_waits_ = false;
    if (!self->stopped() && !self->fatal_) self->send_gathered();
  });
}

std::size_t ProducerClient::Impl::bucket_of(std::size_t topic,
                                            std::string_view key) const noexcept {
  const std::int32_t partitions = handle_ ? handle_->partitions(topic) : 0;
  if (partitions <= 0) return 0;
  return static_cast<std::size_t>(partition_of(key, partitions)) % kBuckets;
}

Queued ProducerClient::Impl::refused(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return Queued::QueueFull;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
      return Queued::TooLarge;
    case RD_KAFKA_RESP_ERR__FATAL:
      return Queued::Unavailable;  // its error event follows and rebuilds the handle
    default:
      log::warn("kafka record was refused", {{"reason", rd_kafka_err2str(code)}});
      return Queued::Unavailable;
  }
}

void ProducerClient::Impl::serve() {
  while (handle_ && !fatal_) {
    const EventPtr event = handle_->poll();
    if (!event) break;
    switch (rd_kafka_event_type(event.get())) {
      case RD_KAFKA_EVENT_DR:
        on_reports(event.get());
        break;
      case RD_KAFKA_EVENT_ERROR:
        on_error(event.get());
        break;
      case RD_KAFKA_EVENT_STATS:
        if (const auto stats = parse_stats(rd_kafka_event_stats(event.get()))) {
          meter_.producer(*stats);
        }
        break;
      default:
        break;
    }
  }
  if (fatal_) rebuild();
  send_gathered();
  if (handle_ && !drained_) ready_.store(!topics_.empty() && handle_->primed());
  check_drained();
}

void ProducerClient::Impl::on_reports(rd_kafka_event_t* event) {
  const TimePoint now = monotonic_now();
  std::array<Report, kReportsAtOnce> reports;
  for (;;) {
    std::size_t count = 0;
    while (count < reports.size()) {
      const rd_kafka_message_t* const message = rd_kafka_event_message_next(event);
      if (message == nullptr) break;
      auto* const slot = static_cast<PendingRecords::Slot*>(message->_private);
      sink_.expect(slot->token);
      reports[count++] = {slot, stored_from(*message), Offset{message->offset},
                          appended_at(*message)};
    }
    if (count == 0) return;
    for (std::size_t i = 0; i < count; ++i) on_report(reports[i], now);
  }
}

void ProducerClient::Impl::on_report(const Report& report, TimePoint now) {
  PendingRecords::Slot* const slot = report.slot;
  const std::uint64_t token = slot->token;
  const std::size_t bytes = slot->bytes;
  Stored stored = report.stored;
  if (stored == Stored::Persisted) {
    stored_bytes_max_ = std::max(stored_bytes_max_, bytes);
    pending_.acknowledge(*slot, now);
  }
  pending_.remove(slot);
  // A broker refuses the whole batch for one large record. A record no larger than one that was
  // stored before only shared that batch, so its sender may try again.
  if (stored == Stored::TooLarge && bytes <= stored_bytes_max_) stored = Stored::Rejected;
  // Reports of a failed handle come before its error.
  if (stored == Stored::Fatal && !fatal_) on_fatal();
  if (stored == Stored::Persisted) sink_.on_placed(token, report.at, report.appended);
  sink_.on_stored(token, stored);
}

void ProducerClient::Impl::on_error(rd_kafka_event_t* event) {
  // A fatal event carries its cause as the code, so the handle itself is asked.
  if (rd_kafka_fatal_error(handle_->client(), nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (!fatal_) on_fatal();
    return;
  }
  const auto code = rd_kafka_event_error(event);
  if (is_no_news(code)) return;
  log::warn("kafka producer reports an error",
            {{"error", rd_kafka_err2name(code)}, {"text", rd_kafka_event_error_string(event)}});
}

void ProducerClient::Impl::on_fatal() {
  fatal_ = true;
  ready_.store(false);
  std::array<char, 512> why{};
  const auto cause = rd_kafka_fatal_error(handle_->client(), why.data(), why.size());
  log::error("kafka producer failed, a new one is built",
             {{"error", rd_kafka_err2name(cause)}, {"text", why.data()}});
}

void ProducerClient::Impl::let_go() {
  if (!handle_) return;
  handle_->detach();
  retire(std::exchange(handle_, nullptr));
}

void ProducerClient::Impl::fail_all() {
  while (PendingRecords::Slot* slot = pending_.oldest()) {
    const std::uint64_t token = slot->token;
    pending_.remove(slot);
    sink_.on_stored(token, Stored::Fatal);
  }
}

// Pre: the handle is of no use any more. What it still holds is reported as failed; it may have
// been stored, which is why the sender is told to try again.
void ProducerClient::Impl::rebuild() {
  ready_.store(false);
  drop_gathered();
  let_go();
  fail_all();
  const TimePoint now = monotonic_now();
  if (now < rebuild_not_before_) return;  // the tick tries again
  rebuild_not_before_ = now + kRebuildPause;
  try {
    auto next = make_handle();
    for (const std::string& name : topics_) next->open_topic(name);
    handle_ = std::move(next);
  } catch (const StartError& error) {
    log::error("kafka producer can not be built", {{"reason", error.what()}});
    return;
  }
  fatal_ = false;
  meter_.restart();
  slab_.kafka_producer_rebuilds_total.add();
}

void ProducerClient::Impl::drain(TimePoint deadline, std::function<void()> done) {
  EVENTRELAY_ASSERT(!drained_);
  drained_ = std::move(done);
  drain_deadline_ = deadline;
  send_gathered();
  if (handle_ && pending_.count() > 0) handle_->begin_flush();
  tick_now();
}

void ProducerClient::Impl::check_drained() {
  if (!drained_) return;
  if (pending_.count() > 0 && monotonic_now() < drain_deadline_) return;
  if (pending_.count() > 0) {
    log::error("kafka producer still held records at the end of its drain",
               {{"records", pending_.count()}});
  }
  std::exchange(drained_, nullptr)();
}

ProducerClient::ProducerClient(Executor executor, const KafkaConfig& config, ProducerLimits limits,
                               ReportSink& sink, metrics::Slab& slab)
    : impl_(std::make_shared<Impl>(executor, config, limits, sink, slab)) {
  impl_->begin();
}

ProducerClient::~ProducerClient() {
  impl_->end();
}

std::size_t ProducerClient::add_topic(const std::string& name) {
  return impl_->add_topic(name);
}

bool ProducerClient::ready() const noexcept {
  return impl_->ready();
}

Queued ProducerClient::produce(std::size_t topic, const ProduceRecord& record,
                               std::uint64_t token) {
  return impl_->produce(topic, record, token);
}

void ProducerClient::send_gathered() {
  impl_->send_gathered();
}

std::size_t ProducerClient::bucket_of(std::size_t topic, std::string_view key) const noexcept {
  return impl_->bucket_of(topic, key);
}

PendingRecords& ProducerClient::pending() noexcept {
  return impl_->pending();
}

const PendingRecords& ProducerClient::pending() const noexcept {
  return impl_->pending();
}

void ProducerClient::drain(TimePoint deadline, std::function<void()> done) {
  impl_->drain(deadline, std::move(done));
}

void ProducerClient::inject_fatal_error() {
  impl_->inject_fatal_error();
}

}  // namespace eventrelay::kafka
