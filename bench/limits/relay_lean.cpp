// The leanest program that keeps the relay's promise: records taken by the batch, head and body in
// one write straight from the record, the answer read by Beast's basic_parser without keeping it.
//
//   relay_lean BOOTSTRAP TOPIC GROUP KEY TARGET_PORT CONNECTIONS     ends on SIGTERM
#include <array>
#include <deque>
#include <string>
#include <vector>

#include "bench/limits/shared.hpp"

namespace {

std::vector<std::deque<std::pair<std::int64_t, bool>>> ledger;  // of a partition: offset, done

void begin(const rd_kafka_message_t& message) {
  const auto partition = static_cast<std::size_t>(message.partition);
  if (ledger.size() <= partition) ledger.resize(partition + 1);
  ledger[partition].emplace_back(message.offset, false);
}

void finish(const rd_kafka_message_t& message) {
  auto& window = ledger[static_cast<std::size_t>(message.partition)];
  window[static_cast<std::size_t>(message.offset - window.front().first)].second = true;
  for (; !window.empty() && window.front().second; window.pop_front()) {
    rd_kafka_offset_store(topic, message.partition, window.front().first);
  }
}

// Up to a batch of records, in their order. Null: none is here.
rd_kafka_message_t* next_record() {
  static rd_kafka_queue_t* const queue = rd_kafka_queue_get_consumer(kafka);
  static std::array<rd_kafka_message_t*, 64> batch;
  static std::size_t at = 0;
  static std::size_t count = 0;
  for (;;) {
    if (at == count) {
      const ssize_t taken = rd_kafka_consume_batch_queue(queue, 0, batch.data(), batch.size());
      if (taken <= 0) return nullptr;
      at = 0;
      count = static_cast<std::size_t>(taken);
    }
    rd_kafka_message_t* const message = batch[at++];
    if (message->err == 0) return message;
    rd_kafka_message_destroy(message);
  }
}

// Reads an answer without a body and keeps its status alone.
struct Answer final : http::basic_parser<false> {
  using Text = boost::beast::string_view;
  int status = 0;

  void on_response_impl(int code, Text, int, Error&) override { status = code; }
  void on_request_impl(http::verb, Text, Text, int, Error&) override {}
  void on_field_impl(http::field, Text, Text, Error&) override {}
  void on_header_impl(Error&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Error&) override {}
  std::size_t on_body_impl(Text text, Error&) override { return text.size(); }
  void on_chunk_header_impl(std::uint64_t, Text, Error&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text text, Error&) override { return text.size(); }
  void on_finish_impl(Error&) override {}
};

struct Worker {
  Worker(asio::io_context& loop, const asio::ip::tcp::endpoint& target) : socket(loop) {
    socket.connect(target);
    socket.set_option(asio::ip::tcp::no_delay(true));
  }
  bool idle() const { return message == nullptr; }
  void take() {
    message = next_record();
    if (message == nullptr) return;
    begin(*message);
    const std::string_view body(static_cast<const char*>(message->payload), message->len);
    head.assign(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: eventrelay/limit\r\n"
        "Content-Type: application/json\r\nElements-Webhook-Id: ");
    head += std::to_string(message->offset);
    head += "\r\nElements-Webhook-Signature: sha256=";
    head += mac->sign(body);
    head += "\r\nContent-Length: ";
    head += std::to_string(body.size());
    head += "\r\n\r\n";
    const std::array<asio::const_buffer, 2> request{asio::buffer(head), asio::buffer(body)};
    Error error;
    const std::size_t size = head.size() + body.size();
    if (asio::write(socket, request, error) != size) std::abort();
    read();
  }
  void read() {
    socket.async_read_some(asio::buffer(in.data() + got, in.size() - got),
                           [this](Error error, std::size_t bytes) {
                             if (error) std::abort();
                             got += bytes;
                             handle();
                           });
  }
  void handle() {
    Answer answer;
    Error error;
    answer.put(asio::buffer(in.data(), got), error);
    if (error == http::error::need_more) return read();
    if (error || answer.status / 100 != 2) std::abort();
    got = 0;
    finish(*message);
    rd_kafka_message_destroy(message);
    take();
  }

  Socket socket;
  std::string head;
  std::array<char, 1024> in;
  std::size_t got = 0;
  rd_kafka_message_t* message = nullptr;  // under way
};

}  // namespace

int main(int argc, char** argv) {
  return run_relay<Worker>(argc, argv);
}
