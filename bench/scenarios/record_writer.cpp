#include "bench/scenarios/record_writer.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <vector>

#include "bench/load/requests.hpp"
#include "common/kafka/producer_client.hpp"

namespace eventrelay::bench {
namespace {

constexpr Duration kWriteLimit = std::chrono::minutes(3);
constexpr std::uint64_t kInFlightMax = 50'000;
constexpr std::uint64_t kInFlightBytesMax = 64U << 20;

constexpr std::size_t kRefusedMax = 1000;

// Counts what Kafka acknowledged, and keeps what it did not: the leader of a partition that was
// just made refuses its first request, and such a record is written again.
// Thread: the loop's.  Bounds: kRefusedMax records.
class Acknowledged final : public kafka::ReportSink {
 public:
  void on_stored(std::uint64_t token, kafka::Stored stored) override {
    if (stored == kafka::Stored::Persisted) {
      ++count;
      return;
    }
    if (refused.size() >= kRefusedMax) throw std::runtime_error("Kafka refuses the records");
    refused.push_back(token);
  }
  std::uint64_t count = 0;
  std::vector<std::uint64_t> refused;
};

KafkaConfig config_of(const RecordsOptions& options) {
  KafkaConfig config;
  config.properties["bootstrap.servers"] = options.kafka;
  config.properties["linger.ms"] = "0";
  return config;
}

}  // namespace

// Thread: one owner.
class RecordWriter::Impl {
 public:
  explicit Impl(const RecordsOptions& options)
      : options_(options),
        producer_(loop_.get_executor(), config_of(options), {}, acknowledged_, slab_),
        topic_(producer_.add_topic(options.topic)) {}

  void write(std::uint64_t records) {
    const std::uint64_t until = next_ + records;
    const std::uint64_t room =
        std::min(kInFlightMax, kInFlightBytesMax / (options_.body_size + 1000));
    const TimePoint deadline = monotonic_now() + kWriteLimit;
    while (acknowledged_.count < until) {
      if (monotonic_now() > deadline) throw std::runtime_error("writing the records took too long");
      while (producer_.ready() && next_ < until && next_ - acknowledged_.count < room &&
             write_one()) {
      }
      write_refused();
      loop_.run_for(std::chrono::milliseconds(5));
    }
  }

  std::vector<TimePoint> write_by_the_clock(double rate, Duration span) {
    const Duration step{static_cast<std::int64_t>(1e9 / rate)};
    std::vector<TimePoint> due;
    TimePoint next = monotonic_now();
    const TimePoint end = next + span;
    while (next < end) {
      while (next <= monotonic_now() && next < end) {
        if (!write_one()) throw std::runtime_error("Kafka does not take the records at this rate");
        due.push_back(next);
        next += step;
      }
      write_refused();
      loop_.run_until(std::min(next, end));
    }
    write(0);
    return due;
  }

  [[nodiscard]] std::uint64_t written() const noexcept { return next_; }

 private:
  bool write_one() {
    const bool taken = produce(next_);
    next_ += taken ? 1U : 0U;
    return taken;
  }

  void write_refused() {
    std::vector<std::uint64_t>& refused = acknowledged_.refused;
    while (!refused.empty() && produce(refused.back())) refused.pop_back();
  }

  // The record of that number, which is its token too.
  bool produce(std::uint64_t number) {
    const std::uint64_t instance = options_.first_instance + number % options_.instances;
    const std::string key = std::to_string(instance);
    const std::string body = box_body(number, 73'835'521'473U + number, options_.body_size);
    const std::string id =
        fmt::format("{:08x}-0000-8000-8000-{:012x}", number >> 32U, number & 0xffff'ffffU);
    Event event;
    event.id = id;
    event.provider_id = id;
    event.element = "box";
    event.instance = InstanceId{instance};
    event.event_type = "CREATED";
    event.object_type = "file";
    event.object_id = "73835521473";
    event.date = "2016-07-11T17:10:32Z";
    event.received = wall_now();
    event.content_type = "application/json";
    const RecordHeaders headers(event);
    return producer_.produce(topic_, {key, body, &headers, -1}, number) == kafka::Queued::Queued;
  }

  RecordsOptions options_;
  asio::io_context loop_{1};
  metrics::Slab slab_;
  Acknowledged acknowledged_;
  kafka::ProducerClient producer_;
  std::size_t topic_;
  std::uint64_t next_ = 0;
};

RecordWriter::RecordWriter(const RecordsOptions& options)
    : impl_(std::make_unique<Impl>(options)) {}

RecordWriter::~RecordWriter() = default;

void RecordWriter::write(std::uint64_t records) {
  impl_->write(records);
}

std::vector<TimePoint> RecordWriter::write_by_the_clock(double rate, Duration span) {
  return impl_->write_by_the_clock(rate, span);
}

std::uint64_t RecordWriter::written() const noexcept {
  return impl_->written();
}

}  // namespace eventrelay::bench
