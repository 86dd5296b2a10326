// The smallest program that keeps the relay's promise with Beast's ordinary message types:
// librdkafka consumer + keyed HMAC + Beast client loop, offsets committed only behind a 2xx.
//
//   relay_limit BOOTSTRAP TOPIC GROUP KEY TARGET_PORT CONNECTIONS     ends on SIGTERM
#include <deque>
#include <map>

#include "bench/limits/shared.hpp"

namespace {

std::map<std::int32_t, std::deque<std::pair<std::int64_t, bool>>> ledger;  // offset, done

void finish(std::int32_t partition, std::int64_t offset) {
  auto& window = ledger[partition];
  window[static_cast<std::size_t>(offset - window.front().first)].second = true;
  for (; !window.empty() && window.front().second; window.pop_front()) {
    rd_kafka_offset_store(topic, partition, window.front().first);
  }
}

struct Worker {
  Worker(asio::io_context& loop, const asio::ip::tcp::endpoint& target) : socket(loop) {
    buffer.reserve(4096);
    socket.connect(target);
    socket.set_option(asio::ip::tcp::no_delay(true));
  }
  bool idle() const { return waits; }
  void take() {
    rd_kafka_message_t* message = rd_kafka_consumer_poll(kafka, 0);
    waits = message == nullptr || message->err != 0;
    if (!waits) send(*message);
    if (message != nullptr) rd_kafka_message_destroy(message);
  }
  void send(const rd_kafka_message_t& message) {
    partition = message.partition;
    offset = message.offset;
    ledger[partition].emplace_back(offset, false);
    request = {http::verb::post, "/", 11};
    request.set(http::field::host, "127.0.0.1");
    request.set(http::field::user_agent, "eventrelay/limit");
    request.set(http::field::content_type, "application/json");
    request.body().assign(static_cast<const char*>(message.payload), message.len);
    request.set("Elements-Webhook-Id", std::to_string(offset));
    request.set("Elements-Webhook-Signature", "sha256=" + std::string(mac->sign(request.body())));
    request.prepare_payload();
    http::async_write(socket, request, [this](Error error, std::size_t) {
      if (error) std::abort();
      read();
    });
  }
  void read() {
    response = {};
    http::async_read(socket, buffer, response, [this](Error error, std::size_t) {
      if (error || response.result_int() / 100 != 2) std::abort();
      finish(partition, offset);
      take();
    });
  }

  Socket socket;
  boost::beast::flat_buffer buffer;
  http::request<http::string_body> request;
  http::response<http::string_body> response;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  bool waits = true;  // for a record
};

}  // namespace

int main(int argc, char** argv) {
  return run_relay<Worker>(argc, argv);
}
