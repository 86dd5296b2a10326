// Entries as records: the cursor, and what is done above it as run lengths.
#include <algorithm>
#include <charconv>
#include <iterator>

#include "relay/cursor_book.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::string_view kFormat = "1:";
constexpr std::int64_t kRunMax = std::int64_t{1} << 40U;
constexpr std::size_t kReturnedMax = 1 << 16;  // unfinished offsets read back of one entry

// Appends one pair if it fits.
bool append_pair(std::int64_t unfinished, std::int64_t finished, std::string& out) {
  std::string pair = out.empty() ? std::string(kFormat) : std::string(",");
  pair += std::to_string(unfinished) + ',' + std::to_string(finished);
  if (out.size() + pair.size() > kRangesMax) return false;
  out += pair;
  return true;
}

// Takes one number and the comma behind it off the front of `text`.
std::optional<std::int64_t> take_number(std::string_view& text, std::int64_t least) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || number < least || number > kRunMax) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  if (text.empty()) return number;
  if (text.front() != ',' || text.size() == 1) return std::nullopt;
  text.remove_prefix(1);
  return number;
}

}  // namespace

StateRecord CursorBook::record(const CursorEntry& entry) const {
  StateRecord record;
  record.subscription = entry.group->subscription;
  if (!entry.whole) record.object = entry.object;
  record.state = entry.state;
  record.from = entry.from;
  record.cursor = cursor(entry);
  if (!entry.open()) record.end = entry.end;
  if (entry.due_wall != WallTime{}) record.due = entry.due_wall;
  record.attempt = entry.attempt;
  record.since = entry.since;
  record.reason = table.reason(entry.reason);
  record.ranges = ranges(entry);
  return record;
}

// `1:<unfinished>,<finished>,...` from the cursor on; what does not fit is left out at the far end.
std::string CursorBook::ranges(const CursorEntry& entry) const {
  std::vector<Offset> open;
  const std::vector<Offset>& out = entry.out.all();
  const std::vector<Offset>& returned = entry.returned.all();
  open.reserve(out.size() + returned.size());
  std::merge(out.begin(), out.end(), returned.begin(), returned.end(), std::back_inserter(open));
  const std::int64_t to = reach(entry).value;
  std::string text;
  for (std::size_t i = 0; i < open.size() && open[i].value < to;) {
    const std::int64_t first = open[i].value;
    std::int64_t next = first;
    for (; i < open.size() && open[i].value == next; ++i) ++next;
    const std::int64_t done_to = i < open.size() ? std::min(open[i].value, to) : to;
    if (done_to <= next) break;
    if (!append_pair(next - first, done_to - next, text)) break;
  }
  return text;
}

bool CursorBook::restore(CursorEntry& entry, std::string_view ranges) {
  if (!ranges.starts_with(kFormat) || ranges.size() > kRangesMax) return false;
  ranges.remove_prefix(kFormat.size());
  std::vector<Offset> returned;
  std::int64_t at = entry.swept.value;
  while (!ranges.empty()) {
    // A ledger may begin with what is done.
    const std::int64_t least = returned.empty() && at == entry.swept.value ? 0 : 1;
    const auto unfinished = take_number(ranges, least);
    if (!unfinished || ranges.empty()) return false;
    const auto finished = take_number(ranges, 1);
    if (!finished) return false;
    if (returned.size() + static_cast<std::size_t>(*unfinished) > kReturnedMax) break;
    for (std::int64_t i = 0; i < *unfinished; ++i) returned.push_back(Offset{at + i});
    at += *unfinished + *finished;
    if (!entry.open() && at > entry.end.value) return false;
  }
  for (const Offset offset : returned) entry.returned.insert(offset);
  entry.swept = Offset{at};
  return true;
}

}  // namespace eventrelay::relay
