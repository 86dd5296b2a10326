#include "common/kafka/tools/replay_copy.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "common/base/assert.hpp"
#include "common/base/event.hpp"
#include "common/base/start_error.hpp"
#include "common/kafka/handle.hpp"
#include "common/kafka/tools/replay_reader.hpp"
#include "common/observe/log.hpp"
#include "common/process/failpoint.hpp"

namespace eventrelay::kafka {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kQueuePause{50};
constexpr int kUndoneMax = 10;  // in a row
// Of a record that had been parked or dead before; all other headers go over as they are.
constexpr std::array kParkedNames{header::kSubscription, header::kAttempt, header::kDue,
                                  header::kFirstFailure, header::kReason,  header::kDeadClass};

Defaults writer_settings(const KafkaConfig& config, const ReplayRoute& route) {
  // The library wants a record's time limit within that of its transaction.
  const std::string* limit = user_property(config, "message.timeout.ms");
  // One request at a time: of two the library may take the first for stored because the second is.
  return {{"transactional.id", route.group},
          {"max.in.flight.requests.per.connection", "1"},
          {"transaction.timeout.ms", limit != nullptr ? *limit : "60000"}};
}

[[noreturn]] void fail(const std::string& what, const std::string& why) {
  throw std::runtime_error("kafka: " + what + ": " + why +
                           "; the same command goes on where the last transaction ended");
}

void add_header(rd_kafka_headers_t* headers, std::string_view name, std::string_view value) {
  rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), value.data(),
                      static_cast<ssize_t>(value.size()));
}

// The headers of `raw`, its parked state taken out and set anew.
HeadersPtr tagged_headers(const rd_kafka_message_t& raw, const ReplayTag& tag) {
  rd_kafka_headers_t* old = nullptr;  // stays the message's own
  const bool any = rd_kafka_message_headers(&raw, &old) == RD_KAFKA_RESP_ERR_NO_ERROR;
  HeadersPtr headers{any ? rd_kafka_headers_copy(old) : rd_kafka_headers_new(8)};
  for (const std::string_view name : kParkedNames) {
    (void)rd_kafka_header_remove(headers.get(), name.data());
  }
  const std::string now = std::to_string(std::max<std::int64_t>(unix_ms(tag.now), 0));
  add_header(headers.get(), header::kSubscription, tag.subscription);
  add_header(headers.get(), header::kAttempt, "0");
  add_header(headers.get(), header::kDue, now);
  add_header(headers.get(), header::kFirstFailure, now);
  add_header(headers.get(), header::kReason, tag.reason);
  return headers;
}

rd_kafka_vu_t bytes_argument(rd_kafka_vtype_t type, void* bytes, std::size_t size) {
  rd_kafka_vu_t argument{};
  argument.vtype = type;
  argument.u.mem.ptr = bytes;
  argument.u.mem.size = size;
  return argument;
}

