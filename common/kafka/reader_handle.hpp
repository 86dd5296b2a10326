// The library's side of one PartitionReader: the client, its topics, and the two threads that wait
// for it; ends as a whole.
//
// Why:     ending to read a partition is answered by the library's main thread, positions and
//          watermarks by a broker. Both are asked here, so that a shard never waits for either.
// Owner:   PartitionReader, then retire().
// Thread:  shard thread; the destructor may block: retire() runs it.
// Bounds:  two threads; one command per start and stop; at most kQuestionsMax questions.
// Errors:  StartError from the constructor.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "common/kafka/handle.hpp"
#include "common/kafka/partition_reader.hpp"

namespace eventrelay::kafka {

// Numbers a reader's handle writes beside those of places.
inline constexpr std::int32_t kReaderEvents = -1;
inline constexpr std::int32_t kReaderAnswers = -2;
inline constexpr std::size_t kQuestionsMax = 4096;

// One look-up, and its answer. Thread: moves from the shard to the thread that asks, and back.
struct Question {
  std::vector<TopicPartition> places;
  std::function<void(std::span<const ReadPosition>)> positions;  // or
  std::function<void(std::span<const PartitionWatermarks>)> watermarks;
  std::int64_t since = kLogStart.value;  // Unix time in ms, for watermarks
  std::vector<ReadPosition> found_positions;
  std::vector<PartitionWatermarks> found_watermarks;
};

// Thread: shard thread.  Bounds: see above.
class ReaderHandle {
 public:
  using SharedQueue = std::shared_ptr<rd_kafka_queue_t>;

  ReaderHandle(const KafkaConfig& config, const ReaderOptions& options, int wake_descriptor);
  ReaderHandle(const ReaderHandle&) = delete;
  ReaderHandle& operator=(const ReaderHandle&) = delete;
  ~ReaderHandle();

  [[nodiscard]] rd_kafka_t* client() const noexcept { return client_.get(); }
  [[nodiscard]] rd_kafka_queue_t* events() const noexcept { return events_.get(); }
  [[nodiscard]] const std::string& topic(TopicPartition place) const { return names_[place.topic]; }
  // A queue that writes `number` when it fills.
  [[nodiscard]] SharedQueue make_queue(std::int32_t number) const;

  // In order. A place that is being read is stopped first.
  void start(TopicPartition place, Offset from, SharedQueue queue);
  void stop(TopicPartition place);
  // The library asks for more of a full queue only when its thread wakes, up to a second late:
  // this wakes it.
  void nudge(TopicPartition place);
  void ask(Question question);
  [[nodiscard]] std::vector<Question> answers();
  // No number is written to the descriptor any more.
  void detach();

 private:
  enum class What : std::uint8_t { Start, Stop, Nudge };
  struct Command {
    What what;
    TopicPartition place;
    Offset from;
    SharedQueue queue;
  };

  void push(Command command);
  void run_commands();
  rd_kafka_resp_err_t learn_topics(int limit_ms) const;
  void execute(Command& command);
  void end_reading(TopicPartition place);
  void run_questions();
  // What the leaders say about start or end; null if they did not answer in time.
  [[nodiscard]] PartitionsPtr list_offsets(std::span<const TopicPartition> places,
                                           std::int64_t which, int limit_ms) const;
  [[nodiscard]] bool answer(Question& question) const;
  [[nodiscard]] bool answer_positions(Question& question) const;
  [[nodiscard]] bool answer_watermarks(Question& question) const;

  ClientPtr client_;
  QueuePtr events_;
  std::vector<std::string> names_;
  std::vector<TopicPtr> topics_;
  std::set<std::pair<std::uint16_t, std::int32_t>> reading_;  // of the thread of the commands

  std::mutex mutex_;  // guards all below
  int wake_descriptor_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::deque<Command> commands_;
  std::deque<Question> questions_;
  std::vector<Question> answers_;
  std::thread command_thread_;
  std::thread question_thread_;  // from the first question on
};

}  // namespace eventrelay::kafka
