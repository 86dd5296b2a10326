// A form body as a JSON object: its parameters in order, percent-decoded, every value a string;
// the shared token is left out.
#include <algorithm>
#include <array>

#include "common/text/json_text.hpp"
#include "common/text/percent.hpp"
#include "relay/request/format.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::size_t kParametersMax = 256;
// The shared token of Box V1 lets its holder forge events, so no subscriber may read it.
constexpr std::string_view kSecretParameter = "token";

struct Parameter {
  std::string_view name;  // as sent
  std::string_view value;
};

// Takes one decoded byte off the front. A '%' without two hex digits stands for itself, as
// browsers' decoders have it. Pre: not empty.
char take_decoded(std::string_view& text) noexcept {
  const char c = text.front();
  if (const auto decoded = percent_decoded(text)) {
    text.remove_prefix(3);
    return *decoded;
  }
  text.remove_prefix(1);
  return c == '+' ? ' ' : c;
}

bool same_decoded(std::string_view a, std::string_view b) noexcept {
  while (!a.empty() && !b.empty()) {
    if (take_decoded(a) != take_decoded(b)) return false;
  }
  return a.empty() && b.empty();
}

void append_string(std::string_view encoded, std::string& scratch, std::string& out) {
  scratch.clear();
  while (!encoded.empty()) scratch.push_back(take_decoded(encoded));
  append_json_string(out, scratch);
}

// The parameters of a form; empty pieces (`a=1&&b=2`) are none. False: too many.
bool split(std::string_view form, std::array<Parameter, kParametersMax>& found,
           std::size_t& count) {
  while (!form.empty()) {
    const std::size_t end = form.find('&');
    const std::string_view piece = form.substr(0, end);
    form = end == std::string_view::npos ? std::string_view{} : form.substr(end + 1);
    if (piece.empty()) continue;
    const std::size_t equals = piece.find('=');
    const std::string_view name = piece.substr(0, equals);
    if (same_decoded(name, kSecretParameter)) continue;
    if (count == kParametersMax) return false;
    const bool has_value = equals != std::string_view::npos;
    found[count++] = Parameter{name, has_value ? piece.substr(equals + 1) : std::string_view{}};
  }
  return true;
}

}  // namespace

bool append_form_as_json(std::string_view form, std::string& out) {
  std::array<Parameter, kParametersMax> parameters;
  std::size_t count = 0;
  if (!split(form, parameters, count)) return false;
  std::array<bool, kParametersMax> written{};
  std::string scratch;
  out.push_back('{');
  bool first = true;
  for (std::size_t i = 0; i < count; ++i) {
    if (written[i]) continue;
    if (!first) out.push_back(',');
    first = false;
    append_string(parameters[i].name, scratch, out);
    out.push_back(':');
    const std::size_t value_at = out.size();
    append_string(parameters[i].value, scratch, out);
    bool repeated = false;
    for (std::size_t j = i + 1; j < count; ++j) {
      if (written[j] || !same_decoded(parameters[i].name, parameters[j].name)) continue;
      written[j] = true;
      if (!repeated) out.insert(value_at, 1, '[');
      repeated = true;
      out.push_back(',');
      append_string(parameters[j].value, scratch, out);
    }
    if (repeated) out.push_back(']');
  }
  out.push_back('}');
  return true;
}

}  // namespace eventrelay::relay
