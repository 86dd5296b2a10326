// Which shard of a process has which partitions of its group member, and which shards have still to
// do what the group waits for. Pure.
//
//   assigned --deal--> each shard takes --all have--> reading begins
//   revoked  --------> each shard gives up --all have--> the member gives them up
//
// Why:     the group sees one member, so a step of it is done when the last shard has done it, in
//          whichever order they come and whoever has left meanwhile.
// Owner:   Group.  Thread: as its owner.
// Bounds:  256 shards; a few bytes for each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <vector>

namespace eventrelay::kafka {

// What a group member asks all of its shards for.
enum class ShareStep : std::uint8_t { Start, Take, GiveUp, Close };
inline constexpr std::size_t kShareSteps = 4;

// The shard of each partition: in turn by their number, so that no shard has two more than another.
[[nodiscard]] std::vector<unsigned> deal(std::span<const std::int32_t> partitions, unsigned shards);

// Thread: one owner.  Bounds: see the head of this file.
class Shares {
 public:
  // Nothing is asked yet.
  explicit Shares(unsigned shards);

  // Asks all shards that are there, anew if they were asked before.
  void ask(ShareStep step);
  // A shard has done it. True: it was the last one. A shard that was not asked has done nothing.
  [[nodiscard]] bool done(ShareStep step, unsigned shard);
  // A shard has ended, and nobody waits for it again. Returns the steps whose last one it was.
  [[nodiscard]] std::vector<ShareStep> gone(unsigned shard);
  [[nodiscard]] bool awaits(ShareStep step) const { return !of(step).empty(); }

 private:
  [[nodiscard]] const std::set<unsigned>& of(ShareStep step) const {
    return awaited_[static_cast<std::size_t>(step)];
  }

  std::set<unsigned> there_;
  std::array<std::set<unsigned>, kShareSteps> awaited_;
};

}  // namespace eventrelay::kafka
