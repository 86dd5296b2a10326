// The leanest program that keeps ingest's promise: Beast's basic_parser over views, one buffer per
// connection, signature and JSON where the body lies, prebuilt answers written at once.
//
//   ingest_lean PORT BOOTSTRAP TOPIC KEY     prints `ready PORT`; ends on SIGTERM
#include <simdjson.h>

#include <array>
#include <string>

#include "bench/limits/shared.hpp"

namespace {

constexpr std::size_t kRoom = 64U << 10;  // of one request
constexpr std::string_view kAccepted =
    "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 54\r\n\r\n"
    "{\"eventIds\":[\"00000000-0000-8000-8000-000000000000\"]}\n";
constexpr std::string_view kRefused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
constexpr std::string_view kLater = "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n";

simdjson::ondemand::parser json;

// Keeps views of the two fields that the signature needs; a body is left where it lies.
struct Head final : http::basic_parser<true> {
  using Text = boost::beast::string_view;
  std::string_view signature, stamp;

  Head() { skip(true); }
  void on_field_impl(http::field, Text name, Text value, Error&) override {
    if (boost::beast::iequals(name, "BOX-SIGNATURE-PRIMARY")) signature = value;
    if (boost::beast::iequals(name, "BOX-DELIVERY-TIMESTAMP")) stamp = value;
  }
  void on_request_impl(http::verb, Text, Text, int, Error&) override {}
  void on_response_impl(int, Text, int, Error&) override {}
  void on_header_impl(Error&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Error&) override {}
  std::size_t on_body_impl(Text, Error&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, Text, Error&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text, Error&) override { return 0; }
  void on_finish_impl(Error&) override {}
};

// Either a read or a record is under way, so whichever ends it may delete it.
struct Session {
  explicit Session(Socket accepted) : socket(std::move(accepted)), in(new char[kAll]) {}

  void read() {
    if (size == kRoom) return delete this;
    socket.async_read_some(asio::buffer(in.get() + size, kRoom - size),
                           [this](Error error, std::size_t bytes) {
                             if (error) return delete this;
                             size += bytes;
                             handle();
                           });
  }
  void handle() {
    Head head;
    Error error;
    const std::size_t begin = head.put(asio::buffer(in.get(), size), error);
    if (error == http::error::need_more) return read();
    if (error) return delete this;
    const std::size_t length = head.content_length().value_or(0);
    if (size - begin < length) return read();
    char* const body = in.get() + begin;
    std::string_view id, object;
    simdjson::ondemand::document document;
    if (!genuine(head, {body, length}) ||
        json.iterate(body, length, length + simdjson::SIMDJSON_PADDING).get(document) ||
        document["id"].get(id) || document["source"]["id"].get(object)) {
      return answer(kRefused);
    }
    if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, body, length, id.data(),
                         id.size(), this) != 0) {
      answer(kLater);
    }
  }
  static bool genuine(const Head& head, std::string_view body) {
    const std::string_view text = mac->sign(body, head.stamp);
    return head.signature.size() == 44 &&
           CRYPTO_memcmp(head.signature.data(), text.data(), 44) == 0;
  }
  // An answer of this size fits the socket of a client that waits for it.
  void answer(std::string_view text) {
    Error error;
    size = 0;
    if (socket.write_some(asio::buffer(text), error) != text.size()) return delete this;
    read();
  }

  static constexpr std::size_t kAll = kRoom + simdjson::SIMDJSON_PADDING;
  Socket socket;
  std::unique_ptr<char[]> in;
  std::size_t size = 0;
};

void on_report(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  static_cast<Session*>(message->_private)->answer(message->err == 0 ? kAccepted : kLater);
}

}  // namespace

int main(int argc, char** argv) {
  const auto open = [](Socket socket) {
    socket.non_blocking(true);
    (new Session(std::move(socket)))->read();
  };
  return run_ingest(argc, argv, open, on_report);
}
