// Spans as OTLP: the bytes of one export request, and what its answer says.
//
// Why:     the encoding is a few tags of protobuf; a header-only writer makes them without
//          generated code.
// Thread:  any; pure.
// Bounds:  a span takes about 1 KiB, kBatchMax of them at most 2 MiB.
// Errors:  an answer that is not protobuf rejects nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/trace/span.hpp"

namespace eventrelay::trace {

// The names of attributes are those of this version of the semantic conventions.
inline constexpr std::string_view kSemanticConventions = "1.37.0";

using ResourceAttributes = std::vector<std::pair<std::string, std::string>>;

// ExportTraceServiceRequest of opentelemetry-proto. Text that is not UTF-8 is made so: a collector
// refuses a whole request for one wrong byte.
[[nodiscard]] std::string encode_spans(const ResourceAttributes& resource,
                                       std::span<const Span> spans);

// What an ExportTraceServiceResponse says of spans that were not taken.
struct Rejected {
  std::uint64_t spans = 0;
  std::string reason;  // printable ASCII, cut
};
[[nodiscard]] Rejected decode_answer(std::string_view body);

}  // namespace eventrelay::trace
