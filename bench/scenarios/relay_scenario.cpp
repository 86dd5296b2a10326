// bench relay: cost of a delivery, with a backlog waiting or live, beside the limit programs.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <thread>

#include "bench/load/scrape.hpp"
#include "bench/load/sink.hpp"
#include "bench/scenarios/fitting.hpp"
#include "bench/scenarios/meter.hpp"
#include "bench/scenarios/record_writer.hpp"
#include "bench/scenarios/scenarios.hpp"
#include "bench/scenarios/stage.hpp"
#include "common/config/config.hpp"

namespace eventrelay::bench {
namespace {

constexpr Duration kDeliverLimit = std::chrono::minutes(3);
constexpr double kLiveRate = 2000;
constexpr std::uint64_t kCountedMax = 20'000;  // deliveries whose system calls are counted

double live_rate(const BenchOptions& options) {
  return options.rate > 0 ? options.rate : kLiveRate;
}

// The limit has no more connections than the relay may use: each subscription has so many at most.
unsigned limit_connections(const BenchOptions& options) {
  const unsigned wanted = options.connections > 0 ? options.connections : options.inflight;
  return std::min(wanted, options.subscriptions * DeliveryConfig{}.concurrency);
}

// Records of a live run at most: the first one, the span and the span that is counted.
std::uint64_t live_records(const BenchOptions& options) {
  const Duration span = options.warm_up + options.duration + kCountedSpan;
  return static_cast<std::uint64_t>(live_rate(options) *
                                    std::chrono::duration<double>(span).count()) +
         1000;
}

// One run of `bench relay`. Thread: one owner.
class RelayRun {
 public:
  explicit RelayRun(const BenchOptions& options)
      : options_(options),
        arrivals_(options.records > 0 ? options.records : live_records(options)),
        sink_(0, &arrivals_, options.endpoint_delay) {}

  Report go() {
    Report report{"bench relay", {}, {}, machine_name()};
    report.shape = shape();
    const std::vector<Contender> all = contenders("relay", {"relay_limit", "relay_lean"}, options_);
    for (unsigned round = 1; round <= options_.rounds; ++round) {
      for (const Contender& each : all) {
        report.rows.push_back(play(each, round, {}));
        if (each.kind != Contender::Kind::Product || options_.compare.empty()) continue;
        report.rows.push_back(play(each, round, options_.compare));
      }
    }
    return report;
  }

 private:
  [[nodiscard]] std::string shape() const {
    const auto delay = std::chrono::duration<double, std::milli>(options_.endpoint_delay).count();
    std::string text = fmt::format("{} subscriptions, {} in flight, endpoint {:.0f} ms",
                                   options_.subscriptions, options_.inflight, delay);
    if (options_.body_size > 0) text += ", bodies of " + body_words(options_.body_size);
    return options_.records > 0 ? text + fmt::format(", {} records waiting", options_.records)
                                : text + fmt::format(", live at {:.0f}/s", live_rate(options_));
  }

  [[nodiscard]] StageOptions stage_options() const {
    StageOptions stage;
    stage.kafka = options_.kafka;
    stage.partitions = options_.partitions;
    stage.callback_port = sink_.port();
    stage.inflight = options_.inflight;
    stage.shards = options_.shards;
    stage.instances = options_.subscriptions;
    return stage;
  }

  [[nodiscard]] RecordsOptions records() const {
    return {options_.kafka, stage_->topic(), kFirstInstance, options_.subscriptions,
            options_.body_size};
  }

  // Topics of its own for what comes next, with the records that wait.
  void make_stage() {
    if (options_.records > 0) {
      options_.progress(fmt::format("writing {} records", options_.records));
    }
    stage_ = std::make_unique<Stage>(stage_options());
    if (options_.records > 0) RecordWriter(records()).write(options_.records);
    used_up_ = false;
  }

  Row play(const Contender& each, unsigned round, const std::string& setting) {
    if (used_up_) make_stage();
    for (auto& arrival : arrivals_) arrival.store(0, std::memory_order_relaxed);
    const std::string group = fmt::format("{}group{}", stage_->topic(), ++groups_);
    Process process = start(each, group, setting);
    Row row;
    row.name = setting.empty() ? each.name : each.name + " with " + setting;
    row.round = round;
    if (options_.records > 0) {
      deliver_backlog(process, row);
    } else {
      deliver_live(process, row);
    }
    row.failed += sink_.unsigned_requests();
    if (each.kind == Contender::Kind::Product) {
      const std::uint16_t admin = Stage::admin_port_of(process);
      row.detached = counter_of(admin, "eventrelay_relay_detaches_total");
      row.read_again = counter_of(admin, "eventrelay_relay_swept_records_total");
    }
    // What came while it ran would be read again. A backlog is read by one group after the other;
    // but where a subscription left the live path, the state topic still says what it was sent, and
    // the next group would take that for done.
    used_up_ = options_.records == 0 || row.detached > 0;
    options_.progress(
        fmt::format("{}: {:.0f} deliveries/s, {:.2f} us CPU per delivery, done in {:.1f} s",
                    row.name, row.per_second(), row.cpu_us(), row.seconds));
    return row;
  }

