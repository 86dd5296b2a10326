#include "ingest/chunked.hpp"

#include <algorithm>
#include <cstring>

#include "common/base/hex.hpp"

namespace eventrelay::ingest {

namespace {

// More digits than any body that is allowed needs; leading zeros count.
constexpr unsigned kSizeDigitsMax = 8;

}  // namespace

bool ChunkedDecoder::size_digit(char c) noexcept {
  const int value = hex_value(c);
  if (value < 0 || ++digits_ > kSizeDigitsMax) return false;
  left_ = left_ * 16U + static_cast<unsigned>(value);
  state_ = State::Size;
  return true;
}

bool ChunkedDecoder::step(char c) noexcept {
  switch (state_) {
    case State::SizeFirst:
      left_ = 0;
      digits_ = 0;
      extension_ = 0;
      return size_digit(c);
    case State::Size:
      if (c == '\r') {
        state_ = State::SizeLf;
        return true;
      }
      if (c == ';') {
        state_ = State::Extension;
        return true;
      }
      return size_digit(c);
    case State::Extension:
      if (c == '\r') {
        state_ = State::SizeLf;
        return true;
      }
      return c >= 0x20 && c < 0x7F && ++extension_ <= kChunkExtensionMax;
    case State::SizeLf:
      state_ = left_ == 0 ? State::EndCr : State::Data;
      return c == '\n';
    case State::DataCr:
      state_ = State::DataLf;
      return c == '\r';
    case State::DataLf:
      state_ = State::SizeFirst;
      return c == '\n';
    case State::EndCr:
      state_ = State::EndLf;
      return c == '\r';
    case State::EndLf:
      state_ = State::Done;
      return c == '\n';
    case State::Data:
    case State::Done:
      break;
  }
  return false;
}

Expected<std::size_t, IngestError> ChunkedDecoder::decode(std::string_view coded,
                                                          char* out) noexcept {
  written_ = 0;
  std::size_t used = 0;
  while (used < coded.size() && state_ != State::Done) {
    if (state_ != State::Data) {
      if (!step(coded[used])) return Unexpected<IngestError>(IngestError::MalformedRequest);
      ++used;
      if (state_ == State::Data && left_ > body_max_ - body_size_) {
        return Unexpected<IngestError>(IngestError::BodyTooLarge);
      }
      continue;
    }
    const std::size_t take =
        static_cast<std::size_t>(std::min<std::uint64_t>(left_, coded.size() - used));
    std::memmove(out + written_, coded.data() + used, take);
    written_ += take;
    body_size_ += take;
    used += take;
    left_ -= take;
    if (left_ == 0) state_ = State::DataCr;
  }
  return used;
}

}  // namespace eventrelay::ingest
