#include "ingest/gate.hpp"

#include <array>
#include <cstring>
#include <optional>

namespace eventrelay::ingest {

namespace {

using Verdict = Expected<void, IngestError>;

// Where a character may stand. Thread: constants.  Bounds: one bit each.
enum Class : std::uint8_t {
  kName = 1,
  kHostChar = 2,
  kTargetChar = 4,
  kDigit = 8,
  kNameOrUnderscore = 16
};

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> table{};
  const auto mark = [&table](std::string_view characters, std::uint8_t bits) {
    for (const char c : characters) table[static_cast<unsigned char>(c)] |= bits;
  };
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] |= kName | kNameOrUnderscore | kHostChar;
  for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] |= kName | kNameOrUnderscore | kHostChar;
  for (unsigned c = '0'; c <= '9'; ++c) table[c] |= kName | kNameOrUnderscore | kHostChar | kDigit;
  // RFC 9110 5.6.2, the underscore apart: gateways that fold '_' and '-' into one let a client
  // set a field that the proxy in front believes it controls. Such a field is passed over.
  mark("!#$%&'*+-.^`|~", kName | kNameOrUnderscore);
  mark("_", kNameOrUnderscore);
  mark("-._~%!$&'()*+,;=:[]", kHostChar);  // RFC 3986 3.2.2 and a port; no userinfo
  for (unsigned c = 0x21; c <= 0x7E; ++c) table[c] |= kTargetChar;
  table['#'] &= static_cast<std::uint8_t>(~kTargetChar);  // a fragment is never sent
  return table;
}
constexpr auto kClasses = make_classes();

// The authority of a target in absolute form (RFC 9112 3.2.2); nothing: in another form.
std::optional<std::string_view> authority_of(std::string_view target) noexcept {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.size() < scheme.size() ||
        !equal_without_case(target.substr(0, scheme.size()), scheme)) {
      continue;
    }
    target.remove_prefix(scheme.size());
    return target.substr(0, target.find_first_of("/?"));
  }
  return std::nullopt;
}

// The classes that every character of `text` is in.
std::uint8_t classes_of(std::string_view text) noexcept {
  std::uint8_t common = 0xFF;
  for (const char c : text) common &= kClasses[static_cast<unsigned char>(c)];
  return common;
}

bool all_of(std::string_view text, std::uint8_t bits) noexcept {
  return (classes_of(text) & bits) == bits;
}

// A control character other than a tab? Eight bytes a step: this runs over the whole section.
bool has_control(std::string_view text) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
  constexpr std::uint64_t kHighs = 0x8080808080808080ULL;
  const auto slow = [](std::string_view part) {
    for (const char c : part) {
      const auto u = static_cast<unsigned char>(c);
      if ((u < 0x20 && u != '\t') || u == 0x7F) return true;
    }
    return false;
  };
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, 8);
    const std::uint64_t below = (word - kOnes * 0x20) & ~word & kHighs;
    const std::uint64_t del = word ^ (kOnes * 0x7F);
    const std::uint64_t is_del = (del - kOnes) & ~del & kHighs;
    if ((below | is_del) != 0 && slow(text.substr(i, 8))) return true;
  }
  return slow(text.substr(i));
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

Verdict Gate::begin(std::string_view method, std::string_view target, unsigned version) noexcept {
  head_.method = method == "POST"      ? Method::Post
                 : method == "GET"     ? Method::Get
                 : method == "HEAD"    ? Method::Head
                 : method == "OPTIONS" ? Method::Options
                                       : Method::Other;
  head_.target = target;
  head_.content_type = {};
  head_.content_length = 0;
  head_.chunked = false;
  head_.keep_alive = version == 11;
  head_.expect_continue = false;
  head_.field_count = 0;
  version_ = version;
  authority_ = {};
  bytes_ = method.size() + target.size() + 12;  // two blanks, "HTTP/1.1" and a line end
  hosts_ = lengths_ = encodings_ = passed_over_ = 0;
  coding_is_chunked_ = false;

  if (target.size() > kTargetMax) return refuse(IngestError::TargetTooLong);
  if (method.empty() || !all_of(method, kName)) return refuse(IngestError::MalformedRequest);
  if (version != 10 && version != 11) return refuse(IngestError::MalformedRequest);
  if (const auto authority = authority_of(target)) {
    if (authority->empty() || !all_of(*authority, kHostChar)) {
      return refuse(IngestError::MalformedRequest);
    }
    authority_ = *authority;
    target.remove_prefix(
        static_cast<std::size_t>(authority->data() + authority->size() - target.data()));
    head_.target = target;
  }
  if (target.empty() || target.front() != '/' || !all_of(target, kTargetChar)) {
    return refuse(IngestError::MalformedRequest);
  }
  return {};
}

