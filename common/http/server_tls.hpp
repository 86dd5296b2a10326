// The TLS context of a listener: certificate chain and key from PEM files, TLS 1.2 or later.
//
// Why:     one place decides about versions, ciphers and renegotiation.
// Owner:   the shard; made at start and again on reload. Sessions keep the context they began with.
// Thread:  build anywhere; one context per shard, as its counters are shared by all its streams.
// Errors:  StartError naming the file and what is wrong with it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "common/config/config.hpp"
#include "common/http/tls_stream.hpp"

namespace eventrelay {

// Throws StartError.
[[nodiscard]] std::shared_ptr<TlsContext> make_server_tls(const TlsServerConfig& config);

// When the first certificate of a PEM file ends; nothing if it can not be read.
[[nodiscard]] std::optional<WallTime> certificate_end(const std::string& file);

}  // namespace eventrelay
