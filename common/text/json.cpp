#include "common/text/json.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "common/base/assert.hpp"

namespace eventrelay::json {

namespace {

static_assert(kPadding >= simdjson::SIMDJSON_PADDING);

namespace dom = simdjson::dom;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// The memory of a document longer than this is given back.
constexpr std::size_t kKeepBytes = 256U << 10;

Unexpected<ScanError> refuse(ScanError error) {
  return Unexpected<ScanError>(error);
}

// The digits of one number that was asked for. Thread: value.  Bounds: 20 digits and a sign.
struct Digits {
  std::array<char, 24> text;

  template <class Integer>
  std::string_view print(Integer value) {
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    return {text.data(), static_cast<std::size_t>(end - text.data())};
  }
};

// Wanted members and what has been seen of them. Thread: one owner.  Bounds: kWantedMax.
struct Search {
  std::span<const Wanted> wanted;
  std::span<Found> found;
  std::span<Digits> digits;

  // Which one `name` within `object` is; wanted.size() if none.
  [[nodiscard]] std::size_t index(std::string_view object, std::string_view name) const {
    std::size_t i = 0;
    while (i < wanted.size() && (wanted[i].name != name || wanted[i].object != object)) ++i;
    return i;
  }
  [[nodiscard]] bool has_object(std::string_view name) const {
    return std::any_of(wanted.begin(), wanted.end(),
                       [name](const Wanted& one) { return one.object == name; });
  }
};

// Later versions report integers that are too wide by an error of its own, which 3.0 does not have.
bool of_a_number(simdjson::error_code error) {
  if (error == simdjson::NUMBER_ERROR) return true;
  const std::string_view message = simdjson::error_message(error);
  return error != simdjson::SUCCESS && message.find("nteger value") != message.npos;
}

Kind kind_of(dom::element_type type) {
  switch (type) {
    case dom::element_type::ARRAY:
      return Kind::Array;
    case dom::element_type::OBJECT:
      return Kind::Object;
    case dom::element_type::STRING:
      return Kind::String;
    case dom::element_type::BOOL:
      return Kind::Boolean;
    case dom::element_type::NULL_VALUE:
      return Kind::Null;
    default:
      return Kind::Number;
  }
}

void take(dom::element value, Found& found, Digits& digits) {
  found.kind = kind_of(value.type());
  std::int64_t integer = 0;
  std::uint64_t large = 0;
  if (found.kind == Kind::String) {
    const auto error = value.get(found.text);
    EVENTRELAY_ASSERT(error == simdjson::SUCCESS);
  } else if (value.is_int64() && value.get(integer) == simdjson::SUCCESS) {
    found.text = digits.print(integer);
  } else if (value.is_uint64() && value.get(large) == simdjson::SUCCESS) {
    found.text = digits.print(large);
  }
}

// Reads the members of one object; false if a wanted member occurs twice.
bool search_tape(dom::object object, std::string_view name, const Search& search) {
  for (const auto [key, value] : object) {
    const std::size_t i = search.index(name, key);
    if (i < search.wanted.size()) {
      if (search.found[i].kind != Kind::Absent) return false;
      take(value, search.found[i], search.digits[i]);
    }
    dom::object inner;
    if (name.empty() && value.is_object() && search.has_object(key) &&
        value.get(inner) == simdjson::SUCCESS && !search_tape(inner, key, search)) {
      return false;
    }
  }
  return true;
}

// A number by the grammar of RFC 8259 section 6, which allows more than the parser takes.
bool is_number(std::string_view text) {
  const auto digits = [&text] {
    std::size_t n = 0;
    while (n < text.size() && text[n] >= '0' && text[n] <= '9') ++n;
    text.remove_prefix(n);
    return n;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool zero = text.starts_with('0');
  const std::size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

// Replaces numbers that neither 64 bits nor a double can hold by null: they are valid JSON, but the
// parser refuses them. Null, so that nobody reads a wrong value; the parser still checks the rest.
void blank_wide_numbers(std::string& text) {
  constexpr std::string_view kNumberChars = "0123456789+-.eE";
  constexpr std::string_view kNull = "null";
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') ++i;
    if (c == '"') in_string = !in_string;
    if (in_string || (c != '-' && (c < '0' || c > '9'))) continue;
    const std::size_t end = std::min(text.find_first_not_of(kNumberChars, i), text.size());
    const std::string_view token{text.data() + i, end - i};
    const bool wide = token.size() > 18 || token.find_first_of("eE") != token.npos;
    if (wide && token.size() >= kNull.size() && is_number(token)) {
      std::fill(text.begin() + static_cast<std::ptrdiff_t>(i),
                text.begin() + static_cast<std::ptrdiff_t>(end), ' ');
      text.replace(i, kNull.size(), kNull);
    }
    i = end - 1;
  }
}

}  // namespace

// The parser and the digits it prints. Thread: one owner.  Bounds: see the header.
struct Scanner::State {
  dom::parser tape;
  std::array<Digits, kWantedMax> digits;
  bool large = false;
};

Scanner::Scanner() : state_(std::make_unique<State>()) {}
Scanner::~Scanner() = default;

Expected<Kind, ScanError> Scanner::scan(std::string_view text, std::span<const Wanted> wanted,
                                        std::span<Found> found) {
  EVENTRELAY_ASSERT(wanted.size() <= kWantedMax && found.size() == wanted.size());
  if (state_->large) state_->tape = dom::parser{};
  state_->large = text.size() > kKeepBytes;
  std::fill(found.begin(), found.end(), Found{});
  const Search search{wanted, found, state_->digits};
  // A byte order mark is not JSON (RFC 8259, section 8.1): 3.0 refuses it, later versions skip it.
  if (text.starts_with(kByteOrderMark)) return refuse(ScanError::Malformed);

  dom::element root;
  auto error = state_->tape.parse(text.data(), text.size(), false).get(root);
  if (of_a_number(error)) {
    std::string copy(text);
    blank_wide_numbers(copy);
    copy.reserve(copy.size() + kPadding);
    error = state_->tape.parse(copy.data(), text.size(), false).get(root);
  }
  if (error != simdjson::SUCCESS) return refuse(ScanError::Malformed);
  dom::object object;
  if (root.get(object) == simdjson::SUCCESS && !search_tape(object, {}, search)) {
    return refuse(ScanError::DuplicateKey);
  }
  return kind_of(root.type());
}

}  // namespace eventrelay::json
