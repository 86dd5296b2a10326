#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <boost/asio/write.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "common/base/start_error.hpp"
#include "common/http/client_tls.hpp"
#include "common/http/listen_address.hpp"
#include "common/http/server_tls.hpp"

namespace eventrelay {
namespace {

using ::testing::HasSubstr;

// What both sides saw.
struct Handshake {
  ErrorCode client;
  ErrorCode server;
  std::string server_name;  // SNI as the server saw it
  std::string protocol;     // ALPN
};

class Tls : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder() = ::testing::TempDir() + "tls_test_" + std::to_string(::getpid());
    std::filesystem::create_directories(folder());
    certificate("ca", "DNS:unused");
    certificate("named", "DNS:good.example.test,IP:127.0.0.1,IP:::1");
    certificate("wild", "DNS:*.example.test");
    certificate("partial", "DNS:go*.example.test");
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder()); }

  static std::string& folder() {
    static std::string path;
    return path;
  }
  static std::string path(const std::string& name) { return folder() + '/' + name; }

  // A self-signed certificate that is its own authority.
  static void certificate(const std::string& name, const std::string& names) {
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -subj /CN=unused -addext subjectAltName=" +
        names + " -keyout " + path(name + ".key") + " -out " + path(name + ".pem") + " 2>&1";
    ASSERT_EQ(std::system((command + " >" + path("log")).c_str()), 0) << command;
  }

  // One handshake over loopback: the server shows `shown`, the client trusts `trusted` and asks
  // for `host`.
  static Handshake handshake(const std::string& shown, const std::string& trusted,
                             const std::string& host) {
    asio::io_context loop{1};
    const auto server_context = make_server_tls({path(shown + ".pem"), path(shown + ".key")});
    const auto client_context = make_client_tls({path(trusted + ".pem"), ""});
    Acceptor acceptor(loop.get_executor(), listen_endpoint("127.0.0.1:0"));
    TlsStream client(Socket(loop.get_executor()), *client_context);
    client.lowest_layer().connect(acceptor.local_endpoint());
    TlsStream server(acceptor.accept(), *server_context);
    Handshake seen;
    EXPECT_TRUE(prepare_client(client, host));
    client.async_handshake(asio::ssl::stream_base::client, [&](ErrorCode error) {
      seen.client = error;
      ErrorCode ignored;
      if (error) client.lowest_layer().close(ignored);
    });
    server.async_handshake(asio::ssl::stream_base::server,
                           [&](ErrorCode error) { seen.server = error; });
    loop.run();
    const char* const name = SSL_get_servername(server.native_handle(), TLSEXT_NAMETYPE_host_name);
    if (name != nullptr) seen.server_name = name;
    const unsigned char* protocol = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(client.native_handle(), &protocol, &size);
    for (unsigned i = 0; i < size; ++i) seen.protocol += static_cast<char>(protocol[i]);
    return seen;
  }

  static std::string start_error(const std::function<void()>& work) {
    try {
      work();
    } catch (const StartError& error) {
      return error.what();
    }
    return {};
  }
};

TEST_F(Tls, AgreesOnNameAndProtocol) {
  const Handshake seen = handshake("named", "named", "good.example.test");
  EXPECT_FALSE(seen.client) << seen.client.message();
  EXPECT_EQ(seen.server_name, "good.example.test");
  EXPECT_EQ(seen.protocol, "http/1.1");
}

TEST_F(Tls, TakesTheNameWithTheDotOfTheRoot) {
  const Handshake seen = handshake("named", "named", "good.example.test.");
  EXPECT_FALSE(seen.client) << seen.client.message();
  EXPECT_EQ(seen.server_name, "good.example.test");
}

TEST_F(Tls, ChecksAnAddressWithoutSendingItAsName) {
  for (const char* address : {"127.0.0.1", "::1"}) {
    const Handshake seen = handshake("named", "named", address);
    EXPECT_FALSE(seen.client) << seen.client.message();
    EXPECT_EQ(seen.server_name, "");
  }
  EXPECT_TRUE(handshake("named", "named", "127.0.0.2").client);
  EXPECT_TRUE(handshake("wild", "wild", "127.0.0.1").client);
}

