// The TLS context of outgoing requests, and the checks that tie one stream to one host name.
//
// Why:     a callback must reach the host of its URL and nobody else.
// Owner:   the shard; one context per distinct pair of files.
// Thread:  build anywhere; use a context and its streams on one shard.
// Errors:  StartError naming the file; prepare_client() returns false, the attempt then ends as
//          tls.
#pragma once

#include <memory>
#include <string>

#include "common/http/tls_stream.hpp"

namespace eventrelay {

// Whom to trust and what to show. Bounds: two paths.
struct ClientTlsConfig {
  std::string ca_file;      // PEM; empty = the authorities of the system
  std::string client_cert;  // PEM with certificate chain and key; empty = none

  friend bool operator==(const ClientTlsConfig&, const ClientTlsConfig&) = default;
};

// TLS 1.2 or later, the peer is always verified, HTTP/1.1 offered by ALPN. Throws StartError.
[[nodiscard]] std::shared_ptr<TlsContext> make_client_tls(const ClientTlsConfig& config);

// Before the handshake: SNI (names only) and the check of the certificate against `host`, a name
// or an IP literal without brackets, by subjectAltName alone (RFC 9525). A wildcard stands for one
// whole label. False: not usable.
[[nodiscard]] bool prepare_client(TlsStream& stream, const std::string& host) noexcept;

// The server has asked for a certificate and there was none to show. TLS 1.3 tells what it thinks
// of that after the handshake only, and may close the connection instead.
[[nodiscard]] bool lacks_certificate(TlsStream& stream) noexcept;

// Why a handshake failed, or a stream of TLS ended, in the words of OpenSSL.
[[nodiscard]] std::string tls_problem(TlsStream& stream, ErrorCode error);

}  // namespace eventrelay
