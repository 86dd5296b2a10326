#include "common/registry/writer.hpp"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <utility>

#include "common/base/start_error.hpp"
#include "common/observe/log.hpp"
#include "common/text/json_text.hpp"

namespace eventrelay {
namespace {

using kafka::KeyedRecord;
using kafka::WriteOutcome;
using kafka::WriteReport;

constexpr std::chrono::milliseconds kAgain{500};
constexpr std::chrono::seconds kPositionLimit{10};

std::optional<boost::json::object> object_of(std::string_view value) {
  boost::system::error_code error;
  boost::json::value parsed = boost::json::parse({value.data(), value.size()}, error);
  if (error.failed() || !parsed.is_object()) return std::nullopt;
  const boost::json::value* const version = parsed.get_object().if_contains("v");
  if (version == nullptr || *version != 1) return std::nullopt;
  return std::move(parsed.get_object());
}

}  // namespace

std::string encode_role(const RoleRecord& role, WallTime now) {
  JsonObject out;
  out.number("v", std::int64_t{1})
      .text("process", role.process)
      .text("state", role.held ? "held" : "released")
      .number("at", std::int64_t{unix_ms(now)});
  return std::move(out).finish();
}

std::optional<RoleRecord> decode_role(std::string_view value) {
  const std::optional<boost::json::object> object = object_of(value);
  if (!object) return std::nullopt;
  const boost::json::value* const process = object->if_contains("process");
  const boost::json::value* const state = object->if_contains("state");
  if (process == nullptr || !process->is_string() || state == nullptr || !state->is_string()) {
    return std::nullopt;
  }
  return RoleRecord{std::string(process->get_string()), state->get_string() == "held"};
}

std::string encode_ids(std::uint64_t last) {
  JsonObject out;
  out.number("v", std::int64_t{1}).number("last", last);
  return std::move(out).finish();
}

std::optional<std::uint64_t> decode_ids(std::string_view value) {
  const std::optional<boost::json::object> object = object_of(value);
  if (!object) return std::nullopt;
  const boost::json::value* const last = object->if_contains("last");
  boost::system::error_code error;
  if (last == nullptr) return std::nullopt;
  const auto number = last->to_number<std::int64_t>(error);
  if (error.failed() || number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(number);
}

RegistryWriter::RegistryWriter(WriterOptions options) : options_(std::move(options)) {}

RegistryWriter::~RegistryWriter() {
  stop();
}

void RegistryWriter::start() {
  thread_ = std::thread([this] { run(); });
}

void RegistryWriter::submit(std::vector<KeyedRecord> records, Done done) {
  {
    const std::lock_guard lock(mutex_);
    if (holds() && !stopping_ && jobs_.size() < kQueueMax) {
      jobs_.push_back({std::move(records), std::move(done)});
      changed_.notify_all();
      return;
    }
  }
  ChangeResult refused;
  refused.outcome = holds() ? ChangeOutcome::Unavailable : ChangeOutcome::NotHolder;
  done(refused);
}

void RegistryWriter::role_seen(const RoleRecord& role, std::int64_t offset) {
  const std::lock_guard lock(mutex_);
  if (role.process == options_.process) return;
  foreign_seen_ = monotonic_now();
  if (offset <= taken_at_) return;  // of before our own take-over
  foreign_held_ = role.held;
  foreign_released_ = !role.held;
  // Also where it was given back already: our client is fenced, and has to be made anew.
  holds_.store(false, std::memory_order_release);
  term_.fetch_add(1, std::memory_order_acq_rel);
  changed_.notify_all();
}

void RegistryWriter::run() {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    take();
    if (holds()) hold();
    refuse_all(ChangeOutcome::NotHolder);
    stand_by();
  }
  if (holds()) (void)write_role(false);
  holds_ = false;
  writer_.reset();
  refuse_all(ChangeOutcome::NotHolder);
}

// Until the role is ours, or the writer ends.
void RegistryWriter::take() {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    WriteReport report;
    try {
      writer_.reset();
      writer_ = std::make_unique<kafka::TransactionWriter>(options_.kafka, options_.topic,
                                                           options_.transactional_id);
      report = writer_->fence();
    } catch (const StartError& error) {
      report.reason = error.what();
    }
    if (report.outcome == WriteOutcome::Written && wait_for_position(report.last_offset)) {
      {
        const std::lock_guard lock(mutex_);
        taken_at_ = report.last_offset;
        foreign_held_ = false;
        foreign_released_ = false;
      }
      if (write_role(true)) {
        const std::lock_guard lock(mutex_);
        term_.fetch_add(1, std::memory_order_acq_rel);
        if (!foreign_held_) {
          holds_.store(true, std::memory_order_release);
          log::info("control role taken", {{"process", options_.process}});
        }
        return;
      }
      if (writer_ == nullptr) return;  // fenced meanwhile: the other one has it
    } else if (report.outcome == WriteOutcome::Fenced) {
      return;
    } else {
      log::warn("the control role can not be taken now", {{"reason", report.reason}});
    }
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, kAgain, [this] { return stopping_; })) return;
  }
}

