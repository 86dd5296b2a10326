#include "relay/request/outgoing_head.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <stdexcept>

#include "common/base/assert.hpp"
#include "common/base/printable.hpp"
#include "common/text/percent.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::array<bool, 256> token_bytes() {
  std::array<bool, 256> token{};
  for (std::size_t c = '0'; c <= '9'; ++c) token[c] = true;
  for (std::size_t c = 'A'; c <= 'Z'; ++c) token[c] = true;
  for (std::size_t c = 'a'; c <= 'z'; ++c) token[c] = true;
  for (const char c : std::string_view{"!#$%&'*+-.^_`|~"})
    token[static_cast<unsigned char>(c)] = true;
  return token;
}
constexpr auto kToken = token_bytes();

constexpr bool is_visible(char c) noexcept {
  return c > ' ' && c < 0x7F;
}

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool starts_with_any_case(std::string_view text, std::string_view prefix) noexcept {
  return text.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), text.begin(),
                                                    [](char a, char b) { return a == lower(b); });
}

// Names the relay writes itself, and names that steer a connection it does not share.
constexpr std::array<std::string_view, 17> kReserved{"host",
                                                     "content-length",
                                                     "transfer-encoding",
                                                     "connection",
                                                     "keep-alive",
                                                     "te",
                                                     "trailer",
                                                     "upgrade",
                                                     "expect",
                                                     "proxy-connection",
                                                     "user-agent",
                                                     "content-type",
                                                     "eventrelay-attempt",
                                                     "traceparent",
                                                     "tracestate",
                                                     "content-encoding",
                                                     "proxy-authorization"};
constexpr std::array<std::string_view, 4> kReservedPrefixes{"elements-webhook-", "webhook-", "ce-",
                                                            "eventrelay-"};

constexpr std::string_view kUserAgent = "eventrelay/" EVENTRELAY_VERSION;
constexpr std::size_t kFieldEnds = std::string_view{": \r\n"}.size();
// What stands around target, host and configured fields.
constexpr std::size_t kFixedMax =
    std::string_view{"POST  HTTP/1.1\r\nHost: []:65535\r\nUser-Agent"}.size() + kUserAgent.size() +
    kFieldEnds;

bool is_reserved(std::string_view name) noexcept {
  const auto same = [name](std::string_view reserved) {
    return reserved.size() == name.size() && starts_with_any_case(name, reserved);
  };
  const auto under = [name](std::string_view prefix) { return starts_with_any_case(name, prefix); };
  return std::any_of(kReserved.begin(), kReserved.end(), same) ||
         std::any_of(kReservedPrefixes.begin(), kReservedPrefixes.end(), under);
}

}  // namespace

bool is_token(std::string_view name) noexcept {
  return !name.empty() && std::all_of(name.begin(), name.end(),
                                      [](char c) { return kToken[static_cast<unsigned char>(c)]; });
}

bool is_field_value(std::string_view value) noexcept {
  if (value.empty() || !is_visible(value.front()) || !is_visible(value.back())) return false;
  if (is_printable(value)) return true;
  return std::all_of(value.begin(), value.end(),
                     [](char c) { return is_visible(c) || c == ' ' || c == '\t'; });
}

bool is_target(std::string_view target) noexcept {
  return target.starts_with('/') && std::all_of(target.begin(), target.end(),
                                                [](char c) { return is_visible(c) && c != '#'; });
}

std::optional<std::string> refuse_field(std::string_view name, std::string_view value) {
  if (!is_token(name)) return "is no header name: letters, digits and !#$%&'*+-.^_`|~ only";
  if (is_reserved(name)) return "is set by the relay itself";
  if (value.size() > kConfiguredValueMax) {
    return "has a value of " + std::to_string(value.size()) + " bytes, at most " +
           std::to_string(kConfiguredValueMax) + " are allowed";
  }
  if (!is_field_value(value)) {
    return "has a value that is empty, or has other than visible ASCII with blanks inside";
  }
  return std::nullopt;
}

void append_field(std::string_view name, std::string_view value, std::string& head) {
  EVENTRELAY_ASSERT(is_token(name));
  EVENTRELAY_ASSERT(is_field_value(value));
  head.append(name);
  head.append(": ");
  head.append(value);
  head.append("\r\n");
}

