// Every way in which ingest may answer: one table from error to status, word and metric label.
//
// Thread:  constants.  Bounds: the table covers the enum; a test proves it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/expected.hpp"
#include "common/observe/metrics_list.hpp"
#include "common/providers/provider_error.hpp"

namespace eventrelay::ingest {

// Why a request is not answered 202. Closed; each member is one row of the answer table.
enum class IngestError : std::uint8_t {
  MalformedRequest,  // 400
  MalformedJson,     // 400
  JsonTooDeep,       // 400
  MalformedBase64,   // 400
  DuplicateHeader,   // 400
  BadTimestamp,      // 400: form out of range
  SignatureMissing,  // 401
  SignatureWrong,    // 401
  SignatureTooOld,   // 401
  SignatureTooNew,   // 401
  TokenWrong,        // 401
  TooManyObjects,    // 413
  BadChallenge,      // 400
  UnknownPath,       // 404
  UnknownElement,    // 404
  UnknownInstance,   // 404
  MethodNotAllowed,  // 405, with Allow
  HeadTimeout,       // 408
  BodyTimeout,       // 408
  TransferEncoding,  // 411
  BodyTooLarge,      // 413
  TargetTooLong,     // 414
  ContentEncoding,   // 415
  ContentType,       // 415
  SourceOverRate,    // 429, Retry-After
  HeadTooLarge,      // 431
  KafkaUnavailable,  // 503, Retry-After
  MemoryBudget,      // 503, Retry-After
  Draining,          // 503, Retry-After
  EventTooLarge,     // 413: Kafka refuses the size
  Internal,          // 500
};
inline constexpr std::size_t kIngestErrors = 31;

[[nodiscard]] inline Unexpected<IngestError> refuse(IngestError error) noexcept {
  return Unexpected<IngestError>(error);
}

// Does the connection survive the answer?
enum class After : std::uint8_t { Keep, Close };

// One row.
struct AnswerRow {
  IngestError error;
  std::uint16_t status;
  std::string_view reason;   // reason phrase
  std::string_view message;  // the sentence in the body
  metrics::Code code;
  metrics::Reject reject;
  bool retry_after;
  After after;  // Close where the rest of the request was not read or is in doubt
};

[[nodiscard]] const AnswerRow& answer_row(IngestError error) noexcept;

// How ingest answers what is wrong with a provider's request.
[[nodiscard]] IngestError ingest_error(providers::ProviderError error) noexcept;

}  // namespace eventrelay::ingest
