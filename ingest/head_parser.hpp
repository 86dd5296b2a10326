// Reads one request head: Beast finds the fields, the gate judges each as it passes.
//
// Why:     nothing is copied or stored but views. With `skip` set the parser ends behind the head,
//          whatever the head says of a body, so no chunk, trailer or length is left to it.
// Owner:   the shard or a session, in a HeadWork; one parser per request.
// Thread:  shard-local.
// Bounds:  kHeadBytesMax bytes; no allocation as long as the head lies in one piece.
// Errors:  IngestError; the gate's where it has one, else what the parser found malformed.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/base/expected.hpp"
#include "ingest/answer.hpp"
#include "ingest/gate.hpp"

namespace eventrelay::ingest {

// Thread: shard-local.  Bounds: see above.
class HeadParser final : private boost::beast::http::basic_parser<true> {
 public:
  enum class Progress : std::uint8_t { NeedMore, Done };

  explicit HeadParser(Gate& gate);

  // `request` is everything received since the request began, in the same place each time.
  [[nodiscard]] Expected<Progress, IngestError> feed(std::string_view request);
  // Bytes of the head, once done.
  [[nodiscard]] std::size_t size() const noexcept { return parsed_; }

 private:
  using Field = boost::beast::http::field;
  using Verb = boost::beast::http::verb;
  using Text = boost::beast::string_view;
  using Error = boost::beast::error_code;

  [[nodiscard]] IngestError error_for(const Error& error) const noexcept;
  void stop_at(const Expected<void, IngestError>& verdict, Error& error);

  void on_request_impl(Verb verb, Text method, Text target, int version, Error& error) override;
  void on_response_impl(int code, Text reason, int version, Error& error) override;
  void on_field_impl(Field field, Text name, Text value, Error& error) override;
  void on_header_impl(Error& error) override;
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, Error& error) override;
  std::size_t on_body_impl(Text body, Error& error) override;
  void on_chunk_header_impl(std::uint64_t size, Text extensions, Error& error) override;
  std::size_t on_chunk_body_impl(std::uint64_t remain, Text body, Error& error) override;
  void on_finish_impl(Error& error) override;

  Gate& gate_;
  std::size_t parsed_ = 0;
  bool line_seen_ = false;  // the request line has passed
  std::optional<IngestError> refused_;
};

// What reading one head needs. A shard has one for all its sessions, since a head mostly comes in
// one piece: it stays in the cache, and a connection that waits takes no memory for it. A session
// takes one of its own when it has to wait for more.
// Bounds: about 2.3 KiB.
struct HeadWork {
  explicit HeadWork(const Gate& judge) noexcept : gate(judge) {}

  // Reads from the first byte of a head on.
  void begin() { parser.emplace(gate); }

  Gate gate;
  std::optional<HeadParser> parser;  // of a head that has begun
};

}  // namespace eventrelay::ingest
