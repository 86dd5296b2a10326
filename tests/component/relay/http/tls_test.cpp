// Deliveries over TLS: who is believed, what the far end is told, and that a kept connection is
// used again.
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/ssl/stream.hpp>
#include <cstdio>
#include <filesystem>

#include "common/http/server_tls.hpp"
#include "tests/component/relay/peer.hpp"

namespace eventrelay::relay::test {
namespace {

using metrics::Outcome;

constexpr long kHour = 3600;

struct CertificateOptions {
  std::string names = "DNS:callback.test,IP:127.0.0.1";
  long from = -kHour;  // seconds from now
  long until = kHour;
};

// Certificates that are their own authority, in a folder that goes with it. Thread: the test's.
class Certificates {
 public:
  Certificates() {
    std::string name = (std::filesystem::temp_directory_path() / "relay-tls-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder for certificates");
    folder_ = name;
  }
  ~Certificates() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  TlsServerConfig make(const std::string& name, const CertificateOptions& options = {}) const {
    const TlsServerConfig config{(folder_ / (name + ".pem")).string(),
                                 (folder_ / (name + ".key")).string()};
    EVP_PKEY* const key = EVP_EC_gen("P-256");
    X509* const cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), options.from);
    X509_gmtime_adj(X509_getm_notAfter(cert), options.until);
    X509_set_pubkey(cert, key);
    X509_NAME* const subject = X509_get_subject_name(cert);
    const auto* const text = reinterpret_cast<const unsigned char*>(name.c_str());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, text, -1, -1, 0);
    X509_set_issuer_name(cert, subject);
    if (!options.names.empty()) {
      X509_EXTENSION* const extension =
          X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, options.names.c_str());
      X509_add_ext(cert, extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(cert, key, EVP_sha256());
    write(config.key, [&](FILE* file) {
      PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    });
    write(config.cert, [&](FILE* file) { PEM_write_X509(file, cert); });
    X509_free(cert);
    EVP_PKEY_free(key);
    return config;
  }

 private:
  template <class Write>
  static void write(const std::string& path, Write write) {
    FILE* const file = std::fopen(path.c_str(), "w");
    if (file == nullptr) throw std::runtime_error("can not write " + path);
    write(file);
    std::fclose(file);
  }

  std::filesystem::path folder_;
};

// What a TLS endpoint has seen. Thread: any, one mutex.
struct Verdict {
  std::mutex mutex;
  std::string server_name;
  std::vector<std::string> requests;
  std::atomic<int> handshakes{0};
};

// A script that speaks TLS and answers every request.
Server::Script over_tls(const TlsServerConfig& config, Verdict& seen) {
  return [config, &seen](Peer& peer) {
    const auto context = make_server_tls(config);
    asio::ssl::stream<asio::ip::tcp::socket&> stream(peer.socket(), *context);
    ErrorCode error;
    stream.handshake(asio::ssl::stream_base::server, error);
    if (error) return;
    ++seen.handshakes;
    const char* const name = SSL_get_servername(stream.native_handle(), TLSEXT_NAMETYPE_host_name);
    {
      const std::lock_guard lock(seen.mutex);
      seen.server_name = name == nullptr ? "" : name;
    }
    std::vector<char> bytes(1 << 20);
    std::string request;
    while (!error) {
      request.append(bytes.data(), stream.read_some(asio::buffer(bytes), error));
      if (request.empty() || request.back() != '}') continue;  // our bodies end so
      {
        const std::lock_guard lock(seen.mutex);
        seen.requests.push_back(std::exchange(request, {}));
      }
      asio::write(stream, asio::buffer(kAnswer), error);
    }
  };
}

LookupAnswer loopback(const std::string&) {
  return LookupAnswer{{asio::ip::address_v4::loopback()}};
}

