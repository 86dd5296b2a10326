// One reader of a partition of `state`, in log order: which records count for a worker that takes
// it over, and from then on what the records of others mean, and which of its own are durable.
//
//   take --table--> own() --> Cursors --next_write--> log --take, stored--> acknowledged
//
// Why:     what counts is decided by the order of the log alone, so there is one place for it.
// Owner:   StateLog, one per partition.  Thread: shard-local.
// Bounds:  one record per key of the partition; its own that are on their way.
// Errors:  StateError of take(): a record that can not be read; the partition stops.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/expected.hpp"
#include "relay/backlog/cursor/cursors.hpp"
#include "relay/backlog/cursor/state_record.hpp"

namespace eventrelay::relay {

// Thread: shard-local.  Bounds: see the head of this file.
class StateFollower {
 public:
  // What a record means. Write: next_write() may have something. Durable: that, and cover() is to
  // be asked again. MarkCounts, Beaten: as Ownership has them.
  enum class Verdict : std::uint8_t { Fine, Write, Durable, MarkCounts, Beaten };

  // `name` is unique to one reader.
  explicit StateFollower(std::string name) : name_(std::move(name)) {}

  // The next record of the log; an empty value is a tombstone.
  [[nodiscard]] Expected<Verdict, StateError> take(std::string_view key, std::string_view value);
  // The value of a mark with the next epoch, to be written now.
  [[nodiscard]] std::string mark();
  // The mark counts and the group has confirmed it. The first time the cursors are made of what
  // counts; later they go on under the new epoch, as nobody else had the partition meanwhile.
  Cursors& own(const CursorBounds& bounds, const Moment& moment);
  [[nodiscard]] bool owns() const noexcept { return owns_; }
  // The log is another one, in which no mark of ours stands: the next one must count first.
  void begin_anew() {
    static_cast<void>(lose());
    anew_ = true;
  }
  // The value of our mark as it stands.
  [[nodiscard]] std::string mark_once_more() const { return encode(OwnerRecord{epoch_, name_}); }
  // Null until own().
  [[nodiscard]] Cursors* cursors() noexcept { return cursors_.get(); }

  // The next record to write, for stored(); nothing while it is not the owner.
  [[nodiscard]] std::optional<StateWrite> next_write();
  // Kafka has it. An acknowledgement alone does not say that a record counts: another's mark may
  // stand in front of it. Read back, it follows that.
  [[nodiscard]] Verdict stored(std::uint64_t token);

  // The highest epoch seen.
  [[nodiscard]] StateEpoch highest() const noexcept { return highest_; }

 private:
  // A record of ours, of the cursors' token.
  struct OnTheWay {
    std::uint64_t token = 0;
    std::string key;
    std::string value;
    bool stored = false;
    bool read = false;
  };
  // By the token they were written with, so that what is read back first stands in front.
  using Ways = std::map<std::uint64_t, OnTheWay>;

  [[nodiscard]] Verdict take_mark(const OwnerRecord& mark);
  [[nodiscard]] Verdict follow(std::string_view key, std::optional<StateEpoch> epoch);
  [[nodiscard]] Verdict note_read(std::string_view key, std::string_view value);
  [[nodiscard]] Verdict acknowledge(Ways::iterator way);
  [[nodiscard]] Verdict lose();

  std::string name_;
  std::unique_ptr<StateTable> table_ = std::make_unique<StateTable>();  // until own()
  std::unique_ptr<Cursors> cursors_;
  Ways on_the_way_;
  std::vector<std::string> others_;  // keys that another owner wrote while we were none
  std::uint64_t written_ = 0;
  StateEpoch epoch_ = 0;    // of our mark
  StateEpoch highest_ = 0;  // seen
  bool stands_ = false;     // our mark counts
  bool owns_ = false;
  bool anew_ = false;        // what the cursors say stands in no log yet
  bool mark_again_ = false;  // one that does not count would be the last word of its key
};

}  // namespace eventrelay::relay