TEST_F(Tls, RefusesAnotherName) {
  for (const char* host : {"bad.example.test", "example.test", "xgood.example.test",
                           "good.example.test.evil", "unused"}) {
    EXPECT_TRUE(handshake("named", "named", host).client) << host;
  }
}

TEST_F(Tls, RefusesAnUnknownAuthority) {
  EXPECT_TRUE(handshake("named", "ca", "good.example.test").client);
}

TEST_F(Tls, LetsAWildcardStandForOneWholeLabel) {
  EXPECT_FALSE(handshake("wild", "wild", "good.example.test").client);
  EXPECT_TRUE(handshake("wild", "wild", "a.b.example.test").client);
  EXPECT_TRUE(handshake("wild", "wild", "example.test").client);
  EXPECT_TRUE(handshake("partial", "partial", "good.example.test").client);
}

TEST_F(Tls, RefusesAHostThatIsNone) {
  asio::io_context loop{1};
  const auto context = make_client_tls({path("named.pem"), ""});
  for (const std::string& host : {std::string{}, std::string{"."}, std::string("a\0b", 3)}) {
    TlsStream stream(Socket(loop.get_executor()), *context);
    EXPECT_FALSE(prepare_client(stream, host));
  }
}

TEST_F(Tls, NeverSpeaksLessThanTls12) {
  const auto server = make_server_tls({path("named.pem"), path("named.key")});
  const auto client = make_client_tls({path("named.pem"), ""});
  EXPECT_EQ(SSL_CTX_get_min_proto_version(server->native_handle()), TLS1_2_VERSION);
  EXPECT_EQ(SSL_CTX_get_min_proto_version(client->native_handle()), TLS1_2_VERSION);
  EXPECT_EQ(SSL_CTX_get_verify_mode(client->native_handle()), SSL_VERIFY_PEER);
}

TEST_F(Tls, NamesTheFileThatIsWrong) {
  const std::string good = path("named.pem");
  const std::string key = path("named.key");
  const std::string other = path("wild.key");
  const std::string missing = path("missing.pem");
  std::ofstream(path("text.pem")) << "no certificate\n";
  EXPECT_THAT(start_error([&] { (void)make_server_tls({missing, key}); }), HasSubstr(missing));
  EXPECT_THAT(start_error([&] {
                (void)make_server_tls({path("text.pem"), key});
              }),
              HasSubstr("text.pem"));
  EXPECT_THAT(start_error([&] { (void)make_server_tls({good, missing}); }), HasSubstr(missing));
  EXPECT_THAT(start_error([&] { (void)make_server_tls({good, other}); }), HasSubstr(other));
  EXPECT_THAT(start_error([&] { (void)make_client_tls({missing, ""}); }), HasSubstr(missing));
  EXPECT_THAT(start_error([&] {
                (void)make_client_tls({path("text.pem"), ""});
              }),
              HasSubstr("text.pem"));
  EXPECT_THAT(start_error([&] { (void)make_client_tls({good, missing}); }), HasSubstr(missing));
  EXPECT_THAT(start_error([&] { (void)make_client_tls({good, good}); }), HasSubstr(good));
}

TEST(ListenAddress, ReadsWhatItPrints) {
  for (const char* text : {"127.0.0.1:8080", "0.0.0.0:0", "[::1]:65535", "[::]:1"}) {
    EXPECT_EQ(print_endpoint(listen_endpoint(text)), text);
  }
  EXPECT_EQ(print_endpoint(listen_endpoint("localhost:1")), "127.0.0.1:1");
  EXPECT_EQ(print_endpoint(listen_endpoint(":8080")), "0.0.0.0:8080");
}

TEST(ListenAddress, RefusesEverythingElse) {
  for (const char* text :
       {"", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:80x",
        "::1:80", "[127.0.0.1]:80", "example.com:80", "[::1]80", "[]:80"}) {
    EXPECT_THROW((void)listen_endpoint(text), StartError) << text;
  }
}

}  // namespace
}  // namespace eventrelay