class RelayTls : public testing::Test {
 protected:
  // One exchange with an endpoint that shows `shown` while `trusted` is believed.
  Result exchange(const TlsServerConfig& shown, const std::string& trusted,
                  const std::string& host = "callback.test") {
    Server server(over_tls(shown, seen));
    Client client({}, loopback);
    return client.exchange(client.pool().endpoint(key(server.port(), trusted, host)));
  }
  static EndpointKey key(std::uint16_t port, const std::string& trusted,
                         const std::string& host = "callback.test") {
    EndpointKey key = Client::key(port);
    key.tls = true;
    key.host = host;
    key.ca_file = trusted;
    return key;
  }

  Certificates certificates;
  Verdict seen;
};

TEST_F(RelayTls, DeliversAndUsesTheConnectionAgain) {
  const TlsServerConfig good = certificates.make("good");
  {
    Server server(over_tls(good, seen));
    Client client({}, loopback);
    const auto endpoint = client.pool().endpoint(key(server.port(), good.cert));
    for (int i = 0; i < 5; ++i) EXPECT_EQ(client.exchange(endpoint).status, 200);
    EXPECT_EQ(server.connections(), 1);
  }
  EXPECT_EQ(seen.handshakes, 1);
  ASSERT_EQ(seen.requests.size(), 5U);
  EXPECT_EQ(seen.requests[4], "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}");
}

TEST_F(RelayTls, TellsTheNameOfTheHostAndNoneForAnAddress) {
  const TlsServerConfig good = certificates.make("good");
  EXPECT_EQ(exchange(good, good.cert).status, 200);
  EXPECT_EQ(seen.server_name, "callback.test");
  EXPECT_EQ(exchange(good, good.cert, "127.0.0.1").status, 200);
  EXPECT_EQ(seen.server_name, "");
}

TEST_F(RelayTls, SendsNothingToAnEndpointItDoesNotBelieve) {
  const TlsServerConfig good = certificates.make("good");
  const TlsServerConfig other = certificates.make("other");
  const TlsServerConfig wrong = certificates.make("wrong", {.names = "DNS:elsewhere.test"});
  const TlsServerConfig nameless = certificates.make("callback.test", {.names = "DNS:x.test"});
  const TlsServerConfig named = certificates.make("named", {.names = "DNS:callback.test"});
  const TlsServerConfig past = certificates.make("past", {.from = -2 * kHour, .until = -kHour});
  const TlsServerConfig later = certificates.make("later", {.from = kHour, .until = 2 * kHour});
  EXPECT_EQ(exchange(other, good.cert).outcome, Outcome::Tls) << "self-signed";
  EXPECT_EQ(exchange(wrong, wrong.cert).outcome, Outcome::Tls) << "wrong host";
  EXPECT_EQ(exchange(nameless, nameless.cert).outcome, Outcome::Tls) << "name in the subject only";
  EXPECT_EQ(exchange(past, past.cert).outcome, Outcome::Tls) << "expired";
  EXPECT_EQ(exchange(later, later.cert).outcome, Outcome::Tls) << "not yet valid";
  EXPECT_EQ(exchange(named, named.cert, "127.0.0.1").outcome, Outcome::Tls) << "no such address";
  EXPECT_EQ(exchange(good, "").outcome, Outcome::Tls) << "not known to the system";
  EXPECT_TRUE(seen.requests.empty());
}

// RFC 9525 6.4: the subject is no place for a name, also where there is no subjectAltName at all or
// one without a name of a host.
TEST_F(RelayTls, BelievesNoNameOfTheSubject) {
  for (const char* names :
       {"", "email:a@callback.test", "IP:127.0.0.1", "URI:https://callback.test/"}) {
    const TlsServerConfig shown = certificates.make("callback.test", {.names = names});
    EXPECT_EQ(exchange(shown, shown.cert).outcome, Outcome::Tls) << names;
  }
  EXPECT_TRUE(seen.requests.empty());
}

