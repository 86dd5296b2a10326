// The steps by which a worker becomes the owner of a partition's `state`, and what takes that away.
//
//   Reading --end of the log--> Marking --own mark read back--> Confirming --accepted--> Owner
//                                  |                                |                      |
//                                  | another's mark counts          +----------+-----------+
//                                  v                                           v
//                               Beaten <--------------------------- another's mark counts
//                                  | accepted: still a member, so the other one is not the owner
//                                  +--> Marking, with a newer epoch
//
// Why:     a mark alone does not say who owns the partition: a former owner may write its mark
//          late. A commit that the group accepts behind the mark does: no other member had the
//          partition since it was given to us, so every mark that may still come is of a former
//          owner.
// Owner:   the reader of one partition of `state`.  Thread: shard-local.
// Bounds:  fixed size; one commit is on its way at a time.
// Errors:  none; a commit that is not accepted is tried again until the group takes the partition.
#pragma once

#include <cstdint>

namespace eventrelay::relay {

// Thread: shard-local.  Bounds: see the head of this file.
class Ownership {
 public:
  enum class State : std::uint8_t { Reading, Marking, Confirming, Owner, Beaten };
  // What the caller does now. Mark: write one of the next epoch. Confirm: send a commit of the
  // group and tell confirmed(). Own: it is ours, write what is to be written.
  enum class Action : std::uint8_t { None, Mark, Confirm, Own };

  // The log was read to its end.
  [[nodiscard]] Action at_end();
  // Our mark was read back and counts.
  [[nodiscard]] Action mark_counts();
  // Another owner's mark counts instead of ours, which was read back.
  [[nodiscard]] Action beaten();
  // The answer to Confirm.
  [[nodiscard]] Action confirmed(bool accepted);
  // Now and then: what was not accepted is asked again.
  [[nodiscard]] Action again();

  [[nodiscard]] State state() const noexcept { return state_; }

 private:
  enum class Commit : std::uint8_t { None, OnItsWay, Refused };

  [[nodiscard]] Action confirm();

  State state_ = State::Reading;
  Commit commit_ = Commit::None;
};

}  // namespace eventrelay::relay
