#include "ingest/head_parser.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>

#include "common/base/assert.hpp"

namespace eventrelay::ingest {

namespace http = boost::beast::http;

namespace {

[[nodiscard]] std::string_view view(boost::beast::string_view text) noexcept {
  return {text.data(), text.size()};
}

}  // namespace

HeadParser::HeadParser(Gate& gate) : gate_(gate) {
  skip(true);
  header_limit(kHeadBytesMax);
}

Expected<HeadParser::Progress, IngestError> HeadParser::feed(std::string_view request) {
  EVENTRELAY_ASSERT(request.size() >= parsed_);
  Error error;
  const auto rest = boost::asio::buffer(request.data() + parsed_, request.size() - parsed_);
  parsed_ += put(rest, error);
  if (!error) {
    EVENTRELAY_ASSERT(is_done());
    if (parsed_ > kHeadBytesMax) return Unexpected<IngestError>(IngestError::HeadTooLarge);
    return Progress::Done;
  }
  if (error != http::error::need_more) return Unexpected<IngestError>(error_for(error));
  // The parser limits what it has not consumed yet; the sum of it all is limited here.
  if (request.size() > kHeadBytesMax) {
    return Unexpected<IngestError>(error_for(http::error::header_limit));
  }
  return Progress::NeedMore;
}

IngestError HeadParser::error_for(const Error& error) const noexcept {
  if (refused_) return *refused_;
  if (error == http::error::header_limit) {
    return line_seen_ ? IngestError::HeadTooLarge : IngestError::TargetTooLong;
  }
  if (error == http::error::multiple_content_length) return IngestError::DuplicateHeader;
  return IngestError::MalformedRequest;
}

void HeadParser::stop_at(const Expected<void, IngestError>& verdict, Error& error) {
  if (verdict) return;
  refused_ = verdict.error();
  error = http::error::bad_field;
}

void HeadParser::on_request_impl(Verb, Text method, Text target, int version, Error& error) {
  line_seen_ = true;
  stop_at(gate_.begin(view(method), view(target), static_cast<unsigned>(version)), error);
}

void HeadParser::on_field_impl(Field, Text name, Text value, Error& error) {
  stop_at(gate_.field(view(name), view(value)), error);
}

void HeadParser::on_header_impl(Error& error) {
  stop_at(gate_.finish(), error);
}

void HeadParser::on_finish_impl(Error&) {}

// What follows belongs to responses and bodies; a skipping request parser never gets there.
void HeadParser::on_response_impl(int, Text, int, Error&) {
  EVENTRELAY_ASSERT(false);
}
void HeadParser::on_body_init_impl(const boost::optional<std::uint64_t>&, Error&) {
  EVENTRELAY_ASSERT(false);
}
std::size_t HeadParser::on_body_impl(Text, Error&) {
  EVENTRELAY_ASSERT(false);
  return 0;
}
void HeadParser::on_chunk_header_impl(std::uint64_t, Text, Error&) {
  EVENTRELAY_ASSERT(false);
}
std::size_t HeadParser::on_chunk_body_impl(std::uint64_t, Text, Error&) {
  EVENTRELAY_ASSERT(false);
  return 0;
}

}  // namespace eventrelay::ingest
