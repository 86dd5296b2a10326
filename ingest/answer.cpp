#include "ingest/answer.hpp"

#include <array>

#include "common/base/assert.hpp"

namespace eventrelay::ingest {

namespace {

using metrics::Code;
using metrics::Reject;
using E = IngestError;
using P = providers::ProviderError;

// One sentence for every 404: nobody can learn which elements and instances exist.
constexpr std::string_view kNotFound = "There is nothing under this address.";
constexpr std::string_view kBadRequest = "Bad Request";
constexpr std::string_view kUnauthorized = "Unauthorized";
constexpr std::string_view kTooLarge = "Content Too Large";
constexpr std::string_view kUnavailable = "Service Unavailable";
constexpr std::string_view kUnsupported = "Unsupported Media Type";

constexpr auto kKeep = After::Keep;
constexpr auto kClose = After::Close;

// In the order of the enum. A row keeps the connection only if the whole request has been read by
// the time it can be answered; the session closes as well where it has not.
constexpr std::array<AnswerRow, kIngestErrors> kRows{{
    {E::MalformedRequest, 400, kBadRequest, providers::describe(P::MalformedRequest), Code::k400,
     Reject::Malformed, false, kClose},
    {E::MalformedJson, 400, kBadRequest, providers::describe(P::MalformedJson), Code::k400,
     Reject::Malformed, false, kKeep},
    {E::JsonTooDeep, 400, kBadRequest, providers::describe(P::JsonTooDeep), Code::k400,
     Reject::Malformed, false, kKeep},
    {E::MalformedBase64, 400, kBadRequest, providers::describe(P::MalformedBase64), Code::k400,
     Reject::Malformed, false, kKeep},
    {E::DuplicateHeader, 400, kBadRequest, providers::describe(P::DuplicateHeader), Code::k400,
     Reject::Malformed, false, kClose},
    {E::BadTimestamp, 400, kBadRequest, providers::describe(P::BadTimestamp), Code::k400,
     Reject::Malformed, false, kKeep},
    {E::SignatureMissing, 401, kUnauthorized, providers::describe(P::SignatureMissing), Code::k401,
     Reject::Signature, false, kKeep},
    {E::SignatureWrong, 401, kUnauthorized, providers::describe(P::SignatureWrong), Code::k401,
     Reject::Signature, false, kKeep},
    {E::SignatureTooOld, 401, kUnauthorized, providers::describe(P::SignatureTooOld), Code::k401,
     Reject::Signature, false, kKeep},
    {E::SignatureTooNew, 401, kUnauthorized, providers::describe(P::SignatureTooNew), Code::k401,
     Reject::Signature, false, kKeep},
    {E::TokenWrong, 401, kUnauthorized, providers::describe(P::TokenWrong), Code::k401,
     Reject::Auth, false, kKeep},
    {E::TooManyObjects, 413, kTooLarge, providers::describe(P::TooManyObjects), Code::k413,
     Reject::TooLarge, false, kKeep},
    {E::BadChallenge, 400, kBadRequest, providers::describe(P::BadChallenge), Code::k400,
     Reject::Malformed, false, kKeep},
    {E::UnknownPath, 404, "Not Found", kNotFound, Code::k404, Reject::UnknownSource, false, kKeep},
    {E::UnknownElement, 404, "Not Found", kNotFound, Code::k404, Reject::UnknownSource, false,
     kKeep},
    {E::UnknownInstance, 404, "Not Found", kNotFound, Code::k404, Reject::UnknownSource, false,
     kKeep},
    {E::MethodNotAllowed, 405, "Method Not Allowed", "The method is not allowed here.", Code::k405,
     Reject::Malformed, false, kKeep},
    {E::HeadTimeout, 408, "Request Timeout", "The request head took too long.", Code::k408,
     Reject::Timeout, false, kClose},
    {E::BodyTimeout, 408, "Request Timeout", "The request body took too long.", Code::k408,
     Reject::Timeout, false, kClose},
    {E::TransferEncoding, 411, "Length Required", "Transfer-Encoding is not accepted here.",
     Code::k411, Reject::Malformed, false, kClose},
    {E::BodyTooLarge, 413, kTooLarge, "The body is larger than this source allows.", Code::k413,
     Reject::TooLarge, false, kClose},
    {E::TargetTooLong, 414, "URI Too Long", "The request target is too long.", Code::k414,
     Reject::TooLarge, false, kClose},
    {E::ContentEncoding, 415, kUnsupported, "Only the identity content encoding is accepted.",
     Code::k415, Reject::Malformed, false, kClose},
    {E::ContentType, 415, kUnsupported, "The content type does not fit this source.", Code::k415,
     Reject::Malformed, false, kKeep},
    {E::SourceOverRate, 429, "Too Many Requests", "This source is over its rate.", Code::k429,
     Reject::Backpressure, true, kKeep},
    {E::HeadTooLarge, 431, "Request Header Fields Too Large", "The header section is too large.",
     Code::k431, Reject::TooLarge, false, kClose},
    {E::KafkaUnavailable, 503, kUnavailable, "Events cannot be stored now.", Code::k503,
     Reject::Backpressure, true, kKeep},
    {E::MemoryBudget, 503, kUnavailable, "The memory budget is used up.", Code::k503,
     Reject::Backpressure, true, kClose},
    {E::Draining, 503, kUnavailable, "The service is shutting down.", Code::k503, Reject::Draining,
     true, kClose},
    {E::EventTooLarge, 413, kTooLarge, "The event is larger than Kafka accepts.", Code::k413,
     Reject::TooLarge, false, kKeep},
    {E::Internal, 500, "Internal Server Error", "An internal error occurred.", Code::k500,
     Reject::Malformed, false, kClose},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].error) != i) return false;
  }
  return static_cast<std::size_t>(E::Internal) + 1 == kIngestErrors;
}
static_assert(in_order(), "one row per error, in the order of the enum");

}  // namespace

IngestError ingest_error(providers::ProviderError error) noexcept {
  switch (error) {
    case P::MalformedRequest:
      return E::MalformedRequest;
    case P::MalformedJson:
      return E::MalformedJson;
    case P::JsonTooDeep:
      return E::JsonTooDeep;
    case P::MalformedBase64:
      return E::MalformedBase64;
    case P::DuplicateHeader:
      return E::DuplicateHeader;
    case P::BadTimestamp:
      return E::BadTimestamp;
    case P::SignatureMissing:
      return E::SignatureMissing;
    case P::SignatureWrong:
      return E::SignatureWrong;
    case P::SignatureTooOld:
      return E::SignatureTooOld;
    case P::SignatureTooNew:
      return E::SignatureTooNew;
    case P::TokenWrong:
      return E::TokenWrong;
    case P::TooManyObjects:
      return E::TooManyObjects;
    case P::BadChallenge:
      return E::BadChallenge;
  }
  return E::Internal;
}

const AnswerRow& answer_row(IngestError error) noexcept {
  const auto index = static_cast<std::size_t>(error);
  EVENTRELAY_ASSERT(index < kRows.size());
  return kRows[index];
}

}  // namespace eventrelay::ingest
