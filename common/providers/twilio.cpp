#include "common/providers/twilio.hpp"

#include <algorithm>
#include <optional>

#include "common/base/crypto.hpp"
#include "common/providers/form.hpp"
#include "common/providers/incoming_head.hpp"

namespace eventrelay::providers {

namespace {

constexpr std::string_view kBodyHash = "bodySHA256";

std::string_view query_of(std::string_view uri) noexcept {
  const std::size_t question = std::min(uri.find('?'), uri.size());
  return uri.substr(std::min(question + 1, uri.size()));
}

// Names sorted, each value of a name once and sorted, nothing between; nothing: a broken form.
std::optional<std::string> parameters_of(std::string_view form) {
  auto parameters = read_form(form);
  if (!parameters) return std::nullopt;
  std::sort(parameters->begin(), parameters->end());
  parameters->erase(std::unique(parameters->begin(), parameters->end()), parameters->end());
  std::string text;
  for (const auto& [name, value] : *parameters) text.append(name).append(value);
  return text;
}

// The URI without a port, and with its own or the default one of its scheme.
std::vector<std::string> with_and_without_port(std::string_view uri) {
  const std::size_t scheme = uri.find("://");
  if (scheme == std::string_view::npos) return {std::string(uri)};
  const std::size_t host = scheme + 3;
  const std::size_t path = std::min(uri.find_first_of("/?", host), uri.size());
  const std::string_view authority = uri.substr(host, path - host);
  const std::size_t colon = authority.rfind(':');
  const std::size_t bracket = authority.rfind(']');  // an IPv6 address has colons of its own
  const bool ported =
      colon != std::string_view::npos && (bracket == std::string_view::npos || bracket < colon);
  const std::string_view name = authority.substr(0, ported ? colon : authority.size());
  const std::string_view standard = uri.starts_with("http://") ? ":80" : ":443";
  const std::string_view port = ported ? authority.substr(colon) : standard;
  std::string bare(uri.substr(0, host));
  bare.append(name);
  return {bare + std::string(uri.substr(path)),
          bare + std::string(port) + std::string(uri.substr(path))};
}

bool is_form(std::string_view content_type) noexcept {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  return equal_without_case(type.substr(0, type.find_last_not_of(' ') + 1),
                            "application/x-www-form-urlencoded");
}

}  // namespace

std::string twilio_text(std::string_view uri, std::string_view body) {
  std::string text(uri);
  if (!form_value(query_of(uri), kBodyHash)) text.append(parameters_of(body).value_or(""));
  return text;
}

std::vector<std::string> twilio_texts(std::string_view uri, std::string_view body,
                                      std::string_view content_type) {
  const auto hash = form_value(query_of(uri), kBodyHash);
  const bool form = is_form(content_type) || (content_type.empty() && !hash);
  std::string rest;
  if (form) {
    const auto parameters = parameters_of(body);
    if (!parameters) return {};
    rest = *parameters;
  } else if (!body.empty() || hash) {
    const std::string ours = crypto::hex(crypto::sha256(body).view());
    if (!hash || !crypto::equal_constant_time(ours, *hash)) return {};
  }
  std::vector<std::string> texts = with_and_without_port(uri);
  for (std::string& text : texts) text.append(rest);
  return texts;
}

}  // namespace eventrelay::providers
