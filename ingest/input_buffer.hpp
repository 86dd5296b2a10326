// The bytes of one connection: requests lie in one block and are worked on where they lie.
//
//   block:  [ consumed | head | body | next request ... | free ] + padding       from the pool
//   large:  [ body | padding ]            only for a body that does not fit behind its head
//
// Why:     no copy between socket, signature, JSON parser and producer; a head never moves while
//          views into it live, because a large body gets a buffer of its own. A block is held from
//          the moment a read may begin until its request is handed over: while a session waits for
//          Kafka another one reads into it, and it is still in the cache.
// Owner:   the session.  Thread: shard-local.
// Bounds:  block 8 KiB, 20 KiB while a long head is read; a body as reserved. What exceeds the
//          first block is held in the shard's byte budget.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/pool.hpp"
#include "ingest/admission.hpp"

namespace eventrelay::ingest {

inline constexpr std::size_t kBlockBytes = 8192;
inline constexpr std::size_t kBlockBytesMax = 20 * 1024;  // holds the longest head

inline constexpr std::size_t kSpareBlocks = 256;

// The blocks that no connection needs now; the last one given is taken first.
// Thread: shard-local.  Bounds: kSpareBlocks blocks are kept.
class BlockPool {
 public:
  // kBlockBytes, and kBodyPadding readable ones behind them.
  [[nodiscard]] std::unique_ptr<char[]> take();
  void give(std::unique_ptr<char[]> block) noexcept { spare_.give_back(std::move(block)); }

 private:
  Spares<char[]> spare_{kSpareBlocks};
};

// Thread: shard-local.  Bounds: see above.
class InputBuffer {
 public:
  InputBuffer(Budget& budget, BlockPool& pool) : budget_(budget), pool_(pool) {}

  // Where the next read goes; empty if make_room() is needed first.
  [[nodiscard]] std::span<char> free_space() noexcept;
  void commit(std::size_t bytes) noexcept;

  // Everything received and not consumed, from the start of the current request.
  [[nodiscard]] std::string_view unread() const noexcept;
  // Moves the request to the front or takes a longer block; views into it die. False: no budget,
  // or the block has its full length already.
  [[nodiscard]] bool make_room();

  // The head is `bytes` long; the body starts behind it.
  void end_head(std::size_t bytes) noexcept { body_at_ = begin_ + bytes; }
  // Makes place for a body of `length` bytes, keeping what of it is there. False: no budget.
  [[nodiscard]] bool reserve_body(std::size_t length);
  // Bytes behind the head, as received; at most what was reserved plus what follows.
  [[nodiscard]] std::span<char> after_head() noexcept;
  // Of the bytes behind the head only the first `bytes` count from now on.
  void keep_after_head(std::size_t bytes) noexcept;
  // Forgets the request: its head, `body_bytes` behind it, and the large buffer. A block in which
  // nothing is left goes back. pre: no read is under way.
  void consume(std::size_t body_bytes);
  // Forgets everything. pre: no read is under way.
  void clear() noexcept;
  // Anything received and not consumed?
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }

 private:
  using Bytes = std::unique_ptr<char[]>;

  void move_to(Bytes block, std::size_t capacity) noexcept;
  void give_block() noexcept;

  Budget& budget_;
  BlockPool& pool_;
  Units units_;  // what is held beyond the first block
  Bytes block_;  // kBodyPadding readable bytes follow capacity_
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;  // of the current request
  std::size_t body_at_ = 0;
  std::size_t end_ = 0;  // of what was received
  Bytes large_;
  std::size_t large_capacity_ = 0;  // without padding
  std::size_t large_received_ = 0;
};

}  // namespace eventrelay::ingest