// An offset that is read by everybody may be a marker, which is told as the end of the topic.
bool RegistryWriter::wait_for_position(std::int64_t offset) {
  const TimePoint limit = monotonic_now() + kPositionLimit;
  while (options_.position() <= offset) {
    if (monotonic_now() > limit) return false;
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, std::chrono::milliseconds{5}, [this] { return stopping_; })) {
      return false;
    }
  }
  return true;
}

bool RegistryWriter::write_role(bool held) {
  const KeyedRecord record{std::string(kRoleKey),
                           encode_role({options_.process, held}, wall_now())};
  const WriteReport report = writer_->write({&record, 1});
  if (report.outcome == WriteOutcome::Written) return true;
  if (report.outcome == WriteOutcome::Fenced) {
    lose(report.reason);
  } else {
    log::warn("the control role can not be kept up now", {{"reason", report.reason}});
    if (report.spent) renew();
  }
  return false;
}

// A new client takes the role again: that ends the transaction which is open, one way or the other.
void RegistryWriter::renew() {
  holds_.store(false, std::memory_order_release);
  writer_.reset();
  const std::lock_guard lock(mutex_);
  foreign_released_ = true;
}

void RegistryWriter::lose(std::string_view why) {
  holds_.store(false, std::memory_order_release);
  writer_.reset();
  log::warn("control role lost: another process has it",
            {{"process", options_.process}, {"reason", why}});
}

void RegistryWriter::hold() {
  TimePoint beat = monotonic_now() + options_.heartbeat;
  while (holds()) {
    std::vector<Job> jobs;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_until(lock, beat, [this] { return stopping_ || !jobs_.empty() || !holds(); });
      if (stopping_) return;
      while (!jobs_.empty() && jobs.size() < kGroupMax) {
        jobs.push_back(std::move(jobs_.front()));
        jobs_.pop_front();
      }
    }
    if (!holds()) {
      for (Job& each : jobs) each.done({ChangeOutcome::NotHolder, -1});
      lose("its role record was read");
      return;
    }
    if (jobs.empty() || monotonic_now() >= beat) {
      beat = monotonic_now() + options_.heartbeat;
      if (!write_role(true) && writer_ == nullptr) {
        for (Job& each : jobs) each.done({ChangeOutcome::NotHolder, -1});
        return;
      }
    }
    if (!jobs.empty() && !write_jobs(std::move(jobs))) return;
  }
}

// False: the writer is of no more use.
bool RegistryWriter::write_jobs(std::vector<Job> jobs) {
  std::vector<KeyedRecord> records;
  for (Job& each : jobs) {
    records.insert(records.end(), each.records.begin(), each.records.end());
  }
  const WriteReport report = writer_->write(records);
  ChangeResult result;
  result.offset = report.last_offset;
  switch (report.outcome) {
    case WriteOutcome::Written:
      result.outcome = ChangeOutcome::Written;
      break;
    case WriteOutcome::Fenced:
      result.outcome = ChangeOutcome::NotHolder;
      lose(report.reason);
      break;
    case WriteOutcome::Unknown:
      result.outcome = ChangeOutcome::Unknown;
      [[fallthrough]];
    case WriteOutcome::Unavailable:
      log::warn("a change of the registry was not written", {{"reason", report.reason}});
      break;
  }
  if (report.spent) renew();
  for (Job& each : jobs) each.done(result);
  return writer_ != nullptr;
}

void RegistryWriter::refuse_all(ChangeOutcome outcome) {
  std::deque<Job> jobs;
  {
    const std::lock_guard lock(mutex_);
    jobs.swap(jobs_);
  }
  for (Job& each : jobs) each.done({outcome, -1});
}

// Until the other process gave the role back or is silent.
void RegistryWriter::stand_by() {
  std::unique_lock lock(mutex_);
  if (stopping_) return;
  if (!foreign_released_) foreign_seen_ = monotonic_now();
  while (!stopping_ && !foreign_released_ &&
         monotonic_now() - foreign_seen_ < options_.silence_max) {
    changed_.wait_for(lock, kAgain);
  }
  foreign_held_ = false;
}

void RegistryWriter::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace eventrelay
