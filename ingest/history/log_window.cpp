#include "ingest/history/log_window.hpp"

#include <boost/asio/io_context.hpp>
#include <utility>

namespace eventrelay::history {
namespace {

using kafka::Found;
using kafka::Read;
using kafka::ReadPosition;
using kafka::TopicPartition;
using Watermarks = kafka::PartitionWatermarks;

// An answer that may come after its question was given up.
template <class Row>
struct Pending {
  bool done = false;
  std::vector<Row> rows;
};

kafka::ReaderOptions options_of(std::string group, std::vector<std::string> topics) {
  kafka::ReaderOptions options;
  options.group = std::move(group);
  options.topics = std::move(topics);
  options.fetch_wait = std::chrono::milliseconds{10};
  return options;
}

}  // namespace

// Thread: one owner.
class LogWindow::Impl final : public kafka::LogSink {
 public:
  Impl(const KafkaConfig& kafka, std::string group, std::vector<std::string> topics)
      : reader_(loop_.get_executor(), kafka, options_of(std::move(group), std::move(topics)),
                slab_) {}
  virtual ~Impl() = default;

  void on_readable(TopicPartition) override { readable_ = true; }

  // Runs the reader's loop until `done`; false at the deadline.
  bool run_until(const bool& done, TimePoint deadline) {
    while (!done) {
      if (monotonic_now() >= deadline) return false;
      loop_.restart();
      loop_.run_one_until(deadline);
    }
    return true;
  }

  template <class Row, class Ask>
  Expected<std::vector<Row>, LogTrouble> ask(const Budget& budget, const Ask& ask_it) {
    const auto pending = std::make_shared<Pending<Row>>();
    ask_it([pending](std::span<const Row> rows) {
      pending->rows.assign(rows.begin(), rows.end());
      pending->done = true;
    });
    if (!run_until(pending->done, budget.deadline)) return Unexpected(LogTrouble::Late);
    return std::move(pending->rows);
  }

  Expected<bool, LogTrouble> read(std::span<const Stretch> stretches, const Visit& visit,
                                  Budget& budget) {
    std::vector<Stretch> open;
    for (const Stretch& each : stretches) {
      if (each.from >= each.to) continue;
      reader_.start(each.place, each.from, *this);
      open.push_back(each);
    }
    Expected<bool, LogTrouble> result = true;
    while (!open.empty() && result) {
      readable_ = false;
      for (std::size_t i = 0; i < open.size() && result;) {
        const Step step = drain(open[i], visit, budget);
        if (step == Step::Spent) result = Unexpected(LogTrouble::Spent);
        if (step == Step::Gone) result = Unexpected(LogTrouble::Gone);
        if (step != Step::Ended) {
          ++i;
          continue;
        }
        reader_.stop(open[i].place);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
      }
      if (open.empty() || !result) break;
      if (!run_until(readable_, budget.deadline)) result = Unexpected(LogTrouble::Late);
    }
    for (const Stretch& each : open) reader_.stop(each.place);
    return result;
  }

  kafka::PartitionReader& reader() { return reader_; }

 private:
  enum class Step : std::uint8_t { Waiting, Ended, Spent, Gone };

  Step drain(const Stretch& stretch, const Visit& visit, Budget& budget) {
    while (true) {
      const Read read = reader_.next(stretch.place);
      switch (read.found) {
        case Found::Record:
          if (read.at >= stretch.to) return Step::Ended;
          if (budget.spent()) return Step::Spent;
          ++budget.records;
          visit(stretch.place, read.message);
          if (read.at.value + 1 >= stretch.to.value) return Step::Ended;
          if (monotonic_now() >= budget.deadline) return Step::Waiting;
          break;
        case Found::End:
          // What is left up to `to` are marks of transactions.
          return read.at >= stretch.to ? Step::Ended : Step::Waiting;
        case Found::OutOfRange:
          return Step::Gone;
        case Found::Nothing:
        case Found::Failed:
          return Step::Waiting;
      }
    }
  }

  boost::asio::io_context loop_{1};
  metrics::Slab slab_;
  bool readable_ = false;
  kafka::PartitionReader reader_;
};

LogWindow::LogWindow(const KafkaConfig& kafka, std::string group, std::vector<std::string> topics)
    : impl_(std::make_unique<Impl>(kafka, std::move(group), std::move(topics))) {}
LogWindow::~LogWindow() = default;

Expected<std::vector<Watermarks>, LogTrouble> LogWindow::bounds(std::vector<TopicPartition> places,
                                                                const Budget& budget) {
  return impl_->ask<Watermarks>(
      budget, [&](auto done) { impl_->reader().watermarks(std::move(places), std::move(done)); });
}

Expected<std::vector<Watermarks>, LogTrouble> LogWindow::since(std::vector<TopicPartition> places,
                                                               WallTime since,
                                                               const Budget& budget) {
  return impl_->ask<Watermarks>(budget, [&](auto done) {
    impl_->reader().offsets_for_times(std::move(places), since, std::move(done));
  });
}

Expected<std::vector<ReadPosition>, LogTrouble> LogWindow::positions(
    std::vector<TopicPartition> places, const Budget& budget) {
  return impl_->ask<ReadPosition>(
      budget, [&](auto done) { impl_->reader().positions(std::move(places), std::move(done)); });
}

Expected<bool, LogTrouble> LogWindow::read(std::span<const Stretch> stretches, const Visit& visit,
                                           Budget& budget) {
  return impl_->read(stretches, visit, budget);
}

}  // namespace eventrelay::history