TEST_F(RelayTls, TellsWhatIsWrongInTheWordsOfTheLibrary) {
  const TlsServerConfig good = certificates.make("good");
  const TlsServerConfig past = certificates.make("past", {.from = -2 * kHour, .until = -kHour});
  const TlsServerConfig wrong = certificates.make("wrong", {.names = "DNS:elsewhere.test"});
  const std::vector<std::pair<TlsServerConfig, std::string>> rows{
      {past, "certificate has expired"}, {wrong, "hostname mismatch"}, {good, ""}};
  for (const auto& [shown, words] : rows) {
    Server server(over_tls(shown, seen));
    Client client({}, loopback);
    TestExchange exchange;
    client.start(exchange, client.pool().endpoint(key(server.port(), shown.cert)), {"x"},
                 std::chrono::seconds(1));
    ASSERT_TRUE(client.run_until([&] { return exchange.end.has_value(); }));
    EXPECT_EQ(exchange.detail, words);
  }
}

// A server that demands a client certificate says so behind the handshake (TLS 1.3), in it (1.2),
// or closes without a word.
TEST_F(RelayTls, CallsAMissingClientCertificateTls) {
  const TlsServerConfig good = certificates.make("good");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const bool silent : {false, true}) {
      Server server([&](Peer& peer) {
        const auto context = make_server_tls(good);
        SSL_CTX_set_min_proto_version(context->native_handle(), version);
        SSL_CTX_set_max_proto_version(context->native_handle(), version);
        context->set_verify_mode(asio::ssl::verify_peer |
                                 (silent ? 0 : asio::ssl::verify_fail_if_no_peer_cert));
        asio::ssl::stream<asio::ip::tcp::socket&> stream(peer.socket(), *context);
        ErrorCode error;
        stream.handshake(asio::ssl::stream_base::server, error);
        if (silent) return peer.reset();
        peer.wait_closed();
      });
      Client client({}, loopback);
      TestExchange exchange;
      client.start(exchange, client.pool().endpoint(key(server.port(), good.cert)), {"x"});
      ASSERT_TRUE(client.run_until([&] { return exchange.end.has_value(); }));
      EXPECT_EQ(exchange.end->outcome, Outcome::Tls) << version << silent;
      EXPECT_NE(exchange.detail.find("asks for a client certificate"), std::string::npos)
          << exchange.detail;
    }
  }
}

TEST_F(RelayTls, EndsWhenTheOtherSideDoesNotSpeakTls) {
  const TlsServerConfig good = certificates.make("good");
  Server server([](Peer& peer) {
    peer.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    peer.wait_closed();
  });
  Client client({}, loopback);
  const auto endpoint = client.pool().endpoint(key(server.port(), good.cert));
  EXPECT_EQ(client.exchange(endpoint).outcome, Outcome::Tls);
}

TEST_F(RelayTls, EndsWhenTheHandshakeHangsOrBreaks) {
  const TlsServerConfig good = certificates.make("good");
  Server hangs([](Peer& peer) { peer.wait_closed(); });
  PoolOptions options;
  options.tls_timeout = std::chrono::milliseconds(150);
  Client client(options, loopback);
  EXPECT_EQ(client.exchange(client.pool().endpoint(key(hangs.port(), good.cert))).outcome,
            Outcome::Timeout);
  Server breaks([](Peer& peer) { peer.reset(); });
  EXPECT_EQ(client.exchange(client.pool().endpoint(key(breaks.port(), good.cert))).outcome,
            Outcome::Tls);
}

TEST_F(RelayTls, EndsEveryAttemptWhenTheAuthorityCanNotBeRead) {
  const TlsServerConfig good = certificates.make("good");
  EXPECT_EQ(exchange(good, "/nowhere/ca.pem").outcome, Outcome::Tls);
  EXPECT_TRUE(seen.requests.empty());
}

TEST_F(RelayTls, SendsARequestOfManyRecords) {
  const TlsServerConfig good = certificates.make("good");
  std::string body(3 << 20, 'z');
  body += '}';
  {
    Server server(over_tls(good, seen));
    Client client({}, loopback);
    TestExchange exchange;
    client.start(exchange, client.pool().endpoint(key(server.port(), good.cert)), {"head{", body});
    ASSERT_TRUE(client.run_until([&] { return exchange.end.has_value(); }));
    EXPECT_EQ(exchange.end->status, 200);
  }
  ASSERT_EQ(seen.requests.size(), 1U);
  EXPECT_EQ(seen.requests[0], "head{" + body);
}

}  // namespace
}  // namespace eventrelay::relay::test
