// What the Kafka limit programs share: aliases, one keyed MAC, the group member, and the queue that
// wakes the loop.
//
// Why:     each program stays so short that a reader can see that the comparison is fair.
// Thread:  one.  Bounds: none; these programs exist to be measured, not to be run.
#pragma once

#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstdio>
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

// A member of `group` that commits what was stored as done, five times a second.
inline rd_kafka_t* open_consumer(const char* bootstrap, const char* name, const char* group) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, nullptr, 0);
  rd_kafka_conf_set(conf, "group.id", group, nullptr, 0);
  rd_kafka_conf_set(conf, "enable.auto.offset.store", "false", nullptr, 0);
  rd_kafka_conf_set(conf, "auto.commit.interval.ms", "200", nullptr, 0);
  rd_kafka_conf_set(conf, "auto.offset.reset", "earliest", nullptr, 0);
  rd_kafka_t* const kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, nullptr, 0);
  rd_kafka_poll_set_consumer(kafka);
  rd_kafka_topic_partition_list_t* const topics = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, name, RD_KAFKA_PARTITION_UA);
  rd_kafka_subscribe(kafka, topics);
  rd_kafka_topic_partition_list_destroy(topics);
  return kafka;
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
