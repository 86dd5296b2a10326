// The instances as the control process reads and changes them: documents decoded, writes awaited.
//
// Why:     a change is judged on the newest document and written before anybody else changes it;
//          once write() is over, Kafka has it and this process serves it.
// Owner:   Control.  Thread: control.
// Bounds:  one changer at a time for each instance.
// Errors:  Problem: 503 where Kafka or the role is missing, 404 for an instance that is not there.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "common/registry/writer.hpp"
#include "ingest/control/instance_store.hpp"
#include "ingest/control/problem.hpp"
#include "ingest/control/waiting.hpp"

namespace eventrelay::control {

// Thread: control.  Bounds: as above.
class Documents {
 public:
  Documents(Executor executor, RegistryWriter& writer);
  Documents(const Documents&) = delete;
  Documents& operator=(const Documents&) = delete;

  void use(std::shared_ptr<const Keyring> keys) { keys_ = std::move(keys); }
  // The first call brings all that the topic holds.
  void on_records(std::vector<RegistryRecord> records, std::int64_t position);
  void stop();

  // 503 unless this process holds the control role.
  [[nodiscard]] Result<bool> may_write() const;
  // The newest version. 404 if there is none.
  [[nodiscard]] Result<Document> load(std::uint64_t id) const;
  // Who changes an instance keeps the turn until it is written.
  [[nodiscard]] Task<KeyedLock::Turn> turn(std::uint64_t id) { return locks_->take(id); }
  // All or none; written at acks=all and applied here when it is over. Where Kafka did not answer
  // the commit this takes until it is known what became of it.
  [[nodiscard]] Task<Result<bool>> write(std::vector<kafka::KeyedRecord> records);
  [[nodiscard]] Task<Result<bool>> write(const Document& document);
  // The records of a new or changed document; 400 over 64 KiB.
  [[nodiscard]] Result<kafka::KeyedRecord> record_of(const Document& document,
                                                     std::string key) const;
  // An id that was never given before; only while may_write().
  [[nodiscard]] std::uint64_t next_id() { return ++last_id_; }

  [[nodiscard]] const InstanceStore& store() const noexcept { return store_; }
  [[nodiscard]] const Keyring& keys() const noexcept { return *keys_; }
  [[nodiscard]] Executor executor() const noexcept { return executor_; }
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }

 private:
  struct Pending;

  Executor executor_;
  RegistryWriter& writer_;
  std::list<std::shared_ptr<Pending>> pending_;
  std::shared_ptr<const Keyring> keys_;
  InstanceStore store_;
  std::shared_ptr<KeyedLock> locks_;
  Signal applied_;
  std::int64_t position_ = 0;
  std::uint64_t last_id_ = 0;
  bool loaded_ = false;
  bool stopped_ = false;
};

}  // namespace eventrelay::control
