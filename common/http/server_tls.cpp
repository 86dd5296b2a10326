#include "common/http/server_tls.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <ctime>
#include <string_view>

#include "common/base/start_error.hpp"

namespace eventrelay {

namespace {

// ALPN: HTTP/1.1 if the client offers it; a client that offers only others is let through without
// a choice, as RFC 7301 lets it fall back to its default.
// NOLINTNEXTLINE(readability-function-size): the signature of an OpenSSL callback
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int offered_size, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  const int found =
      SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof kHttp11 - 1, offered, offered_size);
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

[[noreturn]] void fail(std::string_view what, const std::string& file, const std::string& reason) {
  throw StartError(std::string{what} + " '" + file + "': " + reason);
}

}  // namespace

std::shared_ptr<TlsContext> make_server_tls(const TlsServerConfig& config) {
  auto context = std::make_shared<TlsContext>(TlsContext::tls_server);
  SSL_CTX* const handle = context->native_handle();
  SSL_CTX_set_min_proto_version(handle, TLS1_2_VERSION);
  // Compression leaks lengths, renegotiation costs CPU; neither is needed.
  SSL_CTX_set_options(
      handle, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Idle connections give their 34 KiB of buffers back.
  SSL_CTX_set_mode(handle, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(handle, choose_protocol, nullptr);
  ErrorCode error;
  context->use_certificate_chain_file(config.cert, error);
  if (error) fail("ingest.tls.cert", config.cert, error.message());
  context->use_private_key_file(config.key, TlsContext::pem, error);
  if (error) fail("ingest.tls.key", config.key, error.message());
  if (SSL_CTX_check_private_key(handle) != 1) {
    fail("ingest.tls.key", config.key, "does not belong to the certificate '" + config.cert + "'");
  }
  return context;
}

std::optional<WallTime> certificate_end(const std::string& file) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bytes(BIO_new_file(file.c_str(), "r"), BIO_free);
  if (!bytes) {
    ERR_clear_error();
    return std::nullopt;
  }
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(bytes.get(), nullptr, nullptr, nullptr), X509_free);
  std::tm end{};
  if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) != 1) {
    ERR_clear_error();
    return std::nullopt;
  }
  return WallTime{std::chrono::seconds{::timegm(&end)}};
}

}  // namespace eventrelay
