#include "ingest/control/documents.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <optional>
#include <utility>

#include "common/observe/log.hpp"
#include "common/process/failpoint.hpp"

namespace eventrelay::control {
namespace {

constexpr std::chrono::seconds kAppliedLimit{10};
constexpr std::chrono::milliseconds kTermPoll{200};

}  // namespace

// A write on its way.
struct Documents::Pending {
  explicit Pending(Executor executor) : timer(executor) {}
  Timer timer;
  std::optional<ChangeResult> result;
  kafka::KeyedRecord first;  // all records are written, or none: this one tells of all
  bool seen = false;         // it was read from the topic
};

Documents::Documents(Executor executor, RegistryWriter& writer)
    : executor_(executor),
      writer_(writer),
      locks_(std::make_shared<KeyedLock>(executor)),
      applied_(executor) {}

void Documents::on_records(std::vector<RegistryRecord> records, std::int64_t position) {
  for (const RegistryRecord& record : records) {
    for (const auto& pending : pending_) {
      if (pending->first.key == record.key && pending->first.value == record.value) {
        pending->seen = true;
      }
    }
    if (record.key == kRoleKey) {
      const auto role = record.value ? decode_role(*record.value) : std::nullopt;
      if (role) writer_.role_seen(*role, record.offset);
    }
  }
  // What can not be read is told by the feed.
  if (!std::exchange(loaded_, true)) {
    store_.load(std::move(records), *keys_);
  } else {
    for (RegistryRecord& record : records) (void)store_.apply(std::move(record), *keys_);
  }
  last_id_ = std::max(last_id_, store_.last_id());
  position_ = std::max(position_, position);
  applied_.raise();
}

void Documents::stop() {
  stopped_ = true;
  applied_.raise();
}

Result<bool> Documents::may_write() const {
  if (writer_.holds()) return true;
  return refuse(503, "this process does not hold the control role");
}

Result<Document> Documents::load(std::uint64_t id) const {
  const StoredInstance* const stored = store_.find(id);
  if (stored == nullptr) return refuse(404, "there is no instance " + std::to_string(id));
  auto document = decode_document(record_key(id), stored->value, *keys_);
  // Told by the feed; for a caller there is none.
  if (!document) return refuse(404, "there is no instance " + std::to_string(id));
  return *std::move(document);
}

Result<kafka::KeyedRecord> Documents::record_of(const Document& document, std::string key) const {
  kafka::KeyedRecord out;
  out.value = encode_document(document, *keys_, key);
  out.key = std::move(key);
  if (out.value->size() <= kDocumentMax) return out;
  return refuse(400, "configuration: the whole instance takes more than 64 KiB");
}

Task<Result<bool>> Documents::write(std::vector<kafka::KeyedRecord> records) {
  const auto pending = std::make_shared<Pending>(executor_);
  pending->timer.expires_at(Timer::time_point::max());
  pending->first = records.front();
  pending_.push_back(pending);
  const std::uint64_t term = writer_.term();
  failpoint::at("before-registry-write");
  writer_.submit(std::move(records), [executor = executor_, pending](ChangeResult result) {
    asio::post(executor, [pending, result] {
      pending->result = result;
      pending->timer.cancel();
    });
  });
  if (!pending->result) co_await pending->timer.async_wait(kWaitToken);
  failpoint::at("after-registry-write");
  const ChangeResult result = pending->result.value_or(ChangeResult{});
  if (result.outcome == ChangeOutcome::Unknown) {
    // Who takes the role next has ended that transaction before; then the topic tells.
    while (!pending->seen && writer_.term() == term && !stopped_) {
      co_await applied_.wait(kTermPoll);
    }
  }
  pending_.remove(pending);
  if (result.outcome == ChangeOutcome::NotHolder) {
    co_return refuse(503, "this process does not hold the control role");
  }
  if (result.outcome == ChangeOutcome::Unknown && pending->seen) co_return true;
  if (result.outcome != ChangeOutcome::Written) {
    co_return refuse(503, "Kafka can not take the change now");
  }
  const TimePoint limit = monotonic_now() + kAppliedLimit;
  while (position_ <= result.offset && monotonic_now() < limit && !stopped_) {
    co_await applied_.wait(kAppliedLimit);
  }
  co_return true;
}

Task<Result<bool>> Documents::write(const Document& document) {
  Result<kafka::KeyedRecord> record = record_of(document, record_key(document.instance.id));
  if (!record) co_return refuse(record.error());
  std::vector<kafka::KeyedRecord> records;
  records.push_back(*std::move(record));
  Result<bool> written = co_await write(std::move(records));
  co_return written;
}

}  // namespace eventrelay::control
