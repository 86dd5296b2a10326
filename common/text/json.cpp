#include "common/text/json.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

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

// The digits of one number that was asked for. Bounds: 20 digits and a sign.
struct Digits {
  std::array<char, 24> text;

  template <class Integer>
  std::string_view print(Integer value) {
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    return {text.data(), static_cast<std::size_t>(end - text.data())};
  }
};

// Wanted members and what has been seen of them. Bounds: kWantedMax.
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
  } else if (found.kind == Kind::Boolean) {
    found.truth = value.get_bool().value_unsafe();
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

// The four hex digits of an escape `\uXXXX` that begins at `at`; nothing if it is none.
std::optional<std::uint32_t> unit_at(std::string_view text, std::size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return std::nullopt;
  std::uint32_t unit = 0;
  const auto [end, error] = std::from_chars(text.data() + at + 2, text.data() + at + 6, unit, 16);
  if (error != std::errc{} || end != text.data() + at + 6) return std::nullopt;
  return unit;
}
bool is_high(std::uint32_t unit) {
  return unit >= 0xD800 && unit <= 0xDBFF;
}
bool is_low(std::uint32_t unit) {
  return unit >= 0xDC00 && unit <= 0xDFFF;
}

// Copies the escape at `at` to `out`, half a surrogate pair as `\u0000` and its digits, so that two
// different halves stay different texts. Returns the bytes read.
std::size_t copy_escape(std::string_view text, std::size_t at, std::string& out) {
  const auto unit = unit_at(text, at);
  std::size_t size = std::min<std::size_t>(2, text.size() - at);
  if (unit && is_high(*unit)) {
    const auto next = unit_at(text, at + 6);
    if (next && is_low(*next)) size = 12;
  }
  if (unit && size == 2 && (is_high(*unit) || is_low(*unit))) {
    out.append("\\u0000").append(text.substr(at + 2, 4));
    return 6;
  }
  out.append(text.substr(at, size));
  return size;
}

// Copies the number at `at`; one that 64 bits or a double may not hold becomes a text of its
// digits, or null where it is more than digits. Returns the bytes read.
std::size_t copy_number(std::string_view text, std::size_t at, std::string& out) {
  const std::size_t end = std::min(text.find_first_not_of("0123456789+-.eE", at), text.size());
  const std::string_view token = text.substr(at, end - at);
  const bool wide = token.size() > 18 || token.find_first_of("eE") != token.npos;
  // Before a colon it would be a key, which a number can not be and a text can.
  const std::size_t next = text.find_first_not_of(" \t\r\n", end);
  const bool key = next != text.npos && text[next] == ':';
  if (!wide || key || !is_number(token)) {
    out.append(token);
  } else if (token.find_first_of(".eE") != token.npos) {
    out.append("null");
  } else {
    out.append("\"").append(token).append("\"");
  }
  return token.size();
}

// The document without what the grammar allows and no tape holds; whether the rest is JSON is for
// the tape to say.
std::string holdable(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8 + kPadding);
  bool in_string = false;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (in_string && c == '\\') {
      i += copy_escape(text, i, out);
    } else if (!in_string && (c == '-' || (c >= '0' && c <= '9'))) {
      i += copy_number(text, i, out);
    } else {
      if (c == '"') in_string = !in_string;
      out.push_back(c);
      ++i;
    }
  }
  out.reserve(out.size() + kPadding);
  return out;
}

// One token of a pointer, `~1` and `~0` undone.
std::string unescaped(std::string_view token) {
  std::string out;
  for (std::size_t i = 0; i < token.size(); ++i) {
    const bool escape = token[i] == '~' && i + 1 < token.size();
    if (escape && token[i + 1] == '1') {
      out.push_back('/');
    } else if (escape && token[i + 1] == '0') {
      out.push_back('~');
    } else {
      out.push_back(token[i]);
      continue;
    }
    ++i;
  }
  return out;
}

using Element = std::optional<dom::element>;

Expected<Element, ScanError> member(dom::object object, std::string_view token) {
  const bool coded = token.find('~') != token.npos;
  const std::string plain = coded ? unescaped(token) : std::string();
  if (coded) token = plain;
  Element found;
  for (const auto [key, value] : object) {
    if (key != token) continue;
    if (found) return refuse(ScanError::DuplicateKey);
    found = value;
  }
  return found;
}