  Process start(const Contender& each, const std::string& group, const std::string& setting) {
    if (each.kind == Contender::Kind::Product) {
      std::vector<std::string> overrides{"relay.group=" + group};
      if (!setting.empty()) overrides.push_back(setting);
      return stage_->start("eventrelay-relay", each.folder, std::move(overrides));
    }
    return stage_->start_limit(
        each.kind == Contender::Kind::Lean ? "relay_lean" : "relay_limit",
        {options_.kafka, stage_->topic(), group, kCallbackKey, std::to_string(sink_.port()),
         std::to_string(limit_connections(options_))});
  }

  void wait_until(std::uint64_t wanted, const Row& row) const {
    const TimePoint deadline = monotonic_now() + kDeliverLimit;
    while (sink_.requests() < wanted) {
      if (monotonic_now() > deadline) {
        throw std::runtime_error(fmt::format("{} stopped with {} records to deliver", row.name,
                                             wanted - sink_.requests()));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  // From the first delivery to the last: what a backlog costs near its end counts. All of it is due
  // when the first is delivered.
  void deliver_backlog(const Process& process, Row& row) {
    const std::uint64_t start = sink_.requests();
    Meter meter({&process}, [this] { return sink_.requests(); });
    wait_until(start + 1, row);
    meter.begin();
    const TimePoint due = monotonic_now();
    wait_until(start + options_.records / 4, row);
    const std::uint64_t counted = std::min(options_.records / 8, kCountedMax);
    const std::uint64_t all = start + options_.records;
    meter.count_calls(
        [this, &row, counted, all] { wait_until(std::min(sink_.requests() + counted, all), row); });
    wait_until(all, row);
    meter.end(row);
    for (const auto& arrival : arrivals_) note(arrival, due, row);
  }

  // Each record is due when the clock says so, whatever became of those before it.
  void deliver_live(const Process& process, Row& row) {
    const std::uint64_t start = sink_.requests();
    RecordWriter writer(records());
    writer.write(1);  // delivered once the program has joined its group
    wait_until(start + 1, row);
    Meter meter({&process}, [this] { return sink_.requests(); });
    const double rate = live_rate(options_);
    (void)writer.write_by_the_clock(rate, options_.warm_up);
    meter.begin();
    const std::uint64_t first = writer.written();
    const std::vector<TimePoint> due = writer.write_by_the_clock(rate, options_.duration);
    wait_until(start + writer.written(), row);
    meter.count_calls([this, &writer, &row, rate, start] {
      (void)writer.write_by_the_clock(rate, kCountedSpan);
      wait_until(start + writer.written(), row);
    });
    meter.end(row);
    for (std::size_t i = 0; i < due.size(); ++i) note(arrivals_[first + i], due[i], row);
  }

  static void note(const std::atomic<std::int64_t>& arrival, TimePoint due, Row& row) {
    const std::int64_t at = arrival.load(std::memory_order_relaxed);
    if (at != 0) row.latency.record(Duration{at} - due.time_since_epoch());
  }

  const BenchOptions& options_;
  Arrivals arrivals_;
  Sink sink_;
  std::unique_ptr<Stage> stage_;
  bool used_up_ = true;  // the next run needs another stage
  unsigned groups_ = 0;
};

}  // namespace

Report bench_relay(const BenchOptions& options) {
  require_programs({"eventrelay-relay"});
  const std::uint64_t records = options.records > 0 ? options.records : live_records(options);
  refuse_what_does_not_fit(memory_of(options, 0, records), memory_available());
  require_descriptors(std::max(options.connections, options.inflight));
  require_local_broker(options.kafka);
  options.ready();
  Report report = RelayRun(options).go();
  report.axes = {{"subscriptions", options.subscriptions},
                 {"inflight", options.inflight},
                 {"backlog", static_cast<double>(options.records)},
                 {"endpoint_delay_ms",
                  std::chrono::duration<double, std::milli>(options.endpoint_delay).count()},
                 {"body_size", static_cast<double>(options.body_size)}};
  add_ratios(report, "relay", options);
  return report;
}

}  // namespace eventrelay::bench
