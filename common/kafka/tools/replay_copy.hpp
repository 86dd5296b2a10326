// Copies chosen records of a topic to another one, in transactions that carry what was read.
//
// Why:     a replay that was killed goes on where its last whole transaction ended: a reader of
//          committed records finds nothing twice and misses nothing. The positions lie under a
//          group that nobody joins, with a note that says which selection they belong to.
// Owner:   a command.  Thread: one; each call may block up to kReplayStepLimit.
// Bounds:  reads up to the end of the log as it was at begin(); one transaction under way.
// Errors:  StartError from the constructor and begin(), std::runtime_error from the others; what
//          was committed stays, and a new object goes on from there.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/config/config.hpp"
#include "common/kafka/consumer_client.hpp"

namespace eventrelay::kafka {

inline constexpr std::chrono::seconds kReplayStepLimit{30};

enum class ReplayMode : std::uint8_t { Copy, Look };  // Look: nothing is written, not even begun

// Between which topics, and whose positions. Bounds: names of topics and groups.
struct ReplayRoute {
  std::string source;
  std::string target;  // has the source's partitions
  std::string group;   // also the transactional id: a second run ends the first
  ReplayMode mode = ReplayMode::Copy;
};

// Which part of the source.
struct ReplayWindow {
  std::optional<WallTime> since;  // by the time stamps of the records
  std::optional<WallTime> until;
  std::string note;        // kept beside the positions; ASCII without '|', at most 4000 bytes
  bool same_ends = false;  // up to where the earlier run meant to go, not to the present end
};

// What a copied record carries beyond what it had.
struct ReplayTag {
  std::string_view subscription;
  std::string_view reason;  // one word of the outcome list
  WallTime now;             // due, and the first failure of a schedule that begins anew
};

struct ReplayProgress {
  std::uint64_t offsets = 0;  // between the first positions and the ends
  std::uint64_t passed = 0;   // of them
  std::uint64_t copied = 0;   // records in whole transactions
  std::uint64_t gone = 0;     // offsets that retention took before they were read
};

// Thread: one owner.  Bounds: see above.
class ReplayCopy {
 public:
  ReplayCopy(const KafkaConfig& config, const ReplayRoute& route);
  ReplayCopy(const ReplayCopy&) = delete;
  ReplayCopy& operator=(const ReplayCopy&) = delete;
  ~ReplayCopy();  // what is not committed is as if it had not been

  // The note of the run that left positions under this group; nothing if none did.
  [[nodiscard]] const std::optional<std::string>& earlier_note() const noexcept;

  void begin(const ReplayWindow& window);
  // The next record of the window in any partition; nothing if none came within `limit`.
  [[nodiscard]] std::optional<Message> next(Duration limit);
  [[nodiscard]] bool finished() const noexcept;
  // Adds a copy to the transaction: same key, partition number, value and headers, but for those
  // of the parked state, which are set anew.
  void add(const Message& message, const ReplayTag& tag);
  // The note that the next commit keeps, in place of that of the window.
  void set_note(std::string note);
  // Makes the copies and all that next() has passed permanent. False: the broker refused it, all
  // of it is undone, and next() yields the same records again.
  [[nodiscard]] bool commit();
  // As commit(), once finished() says so: the ends become the positions, under a last note.
  [[nodiscard]] bool commit_end(const std::string& note);

  [[nodiscard]] ReplayProgress progress() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace eventrelay::kafka
