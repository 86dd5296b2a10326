// The smallest program that keeps ingest's promise with Beast's ordinary message types:
// Beast + HMAC-SHA256 + simdjson + librdkafka, 202 only after the delivery report.
//
//   ingest_limit PORT BOOTSTRAP TOPIC KEY     prints `ready PORT`; ends on SIGTERM
#include <simdjson.h>

#include <memory>
#include <string>

#include "bench/limits/shared.hpp"

namespace {

simdjson::ondemand::parser json;

bool genuine(const http::request<http::string_body>& request) {
  const std::string_view given = request["BOX-SIGNATURE-PRIMARY"];
  const std::string_view text = mac->sign(request.body(), request["BOX-DELIVERY-TIMESTAMP"]);
  return given.size() == 44 && CRYPTO_memcmp(given.data(), text.data(), 44) == 0;
}

struct Session : std::enable_shared_from_this<Session> {
  explicit Session(Socket accepted) : socket(std::move(accepted)) { buffer.reserve(16384); }

  void read() {
    request = {};
    http::async_read(socket, buffer, request, [self = shared_from_this()](Error e, std::size_t) {
      if (!e) self->handle();
    });
  }
  void handle() {
    std::string_view id, object;
    simdjson::ondemand::document document;
    auto& body = request.body();
    body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
    if (!genuine(request) || json.iterate(body).get(document) || document["id"].get(id) ||
        document["source"]["id"].get(object)) {
      return answer(http::status::unauthorized);
    }
    waiting = shared_from_this();
    if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, body.data(),
                         body.size(), id.data(), id.size(), this) != 0) {
      std::exchange(waiting, nullptr)->answer(http::status::service_unavailable);
    }
  }
  void answer(http::status status) {
    response = {status, 11};
    response.set(http::field::content_type, "application/json");
    response.body() = "{\"eventIds\":[\"00000000-0000-8000-8000-000000000000\"]}";
    response.prepare_payload();
    http::async_write(socket, response, [self = shared_from_this()](Error e, std::size_t) {
      if (!e) self->read();
    });
  }

  Socket socket;
  boost::beast::flat_buffer buffer;
  http::request<http::string_body> request;
  http::response<http::string_body> response;
  std::shared_ptr<Session> waiting;
};

void on_report(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  const auto session = std::exchange(static_cast<Session*>(message->_private)->waiting, nullptr);
  session->answer(message->err == 0 ? http::status::accepted : http::status::service_unavailable);
}

}  // namespace

int main(int argc, char** argv) {
  const auto open = [](Socket socket) { std::make_shared<Session>(std::move(socket))->read(); };
  return run_ingest(argc, argv, open, on_report);
}