bool Gate::folded(std::string_view name, std::string_view value) const noexcept {
  // A parser that unfolds lines hands over a copy, which lies outside of the section.
  const auto begin = reinterpret_cast<std::uintptr_t>(name.data() + name.size());
  const auto at = reinterpret_cast<std::uintptr_t>(value.data());
  if (at <= begin || at - begin > kHeadBytesMax) return true;
  const std::size_t gap = at - begin;
  if (name.data()[name.size()] != ':') return true;
  for (std::size_t i = 1; i < gap; ++i) {
    const char c = name.data()[name.size() + i];
    if (c != ' ' && c != '\t') return true;
  }
  return false;
}

Verdict Gate::field(std::string_view name, std::string_view value) noexcept {
  bytes_ += name.size() + value.size() + 4;  // ": " and a line end
  if (bytes_ > kHeadBytesMax || head_.field_count == kHeadFieldsMax) {
    return refuse(IngestError::HeadTooLarge);
  }
  const std::uint8_t classes = classes_of(name);
  if (name.empty() || (classes & kNameOrUnderscore) == 0) {
    return refuse(IngestError::MalformedRequest);
  }
  if (folded(name, value) || has_control(value)) return refuse(IngestError::MalformedRequest);
  if ((classes & kName) == 0) {
    return ++passed_over_ > kHeadFieldsMax ? refuse(IngestError::HeadTooLarge) : Verdict{};
  }
  const bool replaced = !authority_.empty() && equal_without_case(name, "host");
  head_.add(name, replaced ? authority_ : value);
  return known_field(name, value);
}

Verdict Gate::known_field(std::string_view name, std::string_view value) noexcept {
  switch (name.size()) {
    case 4:
      if (!equal_without_case(name, "host")) return {};
      if (++hosts_ > 1 || value.empty() || !all_of(value, kHostChar)) {
        return refuse(IngestError::MalformedRequest);
      }
      return {};
    case 6:
      return equal_without_case(name, "expect") ? expect(value) : Verdict{};
    case 10:
      if (equal_without_case(name, "connection")) connection(value);
      return {};
    case 12:
      if (!equal_without_case(name, "content-type")) return {};
      if (head_.content_type.data() != nullptr) return refuse(IngestError::DuplicateHeader);
      head_.content_type = value;
      return {};
    case 14:
      return equal_without_case(name, "content-length") ? content_length(value) : Verdict{};
    case 16:
      // A body is verified as it was received; an inflated one would not be.
      return equal_without_case(name, "content-encoding") && !equal_without_case(value, "identity")
                 ? refuse(IngestError::ContentEncoding)
                 : Verdict{};
    case 17:
      return equal_without_case(name, "transfer-encoding") ? transfer_encoding(value) : Verdict{};
    default:
      return {};
  }
}

Verdict Gate::content_length(std::string_view value) noexcept {
  if (++lengths_ > 1) return refuse(IngestError::DuplicateHeader);
  if (value.empty() || value.size() > 16 || !all_of(value, kDigit)) {
    return refuse(IngestError::MalformedRequest);
  }
  std::uint64_t length = 0;
  for (const char c : value) length = length * 10 + static_cast<std::uint64_t>(c - '0');
  if (length > kContentLengthMax) return refuse(IngestError::MalformedRequest);
  head_.content_length = length;
  return {};
}

Verdict Gate::transfer_encoding(std::string_view value) noexcept {
  // Judged in finish(): beside a length or under HTTP/1.0 it is 400, not 411.
  coding_is_chunked_ = ++encodings_ == 1 && equal_without_case(value, "chunked");
  return {};
}

Verdict Gate::expect(std::string_view value) noexcept {
  if (!equal_without_case(value, "100-continue") || head_.expect_continue) {
    return refuse(IngestError::MalformedRequest);
  }
  head_.expect_continue = true;
  return {};
}

void Gate::connection(std::string_view value) noexcept {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    if (equal_without_case(trim(value.substr(0, comma)), "close")) head_.keep_alive = false;
    if (comma == std::string_view::npos) return;
    value.remove_prefix(comma + 1);
  }
}

Verdict Gate::finish() noexcept {
  if (hosts_ == 0 && version_ == 11) return refuse(IngestError::MalformedRequest);
  if (encodings_ > 0) {
    if (lengths_ > 0 || version_ == 10) return refuse(IngestError::MalformedRequest);
    if (!coding_is_chunked_ || chunked_ == ChunkedBodies::Refused) {
      return refuse(IngestError::TransferEncoding);
    }
    head_.chunked = true;
  }
  if (version_ == 10) head_.expect_continue = false;  // RFC 9110 10.1.1
  return {};
}

}  // namespace eventrelay::ingest
