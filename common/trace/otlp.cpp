#include "common/trace/otlp.hpp"

#include <algorithm>
#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "common/text/utf8.hpp"

namespace eventrelay::trace {

namespace {

using protozero::pbf_writer;

// The tags of opentelemetry-proto, by message.
namespace request {
constexpr protozero::pbf_tag_type kResourceSpans = 1;
}
namespace resource_spans {
constexpr protozero::pbf_tag_type kResource = 1;
constexpr protozero::pbf_tag_type kScopeSpans = 2;
constexpr protozero::pbf_tag_type kSchemaUrl = 3;
}  // namespace resource_spans
namespace resource_tag {
constexpr protozero::pbf_tag_type kAttributes = 1;
}
namespace scope_spans {
constexpr protozero::pbf_tag_type kScope = 1;
constexpr protozero::pbf_tag_type kSpans = 2;
constexpr protozero::pbf_tag_type kSchemaUrl = 3;
}  // namespace scope_spans
namespace scope {
constexpr protozero::pbf_tag_type kName = 1;
constexpr protozero::pbf_tag_type kVersion = 2;
}  // namespace scope
namespace span_tag {
constexpr protozero::pbf_tag_type kTraceId = 1;
constexpr protozero::pbf_tag_type kSpanId = 2;
constexpr protozero::pbf_tag_type kParent = 4;
constexpr protozero::pbf_tag_type kName = 5;
constexpr protozero::pbf_tag_type kKind = 6;
constexpr protozero::pbf_tag_type kBegin = 7;
constexpr protozero::pbf_tag_type kEnd = 8;
constexpr protozero::pbf_tag_type kAttributes = 9;
constexpr protozero::pbf_tag_type kLinks = 13;
constexpr protozero::pbf_tag_type kStatus = 15;
constexpr protozero::pbf_tag_type kFlags = 16;
}  // namespace span_tag
namespace link {
constexpr protozero::pbf_tag_type kTraceId = 1;
constexpr protozero::pbf_tag_type kSpanId = 2;
constexpr protozero::pbf_tag_type kFlags = 6;
}  // namespace link
namespace status {
constexpr protozero::pbf_tag_type kCode = 3;
constexpr std::int32_t kError = 2;
}  // namespace status
namespace key_value {
constexpr protozero::pbf_tag_type kKey = 1;
constexpr protozero::pbf_tag_type kValue = 2;
}  // namespace key_value
namespace any_value {
constexpr protozero::pbf_tag_type kText = 1;
constexpr protozero::pbf_tag_type kNumber = 3;
}  // namespace any_value
namespace answer {
constexpr protozero::pbf_tag_type kPartialSuccess = 1;
}
namespace partial_success {
constexpr protozero::pbf_tag_type kRejected = 1;
constexpr protozero::pbf_tag_type kReason = 2;
}  // namespace partial_success

// Flags of spans and links: those of traceparent, and whether the parent or the linked span is
// another process's.
constexpr std::uint32_t kSampled = 0x01;
constexpr std::uint32_t kRemoteKnown = 0x100;
constexpr std::uint32_t kRemote = 0x200;

constexpr std::size_t kReasonMax = 200;

const std::string& schema_url() {
  static const std::string url =
      std::string("https://opentelemetry.io/schemas/").append(kSemanticConventions);
  return url;
}

// UTF-8 of at most kSpanTextMax bytes, whatever came.
std::string clean(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = first_character(text).size;
    const std::string_view piece = size == 0 ? kReplacementCharacter : text.substr(0, size);
    if (out.size() + piece.size() > kSpanTextMax) break;
    out.append(piece);
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

template <std::size_t N>
void add_id(pbf_writer& out, protozero::pbf_tag_type tag, const std::array<std::uint8_t, N>& id) {
  out.add_bytes(tag, reinterpret_cast<const char*>(id.data()), id.size());
}

void add_text(pbf_writer& out, protozero::pbf_tag_type tag, std::string_view key,
              std::string_view text) {
  pbf_writer pair(out, tag);
  pair.add_string(key_value::kKey, key.data(), key.size());
  pbf_writer value(pair, key_value::kValue);
  value.add_string(any_value::kText, clean(text));
}

void add_number(pbf_writer& out, protozero::pbf_tag_type tag, std::string_view key,
                std::int64_t number) {
  pbf_writer pair(out, tag);
  pair.add_string(key_value::kKey, key.data(), key.size());
  pbf_writer value(pair, key_value::kValue);
  value.add_int64(any_value::kNumber, number);
}

void add_span(pbf_writer& out, const Span& span) {
  add_id(out, span_tag::kTraceId, span.context.trace);
  add_id(out, span_tag::kSpanId, span.context.span);
  if (span.parent != SpanId{}) add_id(out, span_tag::kParent, span.parent);
  out.add_string(span_tag::kName, clean(span.name));
  out.add_enum(span_tag::kKind, static_cast<std::int32_t>(span.kind));
  out.add_fixed64(span_tag::kBegin, static_cast<std::uint64_t>(span.begin_ns));
  out.add_fixed64(span_tag::kEnd, static_cast<std::uint64_t>(std::max(span.begin_ns, span.end_ns)));
  for (const Attribute& each : span.attributes) {
    if (const auto* number = std::get_if<std::int64_t>(&each.value)) {
      add_number(out, span_tag::kAttributes, each.key, *number);
    } else {
      add_text(out, span_tag::kAttributes, each.key, std::get<std::string>(each.value));
    }
  }
  if (span.link) {
    pbf_writer other(out, span_tag::kLinks);
    add_id(other, link::kTraceId, span.link->trace);
    add_id(other, link::kSpanId, span.link->span);
    other.add_fixed32(link::kFlags, (span.link->sampled ? kSampled : 0U) | kRemoteKnown | kRemote);
  }
  // Ok is the user's word, not the instrumentation's: what did not fail is left open.
  if (span.failed) pbf_writer(out, span_tag::kStatus).add_enum(status::kCode, status::kError);
  out.add_fixed32(span_tag::kFlags, kSampled | kRemoteKnown | (span.remote_parent ? kRemote : 0U));
}

}  // namespace

std::string encode_spans(const ResourceAttributes& resource, std::span<const Span> spans) {
  std::string bytes;
  pbf_writer out(bytes);
  pbf_writer all(out, request::kResourceSpans);
  {
    pbf_writer from(all, resource_spans::kResource);
    for (const auto& [key, value] : resource) {
      add_text(from, resource_tag::kAttributes, key, value);
    }
  }
  {
    pbf_writer of_scope(all, resource_spans::kScopeSpans);
    {
      pbf_writer by(of_scope, scope_spans::kScope);
      by.add_string(scope::kName, "eventrelay");
      by.add_string(scope::kVersion, EVENTRELAY_VERSION);
    }
    for (const Span& span : spans) {
      pbf_writer one(of_scope, scope_spans::kSpans);
      add_span(one, span);
    }
    of_scope.add_string(scope_spans::kSchemaUrl, schema_url());
  }
  all.add_string(resource_spans::kSchemaUrl, schema_url());
  all.commit();
  return bytes;
}

Rejected decode_answer(std::string_view body) {
  Rejected out;
  try {
    protozero::pbf_reader whole(body.data(), body.size());
    while (whole.next(answer::kPartialSuccess, protozero::pbf_wire_type::length_delimited)) {
      protozero::pbf_reader part = whole.get_message();
      while (part.next()) {
        switch (part.tag_and_type()) {
          case protozero::tag_and_type(partial_success::kRejected,
                                       protozero::pbf_wire_type::varint):
            out.spans = static_cast<std::uint64_t>(std::max<std::int64_t>(part.get_int64(), 0));
            break;
          case protozero::tag_and_type(partial_success::kReason,
                                       protozero::pbf_wire_type::length_delimited): {
            const protozero::data_view text = part.get_view();
            out.reason.clear();
            for (const char c : std::string_view(text.data(), text.size()).substr(0, kReasonMax)) {
              out.reason.push_back(c >= 0x20 && c <= 0x7E ? c : '?');
            }
            break;
          }
          default:
            part.skip();
        }
      }
    }
  } catch (const protozero::exception&) {
    return {};
  }
  return out;
}

}  // namespace eventrelay::trace
