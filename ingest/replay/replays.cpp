#include "ingest/replay/replays.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "common/base/event.hpp"
#include "common/kafka/tools/replay_copy.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::replay {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds{100};
constexpr Duration kBatchAge = std::chrono::seconds{1};
constexpr Duration kScanAge = std::chrono::seconds{5};  // a batch that only moves the position
constexpr std::uint64_t kBatchRecords = 500;
constexpr std::size_t kBatchBytes = 8U << 20;
constexpr std::string_view kNoteForm = "a1";

struct Counts {
  std::uint64_t selected = 0;
  std::uint64_t sent = 0;
};

std::string print_note(const Counts& counts, bool over) {
  std::string note(kNoteForm);
  note.append(" ").append(std::to_string(counts.selected));
  note.append(" ").append(std::to_string(counts.sent));
  return note.append(over ? " done" : " open");
}

struct Note {
  Counts counts;
  bool over = false;
};

std::optional<Note> parse_note(std::string_view text) {
  if (!text.starts_with(kNoteForm)) return std::nullopt;
  text.remove_prefix(kNoteForm.size());
  Note note;
  for (std::uint64_t* const number : {&note.counts.selected, &note.counts.sent}) {
    if (!text.starts_with(' ')) return std::nullopt;
    text.remove_prefix(1);
    const auto read = std::from_chars(text.data(), text.data() + text.size(), *number);
    if (read.ec != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
  }
  note.over = text == " done";
  return note;
}

bool among(const std::vector<std::string>& list, std::string_view word) {
  return list.empty() || std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

std::string_view word_of(Source source) noexcept {
  return source == Source::Events ? "events" : "dead";
}

std::string_view word_of(Status status) noexcept {
  switch (status) {
    case Status::Running:
      return "running";
    case Status::Finished:
      return "finished";
    case Status::Stopped:
      return "stopped";
    case Status::Failed:
      break;
  }
  return "failed";
}

bool wants(const FilterConfig& filter, std::string_view event_type, std::string_view object_type) {
  return among(filter.event_types, event_type) && among(filter.object_types, object_type);
}

// One replay. Thread: its own, but for what the mutex guards.
class Replays::Run {
 public:
  Run(Job job, std::shared_ptr<const Config> config,
      std::function<void(const std::string&, Progress)> done)
      : job_(std::move(job)), config_(std::move(config)), done_(std::move(done)) {
    thread_ = std::thread([this] { work(); });
  }
  ~Run() {
    if (thread_.joinable()) thread_.join();
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Copies the progress to where the control thread may look at it.
  const Progress& look() {
    const std::lock_guard lock(mutex_);
    shown_ = progress_;
    return shown_;
  }
  void end(Status as) {
    {
      const std::lock_guard lock(mutex_);
      if (!ending_) ending_ = as;
    }
    changed_.notify_all();
  }

 private:
  void work() {
    Progress last;
    try {
      copy_all();
      const std::lock_guard lock(mutex_);
      progress_.status = ending_ && !over_ ? *ending_ : Status::Finished;
      last = progress_;
    } catch (const std::exception& error) {
      log::warn("a replay failed", {{"replay", job_.id}, {"error", error.what()}});
      const std::lock_guard lock(mutex_);
      progress_.status = Status::Failed;
      progress_.reason = error.what();
      last = progress_;
    }
    done_(job_.id, last);
  }

  [[nodiscard]] kafka::ReplayRoute route() const {
    const std::string step = "retry." + kafka::delay_word(config_->retry.delays.front());
    kafka::ReplayRoute route;
    route.source =
        kafka::topic_name(config_->topics, job_.source == Source::Dead ? "dead" : "events");
    route.target = kafka::topic_name(config_->topics, step);
    route.group = kafka::topic_name(config_->topics, "replay." + job_.id);
    route.mode = job_.dry_run ? kafka::ReplayMode::Look : kafka::ReplayMode::Copy;
    return route;
  }

  void copy_all() {
    kafka::ReplayCopy copy(config_->kafka, route());
    std::optional<Note> earlier;
    if (copy.earlier_note()) earlier = parse_note(*copy.earlier_note());
    if (earlier) kept_ = earlier->counts;
    tell();
    if (earlier && earlier->over) {
      over_ = true;
      return;
    }
    kafka::ReplayWindow window;
    window.since = job_.from;
    window.until = job_.to;
    window.note = print_note(kept_, false);
    window.same_ends = earlier.has_value();
    copy.begin(window);
    begun_ = send_at_ = monotonic_now();
    while (!over_ && !ending()) {
      while (!copy.finished() && !ending()) {
        if (const auto message = copy.next(kPoll)) take(copy, *message);
        if (batch_full(monotonic_now())) commit(copy);
      }
      if (!copy.finished()) break;
      over_ = copy.commit_end(print_note(sum(), true));
      if (over_) kept_ = sum();
      batch_ = {};
      tell();
    }
    if (!over_ && batch_.selected > 0) commit(copy);
  }

  void take(kafka::ReplayCopy& copy, const kafka::Message& message) {
    const auto event = message.event();
    if (!event || event->instance.value != job_.instance) return;
    if (!job_.event_ids.empty() &&
        !std::binary_search(job_.event_ids.begin(), job_.event_ids.end(), event->id)) {
      return;
    }
    for (const Target& target : job_.targets) {
      if (job_.source == Source::Dead) {
        if (!event->parked || event->parked->subscription != target.id) continue;
      } else if (!wants(target.filter, event->event_type, event->object_type)) {
        continue;
      }
      ++batch_.selected;
      bytes_ += event->body.size();
      if (job_.dry_run) continue;
      kafka::ReplayTag tag;
      tag.subscription = target.id;
      tag.reason = event->parked ? event->parked->reason : std::string_view("ok");
      tag.now = wall_now();
      copy.add(message, tag);
      ++batch_.sent;
    }
  }

  [[nodiscard]] bool batch_full(TimePoint now) const {
    const std::uint64_t share = std::clamp<std::uint64_t>(job_.rate / 5, 1, kBatchRecords);
    if (batch_.selected >= (job_.dry_run ? kBatchRecords : share) || bytes_ >= kBatchBytes) {
      return true;
    }
    return now - begun_ >= (batch_.selected > 0 ? kBatchAge : kScanAge);
  }

  [[nodiscard]] Counts sum() const {
    return {kept_.selected + batch_.selected, kept_.sent + batch_.sent};
  }

  void commit(kafka::ReplayCopy& copy) {
    copy.set_note(print_note(sum(), false));
    if (copy.commit()) {
      kept_ = sum();
      pace(batch_.sent);
    }
    batch_ = {};
    bytes_ = 0;
    begun_ = monotonic_now();
    tell();
  }

  void pace(std::uint64_t sent) {
    const TimePoint now = monotonic_now();
    // Time in which no record was found is not caught up by sending faster.
    send_at_ = std::max(send_at_, now - kBatchAge) +
               std::chrono::nanoseconds{1'000'000'000} * static_cast<std::int64_t>(sent) /
                   static_cast<std::int64_t>(std::max(job_.rate, 1U));
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, send_at_, [this] { return ending_.has_value(); });
  }

  bool ending() {
    const std::lock_guard lock(mutex_);
    return ending_.has_value();
  }

  void tell() {
    const std::lock_guard lock(mutex_);
    progress_.selected = kept_.selected;
    progress_.sent = kept_.sent;
  }

  const Job job_;
  std::shared_ptr<const Config> config_;
  std::function<void(const std::string&, Progress)> done_;
  // Of the thread:
  Counts kept_;   // in transactions that were committed
  Counts batch_;  // in the open one
  std::size_t bytes_ = 0;
  bool over_ = false;
  TimePoint begun_{};
  TimePoint send_at_{};
  std::mutex mutex_;  // guards the next three
  std::condition_variable changed_;
  std::optional<Status> ending_;
  Progress progress_;
  Progress shown_;  // of the control thread
  std::thread thread_;
};

Replays::Replays(Executor control, const Config& config, OnEnd on_end)
    : control_(std::move(control)),
      config_(std::make_shared<const Config>(config)),
      on_end_(std::move(on_end)) {}

Replays::~Replays() {
  stop_all();
}

bool Replays::start(Job job) {
  const std::string id = job.id;
  if (runs_.contains(id)) return true;
  if (runs_.size() >= kReplaysMax) return false;
  runs_[id] = std::make_shared<Run>(std::move(job), config_,
                                    [this](const std::string& over, const Progress& progress) {
                                      asio::post(control_, [this, over, progress] {
                                        if (runs_.erase(over) > 0 && on_end_)
                                          on_end_(over, progress);
                                      });
                                    });
  return true;
}

const Progress* Replays::find(const std::string& id) {
  const auto found = runs_.find(id);
  return found == runs_.end() ? nullptr : &found->second->look();
}

void Replays::stop(const std::string& id) {
  const auto found = runs_.find(id);
  if (found != runs_.end()) found->second->end(Status::Stopped);
}

void Replays::stop_all() {
  for (auto& [id, run] : runs_) run->end(Status::Running);
  runs_.clear();  // waits for their threads
}

}  // namespace eventrelay::replay
