// Writing JSON by appending to a string: quoting, and objects member by member.
//
// Thread: one owner per string.  Bounds: output is at most 6 x input + 2.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace eventrelay {

// Appends `text` as it stands within the quotes of a JSON string. Bytes that are not UTF-8 become
// U+FFFD.
void append_json_escaped(std::string_view text, std::string& out);
// The same with its quotes.
void append_json_string(std::string& out, std::string_view text);
[[nodiscard]] std::string json_string(std::string_view text);

// One object, printed in the order of its members; names must differ.
// Thread: one owner.  Bounds: as its members.
class JsonObject {
 public:
  JsonObject& text(std::string_view name, std::string_view value);
  JsonObject& number(std::string_view name, std::int64_t value);
  JsonObject& number(std::string_view name, std::uint64_t value);
  JsonObject& number(std::string_view name, double value);  // null unless finite
  JsonObject& flag(std::string_view name, bool value);
  // `json` is inserted unchanged.
  JsonObject& raw(std::string_view name, std::string_view json);
  template <class Strings>
  JsonObject& texts(std::string_view name, const Strings& values) {
    std::string list = "[";
    for (const auto& value : values) {
      if (list.size() > 1) list += ',';
      append_json_string(list, value);
    }
    return raw(name, list += ']');
  }
  [[nodiscard]] std::string finish() &&;

 private:
  std::string out_ = "{";
};

}  // namespace eventrelay
