#include "ingest/event_id.hpp"

#include <charconv>
#include <cstring>

#include "common/base/assert.hpp"
#include "common/base/crypto.hpp"
#include "common/base/hex.hpp"

namespace eventrelay::ingest {

namespace {

constexpr std::size_t kProviderIdMax = 1024;

using Bits = std::array<std::uint8_t, 16>;

EventIdText print(Bits bits, std::uint8_t version) noexcept {
  bits[6] = static_cast<std::uint8_t>((bits[6] & 0x0FU) | (std::uint32_t{version} << 4U));
  bits[8] = static_cast<std::uint8_t>((bits[8] & 0x3FU) | 0x80U);
  EventIdText text{};
  std::size_t at = 0;
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text[at++] = '-';
    text[at++] = kHexDigits[bits[i] >> 4U];
    text[at++] = kHexDigits[bits[i] & 0x0FU];
  }
  return text;
}

}  // namespace

EventIdText derived_event_id(InstanceId instance, std::string_view provider_id) {
  EVENTRELAY_ASSERT(provider_id.size() <= kProviderIdMax);
  std::array<char, kProviderIdMax + 24> text;
  char* end = std::to_chars(text.data(), text.data() + 20, instance.value).ptr;
  *end++ = '\n';
  std::memcpy(end, provider_id.data(), provider_id.size());
  end += provider_id.size();
  const crypto::Mac hash =
      crypto::sha256({text.data(), static_cast<std::size_t>(end - text.data())});
  Bits bits{};
  std::memcpy(bits.data(), hash.bytes.data(), bits.size());
  return print(bits, 8);
}

EventIdText EventIds::next(WallTime now, std::uint64_t random) noexcept {
  const auto ms = unix_ms(now) > 0 ? static_cast<std::uint64_t>(unix_ms(now)) : 0U;
  if (ms > last_ms_) {
    last_ms_ = ms;
    counter_ = 0;
  } else if (++counter_ > 0xFFFU) {
    ++last_ms_;
    counter_ = 0;
  }
  Bits bits{};
  for (std::size_t i = 0; i < 6; ++i) {
    bits[i] = static_cast<std::uint8_t>(last_ms_ >> (40U - 8U * i));
  }
  bits[6] = static_cast<std::uint8_t>(counter_ >> 8U);
  bits[7] = static_cast<std::uint8_t>(counter_);
  for (std::size_t i = 0; i < 8; ++i) bits[8 + i] = static_cast<std::uint8_t>(random >> (8U * i));
  return print(bits, 7);
}

}  // namespace eventrelay::ingest
