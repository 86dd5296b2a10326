#include "common/providers/form.hpp"

#include <algorithm>

#include "common/text/json_text.hpp"
#include "common/text/percent.hpp"

namespace eventrelay::providers {

namespace {

// Takes the next piece with something in it off the front of `form`; empty: there is none.
std::string_view next_piece(std::string_view& form) noexcept {
  std::string_view piece;
  while (piece.empty() && !form.empty()) {
    const std::size_t end = std::min(form.find('&'), form.size());
    piece = form.substr(0, end);
    form.remove_prefix(std::min(end + 1, form.size()));
  }
  return piece;
}

std::string_view value_of(std::string_view piece) noexcept {
  const std::size_t equals = std::min(piece.find('='), piece.size());
  return piece.substr(std::min(equals + 1, piece.size()));
}

}  // namespace

bool append_form_decoded(std::string_view text, std::string& out) {
  for (; !text.empty(); text.remove_prefix(1)) {
    if (text[0] != '%') {
      out.push_back(text[0] == '+' ? ' ' : text[0]);
      continue;
    }
    const auto decoded = percent_decoded(text);
    if (!decoded) return false;
    out.push_back(*decoded);
    text.remove_prefix(2);
  }
  return true;
}

std::optional<std::string> form_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  if (!append_form_decoded(text, out)) return std::nullopt;
  return out;
}

std::optional<FormParameters> read_form(std::string_view form) {
  FormParameters parameters;
  for (std::string_view piece = next_piece(form); !piece.empty(); piece = next_piece(form)) {
    if (parameters.size() == kFormParametersMax) return std::nullopt;
    auto name = form_decoded(piece.substr(0, piece.find('=')));
    auto value = form_decoded(value_of(piece));
    if (!name || !value) return std::nullopt;
    parameters.emplace_back(std::move(*name), std::move(*value));
  }
  return parameters;
}

std::optional<std::string> form_value(std::string_view form, std::string_view name) {
  for (std::string_view piece = next_piece(form); !piece.empty(); piece = next_piece(form)) {
    const auto decoded = form_decoded(piece.substr(0, piece.find('=')));
    if (decoded == name) return form_decoded(value_of(piece));
  }
  return std::nullopt;
}

std::optional<std::string> form_as_json(std::string_view form) {
  auto parameters = read_form(form);
  if (!parameters) return std::nullopt;
  std::string json = "{";
  for (std::size_t i = 0; i < parameters->size(); ++i) {
    const auto& [name, value] = (*parameters)[i];
    const auto end = parameters->begin() + static_cast<std::ptrdiff_t>(i);
    const bool again = std::any_of(parameters->begin(), end,
                                   [&name](const auto& one) { return one.first == name; });
    if (again) continue;
    if (json.size() > 1) json.push_back(',');
    append_json_string(json, name);
    json.push_back(':');
    append_json_string(json, value);
  }
  json.push_back('}');
  return json;
}

}  // namespace eventrelay::providers