void append_event_field(std::string_view name, std::string_view value, std::string& head) {
  if (value.empty()) return;
  EVENTRELAY_ASSERT(is_token(name));
  head.append(name);
  head.append(": ");
  if (value.size() <= kEventValueMax && is_printable<' ', '%', '"'>(value)) {
    head.append(value);
    head.append("\r\n");
    return;
  }
  std::size_t room = kEventValueMax;
  for (const char c : value) {
    if (is_visible(c) && c != '%' && c != '"') {
      if (room < 1) break;
      head.push_back(c);
      room -= 1;
      continue;
    }
    if (room < 3) break;
    append_percent_encoded(c, head);
    room -= 3;
  }
  head.append("\r\n");
}

void append_trace(const Event& event, const TraceSeed& seed, std::string& head) {
  const std::optional<TraceContext> parent = parse_traceparent(event.traceparent);
  const TraceparentText text(parent ? child_of(*parent, seed.span) : start_trace(seed));
  append_field("traceparent", text.view(), head);
  // Cut or encoded it would say something else, so it goes as it came or not at all.
  const bool clean = is_field_value(event.tracestate) && is_tracestate(event.tracestate);
  if (parent && clean) append_field("tracestate", event.tracestate, head);
}

OutgoingHead::OutgoingHead(const CallbackUrl& url,
                           const std::map<std::string, std::string>& headers) {
  if (!is_target(url.target)) {
    throw std::invalid_argument("the callback's path is not visible ASCII that starts with /");
  }
  const std::string_view host = url.host;
  if (!is_field_value(host) || host.find_first_of(" \t/@?#\\") != std::string_view::npos) {
    throw std::invalid_argument("the callback's host has characters that no host name has");
  }
  if (headers.size() > kConfiguredFieldsMax) {
    throw std::invalid_argument("delivery.headers has " + std::to_string(headers.size()) +
                                " fields, at most " + std::to_string(kConfiguredFieldsMax) +
                                " are allowed");
  }
  const std::size_t fields = std::accumulate(
      headers.begin(), headers.end(), std::size_t{0}, [](std::size_t sum, const auto& field) {
        return sum + field.first.size() + field.second.size() + kFieldEnds;
      });
  text_.reserve(kFixedMax + url.target.size() + host.size() + fields);
  text_.append("POST ").append(url.target).append(" HTTP/1.1\r\nHost: ");
  const bool literal_v6 = host.find(':') != std::string_view::npos;
  if (literal_v6) text_.push_back('[');
  text_.append(host);
  if (literal_v6) text_.push_back(']');
  if (url.port != (url.tls ? 443 : 80)) text_.append(":" + std::to_string(url.port));
  text_.append("\r\n");
  append_field("User-Agent", kUserAgent, text_);
  for (const auto& [name, value] : headers) {
    if (const std::optional<std::string> reason = refuse_field(name, value)) {
      throw std::invalid_argument("delivery.headers: `" + (is_token(name) ? name : "?") + "` " +
                                  *reason);
    }
    append_field(name, value, text_);
  }
}

RequestTemplate::RequestTemplate(const Instance& instance, const Subscription& subscription)
    : head_(*subscription.url, subscription.delivery->headers),
      formatter_(subscription.delivery->format, instance),
      signer_(subscription.delivery->signature, subscription.keys) {
  if (subscription.filter != nullptr) formatter_.keep_only(*subscription.filter);
}

Request RequestTemplate::compose(const Event& event, const AttemptInfo& attempt,
                                 RequestBuffers& buffers) {
  const Body body = formatter_.body(event, buffers.body);
  std::string& head = buffers.head;
  head.assign(head_.text());
  append_field("Content-Type", formatter_.content_type(event), head);
  std::array<char, 24> digits;
  const auto number = [&digits](std::uint64_t value) {
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    return std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
  };
  append_field("Content-Length", number(body.size()), head);
  signer_.append_fields(event.id, body, attempt.now, head);
  formatter_.append_fields(event, head);
  append_trace(event, attempt.trace, head);
  if (attempt.number > 1) append_field("Eventrelay-Attempt", number(attempt.number), head);
  head.append("\r\n");
  return Request{head, body};
}

}  // namespace eventrelay::relay