// Hands a copy to the library, which takes `headers` over if it takes the record.
rd_kafka_resp_err_t produce(rd_kafka_t* client, rd_kafka_topic_t* topic,
                            const rd_kafka_message_t& raw, HeadersPtr& headers) {
  std::array<rd_kafka_vu_t, 6> arguments{};
  arguments[0].vtype = RD_KAFKA_VTYPE_RKT;
  arguments[0].u.rkt = topic;
  arguments[1].vtype = RD_KAFKA_VTYPE_PARTITION;
  arguments[1].u.i32 = raw.partition;
  arguments[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  arguments[2].u.i = RD_KAFKA_MSG_F_COPY;
  arguments[3] = bytes_argument(RD_KAFKA_VTYPE_VALUE, raw.payload, raw.len);
  arguments[4] = bytes_argument(RD_KAFKA_VTYPE_KEY, raw.key, raw.key_len);
  arguments[5].vtype = RD_KAFKA_VTYPE_HEADERS;
  arguments[5].u.headers = headers.get();
  const ErrorPtr error{rd_kafka_produceva(client, arguments.data(), arguments.size())};
  if (error) return rd_kafka_error_code(error.get());
  (void)headers.release();
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

}  // namespace

// Thread: one owner.  Bounds: as the class.
class ReplayCopy::Impl {
 public:
  Impl(const KafkaConfig& config, const ReplayRoute& route) : reader(config, route), route_(route) {
    // First of all: this ends what an earlier run left open, so its positions are settled.
    if (route.mode == ReplayMode::Copy) open_writer(config);
    reader.read_positions();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (open_) (void)undo();
  }

  void add(const Message& message, const ReplayTag& tag);
  [[nodiscard]] bool commit();
  [[nodiscard]] std::uint64_t copied() const noexcept { return copied_; }

  ReplayReader reader;

 private:
  void open_writer(const KafkaConfig& config);
  void begin_transaction();
  // True if `call` succeeded, false if the transaction has to be undone.
  template <class Call>
  [[nodiscard]] bool step(const char* what, Call call);
  [[noreturn]] void fail_fatal(const char* what);
  [[nodiscard]] bool undo();

  ReplayRoute route_;
  ClientPtr writer_;
  TopicPtr target_;
  bool open_ = false;         // a transaction
  int undone_ = 0;            // in a row
  std::uint64_t adding_ = 0;  // records of the open transaction
  std::uint64_t copied_ = 0;
};

void ReplayCopy::Impl::open_writer(const KafkaConfig& config) {
  writer_ = make_client(make_conf(config, Role::Producer, writer_settings(config, route_)),
                        Role::Producer);
  target_.reset(rd_kafka_topic_new(writer_.get(), route_.target.c_str(), nullptr));
  if (!target_) throw StartError("topic " + route_.target + " cannot be written");
  const TimePoint give_up = monotonic_now() + kReplayStepLimit;
  for (;;) {
    const ErrorPtr error{rd_kafka_init_transactions(writer_.get(), kStepMs)};
    if (!error) return;
    const std::string text = rd_kafka_error_string(error.get());
    if (rd_kafka_error_is_retriable(error.get()) == 0 || monotonic_now() > give_up) {
      throw StartError("kafka takes no transactions of " + route_.group + ": " + text);
    }
    log::warn("kafka transactions are not ready yet", {{"reason", text}});
  }
}

void ReplayCopy::Impl::begin_transaction() {
  if (open_) return;
  const ErrorPtr error{rd_kafka_begin_transaction(writer_.get())};
  if (error && rd_kafka_error_is_fatal(error.get()) != 0) fail_fatal("transaction");
  if (error) fail("transaction", rd_kafka_error_string(error.get()));
  open_ = true;
  adding_ = 0;
}

void ReplayCopy::Impl::add(const Message& message, const ReplayTag& tag) {
  EVENTRELAY_ASSERT(writer_ != nullptr);
  begin_transaction();
  HeadersPtr headers = tagged_headers(*message.raw(), tag);
  const TimePoint give_up = monotonic_now() + kReplayStepLimit;
  for (;;) {
    switch (const auto error = produce(writer_.get(), target_.get(), *message.raw(), headers)) {
      case RD_KAFKA_RESP_ERR_NO_ERROR:
        ++adding_;
        return;
      case RD_KAFKA_RESP_ERR__STATE:
        return;  // the transaction has failed already; commit() finds out and undoes it
      case RD_KAFKA_RESP_ERR__FATAL:
        fail_fatal("writing");
      case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        if (monotonic_now() < give_up) break;
        [[fallthrough]];
      default:
        fail("writing to " + route_.target, rd_kafka_err2str(error));
    }
    rd_kafka_poll(writer_.get(), static_cast<int>(kQueuePause.count()));
  }
}

void ReplayCopy::Impl::fail_fatal(const char* what) {
  open_ = false;  // nothing can be undone with this handle; the next run's first call does it
  std::array<char, 512> text{};
  const auto code = rd_kafka_fatal_error(writer_.get(), text.data(), text.size());
  const bool fenced = code == RD_KAFKA_RESP_ERR__FENCED ||
                      code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
                      code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
  fail(what, fenced ? "another replay of this name has taken over" : text.data());
}

template <class Call>
bool ReplayCopy::Impl::step(const char* what, Call call) {
  const TimePoint give_up = monotonic_now() + 2 * kReplayStepLimit;
  for (;;) {
    const ErrorPtr error{call()};
    if (!error) return true;
    const std::string text = rd_kafka_error_string(error.get());
    if (rd_kafka_error_is_fatal(error.get()) != 0) fail_fatal(what);
    if (rd_kafka_error_txn_requires_abort(error.get()) != 0) {
      log::warn("kafka transaction was undone", {{"step", what}, {"reason", text}});
      return false;
    }
    if (rd_kafka_error_is_retriable(error.get()) == 0 || monotonic_now() > give_up) {
      fail(what, text);
    }
  }
}

bool ReplayCopy::Impl::commit() {
  if (route_.mode == ReplayMode::Look) {
    reader.trim();
    return true;
  }
  begin_transaction();
  using Group = std::unique_ptr<rd_kafka_consumer_group_metadata_t,
                                Destroy<rd_kafka_consumer_group_metadata_destroy>>;
  const Group group{rd_kafka_consumer_group_metadata(reader.client())};
  const PartitionsPtr positions = reader.positions();
  const auto send = [&] {
    return rd_kafka_send_offsets_to_transaction(writer_.get(), positions.get(), group.get(),
                                                kStepMs);
  };
  const auto finish = [&] {
    failpoint::at("replay-copied");
    return rd_kafka_commit_transaction(writer_.get(), kStepMs);
  };
  if (!step("writing positions", send) || !step("committing", finish)) {
    if (++undone_ > kUndoneMax || !undo()) fail("transaction", "refused again and again");
    reader.rewind();
    return false;
  }
  failpoint::at("replay-committed");
  open_ = false;
  undone_ = 0;
  copied_ += std::exchange(adding_, 0);
  reader.settle();
  reader.trim();
  return true;
}

bool ReplayCopy::Impl::undo() {
  open_ = false;
  adding_ = 0;
  const auto abort = [&] { return rd_kafka_abort_transaction(writer_.get(), kStepMs); };
  for (int tries = 0; tries < 3; ++tries) {
    const ErrorPtr error{abort()};
    if (!error) return true;
    if (rd_kafka_error_is_retriable(error.get()) == 0) return false;
  }
  return false;
}

ReplayCopy::ReplayCopy(const KafkaConfig& config, const ReplayRoute& route)
    : impl_(std::make_unique<Impl>(config, route)) {}
ReplayCopy::~ReplayCopy() = default;

const std::optional<std::string>& ReplayCopy::earlier_note() const noexcept {
  return impl_->reader.earlier_note();
}

void ReplayCopy::begin(const ReplayWindow& window) {
  impl_->reader.begin(window);
}

std::optional<Message> ReplayCopy::next(Duration limit) {
  return impl_->reader.next(limit);
}

bool ReplayCopy::finished() const noexcept {
  return impl_->reader.finished();
}

void ReplayCopy::add(const Message& message, const ReplayTag& tag) {
  impl_->add(message, tag);
}

bool ReplayCopy::commit() {
  return impl_->commit();
}

void ReplayCopy::set_note(std::string note) {
  (void)impl_->reader.set_note(std::move(note));
}

bool ReplayCopy::commit_end(const std::string& note) {
  EVENTRELAY_ASSERT(finished());
  const std::string before = impl_->reader.set_note(note);
  const bool done = impl_->commit();
  if (!done) (void)impl_->reader.set_note(before);
  return done;
}

ReplayProgress ReplayCopy::progress() const noexcept {
  ReplayProgress progress;
  impl_->reader.add_progress(progress);
  progress.copied = impl_->copied();
  return progress;
}

}  // namespace eventrelay::kafka
