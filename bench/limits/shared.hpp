// What the Kafka limit programs share: aliases, one keyed MAC, their handles, the queue that wakes
// the loop, and what a main does around sessions or workers.
//
// Why:     each program stays so short that a reader can see that the comparison is fair.
// Thread:  one.  Bounds: none; these programs exist to be measured, not to be run.
#pragma once

#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string_view>

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Error = boost::system::error_code;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;
using Wake = asio::posix::basic_stream_descriptor<Executor>;

// HMAC-SHA256 with one key, as 44 characters of base64. Thread: one.
class KeyedMac {
 public:
  explicit KeyedMac(std::string_view key)
      : context_(EVP_MAC_CTX_new(EVP_MAC_fetch(nullptr, "HMAC", nullptr))) {
    char hash[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", hash, 0),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC_init(context_, bytes(key), key.size(), params);
  }
  std::string_view sign(std::string_view body, std::string_view more = {}) {
    unsigned char digest[32];
    EVP_MAC_init(context_, nullptr, 0, nullptr);
    EVP_MAC_update(context_, bytes(body), body.size());
    EVP_MAC_update(context_, bytes(more), more.size());
    EVP_MAC_final(context_, digest, nullptr, sizeof digest);
    EVP_EncodeBlock(text_, digest, 32);
    return {reinterpret_cast<const char*>(text_), 44};
  }

 private:
  static const unsigned char* bytes(std::string_view view) {
    return reinterpret_cast<const unsigned char*>(view.data());
  }
  EVP_MAC_CTX* context_;
  unsigned char text_[48];
};

// Of the one program that includes this; set before its first session or worker.
inline rd_kafka_t* kafka = nullptr;
inline rd_kafka_topic_t* topic = nullptr;
inline KeyedMac* mac = nullptr;

using OnReport = void (*)(rd_kafka_t*, const rd_kafka_message_t*, void*);

inline rd_kafka_t* open_producer(const char* bootstrap, OnReport on_report) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, nullptr, 0);
  rd_kafka_conf_set(conf, "enable.idempotence", "true", nullptr, 0);  // implies acks=all
  rd_kafka_conf_set_dr_msg_cb(conf, on_report);
  return rd_kafka_new(RD_KAFKA_PRODUCER, conf, nullptr, 0);
}

// A member of `group` that commits what was stored as done, five times a second.
inline rd_kafka_t* open_consumer(const char* bootstrap, const char* name, const char* group) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, nullptr, 0);
  rd_kafka_conf_set(conf, "group.id", group, nullptr, 0);
  rd_kafka_conf_set(conf, "enable.auto.offset.store", "false", nullptr, 0);
  rd_kafka_conf_set(conf, "auto.commit.interval.ms", "200", nullptr, 0);
  rd_kafka_conf_set(conf, "auto.offset.reset", "earliest", nullptr, 0);
  rd_kafka_t* const member = rd_kafka_new(RD_KAFKA_CONSUMER, conf, nullptr, 0);
  rd_kafka_poll_set_consumer(member);
  rd_kafka_topic_partition_list_t* const topics = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, name, RD_KAFKA_PARTITION_UA);
  rd_kafka_subscribe(member, topics);
  rd_kafka_topic_partition_list_destroy(topics);
  return member;
}

// Calls `work` on the loop whenever `queue` gets its first message.
template <class Work>
void on_queue(Wake& wake, Work work) {
  wake.async_wait(Wake::wait_read, [&wake, work](Error error) {
    char drain[64];
    if (error || read(wake.native_handle(), drain, sizeof drain) < 0) return;
    work();
    on_queue(wake, work);
  });
}

inline Wake wake_on(asio::io_context& loop, rd_kafka_queue_t* queue) {
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) std::abort();
  rd_kafka_queue_io_event_enable(queue, ends[1], "1", 1);
  return Wake(loop.get_executor(), ends[0]);
}

inline void announce(unsigned port) {
  std::printf("ready %u\n", port);
  std::fflush(stdout);
}

template <class Open>
void accept(Acceptor& acceptor, Open open) {
  acceptor.async_accept([&acceptor, open](Error error, Socket socket) {
    if (error) return;
    socket.set_option(asio::ip::tcp::no_delay(true));
    open(std::move(socket));
    accept(acceptor, open);
  });
}

inline std::uint16_t port_of(const char* text) {
  return static_cast<std::uint16_t>(std::atoi(text));
}

// PORT BOOTSTRAP TOPIC KEY: `open` makes a session of a socket, `on_report` answers it.
template <class Open>
int run_ingest(int argc, char** argv, Open open, OnReport on_report) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s PORT BOOTSTRAP TOPIC KEY\n", argv[0]);
    return 2;
  }
  asio::io_context loop(1);
  KeyedMac keyed(argv[4]);
  mac = &keyed;
  kafka = open_producer(argv[2], on_report);
  topic = rd_kafka_topic_new(kafka, argv[3], nullptr);
  Wake wake = wake_on(loop, rd_kafka_queue_get_main(kafka));
  on_queue(wake, [] { rd_kafka_poll(kafka, 0); });
  Acceptor acceptor(loop.get_executor(), {asio::ip::make_address("127.0.0.1"), port_of(argv[1])});
  asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([](Error, int) { rd_kafka_flush(kafka, 5000), _exit(0); });
  accept(acceptor, open);
  announce(acceptor.local_endpoint().port());
  loop.run();
  return 0;
}

// BOOTSTRAP TOPIC GROUP KEY TARGET_PORT CONNECTIONS: a Worker for each connection, made of the loop
// and the target; an idle() one is asked to take() a record when records have come.
template <class Worker>
int run_relay(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: %s BOOTSTRAP TOPIC GROUP KEY TARGET_PORT CONNECTIONS\n", argv[0]);
    return 2;
  }
  asio::io_context loop(1);
  KeyedMac keyed(argv[4]);
  mac = &keyed;
  kafka = open_consumer(argv[1], argv[2], argv[3]);
  topic = rd_kafka_topic_new(kafka, argv[2], nullptr);
  Wake wake = wake_on(loop, rd_kafka_queue_get_consumer(kafka));
  const asio::ip::tcp::endpoint target(asio::ip::make_address("127.0.0.1"), port_of(argv[5]));
  std::deque<Worker> workers;
  for (int i = 0; i < std::atoi(argv[6]); ++i) workers.emplace_back(loop, target);
  on_queue(wake, [&workers] {
    for (Worker& worker : workers) {
      if (worker.idle()) worker.take();
    }
  });
  asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([](Error, int) { rd_kafka_consumer_close(kafka), _exit(0); });
  announce(0);
  loop.run();
  return 0;
}
