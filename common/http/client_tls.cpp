#include "common/http/client_tls.hpp"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/base/start_error.hpp"

namespace eventrelay {

namespace {

void trust(TlsContext& context, const std::string& ca_file) {
  ErrorCode error;
  if (ca_file.empty()) {
    context.set_default_verify_paths(error);
    if (error) {
      throw StartError("the authorities of the system cannot be read: " + error.message() +
                       "; install ca-certificates or set ca_file");
    }
    return;
  }
  context.load_verify_file(ca_file, error);
  if (error) throw StartError("ca_file '" + ca_file + "': " + error.message());
}

void show_certificate(TlsContext& context, const std::string& file) {
  if (file.empty()) return;
  ErrorCode error;
  context.use_certificate_chain_file(file, error);
  if (!error) context.use_private_key_file(file, TlsContext::pem, error);
  if (error) {
    throw StartError("client_cert '" + file + "': " + error.message() +
                     "; it must hold certificate chain and key as PEM");
  }
}

// Where a stream keeps whether a certificate was asked for.
int asked_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// Called when the server asks for a certificate, and before the one of the context is taken.
int on_certificate_asked(SSL* ssl, void*) {
  static char asked = 1;
  SSL_set_ex_data(ssl, asked_index(), &asked);
  return 1;
}

}  // namespace

std::shared_ptr<TlsContext> make_client_tls(const ClientTlsConfig& config) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  auto context = std::make_shared<TlsContext>(TlsContext::tls_client);
  SSL_CTX* const handle = context->native_handle();
  SSL_CTX_set_min_proto_version(handle, TLS1_2_VERSION);
  SSL_CTX_set_options(handle, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(handle, SSL_MODE_RELEASE_BUFFERS);
  // A resumed session of one host must never answer for another: none is kept.
  SSL_CTX_set_session_cache_mode(handle, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_set_alpn_protos(handle, kHttp11, sizeof kHttp11 - 1) != 0) {
    throw StartError("OpenSSL does not take the ALPN protocol http/1.1");
  }
  context->set_verify_mode(asio::ssl::verify_peer);
  SSL_CTX_set_cert_cb(handle, on_certificate_asked, nullptr);
  trust(*context, config.ca_file);
  show_certificate(*context, config.client_cert);
  return context;
}

bool lacks_certificate(TlsStream& stream) noexcept {
  SSL* const ssl = stream.native_handle();
  return SSL_get_ex_data(ssl, asked_index()) != nullptr && SSL_get_certificate(ssl) == nullptr;
}

std::string tls_problem(TlsStream& stream, ErrorCode error) {
  const long verified = SSL_get_verify_result(stream.native_handle());
  if (verified != X509_V_OK) return X509_verify_cert_error_string(verified);
  std::string words = error.message();
  if (lacks_certificate(stream)) {
    words += "; the endpoint asks for a client certificate and delivery.client_cert is not set";
  }
  return words;
}

bool prepare_client(TlsStream& stream, const std::string& host) noexcept {
  SSL* const ssl = stream.native_handle();
  X509_VERIFY_PARAM* const checks = SSL_get0_param(ssl);
  if (host.empty() || host.find('\0') != std::string::npos) return false;
  if (X509_VERIFY_PARAM_set1_ip_asc(checks, host.c_str()) == 1) return true;
  // RFC 6066 wants names without the dot of the root.
  const std::string name = host.back() == '.' ? host.substr(0, host.size() - 1) : host;
  if (name.empty()) return false;
  // RFC 9525 6.3 and 6.4.1: names stand in subjectAltName, never in the subject.
  X509_VERIFY_PARAM_set_hostflags(
      checks, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  // What the macro SSL_set_tlsext_host_name does, without its C cast.
  char* const sni = const_cast<char*>(name.c_str());
  return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, sni) == 1 &&
         SSL_set1_host(ssl, name.c_str()) == 1;
}

}  // namespace eventrelay
