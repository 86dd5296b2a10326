#include "common/kafka/transaction_writer.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/kafka/handle.hpp"

namespace eventrelay::kafka {
namespace {

constexpr int kTimeoutMs = static_cast<int>(std::chrono::milliseconds{kTransactionTimeout}.count());

constexpr int kFullPollMs = 50;
constexpr int kElectionPollMs = 100;

// A topic that was just created, or moves, has no leader that everybody knows yet.
bool elects(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
         error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
         error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

Defaults writer_defaults(const std::string& transactional_id) {
  return {{"transactional.id", transactional_id},
          {"transaction.timeout.ms", "60000"},
          {"message.timeout.ms", "8000"},
          {"linger.ms", "0"}};
}

// What the delivery reports of one transaction say.
struct Reports {
  std::int64_t last_offset = -1;
  std::size_t open = 0;
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
};

}  // namespace

// Thread: one owner.
class TransactionWriter::Impl {
 public:
  Impl(const KafkaConfig& config, const std::string& topic, const std::string& transactional_id)
      : topic_name_(topic) {
    ConfPtr conf = make_conf(config, Role::Producer, writer_defaults(transactional_id));
    rd_kafka_conf_set_opaque(conf.get(), &reports_);
    rd_kafka_conf_set_dr_msg_cb(
        conf.get(), [](rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
          Reports& reports = *static_cast<Reports*>(opaque);
          --reports.open;
          if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            reports.error = message->err;
          } else {
            reports.last_offset = std::max(reports.last_offset, message->offset);
          }
        });
    client_ = make_client(std::move(conf), Role::Producer);
  }
  ~Impl() { rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  WriteReport fence() {
    if (const ErrorPtr error{rd_kafka_init_transactions(client_.get(), kTimeoutMs)}) {
      return failed(*error, WriteOutcome::Unavailable);
    }
    WriteReport report;
    std::int64_t low = 0;
    std::int64_t high = 0;
    const TimePoint limit = monotonic_now() + kTransactionTimeout;
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (;;) {
      error = rd_kafka_query_watermark_offsets(client_.get(), topic_name_.c_str(), 0, &low, &high,
                                               kTimeoutMs);
      if (!elects(error) || monotonic_now() > limit) break;
      rd_kafka_poll(client_.get(), kElectionPollMs);
    }
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      report.reason = rd_kafka_err2str(error);
      return report;
    }
    report.outcome = WriteOutcome::Written;
    report.last_offset = high - 1;
    return report;
  }

  WriteReport write(std::span<const KeyedRecord> records) {
    reports_ = {};
    if (const ErrorPtr error{rd_kafka_begin_transaction(client_.get())}) {
      return spent(failed(*error, WriteOutcome::Unavailable));
    }
    for (const KeyedRecord& each : records) {
      if (const std::string problem = produce(each); !problem.empty()) return abort(problem);
    }
    const ErrorPtr error{rd_kafka_commit_transaction(client_.get(), kTimeoutMs)};
    if (!error) {
      WriteReport report;
      report.outcome = WriteOutcome::Written;
      report.last_offset = reports_.last_offset;
      return report;
    }
    if (rd_kafka_error_txn_requires_abort(error.get()) != 0) {
      const WriteReport report = failed(*error, WriteOutcome::Unavailable);
      const WriteReport aborted = abort(report.reason);
      return report.outcome == WriteOutcome::Fenced ? report : aborted;
    }
    return spent(failed(*error, WriteOutcome::Unknown));
  }

 private:
  // Who is fenced must not come back by itself.
  static WriteReport spent(WriteReport report) {
    report.spent = report.outcome != WriteOutcome::Fenced;
    return report;
  }

  std::string produce(const KeyedRecord& record) {
    const std::string* const value = record.value ? &*record.value : nullptr;
    // A tombstone is a null pointer, not an empty value.
    void* const bytes =
        value == nullptr ? nullptr : const_cast<char*>(value->data());  // copied by the library
    std::array<rd_kafka_vu_t, 5> parts{};
    parts[0].vtype = RD_KAFKA_VTYPE_TOPIC;
    parts[0].u.cstr = topic_name_.c_str();
    parts[1].vtype = RD_KAFKA_VTYPE_PARTITION;
    parts[1].u.i32 = 0;
    parts[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    parts[2].u.i = RD_KAFKA_MSG_F_COPY;
    parts[3].vtype = RD_KAFKA_VTYPE_KEY;
    parts[3].u.mem = {const_cast<char*>(record.key.data()), record.key.size()};
    parts[4].vtype = RD_KAFKA_VTYPE_VALUE;
    parts[4].u.mem = {bytes, value == nullptr ? 0 : value->size()};
    const TimePoint limit = monotonic_now() + kTransactionTimeout;
    for (;;) {
      const ErrorPtr error{rd_kafka_produceva(client_.get(), parts.data(), parts.size())};
      if (!error) break;
      // A change of very many records does not fit the client's queue at once.
      const bool full = rd_kafka_error_code(error.get()) == RD_KAFKA_RESP_ERR__QUEUE_FULL;
      if (!full || monotonic_now() > limit) return rd_kafka_error_string(error.get());
      rd_kafka_poll(client_.get(), kFullPollMs);
    }
    ++reports_.open;
    return {};
  }

  WriteReport abort(const std::string& reason) {
    WriteReport report;
    report.reason = reason;
    if (const ErrorPtr error{rd_kafka_abort_transaction(client_.get(), kTimeoutMs)}) {
      return spent(failed(*error, WriteOutcome::Unavailable));
    }
    return report;
  }

  static WriteReport failed(const rd_kafka_error_t& error, WriteOutcome otherwise) {
    WriteReport report;
    const rd_kafka_resp_err_t code = rd_kafka_error_code(&error);
    const bool fenced = rd_kafka_error_is_fatal(&error) != 0 || code == RD_KAFKA_RESP_ERR__FENCED ||
                        code == RD_KAFKA_RESP_ERR__FATAL ||
                        code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
                        code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    report.outcome = fenced ? WriteOutcome::Fenced : otherwise;
    report.reason = rd_kafka_error_string(&error);
    return report;
  }

  Reports reports_;
  std::string topic_name_;
  ClientPtr client_;
};

TransactionWriter::TransactionWriter(const KafkaConfig& config, const std::string& topic,
                                     const std::string& transactional_id)
    : impl_(std::make_unique<Impl>(config, topic, transactional_id)) {}
TransactionWriter::~TransactionWriter() = default;

WriteReport TransactionWriter::fence() {
  return impl_->fence();
}

WriteReport TransactionWriter::write(std::span<const KeyedRecord> records) {
  return impl_->write(records);
}

}  // namespace eventrelay::kafka
