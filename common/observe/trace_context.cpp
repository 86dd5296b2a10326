#include "common/observe/trace_context.hpp"

#include <endian.h>

#include <algorithm>
#include <cstring>

#include "common/base/hex.hpp"

namespace eventrelay {

namespace {

// version "-" trace-id "-" parent-id "-" trace-flags
constexpr std::size_t kTraceAt = 3;
constexpr std::size_t kSpanAt = 36;
constexpr std::size_t kFlagsAt = 53;
constexpr std::size_t kTracestateMax = 512;
constexpr std::size_t kMembersMax = 32;
constexpr std::uint8_t kSampledFlag = 0x01;

// Value of each lower-case digit, -1 of any other byte.
constexpr std::array<std::int8_t, 256> nibbles() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kHexDigits.size(); ++i) {
    values[static_cast<unsigned char>(kHexDigits[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr auto kNibbles = nibbles();

// The two digits of each byte.
constexpr std::array<std::array<char, 2>, 256> digit_pairs() {
  std::array<std::array<char, 2>, 256> pairs{};
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    pairs[i] = {kHexDigits[i / 16], kHexDigits[i % 16]};
  }
  return pairs;
}
constexpr auto kDigitPairs = digit_pairs();

template <std::size_t N>
bool read_hex(std::string_view text, std::array<std::uint8_t, N>& out) noexcept {
  int odd = 0;  // negative: one of them is no digit
  for (std::size_t i = 0; i < N; ++i) {
    const int high = kNibbles[static_cast<unsigned char>(text[2 * i])];
    const int low = kNibbles[static_cast<unsigned char>(text[2 * i + 1])];
    odd |= high | low;
    out[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return odd >= 0;
}

template <std::size_t N>
char* print_hex(const std::array<std::uint8_t, N>& bytes, char* out) noexcept {
  for (const std::uint8_t byte : bytes) {
    std::memcpy(out, kDigitPairs[byte].data(), 2);
    out += 2;
  }
  return out;
}

template <std::size_t N>
bool all_zero(const std::array<std::uint8_t, N>& bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
}

// An id of zeros is invalid.
template <std::size_t N>
std::array<std::uint8_t, N> valid(std::array<std::uint8_t, N> id) noexcept {
  if (all_zero(id)) id.back() = 1;
  return id;
}

bool is_member(std::string_view member) noexcept {
  const std::size_t equals = member.find('=');
  return equals != std::string_view::npos && equals != 0 && equals + 1 < member.size();
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::optional<TraceContext> parse_traceparent(std::string_view text) noexcept {
  if (text.size() < TraceparentText::kSize) return std::nullopt;
  if (text[kTraceAt - 1] != '-' || text[kSpanAt - 1] != '-' || text[kFlagsAt - 1] != '-') {
    return std::nullopt;
  }
  std::array<std::uint8_t, 1> version{};
  std::array<std::uint8_t, 1> flags{};
  TraceContext context;
  if (!read_hex(text, version) || !read_hex(text.substr(kTraceAt), context.trace) ||
      !read_hex(text.substr(kSpanAt), context.span) || !read_hex(text.substr(kFlagsAt), flags)) {
    return std::nullopt;
  }
  const bool longer = text.size() > TraceparentText::kSize;
  if (version[0] == 0xFF || (version[0] == 0 && longer)) return std::nullopt;
  if (longer && text[TraceparentText::kSize] != '-') return std::nullopt;
  if (all_zero(context.trace) || all_zero(context.span)) return std::nullopt;
  context.sampled = (flags[0] & kSampledFlag) != 0;
  return context;
}

bool is_tracestate(std::string_view text) noexcept {
  if (text.empty() || text.size() > kTracestateMax) return false;
  std::size_t members = 0;
  for (std::string_view rest = text;;) {
    const std::size_t comma = rest.find(',');
    const std::string_view member = trim(rest.substr(0, comma));
    // Empty members are allowed and do not count.
    if (!member.empty() && (!is_member(member) || ++members > kMembersMax)) return false;
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return members > 0 && std::all_of(text.begin(), text.end(),
                                    [](char c) { return c == '\t' || (c >= 0x20 && c <= 0x7E); });
}

TraceSeed trace_seed(const std::array<std::uint64_t, 3>& random) noexcept {
  TraceSeed seed;
  const auto put = [](std::uint64_t number, std::uint8_t* out) {
    const std::uint64_t ordered = htobe64(number);
    std::memcpy(out, &ordered, sizeof(ordered));
  };
  put(random[0], seed.trace.data());
  put(random[1], seed.trace.data() + 8);
  put(random[2], seed.span.data());
  return seed;
}

TraceContext start_trace(const TraceSeed& seed) noexcept {
  return {valid(seed.trace), valid(seed.span), false};
}

TraceContext child_of(const TraceContext& parent, const SpanId& span) noexcept {
  return {parent.trace, valid(span), parent.sampled};
}

TraceparentText::TraceparentText(const TraceContext& context) noexcept {
  char* out = text_.data();
  *out++ = '0';
  *out++ = '0';
  *out++ = '-';
  out = print_hex(context.trace, out);
  *out++ = '-';
  out = print_hex(context.span, out);
  *out++ = '-';
  *out++ = '0';
  *out = context.sampled ? '1' : '0';
}

}  // namespace eventrelay