Element element_of(dom::array array, std::string_view token) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  if (error != std::errc{} || end != token.data() + token.size()) return std::nullopt;
  for (const dom::element value : array) {
    if (index-- == 0) return value;
  }
  return std::nullopt;
}

Expected<Element, ScanError> walk(dom::element from, std::string_view pointer) {
  while (!pointer.empty()) {
    pointer.remove_prefix(1);  // the slash
    const std::size_t slash = std::min(pointer.find('/'), pointer.size());
    const std::string_view token = pointer.substr(0, slash);
    pointer.remove_prefix(slash);
    dom::object object;
    dom::array array;
    Element next;
    if (from.get(object) == simdjson::SUCCESS) {
      const auto found = member(object, token);
      if (!found) return found;
      next = *found;
    } else if (from.get(array) == simdjson::SUCCESS) {
      next = element_of(array, token);
    }
    if (!next) return next;
    from = *next;
  }
  return Element{from};
}

}  // namespace

// The parser and the digits it prints.
struct Scanner::State {
  dom::parser tape;
  std::array<Digits, kWantedMax> digits;
  bool large = false;
  dom::element root;
  std::vector<dom::element> list;
  std::array<Digits, kNumbersKept> kept;
  std::size_t next_kept = 0;

  Expected<Kind, ScanError> read(std::string_view text);
  Expected<Found, ScanError> find(dom::element from, std::string_view pointer);
};

Expected<Kind, ScanError> Scanner::State::read(std::string_view text) {
  if (large) tape = dom::parser{};
  large = text.size() > kKeepBytes;
  list.clear();
  // A reader may pass over one (RFC 8259, section 8.1), not over two; versions of the parser differ
  // in whether they pass over one themselves.
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (text.starts_with(kByteOrderMark)) return refuse(ScanError::Malformed);
  auto error = tape.parse(text.data(), text.size(), false).get(root);
  if (of_a_number(error) || error == simdjson::STRING_ERROR) {
    const std::string copy = holdable(text);
    error = tape.parse(copy.data(), copy.size(), false).get(root);
  }
  if (error == simdjson::DEPTH_ERROR) return refuse(ScanError::TooDeep);
  if (error != simdjson::SUCCESS) return refuse(ScanError::Malformed);
  return kind_of(root.type());
}

Expected<Found, ScanError> Scanner::State::find(dom::element from, std::string_view pointer) {
  const auto place = walk(from, pointer);
  if (!place) return refuse(place.error());
  Found found;
  if (*place) {
    Digits& digits_here = kept[next_kept];
    take(**place, found, digits_here);
    if (found.kind == Kind::Number) next_kept = (next_kept + 1) % kept.size();
  }
  return found;
}

Scanner::Scanner() : state_(std::make_unique<State>()) {}
Scanner::~Scanner() = default;

Expected<Kind, ScanError> Scanner::scan(std::string_view text, std::span<const Wanted> wanted,
                                        std::span<Found> found) {
  EVENTRELAY_ASSERT(wanted.size() <= kWantedMax && found.size() == wanted.size());
  std::fill(found.begin(), found.end(), Found{});
  const Search search{wanted, found, state_->digits};
  const auto kind = state_->read(text);
  if (!kind) return kind;
  dom::object object;
  if (state_->root.get(object) == simdjson::SUCCESS && !search_tape(object, {}, search)) {
    return refuse(ScanError::DuplicateKey);
  }
  return *kind;
}

Expected<Kind, ScanError> Scanner::parse(std::string_view text) {
  return state_->read(text);
}

Expected<std::optional<std::size_t>, ScanError> Scanner::open_list(std::string_view pointer) {
  state_->list.clear();
  const auto place = walk(state_->root, pointer);
  if (!place) return refuse(place.error());
  dom::array array;
  if (!*place || (**place).get(array) != simdjson::SUCCESS) return std::nullopt;
  for (const dom::element value : array) state_->list.push_back(value);
  return state_->list.size();
}

Expected<Found, ScanError> Scanner::at(std::string_view pointer) {
  return state_->find(state_->root, pointer);
}

Expected<Found, ScanError> Scanner::at(std::size_t element, std::string_view pointer) {
  EVENTRELAY_ASSERT(element < state_->list.size());
  return state_->find(state_->list[element], pointer);
}

}  // namespace eventrelay::json
