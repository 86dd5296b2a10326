#include "relay/log/offset_ledger.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>

#include "common/base/assert.hpp"
#include "relay/log/commit_text.hpp"
#include "relay/record/number_list.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::string_view kFormat = "1:";
constexpr std::int64_t kRunMax = std::int64_t{1} << 31U;

void append_number(std::uint64_t number, std::string& out) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

// Joins neighbouring ranges and writes them as run lengths while they fit.
class RunWriter {
 public:
  RunWriter(std::int64_t from, std::size_t max_bytes) : at_(from), max_bytes_(max_bytes) {}

  void add(std::int64_t first, std::int64_t last) {
    if (pending_ && first == last_ + 1) {
      last_ = last;
      return;
    }
    flush();
    pending_ = true;
    first_ = first;
    last_ = last;
  }

  [[nodiscard]] bool full() const noexcept { return full_; }

  [[nodiscard]] std::string finish() {
    flush();
    return std::move(text_);
  }

 private:
  void flush() {
    if (!pending_ || full_) return;
    pending_ = false;
    const std::size_t before = text_.size();
    text_.append(before == 0 ? kFormat : std::string_view{","});
    append_number(static_cast<std::uint64_t>(first_ - at_), text_);
    text_.push_back(',');
    append_number(static_cast<std::uint64_t>(last_ - first_ + 1), text_);
    at_ = last_ + 1;
    if (text_.size() <= max_bytes_) return;
    text_.resize(before);
    full_ = true;
  }

  std::int64_t at_;
  std::size_t max_bytes_;
  std::string text_;
  std::int64_t first_ = 0;
  std::int64_t last_ = 0;
  bool pending_ = false;
  bool full_ = false;
};

}  // namespace

OffsetLedger::OffsetLedger(const LedgerBounds& bounds)
    : bounds_(bounds), open_(bounds.span_max / 64, 0) {
  EVENTRELAY_ASSERT(bounds.count_max >= 1);
  EVENTRELAY_ASSERT(bounds.span_max >= 64 && std::has_single_bit(bounds.span_max));
}

Epoch OffsetLedger::assign(std::optional<Offset> committed) {
  std::fill(open_.begin(), open_.end(), 0);
  restored_.clear();
  restored_at_ = 0;
  known_ = committed.has_value();
  begun_ = false;
  next_ = known_ ? committed->value : 0;
  first_open_ = next_;
  open_count_ = 0;
  return ++epoch_;
}

std::uint64_t OffsetLedger::restore(std::string_view metadata) {
  if (!known_ || begun_ || !metadata.starts_with(kFormat)) return 0;
  if (metadata.size() > kMetadataMax) return 0;
  metadata.remove_prefix(kFormat.size());
  std::vector<Range> ranges;
  std::uint64_t total = 0;
  std::int64_t at = next_;
  while (!metadata.empty()) {
    const auto unfinished = take_number(metadata, ranges.empty() ? 0 : 1, kRunMax);
    // An end after the first number of a pair, or an empty run, is not ours.
    if (!unfinished || metadata.empty()) return 0;
    const auto finished = take_number(metadata, 1, kRunMax);
    if (!finished) return 0;
    const std::int64_t first = at + *unfinished;
    at = first + *finished;
    ranges.push_back(Range{first, at - 1});
    total += static_cast<std::uint64_t>(*finished);
  }
  restored_ = std::move(ranges);
  return total;
}

OffsetLedger::Begin OffsetLedger::begin(Offset offset) {
  const std::int64_t at = offset.value;
  if (begun_ && at < next_) return Begin::Backwards;
  // Reading starts below what was committed: another log, of which the ranges say nothing.
  if (at < next_) restored_.clear();
  if (open_count_ > 0 && at - first_open_ >= std::int64_t{bounds_.span_max}) return Begin::Full;
  while (restored_at_ < restored_.size() && restored_[restored_at_].last < at) ++restored_at_;
  const bool done = restored_at_ < restored_.size() && restored_[restored_at_].first <= at;
  if (!done && open_count_ >= bounds_.count_max) return Begin::Full;
  known_ = true;
  begun_ = true;
  next_ = at + 1;
  if (done) {
    if (open_count_ == 0) first_open_ = next_;
    return Begin::AlreadyDone;
  }
  if (open_count_ == 0) first_open_ = at;
  ++open_count_;
  const std::uint64_t bit = static_cast<std::uint64_t>(at) & (bounds_.span_max - 1);
  open_[bit / 64] |= std::uint64_t{1} << (bit % 64);
  return Begin::Started;
}

bool OffsetLedger::finish(Offset offset, Epoch epoch) {
  if (epoch != epoch_) return false;
  const std::int64_t at = offset.value;
  EVENTRELAY_ASSERT(is_open(at));
  const std::uint64_t bit = static_cast<std::uint64_t>(at) & (bounds_.span_max - 1);
  open_[bit / 64] &= ~(std::uint64_t{1} << (bit % 64));
  --open_count_;
  if (at == first_open_) first_open_ = open_count_ == 0 ? next_ : scan(at + 1, true);
  return true;
}

std::optional<Offset> OffsetLedger::committable() const {
  if (!known_) return std::nullopt;
  return Offset{first_open_};
}

std::string OffsetLedger::encode_ranges(std::size_t max_bytes) const {
  if (!known_) return {};
  RunWriter writer(first_open_, std::min(max_bytes, kMetadataMax));
  for (std::int64_t at = scan(first_open_, false); at < next_ && !writer.full();) {
    const std::int64_t end = scan(at, true);
    writer.add(at, end - 1);
    at = scan(end, false);
  }
  // What an earlier owner finished and this one has not read yet.
  for (std::size_t i = restored_at_; i < restored_.size() && !writer.full(); ++i) {
    if (restored_[i].last < next_) continue;
    writer.add(std::max(restored_[i].first, next_), restored_[i].last);
  }
  return writer.finish();
}

bool OffsetLedger::is_open(std::int64_t offset) const noexcept {
  if (offset < first_open_ || offset >= next_) return false;
  const std::uint64_t bit = static_cast<std::uint64_t>(offset) & (bounds_.span_max - 1);
  return (open_[bit / 64] >> (bit % 64) & 1U) != 0;
}

std::int64_t OffsetLedger::scan(std::int64_t from, bool wanted) const noexcept {
  while (from < next_) {
    const std::uint64_t bit = static_cast<std::uint64_t>(from) & (bounds_.span_max - 1);
    std::uint64_t word = open_[bit / 64];
    if (!wanted) word = ~word;
    word >>= bit % 64;
    // Bits at or behind next_ are clear or belong to the window's start: cut them off.
    if (word != 0) return std::min(from + std::countr_zero(word), next_);
    from += static_cast<std::int64_t>(64 - bit % 64);
  }
  return next_;
}

}  // namespace eventrelay::relay
